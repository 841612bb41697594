/**
 * Plays steps against a store and the model, and compares everything that can be seen after each.
 */
import { expect } from 'vitest'
import type {
  Batch,
  ChangeEvent,
  ChangeScan,
  Keyspace,
  MergeOperator,
  OpenOptions,
  Snapshot,
} from '../../src/index.ts'
import { encodeCounter } from '../../src/index.ts'
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
  #fill = 1
  #floor = 1
  #epoch = 1
  /** Position of each consumer that the model follows, and whether it may have been cut off. */
  readonly #consumers: Map<string, number> = new Map()

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
  }

  async close(): Promise<void> {
    for (const { snapshot } of this.#snapshots) snapshot.close()
    this.#snapshots = []
    for (const { scan } of this.#scans) await scan.close()
    this.#scans = []
    await this.store.close()
  }

  async keyspace(index: number): Promise<Keyspace> {
    const name = KEYSPACES[index]!
    if (name === 'default') return this.store
    const operator = OPERATORS[name]
    return this.store.keyspace(name, operator === undefined ? {} : { mergeOperator: operator })
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
    }
  }

  /** What holds after every step. */
  async checkInvariants(): Promise<void> {
    const { floor, latest, durable, epochs, epoch } = this.store.history()
    expect(latest).toBe(this.model.latest)
    expect(durable).toBeLessThanOrEqual(latest)
    expect(floor).toBeGreaterThanOrEqual(this.#floor)
    expect(floor).toBeLessThanOrEqual(durable + 1)
    this.#floor = floor
    expect(epoch).toBe(this.#epoch)
    expect(epochs.at(-1)!.first).toBeLessThanOrEqual(latest + 1)
    for (const { name, position, state } of this.store.consumers()) {
      if (state === 'lost') continue
      expect(position).toBe(this.#consumers.get(name))
      expect(floor).toBeLessThanOrEqual(position)
    }
    if (floor > 1) {
      await expect(this.store.scanSinceSeqno(floor - 1).nextBatch()).rejects.toMatchObject({
        code: 'VARVE_HISTORY_TRUNCATED',
        details: { requested: floor - 1, floor },
      })
    }
  }

  /** Everything at once: all keyspaces, all snapshots, the whole stream. */
  async checkAll(): Promise<void> {
    await this.checkInvariants()
    const from = this.store.history().floor
    const events = await collect(this.store.scanSinceSeqno(from))
    expect(events.map(eventLine)).toEqual(this.model.events.slice(from - 1).map(modelLine))
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
    const acked = new Map(this.#consumers)
    const how = step.how % 3
    const image = this.fs.crash(how === 0 ? 'lost' : how === 1 ? 'kept' : { seed: step.how })
    await this.close()
    this.fs = image
    this.#epoch++
    await this.open()
    const { latest } = this.store.history()
    if (how === 1) expect(latest).toBe(this.model.latest)
    expect(latest).toBeGreaterThanOrEqual(durable)
    expect(latest).toBeLessThanOrEqual(this.model.latest)
    const last = this.model.events[latest - 1]
    if (last !== undefined) expect(last.commitLast).toBe(latest)
    this.model.truncate(latest)
    for (const { name, position, state } of this.store.consumers()) {
      const before = acked.get(name)!
      // An ack of its own was durable when it resolved; one in a batch is as durable as its batch.
      if (state === 'active') expect(position).toBeLessThanOrEqual(before)
      this.#consumers.set(name, position)
    }
  }

  async #openConsumer(step: Step & { op: 'openConsumer' }): Promise<void> {
    const name = consumerName(step.which)
    const { floor, latest } = this.store.history()
    const from: 'oldest' | 'now' | number =
      step.from === 0 ? 'oldest' : step.from === 1 ? 'now' : floor
    const limits = step.which % 2 === 0 ? { maxHeldBytes: step.maxHeldBytes } : {}
    const consumer = await this.store.consumer(name, { from, ...limits })
    if (this.#consumers.has(name)) return
    this.#consumers.set(name, consumer.position)
    expect(consumer.position).toBe(step.from === 1 ? latest + 1 : floor)
  }

  async #ack(step: Step & { op: 'ack' }): Promise<void> {
    const name = consumerName(step.which)
    const position = this.#consumers.get(name)
    if (position === undefined || this.#isLost(name)) return
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
    this.#consumers.set(name, next)
  }

  async #consume(step: Step & { op: 'consume' }): Promise<void> {
    const name = consumerName(step.which)
    const position = this.#consumers.get(name)
    if (position === undefined) return
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
    const { floor } = this.store.history()
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
  }
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
