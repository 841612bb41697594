/**
 * A user of a store on a disk that fails: writes on whatever comes, and keeps account of every answer.
 *
 * Contract: a write that was rejected may be found later only where the rejection was VARVE_POISONED or VARVE_IO, and then
 * whole; every other rejection wrote nothing and took no seqno.
 */
import { expect } from 'vitest'
import {
  type ChangeEvent,
  encodeCounter,
  type Keyspace,
  type OpenOptions,
} from '../../src/index.ts'
import { VarveError } from '../../src/base/errors.ts'
import { openStore, type StoreTuning } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import { LogicalTimers } from '../crash/logical-timers.ts'
import { CUSTOM, FOLDS, SILENT } from '../model/driver.ts'
import {
  eventLine,
  keyBytes,
  keyText,
  Model,
  modelLine,
  type ModelOperation,
} from '../model/model.ts'
import { randomOf } from '../record/record-samples.ts'

export const DIRECTORY = '/store'
/** Every call must be answered within so many turns of the event loop; a retry of background work takes 25 of them. */
const TURNS_MAX = 5_000
const TURN_MS = 20
const KEYS = 50
const NOW_MS = 1_000_000

export const OPTIONS: OpenOptions = {
  memtableBytes: 16 * 1024,
  segmentBytes: 16 * 1024,
  blockBytes: 512,
  blockCacheBytes: 0,
  blobThresholdBytes: 180,
  history: 'all',
  mergeOperator: 'append',
  mergeOperators: [CUSTOM],
  syncIntervalMs: 1000,
}

export const TUNING: Partial<StoreTuning> = {
  levelRatio: 2,
  level0Trigger: 2,
  baseLevelBytes: 1024,
  historyMergeCount: 3,
}

/** Codes that a call may answer with when the disk fails. */
const ALLOWED: ReadonlySet<string> = new Set(['VARVE_IO', 'VARVE_NO_SPACE', 'VARVE_POISONED'])

export interface Answer {
  readonly what: string
  readonly error: VarveError
}

export class Customer {
  readonly timers: LogicalTimers = new LogicalTimers()
  /** Operations by the seqno of the commit's first one. */
  readonly acknowledged: Map<number, readonly ModelOperation[]> = new Map()
  /** Rejected in a way that leaves open whether they were written. */
  readonly uncertain: (readonly ModelOperation[])[] = []
  readonly errors: Answer[] = []
  readonly backgroundErrors: VarveError[] = []
  /** Highest seqno that the store called durable. */
  durable = 0
  store: Varve | undefined
  readonly #fs: FileSystem
  readonly #random: () => number
  #counters: Keyspace | undefined
  #fill = 0

  constructor(fs: FileSystem, seed: number) {
    this.#fs = fs
    this.#random = randomOf(seed)
  }

  /** False when opening was refused, with the reason among the errors. */
  async open(): Promise<boolean> {
    const environment = { fs: this.#fs, now: (): number => NOW_MS, logger: SILENT }
    const opened = openStore(
      DIRECTORY,
      { ...OPTIONS, environment },
      { ...TUNING, timers: this.timers },
    )
    const store = await this.answer('open', opened)
    if (store === undefined) return false
    this.store = store
    store.on('backgroundError', ({ error }) => this.backgroundErrors.push(error))
    this.#counters = await this.answer(
      'keyspace',
      store.keyspace('counters', { mergeOperator: 'counter' }),
    )
    return true
  }

  /** The error, when closing found something to say. */
  async close(): Promise<VarveError | undefined> {
    const before = this.errors.length
    await this.answer('close', this.store!.close())
    return this.errors[before]?.error
  }

  /** Writes, syncs, flushes, compacts, reads. */
  async work(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const roll = this.#pick(20)
      if (roll < 13) await this.#burst()
      else if (roll < 15) await this.answer('sync', this.store!.sync())
      else if (roll < 17) await this.answer('flush', this.store!.flush())
      else if (roll < 18) await this.answer('compact', this.store!.compact())
      else await this.#read()
      this.look()
      this.timers.advance(TURN_MS)
    }
  }

  look(): void {
    this.durable = Math.max(this.durable, this.store!.history().durable)
  }

  /** One write with nothing around it; answers its error. */
  async put(sync = false): Promise<VarveError | undefined> {
    const before = this.errors.length
    await this.#write([this.#operation('default')], sync)
    return this.errors[before]?.error
  }

  async flush(): Promise<VarveError | undefined> {
    const before = this.errors.length
    await this.answer('flush', this.store!.flush())
    return this.errors[before]?.error
  }

  /** Lets background work that was put off come to its end. */
  async rest(turns = 60): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      this.timers.advance(TURN_MS)
      await this.timers.nextTurn()
    }
  }

  /**
   * Holds a stream from seqno 1 against the account: every acknowledged commit up to the end of it as it was acknowledged,
   * the others only where they may have been written. Answers the model after it.
   */
  check(events: readonly ChangeEvent[]): Model {
    const model = new Model(FOLDS)
    for (let at = 0; at < events.length; ) {
      const { seqno, commitLast } = events[at]!
      const commit = events.slice(at, at + commitLast - seqno + 1)
      const known = this.acknowledged.get(seqno)
      model.commit(known ?? this.#uncertainOf(commit.map(operationOf), seqno), NOW_MS)
      at += commit.length
    }
    expect(events.map(eventLine)).toEqual(model.events.map(modelLine))
    return model
  }

  /** Waits while logical time passes; what fails must fail with a code that says what to do. */
  async answer<T>(
    what: string,
    result: Promise<T>,
    onError: (error: VarveError) => void = () => undefined,
  ): Promise<T | undefined> {
    const settled = result.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    const outcome = await this.#inTime(what, settled)
    if ('value' in outcome) return outcome.value
    const { error } = outcome
    if (!(error instanceof VarveError) || !ALLOWED.has(error.code)) {
      throw new Error(`${what} answered with what is no error of a disk: ${String(error)}`, {
        cause: error,
      })
    }
    this.errors.push({ what, error })
    onError(error)
    return undefined
  }

  #uncertainOf(there: readonly ModelOperation[], seqno: number): readonly ModelOperation[] {
    const text = JSON.stringify(there)
    const found = this.uncertain.find((operations) => JSON.stringify(operations) === text)
    if (found === undefined) {
      throw new Error(`the commit at ${seqno} was never written, or refused: ${text}`)
    }
    return found
  }

  async #burst(): Promise<void> {
    const writes: Promise<void>[] = []
    const isMany = this.#pick(4) === 0
    for (let count = isMany ? 40 : 1 + this.#pick(6); count > 0; count--) {
      const operations: ModelOperation[] = []
      for (let size = this.#pick(3) === 0 ? 1 + this.#pick(6) : 1; size > 0; size--) {
        const isCounter = this.#counters !== undefined && this.#pick(3) === 0
        operations.push(this.#operation(isCounter ? 'counters' : 'default'))
      }
      writes.push(this.#write(operations, this.#pick(8) === 0))
    }
    await Promise.all(writes)
  }

  async #write(operations: readonly ModelOperation[], sync: boolean): Promise<void> {
    const batch = this.store!.batch()
    for (const operation of operations) {
      const keyspace = operation.keyspace === 'counters' ? this.#counters : undefined
      const key = operation.type === 'put' || operation.type === 'merge' ? operation.key : ''
      if (operation.type === 'put') batch.put(keyBytes(key), operation.value, keyspace)
      else if (operation.type === 'merge') batch.merge(keyBytes(key), operation.value, keyspace)
      else if (operation.type === 'delete') batch.delete(keyBytes(operation.key), keyspace)
    }
    const info = await this.answer('write', this.store!.write(batch, { sync }), ({ code }) => {
      if (code !== 'VARVE_NO_SPACE') this.uncertain.push(operations)
    })
    if (info === undefined) return
    this.acknowledged.set(info.first, operations)
    if (sync) this.durable = Math.max(this.durable, info.last)
  }

  async #read(): Promise<void> {
    await this.answer('get', this.store!.get(keyBytes(this.#key())))
    const scan = this.store!.scanSinceSeqno(1)
    await this.answer('scan', scan.nextBatch(100))
    await this.answer('close scan', scan.close())
    await this.answer('entries', this.store!.entries({ limit: 50 }).all())
  }

  #operation(keyspace: 'default' | 'counters'): ModelOperation {
    const key = this.#key()
    const salt = ++this.#fill
    const roll = this.#pick(10)
    if (roll === 0) return { type: 'delete', keyspace, key }
    const isMerge = roll < 4
    const size = isMerge ? 4 + this.#pick(8) : this.#pick(8) === 0 ? 300 : 4 + this.#pick(100)
    const value = keyspace === 'counters' ? encodeCounter(salt) : Buffer.alloc(size, salt & 0xff)
    // No two are the same, so that each is found again.
    if (keyspace === 'default') value.writeUInt32LE(salt)
    return { type: isMerge ? 'merge' : 'put', keyspace, key, value }
  }

  #key(): string {
    return `k${String(this.#pick(KEYS)).padStart(3, '0')}`
  }

  async #inTime<T>(what: string, result: Promise<T>): Promise<T> {
    let isDone = false
    const done = result.finally(() => (isDone = true))
    for (let turn = 0; turn < TURNS_MAX && !isDone; turn++) {
      await this.timers.nextTurn()
      // Work comes first: time passes only where somebody waits for it.
      if (turn > 50) this.timers.advance(TURN_MS)
    }
    if (!isDone) throw new Error(`${what} hangs`)
    return done
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n)
  }
}

function operationOf(event: ChangeEvent): ModelOperation {
  const { keyspace } = event
  switch (event.type) {
    case 'Insert':
      return { type: 'put', keyspace, key: keyText(event.key), value: event.value }
    case 'MergeOperand':
      return { type: 'merge', keyspace, key: keyText(event.key), value: event.operand }
    case 'PointTombstone':
      return { type: 'delete', keyspace, key: keyText(event.key) }
    case 'RangeTombstone':
      throw new Error('no ranges are deleted here')
  }
}
