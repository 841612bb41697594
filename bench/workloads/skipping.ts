/**
 * What does it cost to ask a store for what changed since a seqno? The last 0.01 to 100 % of 1, 3 and 10 million changes;
 * keys in order, at random and skewed; just flushed and after full compaction; with the help of seqno bounds and change
 * indexes, without, and from logs kept by hand on other engines.
 */
import { median } from './median.ts'
import { fixtureOrder } from '../harness/fixture-order.ts'
import type { Fixture, Metrics } from '../harness/job.ts'
import type { ChangeLog, Engine } from '../peers/store.ts'
import { changesOf, checkOf, type ExpectedChanges, readExpected } from './change-capture.ts'
import { milliseconds } from './clock.ts'
import { Dataset } from './dataset.ts'
import { VALUE_BYTES } from './fill.ts'
import { onLogged, onVarve, type Workload } from './workload.ts'

export interface SkippingCase {
  readonly events: number
  readonly keys: Fixture['keys']
  readonly state: 'flushed' | 'compacted'
  /** So many of the events are asked for, from the end. */
  readonly count: number
  readonly skip: boolean
}

const SIZES = [1_000_000, 3_000_000, 10_000_000]
const FRACTIONS = [0.0001, 0.001, 0.01, 0.1, 1]
/** Asked of every size, to see what the size itself costs. */
export const COMMON_COUNT = 10_000
const KEYS: readonly Fixture['keys'][] = ['sequential', 'random', 'zipfian']
const STATES: readonly SkippingCase['state'][] = ['flushed', 'compacted']

export const skippingCases: readonly SkippingCase[] = SIZES.flatMap((events) =>
  KEYS.flatMap((keys) =>
    STATES.flatMap((state) =>
      countsOf(events).flatMap((count) =>
        [true, false].map((skip) => ({ events, keys, state, count, skip })).filter(isWorthwhile),
      ),
    ),
  ),
)

/**
 * Without skipping each window reads the whole store: what is asked for adds windows and nothing else. Seen on a million up to
 * all of it; on more up to one window.
 */
function isWorthwhile({ events, count, skip }: SkippingCase): boolean {
  return skip || events === SIZES[0] || count <= events / 100
}

export const skipping: readonly Workload[] = skippingCases.map(skippingWorkload)

export function skippingName({ events, keys, state, count, skip }: SkippingCase): string {
  return `since/${events}/${keys}/${state}/${count}${skip ? '' : '/noskip'}`
}

function countsOf(events: number): number[] {
  const counts = FRACTIONS.map((fraction) => Math.round(events * fraction))
  return [...new Set([...counts, COMMON_COUNT])].toSorted((a, b) => a - b)
}

function skippingWorkload(each: SkippingCase): Workload {
  const percent = Number(((each.count / each.events) * 100).toPrecision(2))
  const what = `last ${percent} % of ${each.events / 1e6} M, ${each.keys} keys, ${each.state}`
  const fixture: Fixture = {
    keys: each.keys,
    valueBytes: VALUE_BYTES,
    events: each.events,
    changeLog: true,
    state: each.state,
  }
  return {
    name: skippingName(each),
    title: each.skip ? what : `${what}, every block read`,
    group: 'skipping',
    metric: { name: 'passMs', unit: 'ms', better: 'lower' },
    subjects: ['varve:history-all'],
    fixture,
    isHeavy: each.events > 1_000_000,
    roundsMax: each.events > 1_000_000 ? 1 : 2,
    runsOn: (engine) => (isForPeers(each, engine) ? onLogged(engine) : onVarve(engine)),
    async run(context) {
      const { count, skip } = each
      const indexOf = fixtureOrder(fixture, each.events)
      const expected = {
        from: each.events - count + 1,
        count,
        check: checkOf(new Dataset(VALUE_BYTES), (seqno: number) => indexOf(seqno - 1)),
      }
      // As if each pass were the first to ask; then what it costs to ask again.
      const store = await context.open({ changeLog: true, forgets: true })
      const metrics = await measure(changesOf(store), skip, expected)
      await store.close()
      if (!skip || context.engine.name !== 'varve') return metrics
      const remembering = await context.open({ changeLog: true })
      const again = await measure(changesOf(remembering), skip, expected)
      await remembering.close()
      return {
        ...metrics,
        againMs: again.passMs as number,
        againBytesRead: again.bytesRead as number,
      }
    },
  }
}

/**
 * A log table lies in the order of writing, whatever the keys: its cost is taken once a size, with random keys, as written.
 * SQLite takes the longest to fill and stops at 3 million.
 */
function isForPeers({ keys, state, skip, events }: SkippingCase, { name }: Engine): boolean {
  if (keys !== 'random' || state !== 'flushed' || !skip) return false
  return events <= 3_000_000 || name === 'lmdb' || name === 'classic-level'
}

const PASSES_MIN = 3
const SECONDS = 0.5
/** Whole scans of ten million take their time: no pass begins later than this. */
const SECONDS_MAX = 8

async function measure(
  changes: ChangeLog,
  skip: boolean,
  expected: ExpectedChanges,
): Promise<Metrics> {
  const rssBefore = process.memoryUsage().rss
  const stats: Metrics = {}
  const onStats = (found: Metrics): void => {
    Object.assign(stats, found)
  }
  const passes: number[] = []
  const firstEvents: number[] = []
  const begin = milliseconds()
  let elapsed = 0
  do {
    const start = milliseconds()
    let firstEvent = 0
    await readExpected(
      { read: (from, visit) => changes.read(from, visit, { skip, onStats }) },
      {
        ...expected,
        check(seqno, key, value) {
          if (firstEvent === 0) firstEvent = milliseconds()
          expected.check(seqno, key, value)
        },
      },
    )
    passes.push(milliseconds() - start)
    firstEvents.push(firstEvent - start)
    elapsed = (milliseconds() - begin) / 1000
  } while (elapsed < SECONDS || (passes.length < PASSES_MIN && elapsed < SECONDS_MAX))
  const passMs = median(afterFirst(passes))
  return {
    ...stats,
    passMs,
    firstPassMs: passes[0] as number,
    firstEventMs: median(afterFirst(firstEvents)),
    events: expected.count,
    rate: (expected.count / passMs) * 1000,
    rssGrowthBytes: process.resourceUsage().maxRSS * 1024 - rssBefore,
  }
}

/** The first pass warms up, unless it is the only one. */
function afterFirst(figures: readonly number[]): number[] {
  return figures.length > 1 ? figures.slice(1) : [...figures]
}
