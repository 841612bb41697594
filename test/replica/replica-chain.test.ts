import { test } from 'vitest'
import { Chain } from './chain.ts'

const SEEDS = 200
const SEEDS_PER_TEST = 20
const STEPS = 45

const firsts = Array.from({ length: SEEDS / SEEDS_PER_TEST }, (_, i) => 1 + i * SEEDS_PER_TEST)

test.each(firsts)(
  'streams and states are the same down a chain of replicas: 20 seeds from %i',
  { timeout: 120_000 },
  async (first) => {
    for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
      try {
        const chain = new Chain(seed)
        await chain.open()
        await chain.play(STEPS)
        await chain.finish()
      } catch (cause) {
        throw new Error(`seed ${seed}: npx tsx test/replica/play.ts ${seed}`, { cause })
      }
    }
  },
)
