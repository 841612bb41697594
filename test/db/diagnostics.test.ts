import diagnostics from 'node:diagnostics_channel'
import { afterEach, describe, expect, test } from 'vitest'
import type { DiagnosticMessages, Environment } from '../../src/index.ts'
import { createTimers, type Timers } from '../../src/env/timers.ts'
import { fixture, LOCATION } from './open.ts'

type Name = keyof DiagnosticMessages

const subscriptions: (() => void)[] = []
afterEach(() => {
  for (const unsubscribe of subscriptions.splice(0)) unsubscribe()
})

/** Messages on this channel from now on. */
function listen<N extends Name>(name: N): DiagnosticMessages[N][] {
  const messages: DiagnosticMessages[N][] = []
  const listener = (message: unknown): void => void messages.push(message as DiagnosticMessages[N])
  diagnostics.subscribe(name, listener)
  subscriptions.push(() => diagnostics.unsubscribe(name, listener))
  return messages
}

describe('channels', () => {
  test('varve:commit tells of every commit, with its bounds, as it becomes visible', async () => {
    const { open, clock } = fixture()
    const db = await open()
    const commits = listen('varve:commit')
    const consumer = await db.consumer('c')
    const batch = db.batch().put('b', '12').delete('a').put('c', '3')
    await Promise.all([db.put('a', '1'), db.write(batch, { sync: true })])
    await consumer.ack(3)
    expect(commits).toEqual([
      { location: LOCATION, first: 1, last: 1, timestamp: clock.now(), bytes: 2, sync: false },
      { location: LOCATION, first: 2, last: 4, timestamp: clock.now(), bytes: 6, sync: true },
    ])
    await db.close()
  })

  test('varve:flush, varve:compaction and varve:stall tell what the events of the store tell', async () => {
    const { open } = fixture()
    const db = await open()
    const names = ['flush', 'compaction', 'stall'] as const
    const told = names.map((name) => listen(`varve:${name}`))
    const events: object[][] = [[], [], []]
    for (const [index, name] of names.entries()) {
      db.on(name, (info) => void events[index]!.push({ location: LOCATION, ...info }))
    }
    const value = Buffer.alloc(1000)
    await Promise.all(Array.from({ length: 1000 }, (_, i) => db.put(`key ${i % 300}`, value)))
    await db.compact()
    expect(told).toEqual(events)
    expect(told.map(({ length }) => length > 0)).toEqual([true, true, true])
    await db.close()
  })

  test('varve:scan tells how a scan ended, once', async () => {
    const { open } = fixture()
    const db = await open()
    for (const key of ['a', 'b', 'c']) await db.put(key, key)
    await db.truncateHistory(2)
    const unheard = db.scanSinceSeqno(2)
    const scans = listen('varve:scan')
    await unheard.close()
    for await (const event of db.scanSinceSeqno(2)) expect(event.type).toBe('Insert')
    const scan = db.scanSinceSeqno(2, { upTo: 3 })
    await scan.next()
    await Promise.all([scan.close(), scan.close()])
    await expect(db.scanSinceSeqno(1).next()).rejects.toThrow()
    const same = { location: LOCATION, durationMs: expect.any(Number) as number, code: undefined }
    expect(scans).toMatchObject([
      { ...same, from: 2, upTo: 3, position: 4, outcome: 'ended', stats: { eventsDelivered: 2 } },
      { ...same, from: 2, upTo: 3, position: 3, outcome: 'closed', stats: { eventsDelivered: 1 } },
      { ...same, from: 1, upTo: 3, outcome: 'failed', code: 'VARVE_HISTORY_TRUNCATED' },
    ])
    await db.close()
  })
})

describe('leak warnings', () => {
  /** Real timers, but what runs every so often runs when the test says so. */
  function manualIntervals(): { timers: Timers; everyMs: number[]; run: () => void } {
    const intervals = new Map<() => void, number>()
    const timers: Timers = {
      ...createTimers(),
      every(ms, run) {
        intervals.set(run, ms)
        return () => void intervals.delete(run)
      },
    }
    return {
      timers,
      get everyMs() {
        return [...intervals.values()]
      },
      run: () => {
        for (const run of intervals.keys()) run()
      },
    }
  }

  interface Warned {
    readonly environment: Partial<Environment>
    readonly warnings: { msg: string; fields: object | undefined }[]
  }

  function warned(given: ReturnType<typeof fixture>): Warned {
    const warnings: Warned['warnings'] = []
    const nothing = (): void => undefined
    const warn = (msg: string, fields?: object): void => void warnings.push({ msg, fields })
    const logger = { debug: nothing, info: nothing, warn, error: nothing }
    return { environment: { fs: given.fs, now: () => given.clock.now(), logger }, warnings }
  }

  test('tell once of what is open for too long, by kind', async () => {
    const given = fixture()
    const { environment, warnings } = warned(given)
    const intervals = manualIntervals()
    const leaks = listen('varve:leak')
    const db = await given.open({ environment, leakWarningMs: 1000 }, { timers: intervals.timers })
    for (const key of ['a', 'b', 'c']) await db.put(key, key)
    const closed = db.snapshot()
    const handles = [db.snapshot(), db.snapshot()]
    const cursor = db.keys()
    const iterator = db.entriesSync()
    const scan = db.scanSinceSeqno(1)
    closed.close()
    expect(await db.values().all()).toHaveLength(3)
    expect([...db.entriesSync()]).toHaveLength(3)
    given.clock.advance(999)
    handles.push(db.snapshot())
    intervals.run()
    expect(warnings).toEqual([])
    given.clock.advance(1)
    intervals.run()
    intervals.run()
    const leaked = [
      { what: 'snapshot', count: 2, oldestAgeMs: 1000 },
      { what: 'cursor', count: 2, oldestAgeMs: 1000 },
      { what: 'change scan', count: 1, oldestAgeMs: 1000 },
    ]
    expect(warnings).toEqual([
      { msg: '2 snapshots are open for longer than 1000 ms', fields: leaked[0] },
      { msg: '2 cursors are open for longer than 1000 ms', fields: leaked[1] },
      { msg: '1 change scan is open for longer than 1000 ms', fields: leaked[2] },
    ])
    expect(leaks).toEqual(leaked.map((leak) => ({ location: LOCATION, ...leak })))
    for (const handle of handles) handle.close()
    await Promise.all([cursor.close(), scan.close()])
    iterator.return?.()
    await db.close()
    expect(intervals.everyMs).toEqual([])
  })

  test('work on a readOnly store too, and not at all with 0', async () => {
    const given = fixture()
    await (await given.open()).close()
    const { environment, warnings } = warned(given)
    for (const leakWarningMs of [1000, 0]) {
      const intervals = manualIntervals()
      const options = { environment, readOnly: true, leakWarningMs }
      const db = await given.open(options, { timers: intervals.timers })
      const snapshot = db.snapshot()
      given.clock.advance(2000)
      intervals.run()
      expect(intervals.everyMs).toEqual(leakWarningMs === 0 ? [] : [1000])
      snapshot.close()
      await db.close()
    }
    expect(warnings).toHaveLength(1)
  })

  test('are looked for at most every minute, and the option is checked', async () => {
    const given = fixture()
    const intervals = manualIntervals()
    const db = await given.open({}, { timers: intervals.timers })
    // There is nothing to look at yet.
    expect(intervals.everyMs).toEqual([])
    for (let i = 0; i < 2; i++) db.snapshot().close()
    expect(intervals.everyMs).toEqual([60_000])
    await db.close()
    await expect(given.open({ leakWarningMs: -1 })).rejects.toMatchObject({
      code: 'VARVE_INVALID_ARGUMENT',
    })
  })
})
