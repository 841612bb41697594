/**
 * A consumer that starts below the history floor, or was cut off: it copies a snapshot first, then follows the stream from
 * the first seqno after it. Nothing is missed between the two and nothing comes twice.
 *
 *   npx tsx examples/snapshot-then-stream.ts ./source
 */
import { pathToFileURL } from 'node:url'
import { hasCode, type RangeTombstone, Varve } from '../src/index.ts'

/** What the consumer keeps: any other system, here a map and the position that belongs to it. */
export class Mirror {
  state: Map<string, string> = new Map()
  position = 0

  /** Brings the mirror up to date; starts over from a snapshot where the history it needs is gone. */
  async catchUp(db: Varve): Promise<'streamed' | 'copied'> {
    for (let how: 'streamed' | 'copied' = 'streamed'; ; how = 'copied') {
      if (this.position > 0) {
        try {
          await this.#stream(db)
          return how
        } catch (error) {
          if (!hasCode(error, 'VARVE_HISTORY_TRUNCATED')) throw error
        }
      }
      // Also when history was given up while the snapshot was copied: a consumer, made before it, would have held it.
      await this.#copy(db)
    }
  }

  async #copy(db: Varve): Promise<void> {
    using snapshot = db.snapshot()
    this.state = new Map()
    for await (const [key, value] of db.entries({ snapshot })) {
      this.state.set(key.toString(), value.toString())
    }
    this.position = snapshot.seqno + 1
  }

  async #stream(db: Varve): Promise<void> {
    await using scan = db.scanSinceSeqno(this.position, { keyspaces: ['default'] })
    for await (const event of scan) {
      if (event.type === 'Insert') this.state.set(event.key.toString(), event.value.toString())
      else if (event.type === 'PointTombstone') this.state.delete(event.key.toString())
      else if (event.type === 'RangeTombstone') this.#deleteRange(event)
      else throw new Error('this mirror knows no merge operator')
    }
    this.position = scan.position
  }

  #deleteRange({ startKey, endKey }: RangeTombstone): void {
    for (const key of this.state.keys()) {
      const bytes = Buffer.from(key)
      if (bytes.compare(startKey) < 0) continue
      if (endKey === undefined || bytes.compare(endKey) < 0) this.state.delete(key)
    }
  }
}

export async function main(directory: string): Promise<{ how: string[]; state: string[] }> {
  await using db = await Varve.open(directory, { history: 'all' })
  const mirror = new Mirror()
  const how: string[] = []
  for (let i = 0; i < 100; i++) await db.put(`key${i % 10}`, `value${i}`)
  how.push(await mirror.catchUp(db))
  await db.put('key3', 'changed')
  how.push(await mirror.catchUp(db))
  await db.delete('key4')
  await db.truncateHistory(db.history().latest + 1)
  how.push(await mirror.catchUp(db))
  return { how, state: [...mirror.state].map(([key, value]) => `${key}=${value}`) }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await main(process.argv[2] ?? './source'))
}
