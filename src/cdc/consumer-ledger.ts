/**
 * What the store knows of its consumers: positions, limits, states. Positions move when a commit that carries an ack is
 * published; what the floor follows are only those that a power cut cannot take back.
 *
 * ```
 *   ack in the WAL, published          position   ──> what the consumer sees, and the next ack is held against
 *   the same, durable                  durable    ──> what the floor follows, what the manifest records
 *   memtable sealed: capture()  ──flush: log synced──> durable, before the edit that lets go of the log records it
 * ```
 */
import { VarveError, invalidArgument } from '../base/errors.ts'
import type { ConsumerRecord } from '../version/store-state.ts'
import type { FloorConsumer } from './history-policy.ts'
import { consumerLost } from './read-errors.ts'

export const AT_RISK_FRACTIONS: readonly number[] = [0.5, 0.8]

/** A position, and when it will be durable. */
interface Mark {
  readonly next: number
  /** Durable with this seqno. Infinity: the record has no operation, only `synced` tells. */
  readonly commitLast: number
  readonly timeMs: number
}

/** One consumer, as its handles and the ledger share it. */
export class ConsumerEntry {
  readonly name: string
  maxHeldBytes: number | undefined
  maxIdleMs: number | undefined
  readonly createdAt: number
  state: 'active' | 'lost'
  position: number
  lastAckAt: number | undefined
  durablePosition: number
  durableAckAt: number | undefined
  /** Dropped: handles answer NOT_FOUND. */
  isDropped = false
  /** In the manifest: before that its name is only reserved. */
  isStored: boolean
  /** The ack that begins its life is durable, or it was cut off before and needs none: the manifest may have it. */
  hasBegun: boolean
  /** How many of the at-risk fractions were told. */
  risksTold = 0
  /** Not durable yet: the oldest ack since the last one that is, and the newest. */
  #waiting: Mark | undefined
  #newest: Mark | undefined

  constructor(record: ConsumerRecord, isStored: boolean) {
    this.name = record.name
    this.maxHeldBytes = record.maxHeldBytes
    this.maxIdleMs = record.maxIdleMs
    this.createdAt = record.createdAt
    this.state = record.state
    this.position = record.position
    this.lastAckAt = record.lastAckAt
    this.durablePosition = record.position
    this.durableAckAt = record.lastAckAt
    this.isStored = isStored
    this.hasBegun = isStored
  }

  /** Everything but name and creation as the record says. */
  restore(record: ConsumerRecord): void {
    this.maxHeldBytes = record.maxHeldBytes
    this.maxIdleMs = record.maxIdleMs
    this.state = record.state
    this.position = record.position
    this.lastAckAt = record.lastAckAt
    this.durablePosition = record.position
    this.durableAckAt = record.lastAckAt
    this.#waiting = undefined
    this.#newest = undefined
  }

  acked(mark: Mark): void {
    this.position = mark.next
    this.lastAckAt = mark.timeMs
    // Two marks, not a queue of all: the floor may follow late, and a consumer acks as often as it likes.
    this.#waiting ??= mark
    this.#newest = mark
  }

  /** Everything up to `durable` is safe. True when that moved the position that the floor follows. */
  settle(durable: number): boolean {
    const before = this.durablePosition
    const waiting = this.#waiting
    const newest = this.#newest
    if (newest !== undefined && newest.commitLast <= durable) {
      // The log has acks in their order: those before it are safe, too.
      this.#take(newest)
      this.#waiting = undefined
      this.#newest = undefined
    } else if (waiting !== undefined && waiting.commitLast <= durable) {
      this.#take(waiting)
      this.#waiting = newest
    }
    return this.durablePosition !== before
  }

  /** An ack to `next` was synced: it and everything before it is safe. `timeMs`: of that ack, where it is known. */
  synced(next: number, timeMs?: number): void {
    const waiting = this.#waiting
    const newest = this.#newest
    if (newest === undefined || newest.next <= next) {
      if (newest !== undefined) this.#take(newest)
      this.#waiting = undefined
      this.#newest = undefined
      return
    }
    const isPast = waiting !== undefined && waiting.next <= next
    if (isPast) this.#waiting = newest
    if (next <= this.durablePosition) return
    // Up to this one, of which there may be no mark: who acked it was told, and the log that has it may go.
    this.durablePosition = next
    this.durableAckAt = timeMs ?? (isPast ? waiting.timeMs : this.durableAckAt)
  }

  /** The ack that begins its life was synced; nobody acked anything. */
  began(): void {
    this.hasBegun = true
    this.#waiting = undefined
    this.#newest = undefined
    this.lastAckAt = undefined
    this.durableAckAt = undefined
  }

  #take(mark: Mark): void {
    this.durablePosition = mark.next
    this.durableAckAt = mark.timeMs
  }
}

/** Positions of one moment, as when a memtable was sealed: all acks in the log up to there. */
export type ConsumerMarks = ReadonlyMap<ConsumerEntry, { next: number; timeMs: number | undefined }>

export class ConsumerLedger {
  readonly #entries = new Map<string, ConsumerEntry>()
  /** Being dropped: nobody finds them, but a crash brings them back as long as the edit without them is not durable. */
  readonly #leaving = new Set<ConsumerEntry>()

  constructor(records: readonly ConsumerRecord[]) {
    for (const record of records) this.#entries.set(record.name, new ConsumerEntry(record, true))
  }

  /** On a readOnly store: what its writer's manifest says now. Acks of the log are to be applied anew. */
  reload(records: readonly ConsumerRecord[]): void {
    const gone = new Set(this.#entries.values())
    for (const record of records) {
      const known = this.#entries.get(record.name)
      if (known?.createdAt === record.createdAt) {
        known.restore(record)
        gone.delete(known)
      } else {
        this.#entries.set(record.name, new ConsumerEntry(record, true))
      }
    }
    for (const entry of gone) this.remove(entry)
  }

  get(name: string): ConsumerEntry | undefined {
    return this.#entries.get(name)
  }

  all(): ConsumerEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  add(entry: ConsumerEntry): void {
    this.#entries.set(entry.name, entry)
  }

  remove(entry: ConsumerEntry): void {
    entry.isDropped = true
    if (this.#entries.get(entry.name) === entry) this.#entries.delete(entry.name)
  }

  /** The same for one that the manifest still has: what it acked is recorded on, until `left`. */
  leave(entry: ConsumerEntry): void {
    this.remove(entry)
    this.#leaving.add(entry)
  }

  left(entry: ConsumerEntry): void {
    this.#leaving.delete(entry)
  }

  /**
   * Whether `entry` may ack `next` now, `last` being the newest seqno that the ack may cover: the latest, or the last of the
   * batch that carries it. Throws NOT_FOUND, CONSUMER_LOST or INVALID_ARGUMENT { consumer, next, position, latest }.
   */
  checkAck(entry: ConsumerEntry, next: number, last: number, floor: number): void {
    const { name } = entry
    // What waits in the queue may be of one that was dropped meanwhile, and another one may have its name.
    if (this.#entries.get(name) !== entry) throw consumerNotFound(name)
    if (entry.state === 'lost') throw consumerLost(name, entry.position, floor)
    if (next >= entry.position && next <= last + 1) return
    const problem =
      next < entry.position
        ? `goes back from ${entry.position}`
        : `is beyond the next seqno, ${last + 1}`
    throw invalidArgument(`Ack ${next} of consumer ${name} ${problem}`, {
      consumer: name,
      next,
      position: entry.position,
      latest: last,
    })
  }

  /** Whom an ack by name is for. Throws NOT_FOUND, also while it is being made: nobody has been given it. */
  acking(name: string): ConsumerEntry {
    const entry = this.#entries.get(name)
    if (entry?.isStored !== true) throw consumerNotFound(name)
    return entry
  }

  /**
   * A commit with an ack was published: `commitLast` is its last operation's seqno, undefined when it has none. Also called by
   * the replay of the WAL, in its order. The last ack counts, also where it goes backwards (`checkAck` lets none through): a
   * consumer that was dropped and created again began with an ack of its first position; what lies before was another's.
   */
  applyAck(
    name: string,
    next: number,
    commit: { readonly commitLast: number | undefined; readonly timeMs: number },
  ): void {
    const entry = this.#entries.get(name)
    if (entry === undefined || entry.state === 'lost') return
    const { commitLast = Infinity, timeMs } = commit
    entry.acked({ next, commitLast, timeMs })
  }

  /** The same for the replay of the log, where the ack that began a consumer's life is no ack of anybody's. */
  replayAck(
    name: string,
    next: number,
    commit: { readonly commitLast: number | undefined; readonly timeMs: number },
  ): void {
    const entry = this.#entries.get(name)
    if (entry?.lastAckAt === undefined && entry?.position === next) return
    this.applyAck(name, next, commit)
  }

  /** After the replay: everything that was found is durable. */
  settleAll(): void {
    for (const entry of this.#entries.values()) entry.settle(Infinity)
  }

  /** The durable seqno rose. True when the floor may follow a consumer that has moved. */
  settle(durable: number): boolean {
    let hasMoved = false
    for (const entry of this.#entries.values()) {
      if (entry.settle(durable)) hasMoved = true
    }
    for (const entry of this.#leaving) entry.settle(durable)
    return hasMoved
  }

  /** For a memtable that is being sealed, and for who syncs the log next. */
  capture(): ConsumerMarks {
    const entries = [...this.#entries.values(), ...this.#leaving]
    return new Map(
      entries.map((entry) => [entry, { next: entry.position, timeMs: entry.lastAckAt }]),
    )
  }

  /** The log was synced after `capture`: what the marks say is durable. */
  settleMarks(marks: ConsumerMarks): void {
    for (const [entry, { next, timeMs }] of marks) entry.synced(next, timeMs)
  }

  /**
   * What the manifest is to say. Only what a power cut cannot take back. One whose life has not begun is not among them: in the
   * manifest before its first ack is durable, a replay would take the last ack of a dropped consumer of the same name for its
   * own. Of those that are being dropped the ones that the manifest `has`: an edit that lets go of the log lets go of their acks.
   */
  records(has: (name: string) => boolean = () => false): ConsumerRecord[] {
    const begun = this.all().filter(({ hasBegun }) => hasBegun)
    const leaving = [...this.#leaving].filter(({ name }) => has(name))
    return [...begun, ...leaving].map((entry) => ({
      name: entry.name,
      position: entry.durablePosition,
      state: entry.state,
      maxHeldBytes: limitOf(entry.maxHeldBytes),
      maxIdleMs: limitOf(entry.maxIdleMs),
      createdAt: entry.createdAt,
      lastAckAt: entry.durableAckAt,
    }))
  }

  /** The active ones, for `planFloor`. */
  floorConsumers(): FloorConsumer[] {
    return this.all().filter(({ state }) => state === 'active')
  }
}

/** Infinity is no limit, which a record leaves out: there is no number for it. */
function limitOf(limit: number | undefined): number | undefined {
  return limit === Infinity ? undefined : limit
}

export function consumerNotFound(name: string): VarveError {
  return new VarveError('VARVE_NOT_FOUND', `There is no consumer ${JSON.stringify(name)}`, {
    consumer: name,
  })
}
