/**
 * Kills a process that writes, with SIGKILL, again and again, at any moment: while it opens, recovers, writes, flushes,
 * compacts. Nothing that it acknowledged may be missing, and the stream must be the planned one, event by event.
 */
import { type ChangeEvent, Varve } from '../../src/index.ts'
import type { Workshop } from './child-process.ts'
import { commitLength, PlannedState, plannedAt, valueAt } from './planned.ts'

export interface Killed {
  readonly cycles: number
  /** Kills before the store was open. */
  openings: number
  acknowledged: number
  events: number
}

/** Every so many kills the whole state is compared. */
const STATE_EVERY = 20
const ACKS_MAX = 250

export async function killLoop(
  workshop: Workshop,
  cycles: number,
  random: () => number,
): Promise<Killed> {
  const directory = workshop.path('killed')
  const check = new Check(directory)
  const killed: Killed = { cycles, openings: 0, acknowledged: 0, events: 0 }
  let epochs = 0
  for (let cycle = 0; cycle < cycles; cycle++) {
    // The first one gets to write: there is no store to look at before.
    const acksWanted = cycle > 0 && random() < 0.15 ? 0 : 1 + Math.floor(random() * ACKS_MAX)
    const child = workshop.start('committer', [directory])
    let acks = 0
    let isOpen = false
    for (let line = await child.line(); line !== undefined; line = await child.line()) {
      const [word, number, epoch] = line.split(' ')
      if (word === 'open') {
        isOpen = true
        check.opened(Number(number))
        if (Number(epoch) <= epochs) throw new Error(`epoch ${epoch} begins after ${epochs}`)
        epochs = Number(epoch)
      } else if (word === 'ack') {
        acks++
        check.acknowledged = Math.max(check.acknowledged, Number(number))
      }
      if (acks >= acksWanted) child.process.kill('SIGKILL')
    }
    const end = await child.ended
    if (end !== 'SIGKILL') throw new Error(`the child ended with ${end}: ${child.errors}`)
    if (!isOpen) killed.openings++
    killed.acknowledged += acks
    killed.events += await check.run(cycle % STATE_EVERY === 0)
  }
  await check.atLast()
  return killed
}

class Check {
  /** Last seqno that was acknowledged, by whichever child. */
  acknowledged = 0
  /** Last seqno that was seen, and compared. */
  #seen = 0
  readonly #state = new PlannedState()
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  opened(latest: number): void {
    if (latest < this.#seen) throw new Error(`${latest} is found, ${this.#seen} was seen before`)
  }

  /** Looks at what the killed process left, without changing it. Answers how many new events there were. */
  async run(withState: boolean): Promise<number> {
    const store = await Varve.open(this.#directory, { readOnly: true })
    try {
      const { latest, floor } = store.history()
      if (latest < Math.max(this.acknowledged, this.#seen)) {
        throw new Error(`${this.acknowledged} was acknowledged, ${latest} is there`)
      }
      const events = await this.#compare(store, Math.max(floor, this.#seen + 1), latest)
      this.#seen = latest
      if (withState) await this.#compareState(store, latest)
      return events
    } finally {
      await store.close()
    }
  }

  async atLast(): Promise<void> {
    const store = await Varve.open(this.#directory)
    const { latest, floor } = store.history()
    await this.#compare(store, floor, latest)
    await this.#compareState(store, latest)
    await store.compact()
    await this.#compareState(store, latest)
    const { ok, problems } = await store.verify()
    await store.close()
    if (!ok) throw new Error(`verify: ${JSON.stringify(problems)}`)
  }

  async #compare(store: Varve, from: number, latest: number): Promise<number> {
    let next = from
    const scan = store.scanSinceSeqno(from)
    for (;;) {
      const batch = await scan.nextBatch()
      if (batch.length === 0) break
      for (const event of batch) {
        if (event.seqno !== next) throw new Error(`seqno ${event.seqno} comes after ${next - 1}`)
        compareEvent(event)
        next++
      }
    }
    await scan.close()
    if (next !== latest + 1) throw new Error(`the stream ends at ${next - 1} of ${latest}`)
    return latest - from + 1
  }

  async #compareState(store: Varve, latest: number): Promise<void> {
    this.#state.advance(latest)
    const found = await store.entries().all()
    const expected = [...this.#state.entries].toSorted(([a], [b]) => (a < b ? -1 : 1))
    if (found.length !== expected.length) {
      throw new Error(`${found.length} keys instead of ${expected.length} at ${latest}`)
    }
    for (const [index, [key, seqno]] of expected.entries()) {
      const [foundKey, value] = found[index]!
      if (foundKey.toString() !== key || !value.equals(valueAt(seqno))) {
        throw new Error(`key ${key} is not as seqno ${seqno} wrote it, at ${latest}`)
      }
    }
  }
}

function compareEvent(event: ChangeEvent): void {
  const { seqno, commitSeqno, commitLast } = event
  if (commitLast !== commitSeqno + commitLength(commitSeqno) - 1 || seqno > commitLast) {
    throw new Error(`seqno ${seqno} stands in a commit from ${commitSeqno} to ${commitLast}`)
  }
  const planned = plannedAt(seqno)
  const isPlanned =
    (event.type === 'Insert' &&
      planned.type === 'put' &&
      event.key.toString() === planned.key &&
      event.value.equals(planned.value)) ||
    (event.type === 'PointTombstone' &&
      planned.type === 'delete' &&
      event.key.toString() === planned.key) ||
    (event.type === 'RangeTombstone' &&
      planned.type === 'deleteRange' &&
      event.startKey.toString() === planned.start &&
      event.endKey?.toString() === planned.end)
  if (!isPlanned) throw new Error(`the event at ${seqno} is not what was written`)
}
