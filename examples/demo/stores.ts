/** The demo's stores: three keyspaces, and sizes small enough that a few megabytes make several segments and levels. */
import { type Keyspace, type OpenOptions, Varve } from '../../src/index.ts'

const SMALL: OpenOptions = { memtableBytes: 2 << 20, segmentBytes: 512 << 10, history: 'all' }

export interface Atlas {
  readonly store: Varve
  /** `country/region/name/place` -> JSON. */
  readonly cities: Keyspace
  /** Counters: cities of a country, cities of a region. */
  readonly counts: Keyspace
  /** One long text a country, above the blob threshold. */
  readonly pages: Keyspace
}

export async function openAtlas(directory: string): Promise<Atlas> {
  const store = await Varve.open(directory, SMALL)
  return {
    store,
    cities: await store.keyspace('cities'),
    counts: await store.keyspace('counts', { mergeOperator: 'counter' }),
    pages: await store.keyspace('pages'),
  }
}

export function keyspacesOf({ cities, counts, pages }: Atlas): Keyspace[] {
  return [cities, counts, pages]
}
