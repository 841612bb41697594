/**
 * What readers hold besides files: seqnos that snapshots and cursors read at, which compaction must leave visible, and
 * positions of scans, at and above which no event may be dropped.
 */
import { assert } from '../base/assert.ts'

/** Seqnos that somebody reads at. Each may be held any number of times. */
export class SnapshotRegistry {
  readonly #counts = new Map<number, { count: number; sinceMs: number }>()
  #seqnos: readonly number[] | undefined = []
  #count = 0

  /** Snapshots that are open. */
  get count(): number {
    return this.#count
  }

  /** Distinct seqnos, ascending; the list is not changed afterwards, so a job can keep it. */
  get seqnos(): readonly number[] {
    this.#seqnos ??= [...this.#counts.keys()].sort((a, b) => a - b)
    return this.#seqnos
  }

  /** When the oldest snapshot that is still open was taken; undefined when none is. */
  get oldestSinceMs(): number | undefined {
    let oldest: number | undefined
    for (const { sinceMs } of this.#counts.values()) {
      if (oldest === undefined || sinceMs < oldest) oldest = sinceMs
    }
    return oldest
  }

  acquire(seqno: number, nowMs: number): void {
    this.#count++
    const known = this.#counts.get(seqno)
    if (known !== undefined) {
      known.count++
      return
    }
    this.#counts.set(seqno, { count: 1, sinceMs: nowMs })
    this.#seqnos = undefined
  }

  release(seqno: number): void {
    const known = this.#counts.get(seqno)
    assert(known !== undefined, 'a snapshot is released as often as it was acquired')
    this.#count--
    known.count--
    if (known.count > 0) return
    this.#counts.delete(seqno)
    this.#seqnos = undefined
  }
}

/** A scan's claim on every event at or above its position. */
export class PositionHold {
  #position: number
  #holds: Set<PositionHold> | undefined

  constructor(position: number, holds: Set<PositionHold>) {
    this.#position = position
    this.#holds = holds
    holds.add(this)
  }

  get position(): number {
    return this.#position
  }

  /** Only forward. */
  advance(position: number): void {
    assert(position >= this.#position, 'what was let go of is not held again')
    this.#position = position
  }

  /** Idempotent. */
  release(): void {
    this.#holds?.delete(this)
    this.#holds = undefined
  }
}

/** The positions of open scans. Few at a time. */
export class ScanHolds {
  readonly #holds = new Set<PositionHold>()

  get count(): number {
    return this.#holds.size
  }

  /** Infinity when nothing is held. */
  get lowest(): number {
    let lowest = Infinity
    for (const { position } of this.#holds) if (position < lowest) lowest = position
    return lowest
  }

  hold(position: number): PositionHold {
    return new PositionHold(position, this.#holds)
  }
}
