/**
 * The crash sweep of one seed: a life is recorded, and every chosen crash point of it is recovered from and checked.
 *
 * Recovery is survived as well: for a share of the points the store is opened under observation, the process dies at some
 * operation of the recovery or of what the store does next, and what that leaves is opened and checked in turn.
 */
import { expect } from 'vitest'
import { type MemoryFileSystem, MemoryFileSystem as Disk } from '../../src/testing/index.ts'
import { Model } from '../model/model.ts'
import { FOLDS } from '../model/driver.ts'
import { randomOf } from '../record/record-samples.ts'
import { checkFiles, openAfterCrash } from './check-crash.ts'
import { type Choice, type CrashPoint, live, type Unsynced } from './crash-points.ts'
import type { Life } from './life.ts'
import { type ConsumerPromise, copyPromised, modelAt, nothingPromised } from './promises.ts'

export interface SweepOptions {
  readonly seed: number
  /** Steps of the workload. */
  readonly steps: number
  /** Share of the operations to die at; 1: all of them, on each kind of disk. */
  readonly share: number
  /** Share of the points after which the process dies a second time. */
  readonly againShare: number
  /** Disks of which a part is lost, for each operation; 1 when it is not given. */
  readonly mixed?: number
  /** Only this operation; for looking into one. */
  readonly only?: number
  readonly onPoint?: (point: CrashPoint) => void
}

export interface Swept {
  readonly operations: number
  crashes: number
  crashesAgain: number
}

/** Steps of a workload: about 550 operations on the disk. */
export const STEPS = 90

const START_MS = 1_000_000
/** One in so many seeds has a workload of which compactions take segments over. */
const REWRITES_ONE_IN = 5
/** Two of three seeds have consumers that come and go while other calls run. */
function hasPassing(seed: number): boolean {
  return seed % 3 !== 2
}
/** Steps of the workload after a recovery. */
const STEPS_AGAIN = 4

export async function sweep(options: SweepOptions): Promise<Swept> {
  const { seed, steps } = options
  const random = randomOf(seed * 7919 + 1)
  const rewrites = seed % REWRITES_ONE_IN === 0
  const { points, operations, life } = await live(
    {
      fs: new Disk(),
      name: `seed ${seed}`,
      seed,
      optionsSeed: seed,
      model: new Model(FOLDS),
      promised: nothingPromised(),
      startMs: START_MS,
      rewrites,
      passing: hasPassing(seed),
    },
    chosen(options, random),
    async (one) => {
      await one.open()
      // A rewrite is several flushes: fewer steps take as many operations.
      await one.play(rewrites ? Math.ceil(steps * 0.6) : steps)
      await one.close()
    },
  )
  expect(life.failure).toBeUndefined()
  const swept: Swept = { operations, crashes: 0, crashesAgain: 0 }
  for (const point of points) {
    options.onPoint?.(point)
    swept.crashes++
    const again = random() < options.againShare
    await named(point, async () => {
      const latest = await checkPoint(point, random() < 0.25)
      if (again) swept.crashesAgain += await crashAgain(point, latest, hasPassing(seed), random)
    })
  }
  return swept
}

function chosen({ share, seed, only, mixed = 1 }: SweepOptions, random: () => number): Choice {
  return (n) => {
    const parts = Array.from({ length: mixed }, (_, i) => ({ seed: seed * 100_003 + n + i * 7919 }))
    const all: readonly Unsynced[] = ['lost', 'kept', ...parts]
    if (only !== undefined) return n === only ? all : []
    if (share >= 1) return all
    return random() < share ? [all[Math.floor(random() * all.length)]!] : []
  }
}

/** Recovers and checks; answers what survived. */
async function checkPoint(point: CrashPoint, goesOn: boolean): Promise<number> {
  const { image, promised } = point
  // The disk itself is kept: a second crash starts from it too.
  const fs = image.crash('kept')
  const { store, latest } = await openAfterCrash(point, fs)
  const { epochs } = store.history()
  if (goesOn) await goOn(store, fs)
  const after = store.history().latest
  await store.close()
  expect(fs.openFileCount, 'every descriptor is given back').toBe(0)
  // What was closed cleanly is found as it was.
  const closed = { ...copyPromised(promised), phase: 'closed' as const, epochs, durable: latest }
  if (goesOn) return latest
  const again = await openAfterCrash({ ...point, promised: { ...closed, submitted: after } }, fs)
  await again.store.close()
  return latest
}

/** The store works after a crash as it did before. */
async function goOn(
  store: Awaited<ReturnType<typeof openAfterCrash>>['store'],
  fs: MemoryFileSystem,
): Promise<void> {
  const before = store.history().latest
  expect(await store.put('after', 'the crash', { sync: true })).toBe(before + 1)
  await store.flush()
  await store.compact()
  expect(String(await store.get('after'))).toBe('the crash')
  expect(await store.verify()).toMatchObject({ ok: true, problems: [] })
  await checkFiles(store, fs)
}

/** Opens the point's disk and goes on for a while; dies again on the way. */
async function crashAgain(
  point: CrashPoint,
  latest: number,
  passing: boolean,
  random: () => number,
): Promise<number> {
  const model = modelAt(point.events, latest)
  const promised = copyPromised(point.promised)
  // What the crash left is on the disk for good: a second one must take nothing of it away.
  Object.assign(promised, { submitted: latest, acknowledged: latest, durable: latest })
  for (const [name, consumer] of promised.consumers) {
    promised.consumers.set(name, survivingConsumer(consumer, latest))
  }
  for (const lives of promised.passing.values()) {
    for (const one of lives) one.inBatches = one.inBatches.filter(({ last }) => last <= latest)
  }
  for (const lives of promised.keyspaces.values()) {
    for (const one of lives) {
      if (one.droppedAt !== undefined && one.droppedAt > latest) one.droppedAt = undefined
    }
  }
  const seed = Math.floor(random() * 2 ** 31)
  const wanted = new Map<number, Unsynced>()
  for (let count = 0; count < 3; count++) {
    const kinds: readonly Unsynced[] = ['lost', 'kept', { seed: seed + count }]
    // Mostly in the recovery itself, which takes some fifteen operations.
    const operation = 1 + Math.floor(random() * (count === 0 ? 60 : 18))
    wanted.set(operation, kinds[Math.floor(random() * 3)]!)
  }
  const { points } = await live(
    {
      fs: point.image.crash('kept'),
      name: `${point.name}, then seed ${seed}`,
      seed,
      optionsSeed: point.optionsSeed,
      model,
      promised,
      startMs: point.nowMs,
      passing,
    },
    (n) => {
      const unsynced = wanted.get(n)
      return unsynced === undefined ? [] : [unsynced]
    },
    async (one: Life) => {
      await one.open()
      await one.adopt()
      await one.play(STEPS_AGAIN)
      await one.close()
    },
  )
  for (const second of points) await named(second, () => checkPoint(second, random() < 0.1))
  return points.length
}

/** Acks that did not survive are forgotten; what may have survived is asked for and not promised. */
function survivingConsumer(consumer: ConsumerPromise, latest: number): ConsumerPromise {
  return { ...consumer, inBatches: consumer.inBatches.filter(({ last }) => last <= latest) }
}

async function named<T>(point: CrashPoint, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof Error && !error.message.startsWith('crash point')) {
      error.message = `crash point: ${point.name}: ${error.message}`
    }
    throw error
  }
}
