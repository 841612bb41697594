/**
 * Writes the atlas: every city with its country's and its region's count in one atomic batch; then pages, updates, deletes
 * and one whole country deleted as a range. Flushes and compacts while it writes.
 */
import { type Batch, encodeCounter } from '../../src/index.ts'
import { citiesByCountry, type City, cityKey, countryRange, regionOf } from './cities.ts'
import type { Atlas } from './stores.ts'

const CITIES_PER_BATCH = 100
const UPDATE_EVERY = 10
const DELETE_EVERY = 25
/** Countries with fewer cities get no page: theirs would stay below the blob threshold. */
const PAGE_CITIES_MIN = 500
export const DROPPED_COUNTRY = 'IT'

const ONE: Buffer = encodeCounter(1)
const MINUS_ONE: Buffer = encodeCounter(-1)

export interface FillReport {
  readonly operations: number
  readonly pages: number
  readonly seconds: number
}

export async function fillAtlas(
  atlas: Atlas,
  cities: readonly City[],
  onProgress: (operations: number) => void,
): Promise<FillReport> {
  const start = performance.now()
  let operations = 0
  const write = async (list: readonly City[], add: (batch: Batch, city: City) => void) => {
    for (let first = 0; first < list.length; first += CITIES_PER_BATCH) {
      const batch = atlas.store.batch()
      for (const city of list.slice(first, first + CITIES_PER_BATCH)) add(batch, city)
      operations += batch.length
      await atlas.store.write(batch)
      onProgress(operations)
    }
  }
  await write(cities, (batch, city) => {
    batch.put(cityKey(city), JSON.stringify(city), atlas.cities)
    count(batch, atlas, city, ONE)
  })
  // Neither is waited for: what follows is written while they run.
  const flushing = atlas.store.flush()
  const compacting = atlas.store.compact({ keyspace: atlas.cities.name })
  const pages = await writePages(atlas, cities)
  operations += pages
  const updated = cities.filter((_, i) => i % UPDATE_EVERY === 0)
  await write(updated, (batch, city) => {
    batch.put(cityKey(city), JSON.stringify({ ...city, isUpdated: true }), atlas.cities)
  })
  const kept = cities.filter((city) => city.country !== DROPPED_COUNTRY)
  await write(
    kept.filter((_, i) => i % DELETE_EVERY === 0),
    (batch, city) => {
      batch.delete(cityKey(city), atlas.cities)
      count(batch, atlas, city, MINUS_ONE)
    },
  )
  operations += await dropCountry(atlas, cities)
  onProgress(operations)
  await Promise.all([flushing, compacting])
  await atlas.store.flush()
  return { operations, pages, seconds: (performance.now() - start) / 1000 }
}

/** What `onProgress` will have counted at the end. */
export function plannedOperations(cities: readonly City[]): number {
  const kept = cities.filter((city) => city.country !== DROPPED_COUNTRY).length
  const dropped = cities.length - kept
  const pages = pagedCountries(cities).length
  const updates = Math.ceil(cities.length / UPDATE_EVERY)
  return 3 * cities.length + pages + updates + 3 * Math.ceil(kept / DELETE_EVERY) + 1 + 2 * dropped
}

function count(batch: Batch, atlas: Atlas, city: City, by: Buffer): void {
  batch.merge(`country/${city.country}`, by, atlas.counts)
  batch.merge(`region/${regionOf(city)}`, by, atlas.counts)
}

function pagedCountries(cities: readonly City[]): [string, City[]][] {
  return [...citiesByCountry(cities)].filter(([, list]) => list.length >= PAGE_CITIES_MIN)
}

async function writePages(atlas: Atlas, cities: readonly City[]): Promise<number> {
  const paged = pagedCountries(cities)
  for (const [country, list] of paged) {
    const text = list.map((city) => `${city.name} (${city.lat}, ${city.lng})`).join('\n')
    await atlas.pages.put(country, text)
  }
  return paged.length
}

/** One range and its counters, in one atomic batch. */
async function dropCountry(atlas: Atlas, cities: readonly City[]): Promise<number> {
  const { start, end } = countryRange(DROPPED_COUNTRY)
  const batch = atlas.store.batch().deleteRange(start, end, atlas.cities)
  for (const city of cities) {
    if (city.country === DROPPED_COUNTRY) count(batch, atlas, city, MINUS_ONE)
  }
  const { length } = batch
  await atlas.store.write(batch)
  return length
}
