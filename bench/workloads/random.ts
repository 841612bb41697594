/** Seeded random numbers: every run of a workload does the same, on every engine. */

export interface Random {
  /** 32 random bits, unsigned. */
  next(): number
  /** In [0, bound). */
  below(bound: number): number
  /** In [0, 1). */
  fraction(): number
}

/** Marsaglia's xorshift with 32 bits of state; its low bits are as good as its high ones. */
export function createRandom(seed: number): Random {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) | 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  return {
    next,
    below: (bound) => Math.floor((next() / 0x1_0000_0000) * bound),
    fraction: () => next() / 0x1_0000_0000,
  }
}

/** The numbers below `count` in random order. */
export function shuffled(count: number, seed: number): Uint32Array {
  const random = createRandom(seed)
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const kept = order[i] as number
    order[i] = order[j] as number
    order[j] = kept
  }
  return order
}

/** YCSB's constant. */
const THETA = 0.99

/**
 * Zipfian numbers below `count`: few are drawn very often. Gray et al., "Quickly generating billion-record synthetic
 * databases" (1994), as in YCSB; ranks are scattered so that hot keys are not neighbours.
 */
export function zipfian(count: number, seed: number): () => number {
  const random = createRandom(seed)
  const order = shuffled(count, seed + 1)
  let zeta = 0
  for (let i = 1; i <= count; i++) zeta += 1 / i ** THETA
  const zetaTwo = 1 + 0.5 ** THETA
  const alpha = 1 / (1 - THETA)
  const eta = (1 - (2 / count) ** (1 - THETA)) / (1 - zetaTwo / zeta)
  const rank = (): number => {
    const u = random.fraction()
    const uz = u * zeta
    if (uz < 1) return 0
    if (uz < zetaTwo) return 1
    return Math.min(count - 1, Math.floor(count * (eta * u - eta + 1) ** alpha))
  }
  return () => order[rank()] as number
}
