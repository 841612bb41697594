/**
 * A search index in the same store, kept exactly once: every batch of the index moves the consumer's position in the same
 * atomic commit. Killed at any point, it goes on where it stood, with no word missing or counted twice.
 *
 *   npx tsx examples/search-index.ts ./articles
 */
import { pathToFileURL } from 'node:url'
import { type Keyspace, type RangeTombstone, Varve } from '../src/index.ts'

const CONSUMER = 'search-index'

function words(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/\p{Letter}+/gu) ?? [])
}

/** Brings the index up to date with the articles; returns the number of changes it took in. */
export async function updateIndex(db: Varve): Promise<number> {
  const index = await db.keyspace('index')
  const indexed = await db.keyspace('indexed')
  const consumer = await db.consumer(CONSUMER, { from: 'oldest' })
  let changes = 0
  // The index writes to the same store: only the articles' keyspace is followed, so it does not follow itself.
  const follow = consumer.batches({ keyspaces: ['default'], stopAtLatest: true })
  for await (const { events, next } of follow) {
    if (events.length === 0) continue
    const batch = db.batch()
    const seen = new Map<string, string | undefined>()
    for (const event of events) {
      changes++
      if (event.type === 'Insert') seen.set(event.key.toString(), event.value.toString())
      else if (event.type === 'PointTombstone') seen.set(event.key.toString(), undefined)
      else if (event.type === 'RangeTombstone') {
        const range = { gte: event.startKey, ...(event.endKey && { lt: event.endKey }) }
        const before = (await indexed.keys(range).all()).map(String)
        for (const article of [...before, ...seen.keys()]) {
          if (covers(event, article)) seen.set(article, undefined)
        }
      }
    }
    for (const [article, text] of seen) {
      const before = (await indexed.get(article))?.toString() ?? ''
      for (const word of words(before)) batch.delete(`${word}\0${article}`, index)
      for (const word of words(text ?? '')) batch.put(`${word}\0${article}`, '', index)
      if (text === undefined) batch.delete(article, indexed)
      else batch.put(article, text, indexed)
    }
    await db.write(batch.ack(CONSUMER, next))
  }
  return changes
}

function covers({ startKey, endKey }: RangeTombstone, key: string): boolean {
  const bytes = Buffer.from(key)
  return bytes.compare(startKey) >= 0 && (endKey === undefined || bytes.compare(endKey) < 0)
}

export async function search(index: Keyspace, word: string): Promise<string[]> {
  const keys = await index.keys({ prefix: `${word.toLowerCase()}\0` }).all()
  return keys.map((key) => key.toString().split('\0')[1]!)
}

export async function main(directory: string): Promise<Record<string, string[]>> {
  await using db = await Varve.open(directory)
  await db.put('tea', 'Tea is made of leaves and hot water')
  await db.put('coffee', 'Coffee is made of beans and hot water')
  await updateIndex(db)
  await db.put('tea', 'Iced tea is made of leaves and cold water')
  await db.delete('coffee')
  await updateIndex(db)
  const index = await db.keyspace('index')
  return {
    water: await search(index, 'water'),
    hot: await search(index, 'hot'),
    iced: await search(index, 'iced'),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await main(process.argv[2] ?? './articles'))
}
