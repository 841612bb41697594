/**
 * Holds a decoder against damaged bytes: it answers rightly or with a typed error, within bounds on memory and time.
 */
import fc from 'fast-check'
import { VarveError } from '../../src/base/errors.ts'
import { DAMAGE, type Damage, damaged } from './mutations.ts'

export interface FuzzTarget {
  readonly name: string
  readonly samples: readonly Buffer[]
  /**
   * Decodes and looks at all of it; throws an ordinary Error where the answer is wrong. Whatever the bytes are: where nothing
   * can be wrong (no checksum tells), that it ends is what is asked.
   */
  readonly decode: (bytes: Buffer) => unknown
  /** Other than VARVE_CORRUPTION and VARVE_UNSUPPORTED_FORMAT. */
  readonly codes?: readonly string[]
}

export interface FuzzLimits {
  readonly runs: number
  readonly seconds?: number
  readonly seed: number
}

/** What one decoding may take beyond what it was given. */
const EXTRA_BYTES_MAX = 16 * 2 ** 20
const MS_MAX = 2_000
const CODES = ['VARVE_CORRUPTION', 'VARVE_UNSUPPORTED_FORMAT']

/** Answers how many inputs were tried, and how many of them were refused. */
export async function fuzz(
  target: FuzzTarget,
  { runs, seconds, seed }: FuzzLimits,
): Promise<{ tried: number; refused: number }> {
  let tried = 0
  let refused = 0
  const property = fc.asyncProperty(DAMAGE, async (damage: Damage) => {
    tried++
    if (await isRefused(target, damaged(damage, target.samples))) refused++
  })
  for (const sample of target.samples) {
    if (await isRefused(target, sample)) throw new Error(`${target.name}: a good sample is refused`)
  }
  await fc.assert(property, {
    numRuns: runs,
    seed,
    ...(seconds === undefined
      ? {}
      : { interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }),
  })
  return { tried, refused }
}

async function isRefused({ decode, codes = CODES }: FuzzTarget, bytes: Buffer): Promise<boolean> {
  const cpuBefore = process.cpuUsage()
  const before = process.memoryUsage().arrayBuffers
  let error: unknown
  try {
    await decode(bytes)
  } catch (thrown) {
    error = thrown
  }
  const extra = process.memoryUsage().arrayBuffers - before
  const { user, system } = process.cpuUsage(cpuBefore)
  const ms = Math.round((user + system) / 1000)
  const input = `for ${bytes.toString('base64')}`
  if (extra > EXTRA_BYTES_MAX + 4 * bytes.length) throw new Error(`${extra} bytes ${input}`)
  if (ms > MS_MAX) throw new Error(`${ms} ms ${input}`)
  if (error === undefined) return false
  if (error instanceof VarveError && codes.includes(error.code)) return true
  throw new Error(`not an error of damaged bytes, ${input}`, { cause: error })
}

/** The answer to damaged bytes is wrong. */
export function mustBe(is: boolean, what: string): void {
  if (!is) throw new Error(`not as it must be: ${what}`)
}
