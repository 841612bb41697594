/**
 * One life of a store: a seeded workload that uses everything, and a record of what it was promised on the way.
 *
 * Many calls are not awaited, so that writes, syncs, flushes, compactions and the floor are under way at the same time. The
 * clock moves only while nothing is: then the model knows the time of every commit.
 */
import {
  type Batch,
  type ChangeScan,
  type Consumer,
  encodeCounter,
  type Keyspace,
  type OpenOptions,
  type Snapshot,
} from '../../src/index.ts'
import { openStore, type StoreTuning } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { CUSTOM, OPERATORS, SILENT } from '../model/driver.ts'
import { keyBytes, type Model, type ModelOperation } from '../model/model.ts'
import { randomOf } from '../record/record-samples.ts'
import { LogicalTimers } from './logical-timers.ts'
import { PassingConsumers } from './passing-consumers.ts'
import { filesIn, isSameList, lowestOf, type Promised } from './promises.ts'

export const DIRECTORY = '/store'
const NAMES = ['default', 'counters', 'custom', 'plain'] as const
type Name = (typeof NAMES)[number]
const CONSUMERS = ['mail', 'index', 'audit'] as const
const KEYS = 90
/** Enough for a segment that is worth being taken over, an eighth of `segmentBytes`. */
const REWRITTEN_KEYS = 36

export const TUNING: Partial<StoreTuning> = {
  levelRatio: 2,
  level0Trigger: 2,
  baseLevelBytes: 1024,
  historyMergeCount: 3,
}

/** What differs between seeds. */
export function optionsOf(seed: number): OpenOptions {
  const histories = ['all', { maxBytes: 8_000 }, { maxBytes: 30_000 }, 'none'] as const
  const compressions = ['none', 'lz4', 'none', 'deflate'] as const
  return {
    memtableBytes: 16 * 1024,
    segmentBytes: 16 * 1024,
    blockBytes: 512,
    blockCacheBytes: 64 * 1024,
    blobThresholdBytes: 180,
    history: histories[seed % 4]!,
    compression: compressions[(seed >>> 2) % 4]!,
    mergeOperator: 'append',
    mergeOperators: [CUSTOM],
    syncIntervalMs: seed % 3 === 0 ? 0 : 1000,
  }
}

export interface LifeStart {
  readonly fs: FileSystem
  /** Of the workload. */
  readonly seed: number
  /** Of the options. */
  readonly optionsSeed: number
  readonly model: Model
  /** Changed as promises are made. */
  readonly promised: Promised
  readonly startMs: number
  /** The workload writes the same few keys again and again, so that compactions take segments over as history. */
  readonly rewrites?: boolean
  /** Consumers come and go while other calls run. */
  readonly passing?: boolean
}

export class Life {
  readonly model: Model
  readonly promised: Promised
  readonly clock: ManualClock
  readonly timers: LogicalTimers = new LogicalTimers()
  store: Varve | undefined
  /** The first call that failed, and what it was. */
  failure: { readonly what: string; readonly error: unknown } | undefined
  /** Set when the disk is gone: calls may fail then. */
  mayFail = false
  readonly #start: LifeStart
  readonly #random: () => number
  #pending = new Set<Promise<void>>()
  #snapshots: Snapshot[] = []
  #scans: ChangeScan[] = []
  #handles = new Map<Name, Keyspace>()
  #consumers = new Map<string, Consumer>()
  readonly #passing: PassingConsumers | undefined
  #fill: number
  #latestAtOpen = 0

  constructor(start: LifeStart) {
    this.#start = start
    this.model = start.model
    this.promised = start.promised
    this.clock = new ManualClock(start.startMs)
    this.#random = randomOf(start.seed)
    this.#fill = start.model.latest + 1
    if (start.passing === true) this.#passing = this.#makePassing()
  }

  async open(): Promise<void> {
    const { promised } = this
    const { fs, optionsSeed } = this.#start
    const files = promised.exists ? filesIn(fs, DIRECTORY) : []
    // A close that a crash cut off may have come so far, and an open that died early has left everything as it was.
    const mayBeClosed =
      ['closed', 'closing'].includes(promised.phase) || isSameList(files, promised.filesAtClose)
    promised.filesAtClose = mayBeClosed ? files : undefined
    promised.phase = 'opening'
    promised.unseenOpens++
    const environment = { fs, now: (): number => this.clock.now(), logger: SILENT }
    const options = { ...optionsOf(optionsSeed), environment }
    this.store = await openStore(DIRECTORY, options, { ...TUNING, timers: this.timers })
    promised.phase = 'open'
    promised.exists = true
    promised.epochs = this.store.history().epochs
    promised.unseenOpens = 0
    promised.hasShownNews = false
    this.#latestAtOpen = this.store.history().latest
    this.#handles = new Map([['default', this.store]])
    this.#look()
  }

  /** Everything that was asked for has been answered. */
  async quiet(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  async close(): Promise<void> {
    await this.quiet()
    this.#letGo()
    const { promised } = this
    promised.phase = 'closing'
    // Closing a poisoned store gives everything back, and promises nothing.
    const isSound = this.store!.status === 'open'
    await this.store!.close()
    if (!isSound) return
    promised.durable = promised.acknowledged
    promised.phase = 'closed'
  }

  async play(steps: number): Promise<void> {
    for (let step = 0; step < steps && this.failure === undefined; step++) {
      await this.#step()
      await this.#passing?.step()
      this.#look()
      // Few at a time, and the event loop turns: background work gets on between the steps.
      if (this.#pending.size > 8) await this.quiet()
      if (this.#chance(0.4)) await this.timers.nextTurn()
    }
    await this.quiet()
  }

  // -------------------------------------------------------------------------------------------- the steps

  async #step(): Promise<void> {
    if (this.#start.rewrites === true && this.#chance(0.3)) return this.#rewrite()
    const roll = this.#pick(100)
    if (roll < 26) return this.#single()
    if (roll < 44) return this.#batch()
    if (roll < 54) return this.#burst()
    if (roll < 60) return this.#sync()
    if (roll < 67) return this.#later('flush', this.store!.flush(), this.promised.acknowledged)
    if (roll < 69) return this.#later('compact', this.store!.compact(), this.promised.acknowledged)
    if (roll < 75) return this.#ack()
    if (roll < 79) return this.#consumer()
    if (roll < 83) return this.#keyspace()
    if (roll < 85) return this.#snapshot()
    if (roll < 87) return this.#scan()
    if (roll < 89) return this.#readDurable()
    if (roll < 91) return this.#truncateHistory()
    if (roll < 97) return this.#passTime()
    return this.#reopen()
  }

  #single(): void {
    const name = this.#name()
    const keyspace = this.#handles.get(name)!
    const operation = this.#operation(name)
    const options = { sync: this.#chance(0.2) }
    const last = this.#commit([operation])
    this.#written(`put ${name}`, run(keyspace, operation, options), last, options.sync)
  }

  #batch(): void {
    const batch = this.store!.batch()
    const operations: ModelOperation[] = []
    for (let count = 1 + this.#pick(8); count > 0; count--) {
      const name = this.#name()
      const operation = this.#operation(name)
      operations.push(operation)
      add(batch, operation, this.#handles.get(name)!)
    }
    const last = this.promised.submitted + operations.length
    const consumer = this.#chance(0.3) ? this.#activeConsumer() : undefined
    if (consumer !== undefined) {
      const promise = this.promised.consumers.get(consumer)!
      const lowest = Math.max(promise.asked, ...promise.inBatches.map(({ next }) => next))
      const next = Math.min(last + 1, lowest + this.#pick(200))
      batch.ack(consumer, next)
      promise.inBatches.push({ last, next })
    }
    const meta = this.#chance(0.3) ? `meta-${this.#pick(3)}` : undefined
    const options = { sync: this.#chance(0.25), ...(meta === undefined ? {} : { meta }) }
    this.#commit(operations, meta)
    this.#written('batch', this.store!.write(batch, options), last, options.sync)
  }

  #burst(): void {
    const name = this.#name()
    const keyspace = this.#handles.get(name)!
    for (let count = 5 + this.#pick(40); count > 0; count--) {
      const operation = this.#operation(name)
      const last = this.#commit([operation])
      this.#written(`burst ${name}`, run(keyspace, operation, {}), last, false)
    }
  }

  /** All of a few keys, twice or three times, each time flushed; no snapshot keeps what the next time supersedes. */
  #rewrite(): void {
    const names = [...this.#handles.keys()].filter((one) => one !== 'counters')
    const name = names[this.#pick(names.length)]!
    for (const snapshot of this.#snapshots.splice(0)) snapshot.close()
    for (let rounds = 2 + this.#pick(2); rounds > 0; rounds--) {
      const batch = this.store!.batch()
      const operations: ModelOperation[] = []
      for (let index = 0; index < REWRITTEN_KEYS; index++) {
        // No codec makes it smaller: the segment has to be large enough.
        const value = Buffer.from(Array.from({ length: 60 }, () => this.#pick(256)))
        operations.push({ type: 'put', keyspace: name, key: `r${index}`, value })
        add(batch, operations.at(-1)!, this.#handles.get(name)!)
      }
      const last = this.#commit(operations)
      this.#written(`rewrite ${name}`, this.store!.write(batch), last, false)
      this.#later('flush', this.store!.flush(), this.promised.acknowledged)
    }
  }

  #sync(): void {
    this.#later('sync', this.store!.sync(), this.promised.acknowledged)
  }

  /** A call that makes durable what was acknowledged when it was made. */
  #later(what: string, result: Promise<unknown>, acknowledged: number): void {
    this.#track(what, result, () => this.#durable(acknowledged))
  }

  #ack(): void {
    const name = this.#activeConsumer()
    const handle = name === undefined ? undefined : this.#consumers.get(name)
    if (name === undefined || handle === undefined) return
    const promise = this.promised.consumers.get(name)!
    const latest = this.store!.history().latest
    const lowest = Math.max(promise.asked, ...promise.inBatches.map(({ next }) => next))
    const next = Math.min(latest + 1, lowest + this.#pick(300))
    if (next < lowest) return
    promise.asked = next
    this.#track(`ack ${name}`, handle.ack(next), () => {
      promise.resolved = Math.max(promise.resolved, next)
      this.promised.hasShownNews = true
      this.#durable(next - 1)
    })
  }

  async #consumer(): Promise<void> {
    const name = CONSUMERS[this.#pick(CONSUMERS.length)]!
    const known = this.promised.consumers.get(name)
    await this.quiet()
    if (known?.status === 'active') {
      if (this.#chance(0.6)) return
      known.status = 'dropping'
      await this.#awaited('drop consumer', this.store!.dropConsumer(name))
      if (this.failure !== undefined) return
      known.status = 'absent'
      this.#consumers.delete(name)
      return
    }
    const promise: Promised['consumers'] extends Map<string, infer P> ? P : never = {
      status: 'creating',
      resolved: 0,
      asked: this.store!.history().latest + 1,
      inBatches: [],
    }
    this.promised.consumers.set(name, promise)
    const handle = await this.#awaited('consumer', this.store!.consumer(name))
    if (handle === undefined) return
    promise.resolved = handle.position
    promise.asked = handle.position
    promise.status = 'active'
    this.#consumers.set(name, handle)
  }

  async #keyspace(): Promise<void> {
    const name = NAMES[1 + this.#pick(NAMES.length - 1)]!
    const lives = this.promised.keyspaces.get(name) ?? []
    this.promised.keyspaces.set(name, lives)
    if (this.#handles.has(name)) {
      if (this.#chance(0.7)) return
      const last = this.#commit([{ type: 'drop', keyspace: name }])
      lives.at(-1)!.droppedAt = last
      this.#handles.delete(name)
      this.#written(`drop ${name}`, this.store!.dropKeyspace(name), last, false)
      if (this.#chance(0.5)) return
    }
    const isNew = lives.length === 0 || lives.at(-1)!.droppedAt !== undefined
    const life = isNew ? { isResolved: false, droppedAt: undefined } : lives.at(-1)!
    if (isNew) lives.push(life)
    const operator = OPERATORS[name]
    const options = operator === undefined ? {} : { mergeOperator: operator }
    const opened = this.store!.keyspace(name, { ...options, blobThresholdBytes: 180 })
    const keyspace = await this.#awaited(`keyspace ${name}`, opened)
    if (keyspace === undefined) return
    life.isResolved = true
    this.#handles.set(name, keyspace)
  }

  #snapshot(): void {
    if (this.#snapshots.length < 3) this.#snapshots.push(this.store!.snapshot())
    else this.#snapshots.shift()!.close()
  }

  async #scan(): Promise<void> {
    const { floor, latest } = this.store!.history()
    if (this.#scans.length < 2) {
      const from = floor + this.#pick(latest + 2 - floor)
      const scan = this.store!.scanSinceSeqno(from)
      this.#scans.push(scan)
      await this.#awaited('scan', scan.nextBatch(3))
      this.#noteToken(scan)
      return
    }
    const scan = this.#scans.shift()!
    await this.#awaited('scan', scan.nextBatch(500))
    this.#noteToken(scan)
    await this.#awaited('scan', scan.close())
  }

  /** What a reader of durable events was given is a promise: no power cut may take it back. */
  async #readDurable(): Promise<void> {
    const name = this.#activeConsumer()
    const handle = name === undefined ? undefined : this.#consumers.get(name)
    const { floor } = this.store!.history()
    if (handle === undefined || this.#chance(0.3)) {
      const scan = this.store!.scanSinceSeqno(floor, { visibility: 'durable' })
      const events = await this.#awaited('durable scan', scan.nextBatch(5000))
      this.#noteToken(scan)
      await this.#awaited('durable scan', scan.close())
      this.#durable(events?.at(-1)?.seqno ?? 0)
      return
    }
    const batches = handle.batches({ visibility: 'durable', stopAtLatest: true })
    for (;;) {
      const result = await this.#awaited('durable batches', batches.next())
      if (result === undefined || result.done === true) break
      this.#durable(result.value.upTo)
      const { token, next } = result.value
      const epochs = this.promised.epochs.length
      this.promised.tokens.push({ token: token as string, next, epochs })
    }
  }

  #noteToken(scan: ChangeScan): void {
    const epochs = this.promised.epochs.length
    this.promised.tokens.push({ token: scan.token as string, next: scan.position, epochs })
  }

  async #truncateHistory(): Promise<void> {
    const { floor, latest } = this.store!.history()
    const positions = [...this.promised.consumers.values()].map(({ resolved }) => resolved)
    for (const lives of this.promised.passing.values()) positions.push(...lives.map(lowestOf))
    const highest = Math.min(latest + 1, ...positions)
    if (highest <= floor) return
    const target = floor + this.#pick(highest - floor + 1)
    await this.quiet()
    await this.#awaited('truncateHistory', this.store!.truncateHistory(target))
  }

  async #passTime(): Promise<void> {
    await this.quiet()
    const ms = this.#pick(4000) - 300
    this.clock.set(Math.max(0, this.clock.now() + ms))
    if (ms > 0) this.timers.advance(ms)
  }

  async #reopen(): Promise<void> {
    if (this.#chance(0.3)) return
    await this.close()
    await this.open()
    await this.adopt()
  }

  /** Takes hold of the keyspaces and consumers that an earlier life has left. */
  async adopt(): Promise<void> {
    const names = this.store!.keyspaces()
    const consumers = new Map(this.store!.consumers().map((one) => [one.name, one.position]))
    for (const [name, promise] of this.promised.consumers) {
      const position = consumers.get(name)
      promise.status = position === undefined ? 'absent' : 'active'
      if (position === undefined) continue
      Object.assign(promise, { resolved: position, asked: position, inBatches: [] })
      const handle = await this.#awaited('consumer', this.store!.consumer(name))
      if (handle !== undefined) this.#consumers.set(name, handle)
    }
    await this.#passing?.adopt()
    for (const [name, lives] of this.promised.keyspaces) {
      if (name === 'default' || !names.includes(name)) continue
      lives.splice(0, lives.length, { isResolved: true, droppedAt: undefined })
      const keyspace = await this.#awaited('keyspace', this.store!.keyspace(name))
      if (keyspace !== undefined) this.#handles.set(name as Name, keyspace)
    }
  }

  // --------------------------------------------------------------------------------------- what is written

  #operation(name: Name): ModelOperation {
    const roll = this.#pick(20)
    const key = this.#key()
    if (roll < 3) return { type: 'delete', keyspace: name, key }
    if (roll === 3) {
      const end = this.#key()
      return end <= key || this.#chance(0.05)
        ? { type: 'deleteRange', keyspace: name, start: key, end: undefined }
        : { type: 'deleteRange', keyspace: name, start: key, end }
    }
    const isMerge = roll < 10 && name !== 'plain'
    const value = this.#value(name, isMerge)
    return { type: isMerge ? 'merge' : 'put', keyspace: name, key, value }
  }

  #value(name: Name, isMerge: boolean): Buffer {
    const salt = this.#fill++
    if (name === 'counters') return encodeCounter(salt * 7919 - 100_000)
    const size = isMerge
      ? this.#pick(12)
      : this.#chance(0.1)
        ? 180 + this.#pick(900)
        : this.#pick(120)
    const value = Buffer.alloc(size)
    for (let i = 0; i < size; i++) value[i] = i < 4 ? salt >>> (8 * i) : (salt + (i & 7)) & 0xff
    return value
  }

  #key(): string {
    const index = this.#pick(KEYS)
    const text = `k${String(index).padStart(3, '0')}`
    return index % 9 === 0 ? text.slice(0, 3) : index % 11 === 0 ? `${text}ext` : text
  }

  #name(): Name {
    const names = [...this.#handles.keys()]
    return names[this.#pick(names.length)]!
  }

  #activeConsumer(): string | undefined {
    const active = [...this.promised.consumers].filter(
      ([name, { status }]) => status === 'active' && this.#consumers.get(name)?.state === 'active',
    )
    return active[this.#pick(Math.max(1, active.length))]?.[0]
  }

  #commit(operations: readonly ModelOperation[], meta?: string): number {
    this.model.commit(operations, this.clock.now(), meta)
    this.promised.submitted = this.model.latest
    return this.model.latest
  }

  // -------------------------------------------------------------------------------------- what is promised

  #written(what: string, result: Promise<unknown>, last: number, isSynced: boolean): void {
    this.#track(what, result, () => {
      this.promised.acknowledged = Math.max(this.promised.acknowledged, last)
      this.promised.hasShownNews = true
      if (isSynced) this.#durable(last)
    })
  }

  #durable(seqno: number): void {
    const { promised } = this
    promised.durable = Math.max(promised.durable, seqno)
    promised.acknowledged = Math.max(promised.acknowledged, promised.durable)
  }

  /** What the store says of itself is a promise too. */
  #look(): void {
    if (this.promised.phase !== 'open') return
    const { durable, floor, latest } = this.store!.history()
    this.#durable(durable)
    if (latest > this.#latestAtOpen) this.promised.hasShownNews = true
    this.promised.floor = Math.max(this.promised.floor, floor)
  }

  #track(
    what: string,
    result: Promise<unknown>,
    onResolved: () => void,
    isRefused: (error: unknown) => boolean = () => false,
  ): void {
    const tracked: Promise<void> = result
      .then(onResolved, (error: unknown) => {
        if (!isRefused(error)) this.#failed(what, error)
      })
      .then(() => {
        this.#pending.delete(tracked)
      })
    this.#pending.add(tracked)
  }

  async #awaited<T>(what: string, result: Promise<T>): Promise<T | undefined> {
    try {
      return await result
    } catch (error) {
      this.#failed(what, error)
      return undefined
    }
  }

  #failed(what: string, error: unknown): void {
    this.failure ??= { what, error }
    if (!this.mayFail) throw new Error(`${what} failed without reason`, { cause: error })
  }

  #letGo(): void {
    for (const snapshot of this.#snapshots) snapshot.close()
    this.#snapshots = []
    for (const scan of this.#scans) void scan.close()
    this.#scans = []
    this.#consumers.clear()
    this.#passing?.letGo()
  }

  #makePassing(): PassingConsumers {
    const { seed, optionsSeed } = this.#start
    return new PassingConsumers({
      seed,
      promised: this.promised,
      keepsNothing: optionsOf(optionsSeed).history === 'none',
      store: () => this.store!,
      track: (what, result, onResolved, isRefused) =>
        this.#track(what, result, onResolved, isRefused),
      writeAck: (name, next) => {
        const value = Buffer.from('passing')
        const last = this.#commit([{ type: 'put', keyspace: 'default', key: 'passing', value }])
        const batch = this.store!.batch().put('passing', value).ack(name, next(last))
        const written = this.store!.write(batch)
        this.#written('batch with an ack', written, last, false)
        return written
      },
      later: (what, result) => this.#later(what, result, this.promised.acknowledged),
      quiet: () => this.quiet(),
    })
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n)
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }
}

function run(
  keyspace: Keyspace,
  operation: ModelOperation,
  options: { sync?: boolean },
): Promise<number> {
  switch (operation.type) {
    case 'put':
      return keyspace.put(keyBytes(operation.key), operation.value, options)
    case 'merge':
      return keyspace.merge(keyBytes(operation.key), operation.value, options)
    case 'delete':
      return keyspace.delete(keyBytes(operation.key), options)
    case 'deleteRange':
      return keyspace.deleteRange(
        keyBytes(operation.start),
        operation.end === undefined ? undefined : keyBytes(operation.end),
        options,
      )
    case 'drop':
      throw new Error('keyspaces are dropped by the store')
  }
}

function add(batch: Batch, operation: ModelOperation, keyspace: Keyspace): void {
  switch (operation.type) {
    case 'put':
      batch.put(keyBytes(operation.key), operation.value, keyspace)
      break
    case 'merge':
      batch.merge(keyBytes(operation.key), operation.value, keyspace)
      break
    case 'delete':
      batch.delete(keyBytes(operation.key), keyspace)
      break
    case 'deleteRange':
      batch.deleteRange(
        keyBytes(operation.start),
        operation.end === undefined ? undefined : keyBytes(operation.end),
        keyspace,
      )
      break
    case 'drop':
      throw new Error('keyspaces are dropped by the store')
  }
}
