/**
 * Durable consumers: named positions that hold history back, within limits.
 *
 * The store asks `planFloor` (history-policy.ts) at flushes, compactions and when consumers move, with `ledger.floorConsumers()`,
 * and hands the verdicts to `settle` here: it marks who is lost *before* the edit that raises the floor is written, so that the
 * edit's records say so, and returns what to tell the listeners.
 */
import { hasCode, invalidArgument, wrongType } from '../base/errors.ts'
import { settled } from '../base/settled.ts'
import type { ChangeFeed } from './change-feed.ts'
import { checkBatchesOptions, checkConsumerOptions, parseSeqno } from './change-options.ts'
import type { ChangeSource, ConsumerStore } from './change-source.ts'
import {
  AT_RISK_FRACTIONS,
  ConsumerEntry,
  type ConsumerLedger,
  consumerNotFound,
} from './consumer-ledger.ts'
import {
  bytesBetween,
  CONSUMER_HELD_BYTES_DEFAULT,
  type ByteScale,
  type ConsumerVerdict,
} from './history-policy.ts'
import { consumerLost, cursorAhead, historyTruncated } from './read-errors.ts'
import { ChangeTail } from './tail.ts'

/** A durable consumer, as `consumers()` lists it. */
export interface ConsumerInfo {
  /** As given to `Varve.consumer`. */
  name: string
  /** First seqno that was not acked. */
  position: number
  /** 'lost': it was cut off. */
  state: 'active' | 'lost'
  /** Events between its position and the latest. */
  lagEvents: number
  /** User bytes of history that are kept for it alone, beyond what the policy keeps anyway. */
  heldBytes: number
  /** Wall clock; undefined: never since it was created. */
  lastAckAt: number | undefined
}

/** What is told about a consumer near its limits. */
export interface ConsumerRisk {
  readonly consumer: string
  readonly usedFraction: number
  readonly lost: boolean
}

export class Consumers {
  readonly ledger: ConsumerLedger
  readonly #source: ChangeSource
  readonly #feed: ChangeFeed
  readonly #store: ConsumerStore
  /** Creations and drops, one after the other. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: {
    readonly source: ChangeSource
    readonly feed: ChangeFeed
    readonly store: ConsumerStore
    readonly ledger: ConsumerLedger
  }) {
    this.#source = options.source
    this.#feed = options.feed
    this.#store = options.store
    this.ledger = options.ledger
  }

  /** The consumer of this name, created when there is none; resolves when it is stored. */
  async open(name: unknown, options?: unknown): Promise<Consumer> {
    checkName(name)
    const { from = 'oldest', maxHeldBytes, maxIdleMs } = checkConsumerOptions(options)
    const start = startFrom(from)
    return this.#change(async () => {
      const existing = this.ledger.get(name)
      if (existing !== undefined) {
        await this.#setLimits(existing, { maxHeldBytes, maxIdleMs })
        return this.#handle(existing)
      }
      // From here on the floor respects it, also while it is being stored.
      const entry = await this.#store.whileFloorStands(() => {
        const added = new ConsumerEntry(
          {
            name,
            position: this.#startOf(start),
            state: 'active',
            maxHeldBytes: maxHeldBytes ?? CONSUMER_HELD_BYTES_DEFAULT,
            maxIdleMs,
            createdAt: this.#store.now(),
            lastAckAt: undefined,
          },
          false,
        )
        this.ledger.add(added)
        return added
      })
      try {
        await this.#writeFirstAck(entry)
        entry.began()
        await this.#store.saveConsumers()
      } catch (error) {
        this.ledger.remove(entry)
        throw error
      }
      entry.isStored = true
      return this.#handle(entry)
    })
  }

  list(scale: ByteScale, policyFloor: number): ConsumerInfo[] {
    const { latest } = this.#source
    return this.ledger
      .all()
      .filter(({ isStored }) => isStored)
      .map(({ name, position, state, lastAckAt }) => ({
        name,
        position,
        state,
        lagEvents: Math.max(0, latest + 1 - position),
        heldBytes:
          state === 'lost'
            ? 0
            : Math.round(bytesBetween(scale, { from: position, to: policyFloor })),
        lastAckAt,
      }))
  }

  async drop(name: unknown): Promise<void> {
    checkName(name)
    await this.#change(async () => {
      const entry = this.ledger.get(name)
      if (entry === undefined) throw consumerNotFound(name)
      await this.#store.whileFloorStands(async () => {
        this.ledger.leave(entry)
        try {
          await this.#store.saveConsumers()
        } catch (error) {
          entry.isDropped = false
          this.ledger.add(entry)
          throw error
        } finally {
          this.ledger.left(entry)
        }
      })
      this.#feed.wakeAll()
      this.#store.consumersMoved()
    })
  }

  /** Takes in what `planFloor` found. Returns what is new and worth telling. Marks lost consumers at once. */
  settle(verdicts: readonly ConsumerVerdict[]): ConsumerRisk[] {
    const risks: ConsumerRisk[] = []
    for (const { name, usedFraction, isLost } of verdicts) {
      const entry = this.ledger.get(name)
      if (entry === undefined || entry.state === 'lost') continue
      if (isLost) {
        entry.state = 'lost'
        risks.push({ consumer: name, usedFraction, lost: true })
        continue
      }
      let reached = 0
      while (reached < AT_RISK_FRACTIONS.length && usedFraction >= AT_RISK_FRACTIONS[reached]!)
        reached++
      // Told once on the way up; below again, the next crossing is news.
      if (reached > entry.risksTold) risks.push({ consumer: name, usedFraction, lost: false })
      entry.risksTold = reached
    }
    return risks
  }

  /**
   * History below `floor` is given up on demand: active consumers below it are lost, judged by what a power cut cannot take
   * back. Before the edit, as `settle`.
   */
  loseBelow(floor: number): ConsumerRisk[] {
    const risks: ConsumerRisk[] = []
    for (const entry of this.ledger.all()) {
      if (entry.state === 'lost' || entry.durablePosition >= floor) continue
      entry.state = 'lost'
      risks.push({ consumer: entry.name, usedFraction: 1, lost: true })
    }
    return risks
  }

  // ------------------------------------------------------------------------------------------ for handles

  async ack(entry: ConsumerEntry, next: unknown): Promise<void> {
    if (typeof next !== 'number') throw wrongType('next', 'a seqno', next)
    if (!Number.isSafeInteger(next) || next < 1) {
      throw invalidArgument(`next must be an integer of at least 1, got ${next}`, {
        argument: 'next',
      })
    }
    this.#ensureUsable(entry)
    this.ledger.checkAck(entry, next, this.#source.latest, this.#source.floor)
    await (next > entry.position ? this.#move(entry, next) : this.#store.writeAck(entry, next))
    entry.synced(next)
    // At a close the floor stays, as tails are being given the rest.
    if (this.#source.status === 'open') this.#store.consumersMoved()
  }

  /**
   * A store that closes waits for it as for a read: whoever acks what it was given is about to ask for more. Only acks that
   * move on: they come to an end.
   */
  async #move(entry: ConsumerEntry, next: number): Promise<void> {
    this.#feed.readBegins()
    try {
      await this.#store.writeAck(entry, next)
    } finally {
      this.#feed.readEnds()
    }
  }

  batches(entry: ConsumerEntry, options?: unknown): ChangeTail {
    const follow = checkBatchesOptions(options)
    const source = this.#source
    return new ChangeTail(source, this.#feed, {
      from: { seqno: entry.position },
      follow,
      stopAtLatest: follow.stopAtLatest ?? false,
      guard: (position) => {
        if (entry.isDropped) throw consumerNotFound(entry.name)
        if (entry.state === 'lost') throw consumerLost(entry.name, entry.position, source.floor)
        if (position < source.floor) throw historyTruncated(position, source.floor)
      },
    })
  }

  // ------------------------------------------------------------------------------------------------ inner

  /** It parts the log from acks of a dropped consumer of the same name. */
  async #writeFirstAck(entry: ConsumerEntry): Promise<void> {
    try {
      await this.#store.writeAck(entry, entry.position)
    } catch (error) {
      // Past its limits from the start, as a flush found meanwhile: it is stored as one that was cut off. The replay gives it no acks.
      if (!hasCode(error, 'VARVE_CONSUMER_LOST')) throw error
    }
  }

  #handle(entry: ConsumerEntry): Consumer {
    return new Consumer(this, entry)
  }

  #startOf(from: number | 'now' | 'oldest'): number {
    const { latest, floor } = this.#source
    if (from === 'now') return latest + 1
    if (from === 'oldest') return floor
    if (from > latest + 1) throw cursorAhead(from, latest)
    if (from < floor) throw historyTruncated(from, floor)
    return from
  }

  /** Limits that are given again count from now on. */
  async #setLimits(
    entry: ConsumerEntry,
    limits: { maxHeldBytes: number | undefined; maxIdleMs: number | undefined },
  ): Promise<void> {
    const { maxHeldBytes = entry.maxHeldBytes, maxIdleMs = entry.maxIdleMs } = limits
    if (maxHeldBytes === entry.maxHeldBytes && maxIdleMs === entry.maxIdleMs) return
    const before = { maxHeldBytes: entry.maxHeldBytes, maxIdleMs: entry.maxIdleMs }
    Object.assign(entry, { maxHeldBytes, maxIdleMs })
    try {
      await this.#store.saveConsumers()
    } catch (error) {
      Object.assign(entry, before)
      throw error
    }
  }

  #ensureOpen(): void {
    if (this.#source.status !== 'open') throw this.#source.closedError()
  }

  /** What a tail was given while the store closes can be acked. */
  #ensureUsable(entry: ConsumerEntry): void {
    if (this.#source.status === 'closed') throw this.#source.closedError()
    if (entry.isDropped) throw consumerNotFound(entry.name)
    if (entry.state === 'lost') {
      throw consumerLost(entry.name, entry.position, this.#source.floor)
    }
  }

  #change<T>(run: () => Promise<T>): Promise<T> {
    this.#ensureOpen()
    const result = this.#store.running(() => this.#changing.then(run, run))
    // The next one waits for its end; the caller is told of its failure.
    this.#changing = settled(result)
    return result
  }
}

/** A handle; several may be open on one consumer. */
export class Consumer {
  readonly #consumers: Consumers
  readonly #entry: ConsumerEntry

  constructor(consumers: Consumers, entry: ConsumerEntry) {
    this.#consumers = consumers
    this.#entry = entry
  }

  get name(): string {
    return this.#entry.name
  }

  /** First seqno that was not acked. */
  get position(): number {
    return this.#entry.position
  }

  get state(): 'active' | 'lost' {
    return this.#entry.state
  }

  /** Batches from the position on. */
  batches(options?: unknown): ChangeTail {
    return this.#consumers.batches(this.#entry, options)
  }

  /** Everything below `next` is processed. Durable when resolved. */
  ack(next: number): Promise<void> {
    return this.#consumers.ack(this.#entry, next)
  }
}

const NAME_BYTES_MAX = 255
const LONE_SURROGATE = /\p{Surrogate}/u

function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name)
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= NAME_BYTES_MAX && !LONE_SURROGATE.test(name)) return
  throw invalidArgument(`The name of a consumer has 1 to ${NAME_BYTES_MAX} bytes of UTF-8`, {
    argument: 'name',
    bytes,
  })
}

function startFrom(from: unknown): number | 'now' | 'oldest' {
  if (from === 'now' || from === 'oldest') return from
  if (typeof from !== 'string') return parseSeqno(from, 'from')
  throw invalidArgument(`from must be a seqno, 'now' or 'oldest', got ${JSON.stringify(from)}`, {
    argument: 'from',
  })
}
