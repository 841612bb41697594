/**
 * A cache of parsed values that is never stale for longer than an event takes: a tail from 'now' removes what has changed.
 * It needs no durable position, because a cache starts empty with its process.
 *
 *   npx tsx examples/cache-invalidation.ts ./settings
 */
import { pathToFileURL } from 'node:url'
import { type ChangeEvent, hasCode, Varve } from '../src/index.ts'

export class ParsedCache {
  readonly #values = new Map<string, unknown>()
  readonly #db: Varve
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #seenUpTo = 0

  constructor(db: Varve) {
    this.#db = db
    // 'now' is decided by the call: nothing that is committed after this line is missed.
    this.#running = this.#follow()
  }

  /** Everything up to this seqno is reflected. */
  get seenUpTo(): number {
    return this.#seenUpTo
  }

  get(key: string): unknown {
    if (!this.#values.has(key)) {
      const value = this.#db.getSync(key)
      this.#values.set(key, value === undefined ? undefined : JSON.parse(value.toString()))
    }
    return this.#values.get(key)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(): Promise<void> {
    try {
      for await (const batch of this.#db.tail({ from: 'now', signal: this.#stop.signal })) {
        for (const event of batch.events) this.#forget(event)
        this.#seenUpTo = batch.upTo
      }
    } catch (error) {
      if (!hasCode(error, 'VARVE_ABORTED')) throw error
    }
  }

  #forget(event: ChangeEvent): void {
    if (event.type !== 'RangeTombstone') {
      this.#values.delete(event.key.toString())
      return
    }
    for (const key of this.#values.keys()) {
      const bytes = Buffer.from(key)
      const isBelowEnd = event.endKey === undefined || bytes.compare(event.endKey) < 0
      if (bytes.compare(event.startKey) >= 0 && isBelowEnd) this.#values.delete(key)
    }
  }
}

/** Waits until the cache has seen what was just written. */
async function caughtUp(cache: ParsedCache, seqno: number): Promise<void> {
  while (cache.seenUpTo < seqno) await new Promise((resolve) => setImmediate(resolve))
}

export async function main(directory: string): Promise<unknown[]> {
  await using db = await Varve.open(directory)
  await db.put('theme', '{"dark":true}')
  const cache = new ParsedCache(db)
  const seen: unknown[] = [cache.get('theme')]
  await caughtUp(cache, await db.put('theme', '{"dark":false}'))
  seen.push(cache.get('theme'))
  await caughtUp(cache, await db.deleteRange('a', 'z'))
  seen.push(cache.get('theme'))
  await cache.close()
  return seen
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await main(process.argv[2] ?? './settings'))
}
