/**
 * Lives of a small store made of nothing but logs and the manifest, each ended by the death of the process or of the machine
 * at an arbitrary operation. The protocol around log and manifest is the one of db/recovery.ts and db/flusher.ts, reduced to
 * what matters here: a segment is a file that names the seqnos it holds.
 */
import { expect, test } from 'vitest'
import { commitFirstSeqno, commitOperations } from '../../src/batch/commit-decoder.ts'
import { joinPath, segmentFileName, storeFiles } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { startEpoch } from '../../src/version/epochs.ts'
import { findOrphans, hasStore } from '../../src/version/orphans.ts'
import { initialState } from '../../src/version/store-state.ts'
import { VersionSet } from '../../src/version/version-set.ts'
import { replayWal } from '../../src/wal/wal-reader.ts'
import { WalWriter } from '../../src/wal/wal-writer.ts'
import { randomOf } from '../record/record-samples.ts'
import { commitOf, writeCommits } from '../wal/wal-samples.ts'
import { added, DIRECTORY, keyspaceOf, segmentOf } from './version-samples.ts'

/** What the outside knows: everything up to `durable` must survive a power cut, up to `acknowledged` the death of the process. */
interface Promised {
  durable: number
  acknowledged: number
  /** Also what was written and not answered: it may be there or not, whole. */
  written: number
}

class Life {
  readonly fs: MemoryFileSystem
  readonly promised: Promised
  readonly #random: () => number
  #versions!: VersionSet
  /** Logs whose commits are not in segments, with their first seqno; the last one is written to. */
  #logs: { wal: WalWriter; first: number }[] = []
  #next = 1

  constructor(fs: MemoryFileSystem, promised: Promised, random: () => number) {
    this.fs = fs
    this.promised = promised
    this.#random = random
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n)
  }

  /** Opens the store and checks what is found. */
  async open(): Promise<void> {
    const { fs } = this
    if (!hasStore(fs, DIRECTORY)) {
      expect(this.promised.durable).toBe(0)
      for (const name of fs.list(DIRECTORY)) fs.remove(joinPath(DIRECTORY, name))
      const wal = WalWriter.create(fs, DIRECTORY, 1, { logId: 'store' })
      await wal.sync()
      const state = initialState({
        storeId: 'store',
        role: 'primary',
        walNumber: 1,
        epochs: [{ epoch: 1, id: 'e1', first: 1 }],
        keyspaces: [keyspaceOf(1)],
      })
      this.#versions = await VersionSet.create({ fs, directory: DIRECTORY }, state)
      this.#logs = [{ wal, first: 1 }]
      this.#settle(0)
      return
    }
    const recovered = (await VersionSet.recover({ fs, directory: DIRECTORY }))!
    const { versions, isClean } = recovered
    this.#versions = versions
    const { state } = versions.current
    const lastFlushed = this.#checkSegments()
    const records: Buffer[] = []
    let seqno = lastFlushed + 1
    const { cleanClose } = state
    const replayed = await replayWal(
      {
        fs,
        directory: DIRECTORY,
        logId: state.logId,
        walNumber: state.walNumber,
        lastFlushedSeqno: lastFlushed,
        cleanEnd: isClean
          ? { number: cleanClose!.walNumber, bytes: cleanClose!.walBytes }
          : undefined,
      },
      ({ bytes, start, end, isFlushed }) => {
        if (isFlushed) return
        expect(commitFirstSeqno(bytes, start)).toBe(seqno)
        seqno += commitOperations(bytes, start)
        records.push(Buffer.from(bytes.subarray(start, end)))
      },
    )
    expect(replayed.lastSeqno).toBe(seqno - 1)
    this.#settle(seqno - 1)
    await this.#takeOver(records, lastFlushed + 1, isClean)
  }

  /** Every segment that the manifest names is there, and together they hold each seqno once. */
  #checkSegments(): number {
    const { current } = this.#versions
    const options = {
      version: current,
      manifestNumber: this.#versions.manifestNumber,
      keepsLog: () => true,
    }
    for (const name of findOrphans(DIRECTORY, storeFiles(this.fs.list(DIRECTORY)), options)) {
      this.fs.remove(joinPath(DIRECTORY, name))
    }
    const segments = [...current.files(1).history]
    let next = 1
    for (const { minEventSeqno, maxEventSeqno } of segments) {
      expect(minEventSeqno).toBe(next)
      next = maxEventSeqno + 1
    }
    expect(current.state.lastFlushedSeqno).toBe(next - 1)
    return next - 1
  }

  #settle(latest: number): void {
    expect(latest).toBeGreaterThanOrEqual(this.promised.durable)
    expect(latest).toBeLessThanOrEqual(this.promised.written)
    this.promised.acknowledged = latest
    this.promised.written = latest
    this.#next = latest + 1
  }

  /** Everything that was replayed goes into a new log before anything else. */
  async #takeOver(records: readonly Buffer[], first: number, isClean: boolean): Promise<void> {
    const versions = this.#versions
    const number = versions.allocateFileNumber()
    const wal = WalWriter.create(this.fs, DIRECTORY, number, { logId: 'store' })
    if (records.length > 0) writeCommits(wal, records)
    await wal.sync()
    await versions.apply(({ state }) => ({
      state: {
        walNumber: number,
        ...(isClean
          ? {}
          : { epochs: startEpoch(state, this.#next - 1, `e${state.epochs.length + 1}`) }),
      },
    }))
    this.promised.durable = this.#next - 1
    this.#logs = [{ wal, first }]
  }

  /** Works until the process dies; true when it closed cleanly before that. */
  async work(steps: number): Promise<boolean> {
    for (let i = 0; i < steps; i++) {
      const choice = this.#random()
      if (choice < 0.5) this.#write()
      else if (choice < 0.65) await this.#sync()
      else if (choice < 0.75) this.#rotate()
      else if (choice < 0.87) await this.#flush()
      else if (choice < 0.93) await this.#mergeSegments()
      else await this.#fillDisk()
    }
    if (this.#random() < 0.5) return false
    await this.#sync()
    const { wal } = this.#logs.at(-1)!
    await this.#versions.markClean({ walNumber: wal.number, walBytes: wal.size })
    for (const log of this.#logs) await log.wal.close()
    await this.#versions.close()
    return true
  }

  #write(): void {
    const commits: Buffer[] = []
    let seqno = this.#next
    for (let i = this.#pick(3); i >= 0; i--) {
      const operations = this.#pick(4)
      commits.push(commitOf(seqno, operations, { valueBytes: this.#pick(500) }))
      seqno += operations
    }
    this.promised.written = seqno - 1
    writeCommits(this.#logs.at(-1)!.wal, commits)
    this.#next = seqno
    this.promised.acknowledged = seqno - 1
  }

  async #sync(): Promise<void> {
    const upTo = this.#next - 1
    await this.#logs.at(-1)!.wal.sync()
    this.promised.durable = upTo
  }

  #rotate(): void {
    const previous = this.#logs.at(-1)!.wal
    const number = this.#versions.allocateFileNumber()
    const wal = WalWriter.create(this.fs, DIRECTORY, number, { logId: 'store', previous })
    this.#logs.push({ wal, first: this.#next })
  }

  async #flush(): Promise<void> {
    const [log, next] = this.#logs
    if (log === undefined || next === undefined) return
    await this.#sync()
    const last = next.first - 1
    const additions = []
    if (last >= log.first) {
      additions.push(...(await this.#writeSegment(log.first, last)))
    }
    await this.#versions.apply({
      additions,
      state: { lastFlushedSeqno: last, walNumber: next.wal.number },
    })
    this.#logs.shift()
    await log.wal.close()
    this.fs.remove(log.wal.path)
  }

  async #writeSegment(first: number, last: number): Promise<ReturnType<typeof added>> {
    const number = this.#versions.allocateFileNumber()
    const file = this.fs.create(joinPath(DIRECTORY, segmentFileName(number)))
    file.append(Buffer.from('segment'), 0, 7)
    await file.sync()
    file.close()
    await this.fs.syncDirectory(DIRECTORY)
    return added('history', segmentOf(number, { minEventSeqno: first, maxEventSeqno: last }))
  }

  async #mergeSegments(): Promise<void> {
    const { history } = this.#versions.current.files(1)
    const [a, b] = history
    if (a === undefined || b === undefined) return
    const additions = await this.#writeSegment(a.minEventSeqno, b.maxEventSeqno)
    await this.#versions.apply({ removals: [a.number, b.number], additions })
    for (const { number } of [a, b]) this.fs.remove(joinPath(DIRECTORY, segmentFileName(number)))
  }

  /** The disk fills up under the log, or under the manifest, and there is space again. */
  async #fillDisk(): Promise<void> {
    const { wal } = this.#logs.at(-1)!
    this.fs.inject({ operation: 'write', effect: 'short' })
    this.fs.inject({ operation: 'write', effect: 'ENOSPC' })
    if (this.#random() < 0.5) {
      await expect(this.#versions.apply({ state: { floor: 1 } })).rejects.toThrow()
      this.fs.clearFaults()
      return
    }
    expect(() => writeCommits(wal, [commitOf(this.#next, 2)])).toThrow()
    this.fs.clearFaults()
    await wal.cutBack()
  }
}

test('whatever ends a life, the next one finds a prefix with all that was promised', async () => {
  const seed = Number(process.env['SEED'] ?? 1)
  const stores = Number(process.env['ROUNDS'] ?? 40)
  console.log(`seed ${seed}, ${stores} stores`)
  for (let store = 0; store < stores; store++) {
    const random = randomOf(seed * 1_000_003 + store)
    let fs = new MemoryFileSystem()
    fs.makeDirectory(DIRECTORY)
    const promised: Promised = { durable: 0, acknowledged: 0, written: 0 }
    for (let life = 0; life < 8; life++) {
      const message = `seed ${seed}, store ${store}, life ${life}`
      const current = new Life(fs, promised, random)
      const dies = random() < 0.7
      if (dies) fs.dieAtOperation(fs.operationCount + 1 + Math.floor(random() * 80))
      try {
        await current.open()
        await current.work(Math.floor(random() * 30))
      } catch (error) {
        // Only death may come in between; a check that fails is no death.
        if (!String(error).includes('process died')) {
          throw new Error(message, { cause: error })
        }
      }
      if (random() < 0.4) {
        fs = fs.crash('kept')
        promised.durable = Math.max(promised.durable, promised.acknowledged)
      } else {
        fs = random() < 0.3 ? fs.crash('lost') : fs.crash({ seed: store * 100 + life })
        promised.acknowledged = promised.durable
      }
    }
  }
})
