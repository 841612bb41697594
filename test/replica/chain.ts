/**
 * A source and a chain of two replicas behind it, each on a disk of its own, driven by a seed: writes, flushes, compactions,
 * power cuts, replicas that are killed in the middle of what they do, and checkpoints that others start over from.
 */
import { expect } from 'vitest'
import {
  type ChangeEvent,
  type ChangeScan,
  encodeCounter,
  hasCode,
  type Keyspace,
  type OpenOptions,
  replicate,
  type Varve,
} from '../../src/index.ts'
import { openStore } from '../../src/db/open.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'

const OPERATORS = ['counter', 'append', 'none'] as const
const KEYSPACES = ['default', 'one', 'two'] as const
const KEYS = 60
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** One store of the chain. */
interface Place {
  fs: MemoryFileSystem
  directory: string
  store: Varve
  readonly clock: ManualClock
  readonly options: OpenOptions
}

export type Random = (below: number) => number

/** Mulberry32, by Tommy Ettinger: public domain. */
export function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** What may happen, and how often. */
const STEPS = {
  write: 30,
  flush: 4,
  compact: 2,
  dropKeyspace: 1,
  cutSource: 2,
  replicate: 8,
  killReplica: 10,
  applyPieces: 5,
  follow: 3,
  checkpoint: 3,
  upkeep: 4,
  reopen: 3,
  ack: 2,
} as const
type Step = keyof typeof STEPS

export class Chain {
  readonly #random: Random
  readonly #steps: readonly Step[]
  readonly #places: Place[] = []
  #checkpoints = 0
  #written = 0

  constructor(seed: number) {
    this.#random = randomFrom(seed)
    this.#steps = Object.entries(STEPS).flatMap(([step, weight]) =>
      Array.from({ length: weight }, () => step as Step),
    )
  }

  async open(): Promise<void> {
    // Mostly everything is kept; where not, a replica that is too far behind starts over from a checkpoint.
    const history = this.#random(4) === 0 ? { maxBytes: 8_000 } : ('all' as const)
    for (const role of [undefined, 'replica', 'replica'] as const) {
      const options: OpenOptions = {
        memtableBytes: this.#random(2) === 0 ? 16 * 1024 : 256 * 1024,
        segmentBytes: 16 * 1024,
        blobThresholdBytes: 150,
        syncIntervalMs: 0,
        history,
        ...(role === undefined ? {} : { role }),
      }
      const clock = new ManualClock(1_000_000 + this.#random(1_000_000))
      const place = { fs: new MemoryFileSystem(), directory: '/store', clock, options }
      this.#places.push({ ...place, store: await openAt(place) })
    }
  }

  async play(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.#source.clock.advance(this.#random(1_000) - 100)
      await this.#play(this.#steps[this.#random(this.#steps.length)]!)
    }
  }

  /** Everything goes down the chain, and is the same everywhere. */
  async finish(): Promise<void> {
    for (const hop of [1, 2]) {
      await this.#feed(hop)
      await this.#compare(hop, true)
    }
    for (const { store } of this.#places) {
      const report = await store.verify()
      expect(report.problems).toEqual([])
      await store.close()
    }
  }

  get #source(): Place {
    return this.#places[0]!
  }

  async #play(step: Step): Promise<void> {
    switch (step) {
      case 'write':
        return this.#write(this.#source.store)
      case 'flush':
        return this.#source.store.flush()
      case 'compact':
        return this.#source.store.compact()
      case 'dropKeyspace':
        return this.#dropKeyspace()
      case 'cutSource':
        if (this.#random(2) === 0) await this.#source.store.sync()
        return this.#cut(this.#source)
      case 'replicate':
        return this.#feed(this.#hop())
      case 'killReplica':
        return this.#killReplica(this.#hop())
      case 'applyPieces':
        return this.#applyPieces(this.#hop())
      case 'follow':
        return this.#follow(this.#hop())
      case 'checkpoint':
        return this.#startOver(this.#hop())
      case 'upkeep': {
        const { store } = this.#places[this.#hop()]!
        return this.#random(3) === 0 ? store.compact() : store.flush()
      }
      case 'reopen':
        return this.#reopen(this.#places[this.#random(3)]!)
      case 'ack':
        return this.#ack(this.#places[this.#random(3)]!.store)
    }
  }

  #hop(): number {
    return 1 + this.#random(2)
  }

  // ----------------------------------------------------------------------------------------------- source

  async #write(store: Varve): Promise<void> {
    const keyspaces = await Promise.all(KEYSPACES.map((name) => this.#keyspace(store, name)))
    for (let commits = 1 + this.#random(6); commits > 0; commits--) {
      const batch = store.batch()
      for (let left = 1 + this.#random(this.#random(6) === 0 ? 40 : 5); left > 0; left--) {
        const { keyspace, operator } = keyspaces[this.#random(keyspaces.length)]!
        const key = `k${this.#random(KEYS)}`
        const kind = this.#random(12)
        if (kind === 0) batch.deleteRange(key, `${key}~`, keyspace)
        else if (kind === 1 && this.#random(4) === 0) batch.deleteRange(key, undefined, keyspace)
        else if (kind < 4) batch.delete(key, keyspace)
        else if (kind < 7 && operator !== 'none') batch.merge(key, this.#operand(), keyspace)
        else batch.put(key, operator === 'counter' ? this.#operand() : this.#value(), keyspace)
      }
      const meta = this.#random(4) === 0 ? { meta: `origin ${this.#random(3)}` } : {}
      await store.write(batch, { sync: this.#random(5) === 0, ...meta })
    }
  }

  #operand(): Buffer {
    return encodeCounter(this.#written++)
  }

  #value(): Buffer {
    const bytes = this.#random(10) === 0 ? 150 + this.#random(500) : this.#random(60)
    return Buffer.alloc(bytes, this.#written++ % 251)
  }

  /** A keyspace that is made anew has another operator than its namesakes had. */
  async #keyspace(
    store: Varve,
    name: (typeof KEYSPACES)[number],
  ): Promise<{ keyspace: Keyspace; operator: (typeof OPERATORS)[number] }> {
    if (name === 'default') return { keyspace: store, operator: 'none' }
    const drops = await dropsOf(store, name)
    const operator = OPERATORS[drops % OPERATORS.length]!
    const options = operator === 'none' ? {} : { mergeOperator: operator }
    return { keyspace: await store.keyspace(name, options), operator }
  }

  async #dropKeyspace(): Promise<void> {
    const { store } = this.#source
    const name = KEYSPACES[this.#hop()]!
    if (!store.keyspaces().includes(name)) return
    const written = await store.dropKeyspace(name)
    await store.put(dropsKey(name), String((await dropsOf(store, name)) + 1), { sync: true })
    expect(written).toBeGreaterThan(0)
  }

  // ---------------------------------------------------------------------------------------------- replicas

  /** Brings a replica up to date; one that its source's history no longer reaches starts over. */
  async #feed(hop: number): Promise<void> {
    const [from, to] = [this.#places[hop - 1]!.store, this.#places[hop]!.store]
    try {
      const { latest } = await replicate(from, to, { stopAtLatest: true })
      expect(latest).toBe(from.history().latest)
    } catch (error) {
      if (!hasCode(error, 'VARVE_HISTORY_TRUNCATED')) throw error
      await this.#startOver(hop)
    }
  }

  /** The process of the replica dies at some operation on its disk; what is left of it goes on. */
  async #killReplica(hop: number): Promise<void> {
    const place = this.#places[hop]!
    place.fs.dieAtOperation(place.fs.operationCount + 1 + this.#random(60))
    const from = this.#places[hop - 1]!.store
    await replicate(from, place.store, { stopAtLatest: true }).catch(ignore)
    if (this.#random(2) === 0) await place.store.flush().catch(ignore)
    if (this.#random(3) === 0) await place.store.compact().catch(ignore)
    await this.#cut(place)
    await this.#compare(hop, false)
  }

  /** By hand: pieces of any size, some of them sent again, with the tokens that belong to them. */
  async #applyPieces(hop: number): Promise<void> {
    const [from, to] = [this.#places[hop - 1]!.store, this.#places[hop]!.store]
    await from.sync()
    const { latest, floor } = from.history()
    const start = Math.max(1, to.history().latest + 1 - this.#random(20))
    if (start < floor || start > latest) return
    const scan = from.scanSinceSeqno(start, { visibility: 'durable' })
    for (let pieces = this.#random(6); pieces > 0; pieces--) {
      const events = await scan.nextBatch(1 + this.#random(30))
      if (events.length === 0) break
      const { token } = scan
      const { epochs } = from.history()
      // Now and then with a part of a commit at the end, which has to wait.
      const kept = this.#random(3) === 0 ? events.slice(0, 1 + this.#random(events.length)) : events
      try {
        const isCutOff = kept.at(-1)!.commitLast > kept.at(-1)!.seqno
        const isAll = kept.length === events.length || isCutOff
        await to.applyChanges(kept, { epochs, ...(isAll ? { token } : {}) })
      } catch (error) {
        // Keyspaces are made without one; `replicate` knows which they had.
        if (!hasCode(error, 'VARVE_NO_MERGE_OPERATOR')) throw error
        break
      }
      const whole = kept.filter(({ commitLast }) => commitLast <= kept.at(-1)!.seqno)
      const last = whole.at(-1)?.seqno ?? 0
      expect(to.history().latest).toBeGreaterThanOrEqual(last)
      if (kept.length < events.length) break
    }
    await scan.close()
  }

  /** While the source is written to. */
  async #follow(hop: number): Promise<void> {
    const controller = new AbortController()
    const [from, to] = [this.#places[hop - 1]!.store, this.#places[hop]!.store]
    const following = replicate(from, to, { signal: controller.signal })
    const outcome = following.then(
      () => undefined,
      (error: unknown) => error,
    )
    for (let i = this.#random(4); i >= 0; i--) {
      await this.#write(this.#source.store)
      for (let turns = this.#random(12); turns > 0; turns--) await nextTurn()
      if (this.#random(2) === 0) await this.#source.store.sync()
    }
    controller.abort()
    const error = await outcome
    if (error !== undefined && !hasCode(error, 'VARVE_HISTORY_TRUNCATED')) throw error
    await this.#mayLoseItsTail(hop)
    await this.#compare(hop, false)
  }

  /** What a replica was is thrown away; it begins again from a checkpoint of the store before it. */
  async #startOver(hop: number): Promise<void> {
    const from = this.#places[hop - 1]!
    const place = this.#places[hop]!
    const directory = `/checkpoint-${++this.#checkpoints}`
    const writing = hop === 1 ? this.#write(from.store) : undefined
    const { seqno } = await from.store.checkpoint(directory)
    await writing
    await place.store.close()
    // Only what is durable of it: on a disk of its own.
    place.fs = from.fs.crash('lost')
    place.directory = directory
    place.store = await openAt(place)
    expect(place.store.history().latest).toBe(seqno)
    await this.#mayLoseItsTail(hop)
    await this.#compare(hop, false)
    // Those that it feeds may know more than it does: they follow when it has caught up.
    const next = this.#places[hop + 1]
    if (next !== undefined && next.store.history().latest > seqno) await this.#feed(hop)
  }

  /** What one store knows of another, that one must not lose: power fails before anything more is synced. */
  async #mayLoseItsTail(hop: number): Promise<void> {
    if (this.#random(2) === 0) await this.#cut(this.#places[hop - 1]!, 'lost')
  }

  // ------------------------------------------------------------------------------------------------- all

  async #ack(store: Varve): Promise<void> {
    const consumer = await store.consumer('reader')
    if (consumer.state === 'lost') return store.dropConsumer('reader')
    const { latest } = store.history()
    await consumer.ack(consumer.position + this.#random(latest + 2 - consumer.position))
  }

  async #reopen(place: Place): Promise<void> {
    await place.store.close()
    place.store = await openAt(place)
  }

  /** Power fails. */
  async #cut(
    place: Place,
    how: 'lost' | 'kept' | { seed: number } = this.#howToCrash(),
  ): Promise<void> {
    const image = place.fs.crash(how)
    await place.store.close().catch(ignore)
    place.fs = image
    place.store = await openAt(place)
  }

  #howToCrash(): 'lost' | 'kept' | { seed: number } {
    const how = this.#random(3)
    return how === 0 ? 'lost' : how === 1 ? 'kept' : { seed: this.#random(1e6) }
  }

  /** The replica is what its source was at the replica's latest; `isWhole`: and is. */
  async #compare(hop: number, isWhole: boolean): Promise<void> {
    const [from, to] = [this.#places[hop - 1]!.store, this.#places[hop]!.store]
    const { latest, epochs } = to.history()
    const source = from.history()
    expect(latest).toBeLessThanOrEqual(source.latest)
    if (isWhole) {
      expect(latest).toBe(source.latest)
      expect({ storeId: to.history().storeId, epochs }).toEqual({
        storeId: source.storeId,
        epochs: source.epochs,
      })
      expect(await stateOf(to)).toEqual(await stateOf(from))
    }
    const first = Math.max(to.history().floor, from.history().floor)
    if (first > latest) return
    // Both hold their windows from here on: the floors may rise meanwhile.
    const [ours, theirs] = [to, from].map((store) => store.scanSinceSeqno(first, { upTo: latest }))
    expect(await linesOf(ours!)).toEqual(await linesOf(theirs!))
  }
}

function openAt(place: Omit<Place, 'store'>): Promise<Varve> {
  const { fs, directory, clock, options } = place
  const environment = { fs, now: () => clock.now(), logger: SILENT }
  return openStore(directory, { ...options, environment })
}

function dropsKey(name: string): string {
  return `drops of ${name}`
}

async function dropsOf(store: Varve, name: string): Promise<number> {
  return Number((await store.get(dropsKey(name))) ?? 0)
}

async function linesOf(scan: ChangeScan): Promise<string[]> {
  const lines: string[] = []
  for await (const event of scan) lines.push(lineOf(event))
  return lines
}

/** Every field of an event. */
function lineOf(event: ChangeEvent): string {
  return JSON.stringify(event, (_key, value: unknown) =>
    isJsonBuffer(value) ? Buffer.from(value.data).toString('hex') : value,
  )
}

function isJsonBuffer(value: unknown): value is { data: number[] } {
  return Reflect.get(Object(value), 'type') === 'Buffer'
}

async function stateOf(store: Varve): Promise<Record<string, string[]>> {
  const state: Record<string, string[]> = {}
  for (const name of store.keyspaces()) {
    const keyspace = name === 'default' ? store : await store.keyspace(name)
    const entries = await keyspace.entries().all()
    // A keyspace that nothing was written to is no event: replicas do not know of it.
    if (entries.length === 0) continue
    state[name] = entries.map(([key, value]) => `${key.toString()}=${value.toString('hex')}`)
  }
  return state
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function ignore(): void {}
