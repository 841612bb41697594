/**
 * Plays steps against a store and the model, and compares everything that can be seen after each.
 */
import { expect } from 'vitest'
import {
  type Batch,
  type ChangeEvent,
  type ChangeScan,
  type ChangeTail,
  encodeCounter,
  type HistoryPolicy,
  type Keyspace,
  type MergeOperator,
  type OpenOptions,
  type Snapshot,
} from '../../src/index.ts'
import { openStore, type StoreTuning } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import {
  eventLine,
  type Fold,
  keyBytes,
  type KeyspaceImage,
  keyText,
  Model,
  modelLine,
  type ModelOperation,
} from './model.ts'
import { KEYSPACES, type OperationStep, PLAIN, type Step } from './steps.ts'

const DIRECTORY = '/store'
/** Enough for a segment that is worth being taken over, an eighth of `segmentBytes`. */
const REWRITTEN_KEYS = 60

/** Not associative and order sensitive: any operand folded twice, dropped or moved shows. */
export const CUSTOM: MergeOperator = {
  name: 'custom',
  merge: (_key, base, operands) =>
    operands.reduce<Buffer>(
      (value, operand) => customFold(value, operand),
      base ?? Buffer.from('~'),
    ),
}

function customFold(base: Buffer | undefined, operand: Buffer): Buffer {
  const value = base ?? Buffer.from('~')
  // Keeps the tail only, so that values stay small.
  return Buffer.concat([
    Buffer.from([operand.length & 0xff, value.length & 0xff]),
    operand.subarray(0, 6),
    value,
  ]).subarray(0, 60)
}

export const FOLDS: ReadonlyMap<string, Fold> = new Map<string, Fold>([
  ['default', (base, operand) => Buffer.concat([base ?? Buffer.alloc(0), operand])],
  [
    'counters',
    (base, operand) =>
      encodeCounter(BigInt.asIntN(64, (base?.readBigInt64LE() ?? 0n) + operand.readBigInt64LE())),
  ],
  ['custom', customFold],
])

export const OPERATORS = {
  default: 'append',
  counters: 'counter',
  custom: 'custom',
  plain: undefined,
}

export interface DriverOptions {
  readonly open?: OpenOptions
  readonly tuning?: Partial<StoreTuning>
}

/** Steps after which something else may hold what was there before: files, logs, the floor, an epoch. */
const REARRANGES: ReadonlySet<Step['op']> = new Set([
  'flush',
  'rewrite',
  'compact',
  'compactAll',
  'reopen',
  'crash',
  'truncate',
  'drop',
])
/** Events that the sample of the stream after any other step has. */
const SAMPLE_EVENTS = 25

/** An ack as the model knows it: `last` is the seqno of the batch that it was in; 0: durable when it resolved. */
interface Ack {
  readonly last: number
  readonly next: number
}

interface FollowedConsumer {
  /** In the order in which they were made; the creation is the first. */
  acks: Ack[]
  hasLimit: boolean
}

interface OpenTail {
  readonly tail: ChangeTail
  /** First seqno that it has not delivered. */
  next: number
  readonly durable: boolean
}

interface TokenSeen {
  readonly token: string
  readonly next: number
  /** So many epochs had begun when it was handed out. */
  readonly epochs: number
}

interface OpenSnapshot {
  readonly snapshot: Snapshot
  readonly image: Map<string, KeyspaceImage>
}

export class Driver {
  readonly model: Model = new Model(FOLDS)
  readonly clock: ManualClock = new ManualClock(1_000_000)
  fs: MemoryFileSystem = new MemoryFileSystem()
  store!: Varve
  readonly #options: DriverOptions
  #snapshots: OpenSnapshot[] = []
  #scans: { scan: ChangeScan; lines: string[] }[] = []
  #tails: OpenTail[] = []
  #tokens: TokenSeen[] = []
  #fill = 1
  #floor = 1
  /** What truncateHistory asked for, at most. */
  #truncated = 1
  /** As the events said. */
  #toldFloor = 1
  #epoch = 1
  /** The store was opened after a clean close with this latest seqno. */
  #closedAt: number | undefined
  /** The latest time that the clock has shown. */
  #latestMs = 0
  #checks = 0
  readonly #consumers: Map<string, FollowedConsumer> = new Map()

  constructor(options: DriverOptions = {}) {
    this.#options = options
  }

  async open(): Promise<void> {
    this.store = await openStore(
      DIRECTORY,
      {
        memtableBytes: 16 * 1024,
        segmentBytes: 16 * 1024,
        blockBytes: 512,
        blockCacheBytes: 64 * 1024,
        blobThresholdBytes: 180,
        history: 'all',
        mergeOperator: 'append',
        mergeOperators: [CUSTOM],
        syncIntervalMs: 0,
        environment: { fs: this.fs, now: () => this.clock.now(), logger: SILENT },
        ...this.#options.open,
      },
      this.#options.tuning,
    )
    // Nobody could listen while it was opened.
    this.#toldFloor = this.store.history().floor
    this.store.on('historyFloor', ({ floor }) => {
      expect(floor).toBeGreaterThan(this.#toldFloor)
      this.#toldFloor = floor
    })
  }

  async close(): Promise<void> {
    await this.letGo()
    await this.store.close()
  }

  /** Gives up everything that keeps files and history from going. */
  async letGo(): Promise<void> {
    for (const { tail } of this.#tails) await tail.close()
    this.#tails = []
    for (const { snapshot } of this.#snapshots) snapshot.close()
    this.#snapshots = []
    for (const { scan } of this.#scans) await scan.close()
    this.#scans = []
  }

  async keyspace(index: number): Promise<Keyspace> {
    const name = KEYSPACES[index]!
    if (name === 'default') return this.store
    const operator = OPERATORS[name]
    return this.store.keyspace(name, operator === undefined ? {} : { mergeOperator: operator })
  }

  /** Plays the step and checks what must hold after each. */
  async playAndCheck(step: Step): Promise<void> {
    await this.play(step)
    await this.checkInvariants()
    if (REARRANGES.has(step.op)) await this.checkStream()
    else await this.checkSample()
  }

  async play(step: Step): Promise<void> {
    switch (step.op) {
      case 'put':
      case 'merge':
      case 'delete':
      case 'deleteRange':
        return this.#single(step)
      case 'batch':
        return this.#batch(step.operations, step.meta)
      case 'burst':
        return this.#burst(step)
      case 'rewrite':
        return this.#rewrite(step)
      case 'flush':
        return this.store.flush()
      case 'compact':
        return this.store.compact({
          keyspace: (await this.keyspace(step.ks)).name,
          start: keyOf(step.start),
          end: keyOf(step.start + step.length),
        })
      case 'compactAll':
        return this.store.compact()
      case 'reopen':
        await this.close()
        this.#closedAt = this.model.latest
        return this.open()
      case 'openSnapshot': {
        if (this.#snapshots.length >= 6) return
        this.#snapshots.push({ snapshot: this.store.snapshot(), image: this.model.image() })
        return
      }
      case 'closeSnapshot': {
        const [removed] = this.#snapshots.splice(step.which % (this.#snapshots.length || 1), 1)
        removed?.snapshot.close()
        return
      }
      case 'drop': {
        const keyspace = await this.keyspace(step.ks)
        if (keyspace.name === 'default') return
        this.model.commit([{ type: 'drop', keyspace: keyspace.name }], this.clock.now())
        const seqno = await this.store.dropKeyspace(keyspace.name)
        expect(seqno).toBe(this.model.latest)
        for (const open of this.#snapshots) open.image.delete(keyspace.name)
        return
      }
      case 'advance':
        return this.clock.set(Math.max(0, this.clock.now() + step.ms))
      case 'read':
        return this.#read(step)
      case 'walk':
        return this.#walk(step)
      case 'scan':
        return this.#scan(step)
      case 'openScan': {
        if (this.#scans.length >= 3) return
        const { floor } = this.store.history()
        const from = floor + (step.from % (this.model.latest + 2 - floor))
        const scan = this.store.scanSinceSeqno(from)
        this.#scans.push({ scan, lines: this.model.events.slice(from - 1).map(modelLine) })
        return
      }
      case 'crash':
        return this.#crash(step)
      case 'truncate': {
        const floor = 1 + Math.floor((step.share / 100) * this.model.latest)
        await this.store.truncateHistory(floor)
        this.#truncated = Math.max(this.#truncated, floor)
        expect(this.store.history().floor).toBeGreaterThanOrEqual(floor)
        return
      }
      case 'openConsumer':
        return this.#openConsumer(step)
      case 'ack':
        return this.#ack(step)
      case 'consume':
        return this.#consume(step)
      case 'dropConsumer': {
        const name = consumerName(step.which)
        if (!this.#consumers.delete(name)) return
        return this.store.dropConsumer(name)
      }
      case 'finishScan': {
        const [open] = this.#scans.splice(step.which % (this.#scans.length || 1), 1)
        if (open === undefined) return
        const events = await collect(open.scan)
        expect(events.map(eventLine)).toEqual(open.lines)
        return
      }
      case 'openTail':
        return this.#openTail(step)
      case 'readTail':
        return this.#readTail(step)
    }
  }

  /** What holds after every step. */
  async checkInvariants(): Promise<void> {
    const { floor, latest, durable, epochs, epoch } = this.store.history()
    expect(latest).toBe(this.model.latest)
    expect(durable).toBeLessThanOrEqual(latest)
    expect(floor).toBeGreaterThanOrEqual(this.#floor)
    expect(floor).toBeLessThanOrEqual(durable + 1)
    this.#checkFloor(floor)
    expect(epoch).toBe(this.#epoch)
    expect(epochs.map(({ epoch: number }) => number)).toEqual(epochs.map((_, i) => i + 1))
    expect(new Set(epochs.map(({ id }) => id)).size).toBe(epochs.length)
    expect(epochs.at(-1)!.first).toBeLessThanOrEqual(latest + 1)
    for (const { name, position, state } of this.store.consumers()) {
      const followed = this.#consumers.get(name)!
      if (state === 'lost') {
        expect(followed.hasLimit || this.#truncated > position, `${name} was cut off`).toBe(true)
        continue
      }
      expect(position).toBe(positionOf(followed))
      expect(floor).toBeLessThanOrEqual(position)
    }
    await this.#checkEdges()
  }

  /** It rises as the policy says or by hand, by an event, and never falls. */
  #checkFloor(floor: number): void {
    const { history }: { history?: HistoryPolicy } = this.#options.open ?? {}
    expect(floor).toBeGreaterThanOrEqual(this.#floor)
    // The event follows the edit: what was seen at the last check has been told by now.
    expect(this.#toldFloor).toBeGreaterThanOrEqual(this.#floor)
    expect(this.#toldFloor).toBeLessThanOrEqual(floor)
    this.#latestMs = Math.max(this.#latestMs, this.clock.now())
    if (floor > this.#truncated) {
      expect(history ?? 'all').not.toBe('all')
      if (typeof history === 'object' && history.maxAgeMs !== undefined) {
        const newest = this.model.events[floor - 2]!.timestamp
        expect(newest).toBeLessThan(this.#latestMs - history.maxAgeMs)
      }
    }
    this.#floor = floor
  }

  /** What lies below the floor or beyond the end is refused, wherever it is. */
  async #checkEdges(): Promise<void> {
    const { latest } = this.store.history()
    for (const which of ['highest', 'lowest', 'between']) {
      // Background work may raise it between two reads.
      const { floor } = this.store.history()
      if (floor === 1) break
      const between = 1 + (this.#checks % (floor - 1))
      const requested = which === 'highest' ? floor - 1 : which === 'lowest' ? 1 : between
      await expect(this.store.scanSinceSeqno(requested).nextBatch()).rejects.toMatchObject({
        code: 'VARVE_HISTORY_TRUNCATED',
        details: { requested, floor },
      })
    }
    await expect(this.store.scanSinceSeqno(latest + 2).nextBatch()).rejects.toMatchObject({
      code: 'VARVE_CURSOR_AHEAD',
      details: { requested: latest + 2, latest },
    })
  }

  /** The whole stream, from the floor and from somewhere above it. */
  async checkStream(): Promise<void> {
    for (const isWhole of [true, false]) {
      const from = isWhole ? this.store.history().floor : this.#somewhere()
      const events = await collect(this.store.scanSinceSeqno(from))
      expect(events.map(eventLine)).toEqual(this.model.events.slice(from - 1).map(modelLine))
    }
    await this.#checkTime()
  }

  /** A few events from somewhere above the floor: another place after each step. */
  async checkSample(): Promise<void> {
    const { latest } = this.store.history()
    const from = this.#somewhere()
    const upTo = Math.min(latest, from + SAMPLE_EVENTS)
    const events = await collect(this.store.scanSinceSeqno(from, { upTo }))
    expect(events.map(eventLine)).toEqual(this.model.events.slice(from - 1, upTo).map(modelLine))
  }

  /** In [floor, latest + 1]. */
  #somewhere(): number {
    const { floor, latest } = this.store.history()
    return floor + ((++this.#checks * 7919) % (latest + 2 - floor))
  }

  async #checkTime(): Promise<void> {
    const { events } = this.model
    const { floor, latest } = this.store.history()
    const time = (events[this.#somewhere() - 1]?.timestamp ?? 0) + (this.#checks % 3) - 1
    const first = events.findIndex(({ timestamp }) => timestamp >= time)
    expect(await this.store.seqnoAt(time)).toBe(Math.max(floor, first < 0 ? latest + 1 : first + 1))
  }

  /** Everything at once: all keyspaces, all snapshots, the whole stream. */
  async checkAll(): Promise<void> {
    await this.checkInvariants()
    await this.checkStream()
    await this.#checkTokens()
    expect((await this.store.verify()).problems).toEqual([])
    for (const name of KEYSPACES) await this.#checkKeyspace(name, this.model.keyspaces, undefined)
    for (const { snapshot, image } of this.#snapshots) {
      for (const name of KEYSPACES) await this.#checkKeyspace(name, image, snapshot)
    }
  }

  async #checkKeyspace(
    name: (typeof KEYSPACES)[number],
    images: Map<string, KeyspaceImage>,
    snapshot: Snapshot | undefined,
  ): Promise<void> {
    const image = images.get(name)
    const exists = this.store.keyspaces().includes(name)
    if (!exists || (snapshot !== undefined && image === undefined)) return
    const keyspace = await this.keyspace(KEYSPACES.indexOf(name))
    const expected = sorted(image).map(([key, value]) => `${key}=${value.toString('hex')}`)
    const range = snapshot === undefined ? {} : { snapshot }
    const forward = await keyspace.entries(range).all()
    expect(forward.map(entryText)).toEqual(expected)
    const backward = await keyspace.entries({ ...range, reverse: true }).all()
    expect(backward.map(entryText).toReversed()).toEqual(expected)
  }

  async #single(step: OperationStep): Promise<void> {
    const keyspace = await this.keyspace(step.ks)
    const operation = this.#operation(step, keyspace.name)
    this.model.commit([operation], this.clock.now())
    const seqno = await run(keyspace, operation)
    expect(seqno).toBe(this.model.latest)
  }

  async #batch(steps: readonly OperationStep[], meta: boolean): Promise<void> {
    const operations: ModelOperation[] = []
    const batch = this.store.batch()
    for (const step of steps) {
      const keyspace = await this.keyspace(step.ks)
      const operation = this.#operation(step, keyspace.name)
      operations.push(operation)
      add(batch, operation, keyspace)
    }
    const tag = meta ? `meta-${this.model.latest % 3}` : undefined
    this.model.commit(operations, this.clock.now(), tag)
    const info = await this.store.write(batch, tag === undefined ? {} : { meta: tag })
    expect(info).toEqual({
      first: this.model.latest - operations.length + 1,
      last: this.model.latest,
    })
  }

  async #burst(step: Step & { op: 'burst' }): Promise<void> {
    const keyspace = await this.keyspace(step.ks)
    const writes: Promise<number>[] = []
    for (let i = 0; i < step.count; i++) {
      const operation = this.#operation(
        { op: 'put', ks: step.ks, key: step.start + i, size: step.size },
        keyspace.name,
      )
      this.model.commit([operation], this.clock.now())
      writes.push(run(keyspace, operation))
    }
    const seqnos = await Promise.all(writes)
    expect(seqnos.at(-1)).toBe(this.model.latest)
  }

  async #rewrite({ ks, times, size }: Step & { op: 'rewrite' }): Promise<void> {
    for (let time = 0; time < times; time++) {
      const operations = Array.from({ length: REWRITTEN_KEYS }, (_, index): OperationStep => {
        return { op: 'put', ks, key: index, size }
      })
      await this.#batch(operations, time === 1)
      await this.store.flush()
    }
  }

  #operation(step: OperationStep, keyspace: string): ModelOperation {
    switch (step.op) {
      case 'put':
        return { type: 'put', keyspace, key: keyOf(step.key), value: this.#value(step) }
      case 'merge':
        if (step.ks === PLAIN) throw new Error('the plain keyspace takes no merges')
        return { type: 'merge', keyspace, key: keyOf(step.key), value: this.#value(step) }
      case 'delete':
        return { type: 'delete', keyspace, key: keyOf(step.key) }
      case 'deleteRange': {
        const start = step.start % 7 === 0 ? '' : keyOf(step.start)
        const end = keyOf(step.start + step.length)
        const isOpen = step.length % 5 === 0 || end <= start
        return { type: 'deleteRange', keyspace, start, end: isOpen ? undefined : end }
      }
    }
  }

  #value(step: { ks: number; size: number; op: string }): Buffer {
    const salt = this.#fill++
    if (KEYSPACES[step.ks] === 'counters') return encodeCounter(salt * 7919 - 100_000)
    const size = step.op === 'merge' ? step.size % 12 : step.size
    const value = Buffer.alloc(size)
    for (let i = 0; i < size; i++) value[i] = i < 4 ? salt >>> (8 * i) : (salt + (i & 7)) & 0xff
    return value
  }

  #view(which: number): { images: Map<string, KeyspaceImage>; snapshot: Snapshot | undefined } {
    const index = which % (this.#snapshots.length + 1)
    const open = this.#snapshots[index]
    if (open === undefined) return { images: this.model.keyspaces, snapshot: undefined }
    return { images: open.image, snapshot: open.snapshot }
  }

  async #read(step: Step & { op: 'read' }): Promise<void> {
    const keyspace = await this.keyspace(step.ks)
    const { images, snapshot } = this.#view(step.which)
    if (snapshot !== undefined && !images.has(keyspace.name)) return
    const image = images.get(keyspace.name)
    const key = keyOf(step.key)
    const options = snapshot === undefined ? {} : { snapshot }
    const expected = image?.get(key)
    expect(await keyspace.get(key, options)).toEqual(expected)
    expect(keyspace.getSync(key, options)).toEqual(expected)
    expect(await keyspace.has(key, options)).toBe(expected !== undefined)
    const keys = [step.key, step.key + 1, step.key + 17].map(keyOf)
    expect(await keyspace.getMany(keys, options)).toEqual(keys.map((one) => image?.get(one)))
  }

  async #walk(step: Step & { op: 'walk' }): Promise<void> {
    const keyspace = await this.keyspace(step.ks)
    const { images, snapshot } = this.#view(step.which)
    if (snapshot !== undefined && !images.has(keyspace.name)) return
    const { range, accepts } = bounds(step)
    let expected = sorted(images.get(keyspace.name)).filter(([key]) => accepts(key))
    if (step.flags & 16) expected = expected.toReversed()
    const limit = step.flags & 64 ? step.limit : undefined
    if (limit !== undefined) expected = expected.slice(0, limit)
    const options = {
      ...range,
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(step.flags & 16 ? { reverse: true } : {}),
      ...(limit === undefined ? {} : { limit }),
    }
    const texts = expected.map(([key, value]) => `${key}=${value.toString('hex')}`)
    expect([...keyspace.entriesSync(options)].map(entryText)).toEqual(texts)
    const seen: string[] = []
    for await (const entry of keyspace.entries(options)) seen.push(entryText(entry))
    expect(seen).toEqual(texts)
    expect((await keyspace.keys(options).all()).map(keyText)).toEqual(expected.map(([key]) => key))
    const values = keyspace.values(options)
    const batches: Buffer[] = []
    for (;;) {
      const batch = await values.nextBatch(1 + (step.limit % 7))
      if (batch.length === 0) break
      batches.push(...batch)
    }
    await values.close()
    expect(batches).toEqual(expected.map(([, value]) => value))
  }

  /** The machine, or only the process, dies. What was acknowledged as durable is there; what survives is whole commits. */
  async #crash(step: Step & { op: 'crash' }): Promise<void> {
    if (step.synced) await this.store.sync()
    const { durable } = this.store.history()
    const how = step.how % 3
    const image = this.fs.crash(how === 0 ? 'lost' : how === 1 ? 'kept' : { seed: step.how })
    await this.close()
    this.fs = image
    const mayBeClean = how !== 1 && this.model.latest === this.#closedAt
    await this.open()
    const { latest, epoch } = this.store.history()
    // A power cut that comes before anything was written may leave the very files of a clean close.
    if (mayBeClean && epoch === this.#epoch) expect(latest).toBe(this.model.latest)
    else {
      expect(epoch).toBe(this.#epoch + 1)
      this.#closedAt = undefined
    }
    this.#epoch = epoch
    if (how === 1) expect(latest).toBe(this.model.latest)
    expect(latest).toBeGreaterThanOrEqual(durable)
    expect(latest).toBeLessThanOrEqual(this.model.latest)
    const last = this.model.events[latest - 1]
    if (last !== undefined) expect(last.commitLast).toBe(latest)
    this.model.truncate(latest)
    // An ack of its own was durable when it resolved, one in a batch is as durable as its batch: invariants check the positions.
    for (const followed of this.#consumers.values()) {
      followed.acks = followed.acks.filter(({ last }) => last <= latest)
    }
    await this.#checkTokens()
  }

  /** A token is good exactly where the history that its reader has seen is still this store's. */
  async #checkTokens(): Promise<void> {
    for (const { token, next, epochs: known } of this.#tokens) {
      const { floor, epochs } = this.store.history()
      const isDiverged = epochs.slice(known).some(({ first }) => next > first)
      const code = isDiverged
        ? 'VARVE_HISTORY_DIVERGED'
        : next < floor
          ? 'VARVE_HISTORY_TRUNCATED'
          : undefined
      const scan = this.store.scanSinceSeqno(token)
      const first = scan.nextBatch(1)
      if (code !== undefined) await expect(first).rejects.toMatchObject({ code })
      else expect((await first)[0]?.seqno).toBe(this.model.events[next - 1]?.seqno)
      await scan.close()
    }
  }

  #openTail(step: Step & { op: 'openTail' }): void {
    if (this.#tails.length >= 3) return
    const { floor, durable, latest } = this.store.history()
    const isNow = step.from % 3 === 0
    const end = step.durable ? durable : latest
    const next = isNow ? latest + 1 : floor + (step.from % (end + 2 - floor))
    const tail = this.store.tail({
      from: isNow ? 'now' : next,
      visibility: step.durable ? 'durable' : 'committed',
      maxBatchEvents: 1 + (step.from % 50),
      heartbeatMs: 0,
    })
    this.#tails.push({ tail, next, durable: step.durable })
  }

  /** Reads a tail up to what it must deliver by now. */
  async #readTail(step: Step & { op: 'readTail' }): Promise<void> {
    const index = step.which % (this.#tails.length || 1)
    const open = this.#tails[index]
    if (open === undefined) return
    const { floor, durable, latest } = this.store.history()
    const end = open.durable ? durable : latest
    if (open.next < floor) {
      this.#tails.splice(index, 1)
      await expect(open.tail.next()).rejects.toMatchObject({ code: 'VARVE_HISTORY_TRUNCATED' })
      return
    }
    while (open.next <= end) {
      const { value, done } = await open.tail.next()
      expect(done).toBe(false)
      const { events, next, upTo } = value as { events: ChangeEvent[]; next: number; upTo: number }
      expect(events.map(eventLine)).toEqual(
        this.model.events.slice(open.next - 1, next - 1).map(modelLine),
      )
      expect(next).toBe(upTo + 1)
      expect(next).toBeLessThanOrEqual(end + 1)
      open.next = next
    }
  }

  async #openConsumer(step: Step & { op: 'openConsumer' }): Promise<void> {
    const name = consumerName(step.which)
    const { floor, latest } = this.store.history()
    const from: 'oldest' | 'now' | number =
      step.from === 0 ? 'oldest' : step.from === 1 ? 'now' : floor
    const limits = step.which % 2 === 0 ? { maxHeldBytes: step.maxHeldBytes } : {}
    const consumer = await this.store.consumer(name, { from, ...limits })
    const known = this.#consumers.get(name)
    if (known !== undefined) {
      known.hasLimit ||= 'maxHeldBytes' in limits
      return
    }
    this.#consumers.set(name, {
      acks: [{ last: 0, next: consumer.position }],
      hasLimit: step.which % 2 === 0,
    })
    expect(consumer.position).toBe(step.from === 1 ? latest + 1 : floor)
  }

  async #ack(step: Step & { op: 'ack' }): Promise<void> {
    const name = consumerName(step.which)
    const followed = this.#consumers.get(name)
    if (followed === undefined || this.#isLost(name)) return
    const position = positionOf(followed)
    const { latest } = this.model
    const next = position + Math.floor((step.share / 100) * (latest + 1 - position))
    if (step.inBatch) {
      const operation = this.#operation({ op: 'put', ks: 0, key: step.share, size: 9 }, 'default')
      const batch = this.store.batch()
      add(batch, operation, this.store)
      try {
        await this.store.write(batch.ack(name, next))
      } catch (error) {
        // A flush in between may have cut it off; then nothing was written.
        expect(error).toMatchObject({ code: 'VARVE_CONSUMER_LOST' })
        return
      }
      this.model.commit([operation], this.clock.now())
    } else {
      const consumer = await this.store.consumer(name)
      await consumer.ack(next)
    }
    followed.acks.push({ last: step.inBatch ? this.model.latest : 0, next })
  }

  async #consume(step: Step & { op: 'consume' }): Promise<void> {
    const name = consumerName(step.which)
    const followed = this.#consumers.get(name)
    if (followed === undefined) return
    const position = positionOf(followed)
    const consumer = await this.store.consumer(name)
    const lines: string[] = []
    const read = async (): Promise<void> => {
      for await (const batch of consumer.batches({ stopAtLatest: true })) {
        lines.push(...batch.events.map(eventLine))
      }
    }
    if (this.#isLost(name)) {
      await expect(read()).rejects.toMatchObject({ code: 'VARVE_CONSUMER_LOST' })
      return
    }
    await read()
    expect(lines).toEqual(this.model.events.slice(position - 1).map(modelLine))
  }

  #isLost(name: string): boolean {
    return this.store.consumers().find((info) => info.name === name)?.state === 'lost'
  }

  async #scan(step: Step & { op: 'scan' }): Promise<void> {
    const { floor, epochs } = this.store.history()
    const from = floor + Math.floor((step.from / 1001) * (this.model.latest + 2 - floor))
    let expected = this.model.events.slice(from - 1)
    if (step.how === 1) {
      const scan = this.store.scanSinceSeqno(from, { limit: step.limit })
      const whole = expected.findIndex(
        (event, index) => index + 1 >= step.limit && event.seqno === event.commitLast,
      )
      if (whole >= 0) expected = expected.slice(0, whole + 1)
      expect((await collect(scan)).map(eventLine)).toEqual(expected.map(modelLine))
      expect(scan.position).toBe((expected.at(-1)?.seqno ?? from - 1) + 1)
      return
    }
    if (step.how === 2) {
      const keyspaces = ['counters', 'custom']
      const scan = this.store.scanSinceSeqno(from, { keyspaces, types: ['Insert', 'MergeOperand'] })
      const lines = expected
        .filter(({ operation: { type, keyspace } }) => {
          return keyspaces.includes(keyspace) && (type === 'put' || type === 'merge')
        })
        .map(modelLine)
      expect((await collect(scan)).map(eventLine)).toEqual(lines)
      expect(scan.position).toBe(this.model.latest + 1)
      return
    }
    const options = step.how === 3 ? { skip: false } : { memoryBudgetBytes: 1 + step.limit * 200 }
    const scan = this.store.scanSinceSeqno(from, options)
    expect((await collect(scan)).map(eventLine)).toEqual(expected.map(modelLine))
    if (this.#tokens.length >= 12) this.#tokens.shift()
    this.#tokens.push({ token: scan.token as string, next: scan.position, epochs: epochs.length })
  }
}

function positionOf({ acks }: FollowedConsumer): number {
  return acks.at(-1)!.next
}

function consumerName(which: number): string {
  return `consumer-${which % 3}`
}

export const SILENT = {
  debug: (): void => undefined,
  info: (): void => undefined,
  warn: (): void => undefined,
  error: (): void => undefined,
}

export function keyOf(index: number): string {
  // Prefixes of each other, different lengths, bytes above 0x7f.
  const text = `k${String(index % 120).padStart(3, '0')}`
  return index % 9 === 0 ? text.slice(0, 3) : index % 11 === 0 ? `${text}ext` : text
}

export async function collect(scan: ChangeScan): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  for (;;) {
    const batch = await scan.nextBatch()
    if (batch.length === 0) break
    events.push(...batch)
  }
  await scan.close()
  return events
}

function entryText([key, value]: [key: Buffer, value: Buffer]): string {
  return `${keyText(key)}=${value.toString('hex')}`
}

function sorted(image: KeyspaceImage | undefined): [string, Buffer][] {
  return [...(image ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function run(keyspace: Keyspace, operation: ModelOperation): Promise<number> {
  switch (operation.type) {
    case 'put':
      return keyspace.put(keyBytes(operation.key), operation.value)
    case 'merge':
      return keyspace.merge(operation.key, operation.value)
    case 'delete':
      return keyspace.delete(operation.key)
    case 'deleteRange':
      return keyspace.deleteRange(operation.start, operation.end)
    case 'drop':
      throw new Error('a drop is no operation of a keyspace')
  }
}

function add(batch: Batch, operation: ModelOperation, keyspace: Keyspace): void {
  switch (operation.type) {
    case 'put':
      batch.put(operation.key, operation.value, keyspace)
      return
    case 'merge':
      batch.merge(operation.key, operation.value, keyspace)
      return
    case 'delete':
      batch.delete(operation.key, keyspace)
      return
    case 'deleteRange':
      batch.deleteRange(operation.start, operation.end, keyspace)
      return
    case 'drop':
      throw new Error('a drop is no operation of a batch')
  }
}

function bounds(step: { lower: number; upper: number; flags: number }): {
  range: Record<string, string>
  accepts: (key: string) => boolean
} {
  const range: Record<string, string> = {}
  const tests: ((key: string) => boolean)[] = []
  const lower = keyOf(step.lower)
  const upper = keyOf(step.upper)
  if (step.flags & 1) {
    range.gte = lower
    tests.push((key) => key >= lower)
  } else if (step.flags & 2) {
    range.gt = lower
    tests.push((key) => key > lower)
  }
  if (step.flags & 4) {
    range.lt = upper
    tests.push((key) => key < upper)
  } else if (step.flags & 8) {
    range.lte = upper
    tests.push((key) => key <= upper)
  }
  if (step.flags & 32) {
    const prefix = lower.slice(0, 3)
    range.prefix = prefix
    tests.push((key) => key.startsWith(prefix))
  }
  return { range, accepts: (key) => tests.every((test) => test(key)) }
}
