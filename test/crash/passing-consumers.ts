/**
 * Consumers that come and go while everything else runs: made, acked, dropped and made again without waiting for one before the
 * next, beside flushes, compactions, commits and floors that rise. Part of a life; see life.ts.
 *
 * A choice of its own decides what they do, so that the workload around them stays what it was.
 */
import { expect } from 'vitest'
import type { Consumer } from '../../src/index.ts'
import type { Varve } from '../../src/db/varve.ts'
import { hasCode } from '../../src/base/errors.ts'
import { settled } from '../../src/base/settled.ts'
import { randomOf } from '../record/record-samples.ts'
import { type ConsumerLife, lifeBegins, lowestOf, type Promised } from './promises.ts'

const NAMES = ['relay', 'probe'] as const
/** Lives of one name that wait for their turn. */
const WAITING_MAX = 3

export interface PassingOptions {
  readonly seed: number
  readonly promised: Promised
  /** Nothing is kept but for consumers. */
  readonly keepsNothing: boolean
  readonly store: () => Varve
  /** A call that runs on. `isRefused`: whether it may fail in this way. */
  readonly track: (
    what: string,
    result: Promise<unknown>,
    onResolved: () => void,
    isRefused?: (error: unknown) => boolean,
  ) => void
  /** Writes a batch with this ack, not awaited; `next` is told the batch's last seqno. */
  readonly writeAck: (name: string, next: (last: number) => number) => Promise<unknown>
  /** Makes durable what was acknowledged when it was called. */
  readonly later: (what: string, result: Promise<unknown>) => void
  readonly quiet: () => Promise<void>
}

export class PassingConsumers {
  readonly #options: PassingOptions
  readonly #random: () => number
  readonly #handles = new Map<ConsumerLife, Consumer>()
  /** Batches with an ack of this life that are not written yet: it is not dropped under them, as they would be refused whole. */
  readonly #writing = new Map<ConsumerLife, number>()
  #truncatingTo = 0

  constructor(options: PassingOptions) {
    this.#options = options
    this.#random = randomOf(options.seed * 31 + 7)
  }

  /** Something of it, beside the workload's step. */
  async step(): Promise<void> {
    if (this.#chance(0.6)) return
    if (this.#chance(0.04)) return this.#checkFloor()
    if (this.#chance(0.3)) this.#stir()
    for (let calls = 1 + this.#pick(3); calls > 0; calls--) {
      this.#pass(NAMES[this.#pick(NAMES.length)]!)
    }
    if (this.#chance(0.2)) this.#stir()
  }

  /** After an open: what the store has is what there is. */
  async adopt(): Promise<void> {
    this.#handles.clear()
    this.#writing.clear()
    this.#truncatingTo = 0
    const { promised } = this.#options
    const store = this.#options.store()
    const found = new Map(store.consumers().map((one) => [one.name, one.position]))
    for (const name of NAMES) {
      const position = found.get(name)
      promised.passing.delete(name)
      if (position === undefined) continue
      const life = lifeBegins(position, position)
      Object.assign(life, { isMade: true, resolved: position, asked: position })
      promised.passing.set(name, [life])
      this.#handles.set(life, await store.consumer(name))
    }
  }

  letGo(): void {
    this.#handles.clear()
  }

  #pass(name: string): void {
    const lives = this.#livesOf(name)
    const life = lives.at(-1)
    if (life === undefined || life.isGone || life.isLeaving) {
      const waiting = lives.filter(({ isGone }) => !isGone)
      if (waiting.length < WAITING_MAX) this.#make(name)
      return
    }
    const handle = this.#handles.get(life)
    const roll = this.#random()
    if (handle === undefined) {
      // It is being made.
      if (roll < 0.4) this.#drop(name, life)
    } else if (roll < 0.35) {
      this.#ack(life, handle)
    } else if (roll < 0.55) {
      this.#ackInBatch(name, life)
    } else if (roll < 0.9) {
      // An ack on the way, too.
      if (roll < 0.65) this.#ack(life, handle)
      this.#drop(name, life)
      if (roll < 0.8 && life.isLeaving) this.#make(name)
    }
  }

  #make(name: string): void {
    const { floor, latest } = this.#options.store().history()
    const lowest = Math.max(floor, this.#truncatingTo)
    const kind = this.#pick(4)
    let from: number | 'now' | 'oldest' = lowest + this.#pick(Math.max(1, latest + 2 - lowest))
    let life = lifeBegins(from, from)
    // The latest and the floor may have risen until its turn comes.
    if (kind === 0) {
      from = 'now'
      life = lifeBegins(latest + 1, undefined)
    } else if (kind === 1 && this.#truncatingTo === 0) {
      from = 'oldest'
      life = lifeBegins(floor, undefined)
    }
    this.#livesOf(name).push(life)
    const made = this.#options.store().consumer(name, { from })
    this.#options.track(
      `make ${name} from ${from}`,
      made.then((handle) => this.#made(life, handle)),
      () => {
        life.isMade = true
      },
      (error) => {
        // The policy has raised the floor above it before its turn came.
        if (typeof from !== 'number' || from >= this.#options.store().history().floor) return false
        life.isGone = hasCode(error, 'VARVE_HISTORY_TRUNCATED')
        return life.isGone
      },
    )
  }

  #made(life: ConsumerLife, handle: Consumer): void {
    const { name, position } = handle
    const { latest } = this.#options.store().history()
    const { lowest, highest = latest + 1 } = life.start
    // What the one before has acked is not its own.
    expect(position, `${name} begins where it was asked to`).toBeGreaterThanOrEqual(lowest)
    expect(position, `${name} begins where it was asked to`).toBeLessThanOrEqual(highest)
    life.start = { lowest: position, highest: position }
    life.resolved = position
    life.asked = position
    if (!life.isLeaving) this.#handles.set(life, handle)
  }

  #drop(name: string, life: ConsumerLife): void {
    if ((this.#writing.get(life) ?? 0) > 0) return
    life.isLeaving = true
    this.#handles.delete(life)
    this.#options.track(
      `drop ${name}`,
      this.#options.store().dropConsumer(name),
      () => {
        life.isGone = true
      },
      // It was never made.
      (error) => life.isGone && hasCode(error, 'VARVE_NOT_FOUND'),
    )
  }

  #ack(life: ConsumerLife, handle: Consumer): void {
    const { latest } = this.#options.store().history()
    const lowest = Math.max(life.asked, ...life.inBatches.map(({ next }) => next))
    const next = Math.min(latest + 1, lowest + this.#pick(60))
    if (next < lowest) return
    life.asked = next
    this.#options.track(
      `ack ${handle.name}`,
      handle.ack(next),
      () => {
        life.resolved = Math.max(life.resolved, next)
        this.#options.promised.hasShownNews = true
      },
      // Dropped before its turn came.
      (error) => life.isLeaving && hasCode(error, 'VARVE_NOT_FOUND'),
    )
  }

  #ackInBatch(name: string, life: ConsumerLife): void {
    const lowest = Math.max(life.asked, ...life.inBatches.map(({ next }) => next))
    const written = this.#options.writeAck(name, (last) => {
      const next = Math.min(last + 1, lowest + this.#pick(60))
      life.inBatches.push({ last, next })
      return next
    })
    const count = (by: number): void => {
      this.#writing.set(life, (this.#writing.get(life) ?? 0) + by)
    }
    count(1)
    void settled(written).then(() => count(-1))
  }

  /** Something else that writes the manifest, or lets go of the log. */
  #stir(): void {
    const { store, later } = this.#options
    const kind = this.#pick(8)
    if (kind < 4) later('flush', store().flush())
    else if (kind === 4) later('compact', store().compact())
    else if (kind === 5) later('sync', store().sync())
    else this.#truncate()
  }

  #truncate(): void {
    if (this.#truncatingTo > 0) return
    const { promised } = this.#options
    const { floor, latest } = this.#options.store().history()
    const resting = [...promised.consumers.values()].filter(({ status }) => status !== 'absent')
    const positions = resting.map(({ resolved }) => resolved)
    for (const lives of promised.passing.values()) positions.push(...lives.map(lowestOf))
    const highest = Math.min(latest + 1, ...positions)
    if (highest <= floor) return
    this.#truncatingTo = floor + 1 + this.#pick(highest - floor)
    const result = this.#options.store().truncateHistory(this.#truncatingTo)
    this.#options.track('truncateHistory', result, () => {
      this.#truncatingTo = 0
    })
  }

  /** Who is gone holds nothing: a store that keeps no history has its floor where the slowest consumer stands. */
  async #checkFloor(): Promise<void> {
    const { store, quiet, keepsNothing } = this.#options
    await quiet()
    if (!keepsNothing) return
    await store().flush()
    const { floor, latest } = store().history()
    const positions = store()
      .consumers()
      .map(({ position }) => position)
    expect(floor, 'only consumers that are there hold history').toBe(
      Math.min(latest + 1, ...positions),
    )
  }

  #livesOf(name: string): ConsumerLife[] {
    const { passing } = this.#options.promised
    const lives = passing.get(name) ?? []
    passing.set(name, lives)
    return lives
  }

  #pick(n: number): number {
    return Math.floor(this.#random() * n)
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }
}
