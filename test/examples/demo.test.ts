import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type City, loadCities } from '../../examples/demo/cities.ts'
import { compareStores, countsAddUp } from '../../examples/demo/compare.ts'
import { DROPPED_COUNTRY, fillAtlas, plannedOperations } from '../../examples/demo/fill.ts'
import { replay } from '../../examples/demo/replay.ts'
import { type Atlas, openAtlas } from '../../examples/demo/stores.ts'

/** Enough for a country to get a page of its own, which is a value in a blob file. */
const PAGED_COUNTRY = 'ES'
const SOME = 600
const nothing = (): void => undefined

/** Cities of the country that is deleted, and of another. */
function someCities(): City[] {
  const cities = loadCities()
  const dropped = cities.filter((city) => city.country === DROPPED_COUNTRY).slice(0, SOME / 2)
  const others = cities.filter((city) => city.country === PAGED_COUNTRY).slice(0, SOME)
  return [...others, ...dropped]
}

describe('the demo', () => {
  const cities = someCities()
  let folder: string
  let source: Atlas
  let target: Atlas

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'varve-demo-test-'))
    source = await openAtlas(join(folder, 'source'))
    target = await openAtlas(join(folder, 'target'))
  })

  afterEach(async () => {
    await Promise.all([source.store.close(), target.store.close()])
    await rm(folder, { recursive: true, force: true })
  })

  test('a replay of all changes gives the same state', async () => {
    const { operations } = await fillAtlas(source, cities, nothing)
    expect(operations).toBe(plannedOperations(cities))
    expect(source.store.history().latest).toBe(operations)
    expect(await replay(source.store, target, nothing)).toBe(operations)
    const comparisons = await compareStores(source, target)
    expect(comparisons.map((each) => each.isSame)).toEqual([true, true, true])
    expect(comparisons.map((each) => each.source.entries > 0)).toEqual([true, true, true])
    expect(await countsAddUp(source)).toBe(true)
  })

  test('one changed byte in the replay is noticed', async () => {
    await fillAtlas(source, cities, nothing)
    await replay(source.store, target, nothing)
    const [key] = await target.cities.keys({ limit: 1 }).all()
    await target.cities.put(key as Buffer, 'something else')
    const comparisons = await compareStores(source, target)
    expect(comparisons.map((each) => each.isSame)).toEqual([false, true, true])
  })
})
