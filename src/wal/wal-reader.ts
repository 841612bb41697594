/**
 * Reads the write-ahead log back: every commit that survived, in order, checked to the last byte.
 *
 * What survives is a prefix. A torn record ends it: what stands behind it in its log and in later logs is not replayed. Where
 * something proves that the damaged bytes had been durable it is VARVE_CORRUPTION instead, with file and offset:
 *
 *  - a record behind the damage counts more bytes as durable than stand before it (record/record-reader.ts);
 *  - good records stand behind it, and no sector is missing: no power cut leaves that;
 *  - a later log counts any byte of its own as durable, or its header calls the damaged log durable (wal-chain.ts);
 *  - the store was closed cleanly, and the manifest says where the log ended;
 *  - a seqno is missing, or stands twice.
 *
 * Nothing here changes the disk.
 */
import { corruption } from '../base/errors.ts'
import { joinPath, walFileName } from '../env/file-names.ts'
import {
  checkCommit,
  commitFirstSeqno,
  commitOperations,
  commitTimeMs,
} from '../batch/commit-decoder.ts'
import { isIgnorableRecordType } from '../record/record-frame.ts'
import { RECORD_COMMIT, RECORD_SYNC_MARK } from '../record/record-header.ts'
import type { RecordReader } from '../record/record-reader.ts'
import { type FieldSource, unsupportedFormat } from '../record/tagged-fields.ts'
import {
  loadWalChain,
  openRecords,
  scanLog,
  type WalChain,
  type WalChainOptions,
  type WalFile,
  withFile,
} from './wal-chain.ts'
import { WAL_FORMAT_VERSION, WAL_HEADER_SEED, type WalEnd } from './wal-header.ts'

export interface WalReplayOptions extends WalChainOptions {
  /** Commits up to here are in segments. */
  readonly lastFlushedSeqno: number
  /** History floor: below it seqnos may be missing, where a repair had nothing to put. Default: none may. */
  readonly floor?: number | undefined
  /** After a clean close of these very files: where the log ended. Nothing counts as torn before it, nothing counts behind it. */
  readonly cleanEnd?: { readonly number: number; readonly bytes: number } | undefined
  /** Continues behind what an earlier replay of a store that is still being written had read, after this seqno. */
  readonly resume?: { readonly end: WalEnd; readonly lastSeqno: number } | undefined
}

/** A commit that survived. The bytes are borrowed until the visit has ended. */
export interface WalCommit {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  /** Number and path of its log, and the offset that it stands at. */
  readonly number: number
  readonly file: string
  readonly offset: number
  /** Its operations are in segments already; its fields may still count. */
  readonly isFlushed: boolean
}

export interface WalReplay {
  /** Behind the last record that was taken. */
  readonly end: WalEnd
  /** Last seqno that survived; `lastFlushedSeqno` when the logs hold no later one. */
  readonly lastSeqno: number
  /** Time of the last commit with an operation; 0 when there was none. */
  readonly lastTimeMs: number
  readonly commits: number
  /** Bytes of commit records that were taken. */
  readonly bytes: number
  /** Logs that were read, in order. */
  readonly logs: readonly number[]
  /** Logs of which nothing was taken: behind a torn one, or never part of the log. */
  readonly droppedLogs: readonly number[]
  /** Where what survived ends before the files do. */
  readonly torn:
    | { readonly file: string; readonly offset: number; readonly reason: string }
    | undefined
}

/** Whoever returns a promise is waited for before the next commit is read. */
export type WalVisitor = (commit: WalCommit) => void | Promise<void>

/**
 * Replays the log. For a store that another process is writing, files may vanish (ENOENT) or be cut back under the reader,
 * which can look like VARVE_CORRUPTION: start over from the manifest a few times before believing it.
 */
export async function replayWal(options: WalReplayOptions, visit: WalVisitor): Promise<WalReplay> {
  const chain = await loadWalChain(options)
  return new Replay(options, chain, visit).run()
}

class Replay {
  readonly #options: WalReplayOptions
  readonly #chain: WalChain
  readonly #visit: WalVisitor
  #nextSeqno: number | undefined
  #lastTimeMs = 0
  #commits = 0
  #bytes = 0
  #end: WalEnd
  #torn: WalReplay['torn']

  constructor(options: WalReplayOptions, chain: WalChain, visit: WalVisitor) {
    this.#options = options
    this.#chain = chain
    this.#visit = visit
    this.#end = { number: options.walNumber, bytes: 0, checksum: 0 }
    const { resume } = options
    if (resume !== undefined) this.#nextSeqno = resume.lastSeqno + 1
  }

  async run(): Promise<WalReplay> {
    const { cleanEnd } = this.#options
    const logs = this.#logsToRead()
    const read: number[] = []
    for (const [index, log] of logs.entries()) {
      read.push(log.number)
      const link = logs[index + 1]?.header?.previous
      await this.#readLog(log, link ?? (cleanEnd?.number === log.number ? cleanEnd : undefined))
      if (this.#torn !== undefined) break
    }
    const { lastFlushedSeqno } = this.#options
    const chain = this.#chain.logs
    const dropped = chain.slice(chain.findIndex(({ number }) => number === this.#end.number) + 1)
    await this.#checkDropped(dropped)
    return {
      end: this.#end,
      lastSeqno: Math.max((this.#nextSeqno ?? 1) - 1, lastFlushedSeqno),
      lastTimeMs: this.#lastTimeMs,
      commits: this.#commits,
      bytes: this.#bytes,
      logs: read,
      droppedLogs: [...dropped, ...this.#chain.others].map(({ number }) => number),
      torn: this.#torn,
    }
  }

  /** The chain from where reading begins to where it has to end. */
  #logsToRead(): readonly WalFile[] {
    const { cleanEnd, resume, directory } = this.#options
    const { logs } = this.#chain
    const firstNumber = resume?.end.number ?? logs[0]!.number
    const first = logs.findIndex(({ number }) => number === firstNumber)
    if (first < 0) {
      throw corruption('the log where reading has to go on is gone', { file: directory })
    }
    if (cleanEnd === undefined) return logs.slice(first)
    const last = logs.findIndex(({ number }) => number === cleanEnd.number)
    if (last < 0) {
      throw corruption('the log at which the store was closed is missing', { file: directory })
    }
    return logs.slice(first, last + 1)
  }

  /** Reads one log up to `end`, where its successor or a clean close says that it ends. */
  async #readLog(
    log: WalFile,
    end:
      | { readonly bytes: number; readonly checksum?: number; readonly isDurable?: boolean }
      | undefined,
  ): Promise<void> {
    const { fs, logId, resume } = this.#options
    const { emptyEnd } = log
    // As after most clean closes; else what is wrong with its end is for the reader below to say.
    if (emptyEnd !== undefined && resume === undefined && isAt(emptyEnd, end)) {
      this.#end = emptyEnd
      return
    }
    await withFile(fs, log.path, async (file) => {
      const reader = openRecords(file, log.number, logId)
      if (resume?.end.number === log.number) reader.resume(resume.end.bytes, resume.end.checksum)
      else await this.#skipHeader(reader)
      const stop = end?.bytes ?? Infinity
      const source: FieldSource = {
        file: log.path,
        fail: (reason, position) => {
          throw reader.corruption(reader.offset + position - reader.start, `log: ${reason}`)
        },
      }
      while (reader.position < stop) {
        const next = reader.next()
        if (!(typeof next === 'boolean' ? next : await next)) break
        const visited = this.#take(reader, log, source)
        if (visited !== undefined) await visited
      }
      this.#end = { number: log.number, bytes: reader.position, checksum: reader.lastChecksum }
      await this.#checkEnd(reader, log, end)
    })
  }

  async #skipHeader(reader: RecordReader): Promise<void> {
    // It was good when the chain was put together: now a writer of another process may have removed or reused the file.
    if (!(await reader.next(WAL_HEADER_SEED))) throw reader.corruption(0, 'a log lost its header')
  }

  async #checkEnd(
    reader: RecordReader,
    log: WalFile,
    end: { readonly bytes: number; readonly checksum?: number } | undefined,
  ): Promise<void> {
    if (isAt({ bytes: reader.position, checksum: reader.lastChecksum }, end)) return
    if (end !== undefined && reader.position >= end.bytes) {
      throw reader.corruption(end.bytes, 'no record ends where the log is said to end')
    }
    // What the search behind the damage costs is only paid here.
    const damage = await reader.damage()
    if (damage === undefined && end === undefined) return
    const offset = reader.position
    const reason = damage?.reason ?? 'the log ends early'
    if (damage?.isRot === true || this.#options.cleanEnd !== undefined) {
      throw reader.corruption(offset, `log: ${reason}`)
    }
    const proof = await this.#proofOfDurability(log)
    if (proof !== undefined) {
      throw reader.corruption(
        offset,
        `log: ${reason}, although ${proof} proves that it was durable`,
      )
    }
    this.#torn = { file: log.path, offset, reason }
  }

  /** Path of a later log of the chain that proves that `log` had been durable to its end. */
  async #proofOfDurability(log: WalFile): Promise<string | undefined> {
    const { fs, logId } = this.#options
    const { logs } = this.#chain
    for (const later of logs.slice(logs.indexOf(log) + 1)) {
      if (later.header!.previous!.isDurable) return later.path
      if ((await scanLog(fs, later, logId)).hasDurableRecords) return later.path
    }
    return undefined
  }

  /** What is left out must not hold anything that was promised. */
  async #checkDropped(dropped: readonly WalFile[]): Promise<void> {
    const { fs, logId, directory, cleanEnd } = this.#options
    for (const log of cleanEnd === undefined ? [] : dropped) {
      if (!(await scanLog(fs, log, logId)).hasCommits) continue
      throw corruption('commits stand behind the end of a log that was closed cleanly', {
        file: log.path,
        offset: 0,
      })
    }
    for (const log of this.#chain.detached) {
      const link = log.header!.previous!
      if (!link.isDurable && !(await scanLog(fs, log, logId)).hasDurableRecords) continue
      throw corruption(
        `a log is missing or its header is damaged, although ${log.path} proves that it was durable`,
        { file: joinPath(directory, walFileName(this.#missingBefore(log))) },
      )
    }
  }

  /** Number of the log that a detached one continues, over others that are there: it is missing, or its header is damaged. */
  #missingBefore(log: WalFile): number {
    const { detached } = this.#chain
    let { number } = log.header!.previous!
    for (;;) {
      const link = detached.find((one) => one.number === number)?.header?.previous
      if (link === undefined) return number
      number = link.number
    }
  }

  /** Checks and hands out the reader's current record. */
  #take(reader: RecordReader, log: WalFile, source: FieldSource): void | Promise<void> {
    const { bytes, start, end, type, offset } = reader
    if (type === RECORD_SYNC_MARK || isIgnorableRecordType(type)) return
    if (type !== RECORD_COMMIT) {
      throw unsupportedFormat('a log record', {
        file: log.path,
        found: `type ${type}`,
        supported: `format ${WAL_FORMAT_VERSION}`,
      })
    }
    checkCommit(bytes, start, end, source)
    const isFlushed = this.#checkSeqno(reader)
    this.#commits++
    this.#bytes += end - start
    if (commitOperations(bytes, start) > 0) this.#lastTimeMs = commitTimeMs(bytes, start)
    return this.#visit({
      bytes,
      start,
      end,
      number: log.number,
      file: log.path,
      offset,
      isFlushed,
    })
  }

  /** Seqnos are dense. Answers whether the commit's operations are in segments. */
  #checkSeqno(reader: RecordReader): boolean {
    const { lastFlushedSeqno, floor = 0 } = this.#options
    const first = commitFirstSeqno(reader.bytes, reader.start)
    const next = first + commitOperations(reader.bytes, reader.start)
    const expected = this.#nextSeqno
    const wanted = expected ?? lastFlushedSeqno + 1
    const isDense = expected === undefined ? first <= wanted : first === wanted
    // Not more than the floor allows: the chain of checksums says that no record is missing here.
    if (!isDense && (first < wanted || first > floor)) {
      throw reader.corruption(
        reader.offset,
        `log: a commit begins with seqno ${first}, expected ${wanted}`,
      )
    }
    if (first <= lastFlushedSeqno && next > lastFlushedSeqno + 1) {
      throw reader.corruption(reader.offset, 'log: half of a commit is in segments')
    }
    this.#nextSeqno = next
    return next <= lastFlushedSeqno + 1 && next > first
  }
}

/** Whether reading got to the very end that something else names. */
function isAt(
  at: { readonly bytes: number; readonly checksum: number },
  end: { readonly bytes: number; readonly checksum?: number } | undefined,
): boolean {
  return (
    end !== undefined &&
    at.bytes === end.bytes &&
    (end.checksum === undefined || end.checksum === at.checksum)
  )
}
