/** A store that has something of each kind of file, for tests that damage them. */
import { APART, type Fixture, fixture } from './open.ts'

/** So many segments of `keys` keys each, every `largeEvery`th value in a blob file beside it, and a log. Closed. */
export async function damageable(size: {
  readonly segments: number
  readonly keys: number
  readonly largeEvery: number
}): Promise<Fixture> {
  const made = fixture({ blobThresholdBytes: 500, blockBytes: 512 })
  const db = await made.open({}, APART)
  for (let round = 0; round < size.segments; round++) {
    for (let i = 0; i < size.keys; i++) {
      await db.put(`key${round}-${i}`, `value ${i}`.repeat(i % size.largeEvery === 0 ? 100 : 3))
    }
    await db.flush()
  }
  await db.put('last', 'in the log')
  await db.close()
  return made
}
