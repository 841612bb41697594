/** Clocks of the measured part of a workload. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Metrics } from '../harness/job.ts'
import { milliseconds } from './clock.ts'

export interface Stopwatch {
  /** Rate, seconds and CPU seconds since the start, for so many operations. */
  stop(operations: number): Metrics
}

export function startStopwatch(): Stopwatch {
  const cpu = process.cpuUsage()
  const start = milliseconds()
  return {
    stop(operations) {
      const seconds = (milliseconds() - start) / 1000
      const used = process.cpuUsage(cpu)
      const cpuSeconds = (used.user + used.system) / 1e6
      return { rate: operations / seconds, operations, seconds, cpuSeconds }
    },
  }
}

/** Durations in nanoseconds, summed up in a histogram of fixed size. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram()

  /** Records the time since `start`, a `performance.now()`. */
  since(start: number): void {
    this.#histogram.record(Math.max(1, Math.round((performance.now() - start) * 1e6)))
  }

  metrics(prefix = ''): Metrics {
    const at = (percentile: number): number => this.#histogram.percentile(percentile) / 1e6
    return { [`${prefix}p50Ms`]: at(50), [`${prefix}p99Ms`]: at(99), [`${prefix}maxMs`]: at(100) }
  }
}

const WARM_UP_SECONDS_MIN = 0.2
/** As a part of what is counted. After a tenth, V8 was still compiling for 3 to 6 % of the two seconds that followed. */
const WARM_UP_SHARE = 0.3

/**
 * Runs `step` until `seconds` have passed, looking at the clock once per `chunk` steps. Before that it runs for a while,
 * uncounted, so that the compiler and the caches are warm for every engine.
 */
export async function measureFor(
  seconds: number,
  chunk: number,
  step: () => unknown,
): Promise<Metrics> {
  await runFor(Math.max(WARM_UP_SECONDS_MIN, WARM_UP_SHARE * seconds), chunk, step)
  const stopwatch = startStopwatch()
  const steps = await runFor(seconds, chunk, step)
  return stopwatch.stop(steps)
}

async function runFor(seconds: number, chunk: number, step: () => unknown): Promise<number> {
  const end = milliseconds() + seconds * 1000
  let steps = 0
  do {
    for (let i = 0; i < chunk; i++) {
      const pending = step()
      if (pending instanceof Promise) await pending
    }
    steps += chunk
  } while (milliseconds() < end)
  return steps
}
