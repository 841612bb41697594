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
  #failure: { readonly cause: unknown } | undefined

  constructor(db: Varve) {
    this.#db = db
    // 'now' is decided by the call: nothing that is committed after this line is missed.
    this.#running = this.#follow().catch((cause: unknown) => {
      this.#failure = { cause }
    })
  }

  /** Everything up to this seqno is reflected. */
  get seenUpTo(): number {
    return this.#seenUpTo
  }

  /** Fails when the stream of changes did: what is cached may be stale then. */
  get(key: string): unknown {
    if (this.#failure !== undefined) throw new Error('the cache is out of date', this.#failure)
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
    for (;;) {
      const tail = this.#db.tail({ from: 'now', signal: this.#stop.signal })
      // What was cached before this tail began may have changed unseen.
      this.#values.clear()
      try {
        for await (const batch of tail) {
          for (const event of batch.events) this.#forget(event)
          this.#seenUpTo = batch.upTo
        }
        return
      } catch (error) {
        if (hasCode(error, 'VARVE_ABORTED')) return
        // It was too slow, and history went on without it: begin again, empty.
        if (!hasCode(error, 'VARVE_HISTORY_TRUNCATED')) throw error
      }
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
