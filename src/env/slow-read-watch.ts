/**
 * Tells a disk that answers from the page cache from one that waits for a device, by timing some of the reads.
 *
 * A read counts as slow beyond 100 us + 1 us per KiB: the page cache needs 2 us for 4 KiB and gives 8 GB/s, a fast device
 * starts near 80 us, and what lies between harms nobody. One slow read may be the scheduler's doing; several of the last
 * ones are the disk's. As nothing tells when a device's data have come into the page cache, the verdict expires, and lasts
 * twice as long each time it has to be given again at once.
 */

/** While all is well only every fourth read is timed: reading the clock twice costs 80 ns. */
const FAST_SAMPLE = 4
const SLOW_BASE_MS = 0.1
const SLOW_MS_PER_BYTE: number = 0.001 / 1024
/** So many slow reads among the last sixteen that were timed. */
const SLOW_READS_MAX = 4
const VERDICT_MS_MIN = 250
const VERDICT_MS_MAX = 8_000

export class SlowReadWatch {
  readonly nowMs: () => number
  /** Bit per timed read, the newest lowest: 1 for a slow one. */
  #recent = 0
  #untilSample = FAST_SAMPLE
  #slowUntilMs = 0
  #isSlow = false
  #verdictMs = VERDICT_MS_MIN

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  get isFast(): boolean {
    if (!this.#isSlow) return true
    if (this.nowMs() < this.#slowUntilMs) return false
    this.#isSlow = false
    return true
  }

  /** Whether to time the next read. After a slow one, all of them. */
  isDue(): boolean {
    if (this.#recent !== 0) return true
    if (--this.#untilSample > 0) return false
    this.#untilSample = FAST_SAMPLE
    return true
  }

  note(bytes: number, ms: number): void {
    const isSlow = ms > SLOW_BASE_MS + bytes * SLOW_MS_PER_BYTE
    this.#recent = ((this.#recent << 1) | (isSlow ? 1 : 0)) & 0xffff
    if (!isSlow || bitCount(this.#recent) < SLOW_READS_MAX) return
    const now = this.nowMs()
    // Right after the last verdict ran out, and slow again: look less often.
    const isRepeated = this.#slowUntilMs > 0 && now - this.#slowUntilMs < VERDICT_MS_MIN
    this.#verdictMs = isRepeated ? Math.min(this.#verdictMs * 2, VERDICT_MS_MAX) : VERDICT_MS_MIN
    this.#isSlow = true
    this.#slowUntilMs = now + this.#verdictMs
    this.#recent = 0
  }
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
