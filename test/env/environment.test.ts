import { expect, test, vi } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { resolveEnvironment } from '../../src/env/environment.ts'
import { ManualClock } from '../../src/env/manual-clock.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { randomBytes } from '../../src/env/random.ts'
import { createTimers } from '../../src/env/timers.ts'
import { Varve } from '../../src/index.ts'

test('what is left out is the machine: its disk, its clock, and silence', () => {
  const environment = resolveEnvironment()
  expect(environment.fs.kind).toBe('node')
  expect(Math.abs(environment.now() - Date.now())).toBeLessThan(60_000)
  environment.logger.warn('nobody hears this')
})

test('what is given is used', () => {
  const fs = new MemoryFileSystem()
  const clock = new ManualClock(5)
  const said: string[] = []
  const say = (msg: string): void => {
    said.push(msg)
  }
  const logger = { debug: say, info: say, warn: say, error: say }
  const environment = resolveEnvironment({ fs, now: clock.now, logger })
  expect(environment.fs).toBe(fs)
  clock.advance(2)
  expect(environment.now()).toBe(7)
  environment.logger.error('heard')
  expect(said).toEqual(['heard'])
})

test('a logger is called as it was given, and one that throws fails nothing', async () => {
  const logger = {
    said: [] as string[],
    debug() {},
    info() {},
    warn(msg: string) {
      this.said.push(msg)
    },
    error() {
      throw new Error('no room for the log')
    },
  }
  const environment = resolveEnvironment({ logger })
  environment.logger.warn('heard')
  environment.logger.error('lost')
  expect(logger.said).toEqual(['heard'])

  const store = await Varve.open('/store', { environment: { fs: new MemoryFileSystem(), logger } })
  store.on('flush', () => {
    throw new Error('no listener')
  })
  await store.put('a', '1')
  await store.flush()
  await store.close()
})

test('now is called on the object that it was given with', () => {
  const clock = {
    start: 40,
    now(): number {
      return this.start + 2
    },
  }
  const environment = resolveEnvironment(clock)
  expect(environment.now()).toBe(42)
})

test('a clock that throws is taken for 0, and told of once', () => {
  const said: [string, object | undefined][] = []
  const error = (msg: string, fields?: object): void => {
    said.push([msg, fields])
  }
  const logger = { debug: error, info: error, warn: error, error }
  const cause = new Error('no clock')
  const environment = resolveEnvironment({
    logger,
    now(): number {
      throw cause
    },
  })
  expect([environment.now(), environment.now()]).toEqual([0, 0])
  expect(said).toEqual([['environment.now threw; taken for 0', { error: cause }]])
})

test.each([
  [null],
  ['x'],
  [{ fs: {} }],
  [{ fs: { kind: 'memory' } }],
  [{ now: 5 }],
  [{ logger: console.log }],
  [{ logger: { debug() {} } }],
])('a wrong type is refused: %j', (environment) => {
  expect(() => resolveEnvironment(environment as never)).toThrow(
    expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
  )
})

test('a manual clock stands, moves forward, and is set back', () => {
  const clock = new ManualClock()
  expect(clock.now()).toBe(0)
  clock.advance(10)
  clock.advance(5)
  expect(clock.now()).toBe(15)
  clock.set(3)
  expect(clock.now()).toBe(3)
  expect(() => clock.advance(Number.NaN)).toThrow(VarveError)
  expect(() => new ManualClock(Infinity)).toThrow(VarveError)
  expect(() => clock.set('1' as never)).toThrow(TypeError)
  expect(() => clock.advance(null as never)).toThrow(TypeError)
})

test('timers run and are cancelled', async () => {
  const timers = createTimers()
  const startMs = timers.monotonicMs()
  const ran: string[] = []
  timers.after(0, () => ran.push('cancelled'))()
  timers.every(0, () => ran.push('cancelled'))()
  await new Promise<void>((resolve) => {
    const stop = timers.every(1, () => {
      ran.push('every')
      if (ran.length < 3) return
      stop()
      timers.after(1, resolve)
    })
  })
  await timers.nextTurn()
  await timers.wait(1)
  expect(ran).toEqual(['every', 'every', 'every'])
  expect(timers.monotonicMs()).toBeGreaterThan(startMs)
})

test('random bytes differ', () => {
  expect(randomBytes(16)).toHaveLength(16)
  expect(randomBytes(16).equals(randomBytes(16))).toBe(false)
})

test('a timer beyond what Node can wait for runs at its longest, not at once', () => {
  const set = vi.spyOn(globalThis, 'setTimeout')
  try {
    const cancel = createTimers().after(2 ** 40, () => undefined)
    cancel()
    expect(set.mock.calls.map(([, ms]) => ms)).toEqual([2 ** 31 - 1])
  } finally {
    set.mockRestore()
  }
})
