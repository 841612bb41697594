/**
 * Runs a life and takes, before any operation on the disk that is wanted, the disk as a crash in that moment would leave it,
 * with everything that was promised by then.
 *
 * One run gives all crash points of a seed: images share their bytes with the disk they were taken from.
 */
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import type { ModelEvent } from '../model/model.ts'
import { randomOf } from '../record/record-samples.ts'
import { Life, type LifeStart } from './life.ts'
import { ObservedFileSystem } from './observed-file-system.ts'
import { copyPromised, type Promised } from './promises.ts'

/** 'kept' is what the death of the process leaves; the others are power cuts. */
export type Unsynced = 'lost' | 'kept' | { readonly seed: number }

export interface CrashPoint {
  /** For replaying: `seed 7, operation 133 (sync /store/000004.wal), lost`. */
  readonly name: string
  readonly image: MemoryFileSystem
  readonly unsynced: Unsynced
  readonly promised: Promised
  /** Everything that was submitted in the life, also after this point; grows until the life has ended. */
  readonly events: readonly ModelEvent[]
  readonly nowMs: number
  readonly optionsSeed: number
}

/** Which disks to take before operation `n` of a life, counted from 1. */
export type Choice = (n: number) => readonly Unsynced[]

export interface Lived {
  readonly life: Life
  readonly points: readonly CrashPoint[]
  readonly operations: number
}

export async function live(
  start: Omit<LifeStart, 'fs'> & { fs: MemoryFileSystem; name: string },
  choose: Choice,
  play: (life: Life) => Promise<void>,
): Promise<Lived> {
  const points: CrashPoint[] = []
  let operations = 0
  let life: Life | undefined
  const take = (what: string): void => {
    operations++
    for (const unsynced of choose(operations)) {
      points.push({
        name: `${start.name}, operation ${operations} (${what}), ${nameOf(unsynced)}`,
        image: start.fs.crash(unsynced),
        unsynced,
        promised: copyPromised(life!.promised),
        events: life!.model.events,
        nowMs: life!.clock.now(),
        optionsSeed: start.optionsSeed,
      })
    }
  }
  const random = randomOf(start.seed + 1)
  const pause = async (): Promise<void> => {
    // Some syncs end at once, some after others that began later.
    for (let turns = Math.floor(random() * 3); turns > 0; turns--) await nextTurn()
  }
  life = new Life({ ...start, fs: new ObservedFileSystem(start.fs, take, { pause }) })
  await play(life)
  take('the end')
  return { life, points, operations }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function nameOf(unsynced: Unsynced): string {
  return typeof unsynced === 'string' ? unsynced : `seed ${unsynced.seed}`
}
