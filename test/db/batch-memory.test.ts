import { expect, test } from 'vitest'
import { fixture } from './open.ts'

const VALUE_BYTES = 500
const ENTRIES = 20

/** Large enough that the batch has memory of its own. */
function value(batch: number, i: number): Buffer {
  return Buffer.alloc(VALUE_BYTES, batch * 31 + i)
}

test('batches that are built while others wait to be written do not share their memory', async () => {
  const { open } = fixture()
  const db = await open()
  const written: Promise<unknown>[] = []
  for (let round = 0; round < 5; round++) {
    // The memory of the round before is free again; of this round's batches only one may take it.
    const batches = [0, 1, 2].map(() => db.batch())
    for (let i = 0; i < ENTRIES; i++) {
      batches.forEach((batch, n) => batch.put(`${round}-${n}-${i}`, value(round * 3 + n, i)))
    }
    for (const batch of batches) written.push(db.write(batch))
    const late = db.batch()
    for (let i = 0; i < ENTRIES; i++) late.put(`${round}-late-${i}`, value(100 + round, i))
    await Promise.all(written)
    await db.write(late)
  }
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < ENTRIES; i++) {
      for (let n = 0; n < 3; n++) {
        expect(db.getSync(`${round}-${n}-${i}`)).toEqual(value(round * 3 + n, i))
      }
      expect(db.getSync(`${round}-late-${i}`)).toEqual(value(100 + round, i))
    }
  }
  await db.close()
})

test('a batch that was cleared and one that was refused leave written bytes alone', async () => {
  const { open } = fixture()
  const db = await open()
  const first = db.batch()
  for (let i = 0; i < ENTRIES; i++) first.put(`a-${i}`, value(1, i))
  const pending = db.write(first)
  first.clear()
  for (let i = 0; i < ENTRIES; i++) first.put(`b-${i}`, value(2, i))
  await pending
  await db.write(first)
  await expect(db.write(first)).rejects.toMatchObject({ code: 'VARVE_BATCH_USED' })
  for (let i = 0; i < ENTRIES; i++) {
    expect(db.getSync(`a-${i}`)).toEqual(value(1, i))
    expect(db.getSync(`b-${i}`)).toEqual(value(2, i))
  }
  await db.close()
})
