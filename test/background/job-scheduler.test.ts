import { expect, test } from 'vitest'
import { JobScheduler } from '../../src/background/job-scheduler.ts'
import type { JobResult, JobSteps } from '../../src/compaction/job.ts'

const RESULT: JobResult = {
  added: [],
  removed: [],
  blobs: [],
  bytesRead: 0,
  bytesWritten: 0,
  entries: 0,
}

/** A clock that each step moves by a millisecond, and turns of the event loop that are counted. */
class Turns {
  turns = 0
  ms = 0
  monotonicMs = (): number => this.ms
  nextTurn = async (): Promise<void> => {
    this.turns++
  }
}

function scheduler(turns: Turns): JobScheduler {
  return new JobScheduler({ timers: turns, sliceMs: 2 })
}

function* steps(turns: Turns, name: string, count: number, log: string[]): JobSteps {
  try {
    for (let i = 0; i < count; i++) {
      log.push(`${name}${i}`)
      turns.ms++
      yield undefined
    }
    log.push(`${name} done`)
    return RESULT
  } finally {
    log.push(`${name} end`)
  }
}

test('a job runs in slices, with a turn of the event loop between them', async () => {
  const turns = new Turns()
  const log: string[] = []
  const { done } = scheduler(turns).start(steps(turns, 'a', 6, log), { isUrgent: false })
  expect(await done).toBe(RESULT)
  expect(turns.turns).toBeGreaterThanOrEqual(3)
})

test('an urgent job that comes later overtakes at the next step', async () => {
  const turns = new Turns()
  const log: string[] = []
  const jobs = scheduler(turns)
  const compaction = jobs.start(steps(turns, 'c', 6, log), { isUrgent: false })
  while (log.length < 2) await Promise.resolve()
  const flush = jobs.start(steps(turns, 'f', 3, log), { isUrgent: true })
  await flush.done
  expect(log).not.toContain('c5')
  await compaction.done
  expect(log.indexOf('f done')).toBeLessThan(log.indexOf('c5'))
})

test('while a job waits for a promise the others go on', async () => {
  const turns = new Turns()
  const log: string[] = []
  const jobs = scheduler(turns)
  let settle = (): void => undefined
  function* waiting(): JobSteps {
    yield new Promise<void>((resolve) => {
      settle = resolve
    })
    log.push('w after')
    return RESULT
  }
  const first = jobs.start(waiting(), { isUrgent: true })
  const second = jobs.start(steps(turns, 'b', 3, log), { isUrgent: false })
  await second.done
  settle()
  await first.done
  expect(log).toEqual(['b0', 'b1', 'b2', 'b done', 'b end', 'w after'])
})

test('a rejected promise is thrown into the job, which may clean up; its error comes out as it is', async () => {
  const error = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  const log: string[] = []
  function* failing(): JobSteps {
    try {
      yield Promise.reject(error)
      return RESULT
    } finally {
      log.push('cleaned')
    }
  }
  const { done } = scheduler(new Turns()).start(failing(), { isUrgent: false })
  await expect(done).rejects.toBe(error)
  expect(log).toEqual(['cleaned'])
})

test('an aborted job ends at its next step, with its cleaning up', async () => {
  const turns = new Turns()
  const log: string[] = []
  const job = scheduler(turns).start(steps(turns, 'a', 1000, log), { isUrgent: false })
  while (log.length === 0) await Promise.resolve()
  job.abort()
  await expect(job.done).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
  expect(log.at(-1)).toBe('a end')
  expect(log.length).toBeLessThan(1000)
})

test('an aborted job is not ended under a promise that it waits for', async () => {
  let settle = (): void => undefined
  const log: string[] = []
  function* waiting(): JobSteps {
    try {
      yield new Promise<void>((resolve) => {
        settle = resolve
      })
      return RESULT
    } finally {
      log.push('cleaned')
    }
  }
  const turns = new Turns()
  const job = scheduler(turns).start(waiting(), { isUrgent: false })
  for (let i = 0; i < 20; i++) await Promise.resolve()
  job.abort()
  for (let i = 0; i < 20; i++) await Promise.resolve()
  expect(log).toEqual([])
  settle()
  await expect(job.done).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
  expect(log).toEqual(['cleaned'])
})

test('aborting a job that is done has no effect', async () => {
  const turns = new Turns()
  const jobs = scheduler(turns)
  const job = jobs.start(steps(turns, 'a', 1, []), { isUrgent: false })
  await job.done
  job.abort()
  expect(await jobs.start(steps(turns, 'b', 1, []), { isUrgent: false }).done).toBe(RESULT)
})
