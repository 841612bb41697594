/**
 * The checksum of bytes under another seed, from the one that they have: for what is copied from a file to another one, whose number
 * is the seed there.
 *
 * A CRC is linear: what the seed contributes is shifted through as many bytes and does not depend on them (checksum-run.ts). So the
 * bytes need not be looked at, and bytes that do not fit their checksum do not fit the new one either.
 */
import { multiply, powerOfX } from './checksum-run.ts'

export class SeedChange {
  readonly #difference: number
  /** What the change adds to the checksum of so many bytes. */
  readonly #bySize = new Map<number, number>()

  constructor(seeds: { from: number; to: number }) {
    this.#difference = seeds.from ^ seeds.to
  }

  /** Of `bytes` bytes that have the checksum `sum` under the old seed. */
  apply(sum: number, bytes: number): number {
    let change = this.#bySize.get(bytes)
    if (change === undefined) {
      change = multiply(this.#difference, powerOfX(bytes))
      this.#bySize.set(bytes, change)
    }
    return (sum ^ change) >>> 0
  }
}
