/** Which key each write of a fixture goes to: the writer follows it, and whoever reads the changes back checks them by it. */
import { shuffled, zipfian } from '../workloads/random.ts'
import type { Fixture } from './job.ts'

/** Order of random fills. */
export const FILL_SEED = 1

export function fixtureEvents(fixture: Fixture, entries: number): number {
  return fixture.events ?? Math.round(entries * (fixture.scale ?? 1))
}

/** Index of the key that the fixture's `i`-th write (from 0) wrote. */
export function fixtureOrder(fixture: Fixture, count: number): (i: number) => number {
  switch (fixture.keys) {
    case 'sequential':
      return (i) => i
    case 'random': {
      const order = shuffled(count, FILL_SEED)
      return (i) => order[i] as number
    }
    case 'zipfian': {
      // Drawn in advance, so that the same write can be asked for twice.
      const draw = zipfian(count, FILL_SEED)
      const order = new Uint32Array(count).map(draw)
      return (i) => order[i] as number
    }
  }
}
