/**
 * The other side of a crash sweep: what the process itself does when its disk is gone from one operation to the next. Every
 * call is answered, nothing hangs, and what reached the disk is what the sweep expects.
 */
import { expect, onTestFinished, test } from 'vitest'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { FOLDS } from '../model/driver.ts'
import { Model } from '../model/model.ts'
import { randomOf } from '../record/record-samples.ts'
import { openAfterCrash } from './check-crash.ts'
import { Life } from './life.ts'
import { copyPromised, nothingPromised } from './promises.ts'

const SEEDS = 8
const DEATHS_EACH = 12
const STEPS = 60
const START_MS = 1_000_000

test('a store whose disk dies answers every call, and loses nothing that it promised', {
  timeout: 300_000,
}, async () => {
  const rejections = watchRejections()
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed * 31)
    for (let death = 0; death < DEATHS_EACH; death++) {
      const operation = 1 + Math.floor(random() * 350)
      await die(seed, operation)
    }
  }
  expect(rejections).toEqual([])
})

async function die(seed: number, operation: number): Promise<void> {
  const fs = new MemoryFileSystem()
  fs.dieAtOperation(operation)
  const life = new Life({
    fs,
    seed,
    optionsSeed: seed,
    model: new Model(FOLDS),
    promised: nothingPromised(),
    startMs: START_MS,
  })
  life.mayFail = true
  const name = `seed ${seed}, death at operation ${operation}`
  try {
    await life.open()
    await life.play(STEPS)
    await life.close()
  } catch (error) {
    life.failure ??= { what: 'open or close', error }
  }
  await life.quiet()
  const promised = copyPromised(life.promised)
  if (life.failure !== undefined) {
    // The end can have come in the middle of any call.
    await life.store?.close().catch(() => undefined)
    if (promised.phase === 'closed') promised.phase = 'closing'
  }
  for (const unsynced of ['lost', 'kept', { seed: operation }] as const) {
    const image = fs.crash(unsynced)
    const events = life.model.events
    const point = { name, image, unsynced, promised, events, nowMs: START_MS, optionsSeed: seed }
    try {
      const { store } = await openAfterCrash(point, image)
      await store.close()
    } catch (error) {
      throw new Error(name, { cause: error })
    }
    expect(image.openFileCount, name).toBe(0)
  }
}

/** Rejections that nobody handled, in the order in which they came. */
function watchRejections(): unknown[] {
  const found: unknown[] = []
  const note = (reason: unknown): void => void found.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => void process.off('unhandledRejection', note))
  return found
}
