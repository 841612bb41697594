/**
 * Keeps a replica up to date with its source: both are open in this process, or the source is readOnly beside its writer.
 *
 * ```
 * where the replica stands ─> scan up to what is durable (holds its history) ─> tail of what becomes durable ─> ...
 *                                     └────────────── applyChanges, batch by batch, with token and epochs ──────┘
 * ```
 *
 * Only durable events are read: a replica never knows what a power cut may take back from its source.
 */
import { invalidArgument, hasCode, wrongType } from '../base/errors.ts'
import type { ChangeEvent } from '../cdc/change-event.ts'
import { isStandIn } from '../cdc/lineage.ts'
import { encodeToken, type ResumeToken } from '../cdc/resume-token.ts'
import { epochOf } from '../version/epochs.ts'
import type { StoredKeyspaceOptions } from '../version/store-state.ts'
import { DEFAULT_KEYSPACE } from './keyspace-directory.ts'
import { type Checks, checkOptions, isBoolean, isSignal } from '../base/option-check.ts'
import { closedError } from './health.ts'
import type { KeyspaceOptions } from './options.ts'
import type { Store } from './store.ts'
import { storeOf, type Varve } from './varve.ts'

/** Options of `replicate`. */
export interface ReplicateOptions {
  /** Ends it; `replicate` then resolves. (The end of the replica rejects it with VARVE_CLOSED.) */
  signal?: AbortSignal
  /** Syncs the source and stops when caught up with it. Default false. */
  stopAtLatest?: boolean
  /** After each batch, and when caught up for the first time. */
  onProgress?: (state: { latest: number; sourceLatest: number }) => void
}

const CHECKS: Checks = {
  signal: isSignal,
  stopAtLatest: isBoolean,
  onProgress: (value) =>
    typeof value === 'function' ? undefined : { message: 'must be a function', isType: true },
}

const BATCH_EVENTS = 4_096

/**
 * Keeps `replica` up to date with `source`: resumes where the replica stands, follows until `signal` aborts or the source closes,
 * or (stopAtLatest) syncs the source and stops when caught up with it; then resolves, with everything durable in the replica.
 * Creates keyspaces with their source's options.
 *
 * ```ts
 * const source = await Varve.open('./source')
 * await source.put('a', '1')
 * const replica = await Varve.open('./replica', { role: 'replica' })
 * const { latest } = await replicate(source, replica, { stopAtLatest: true })
 * console.log(latest, String(await replica.get('a'))) // 1 1
 * await replica.close()
 * await source.close()
 * ```
 *
 * Rejects with VARVE_HISTORY_TRUNCATED where the source's history starts above the replica's end (base the replica on a
 * checkpoint), VARVE_WRONG_STORE, VARVE_HISTORY_DIVERGED, VARVE_CLOSED (either is closed already), and whatever reading the one or
 * writing the other rejects with.
 */
export async function replicate(
  source: Varve,
  replica: Varve,
  options?: ReplicateOptions,
): Promise<{ latest: number }> {
  const from = storeOf(source)
  const to = storeOf(replica)
  if (from === undefined) throw wrongType('source', 'an open store', source)
  if (to === undefined) throw wrongType('replica', 'an open store', replica)
  checkOptions(options, CHECKS)
  to.ensureUsable()
  if (from.status === 'closed') throw closedError()
  if (from === to) throw invalidArgument('a store cannot be its own replica')
  if (to.role !== 'replica')
    throw invalidArgument(
      "the store to replicate to is a primary: open it with { role: 'replica' }",
    )
  return new Replication(from, to, options ?? {}).run()
}

class Replication {
  readonly #source: Store
  readonly #replica: Store
  readonly #options: ReplicateOptions
  /** The caller's, or the end of the replica: neither may have to wait for the source's next event. */
  readonly #stop: AbortSignal

  constructor(source: Store, replica: Store, options: ReplicateOptions) {
    this.#source = source
    this.#replica = replica
    this.#options = options
    const { closing } = replica.calls
    this.#stop = options.signal === undefined ? closing : AbortSignal.any([options.signal, closing])
  }

  async run(): Promise<{ latest: number }> {
    const { stopAtLatest = false } = this.#options
    const { feed } = this.#source.changes
    // As an open tail: a close of the source lets what is committed through, also to a replica that is still catching up.
    feed.opened()
    try {
      if (!this.#isAborted) {
        // A readOnly source has nothing to sync; what it sees is what there is.
        if (stopAtLatest && this.#source.isWritable) await this.#source.sync()
        await this.#asRead(() => this.#catchUp())
        this.#progressed()
        if (!stopAtLatest) await this.#follow()
      }
    } catch (error) {
      if (!this.#endsQuietly(error)) {
        // Not by the caller's signal: by the replica's end.
        throw hasCode(error, 'VARVE_ABORTED') ? closedError() : error
      }
    } finally {
      feed.ended()
    }
    await this.#replica.sync()
    return { latest: this.#replica.latestSeqno }
  }

  /** Up to what is durable at the call. The scan holds what it has still to read. */
  async #catchUp(): Promise<void> {
    const scan = this.#source.changes.scan(this.#from(), {
      visibility: 'durable',
      signal: this.#stop,
    })
    try {
      for (;;) {
        const events = await scan.nextBatch(BATCH_EVENTS)
        await this.#applyAll(events, scan.token)
        if (events.length === 0) break
        this.#progressed()
      }
    } finally {
      await scan.close()
    }
    await this.#makeKeyspaces()
  }

  async #follow(): Promise<void> {
    const tail = this.#source.changes.tail({
      from: this.#from(),
      visibility: 'durable',
      maxBatchEvents: BATCH_EVENTS,
      heartbeatMs: 0,
      signal: this.#stop,
    })
    try {
      for await (const { events, token } of tail) {
        await this.#asRead(async () => {
          await this.#applyAll(events, token)
          await this.#makeKeyspaces()
        })
        this.#progressed()
      }
    } finally {
      await tail.close()
    }
  }

  /** As the replica's own token says it: the source holds it against its own history. */
  #from(): number | ResumeToken {
    const { changes } = this.#replica
    const next = this.#replica.latestSeqno + 1
    if (isStandIn(changes)) return next
    const epoch = epochOf(changes, next - 1) ?? changes.epochs[0]!
    // Fed with epochs and no token so far, it does not know the store's id; the epoch's, which is random, says as much.
    const { storeId } = this.#source.changes.epochs.some(({ id }) => id === epoch.id)
      ? this.#source.changes
      : changes
    return encodeToken({ storeId, epochId: epoch.id, epochFirst: epoch.first, next })
  }

  /** A closing source waits for it, as for a tail that is being read. */
  async #asRead(run: () => Promise<void>): Promise<void> {
    const { feed } = this.#source.changes
    feed.readBegins()
    try {
      await run()
    } finally {
      feed.readEnds()
    }
  }

  /** Applies whole commits in pieces, each of which finds its keyspaces made as they were at the source. */
  async #applyAll(events: readonly ChangeEvent[], token: ResumeToken): Promise<void> {
    let start = 0
    for (const [index, event] of events.entries()) {
      // What comes behind may be of another keyspace of the same name.
      const isDrop = event.type === 'RangeTombstone' && event.dropsKeyspace === true
      if (!isDrop || index === events.length - 1) continue
      await this.#apply(events.slice(start, index + 1), undefined)
      start = index + 1
    }
    await this.#apply(start === 0 ? events : events.slice(start), token)
  }

  async #apply(events: readonly ChangeEvent[], token: ResumeToken | undefined): Promise<void> {
    const seen = new Set<string>()
    for (const { keyspace, seqno } of events) {
      if (seen.has(keyspace)) continue
      seen.add(keyspace)
      await this.#prepareKeyspace(keyspace, seqno)
    }
    const { epochs } = this.#source.changes
    // A source that is itself a replica and knows no source yet has no history to be named after.
    const knowsItself = !isStandIn(this.#source.changes)
    const options = {
      ...(knowsItself ? { epochs: [...epochs] } : {}),
      ...(knowsItself && token !== undefined ? { token } : {}),
      signal: this.#stop,
    }
    await this.#replica.replica.apply(events, options, true)
  }

  /** Those of the source that have no events: what is called later may name them. A source that closes need not wait for all. */
  async #makeKeyspaces(): Promise<void> {
    if (this.#source.isClosing) return
    const known = new Set(this.#replica.keyspaceNames())
    for (const name of this.#source.keyspaceNames()) {
      if (known.has(name)) continue
      if (this.#source.isClosing || this.#stop.aborted) return
      await this.#prepareKeyspace(name, this.#replica.latestSeqno + 1)
    }
  }

  /** Made with the source's options where it is new; given the source's merge operator where it has none. */
  async #prepareKeyspace(name: string, seqno: number): Promise<void> {
    const options = this.#source.keyspaceOptionsAt(name, seqno)
    if (options === undefined) return
    const known = this.#replica.keyspaceOptionsAt(name, this.#replica.latestSeqno + 1)
    if (known !== undefined) {
      if (options.mergeOperator === undefined || known.mergeOperator === options.mergeOperator)
        return
      await this.#replica.openKeyspace(name, { mergeOperator: options.mergeOperator })
      return
    }
    await this.#replica.openKeyspace(name, name === DEFAULT_KEYSPACE ? {} : givenOptions(options))
  }

  #progressed(): void {
    const { onProgress } = this.#options
    onProgress?.({
      latest: this.#replica.latestSeqno,
      sourceLatest: this.#source.latestSeqno,
    })
  }

  get #isAborted(): boolean {
    return this.#options.signal?.aborted === true
  }

  /** The signal, and the source's end: then what was applied is what there is. */
  #endsQuietly(error: unknown): boolean {
    if (hasCode(error, 'VARVE_ABORTED')) return this.#isAborted
    const { stopAtLatest = false } = this.#options
    const isEnd = hasCode(error, 'VARVE_CLOSED') && this.#source.isClosing
    return isEnd && !stopAtLatest && !this.#replica.isClosing
  }
}

function givenOptions(stored: StoredKeyspaceOptions): KeyspaceOptions {
  const { mergeOperator, blobThresholdBytes, compression, bloomBitsPerKey, blockBytes } = stored
  return {
    ...(mergeOperator === undefined ? {} : { mergeOperator }),
    blobThresholdBytes:
      blobThresholdBytes === Number.POSITIVE_INFINITY ? false : blobThresholdBytes,
    compression,
    bloomBitsPerKey,
    blockBytes,
  }
}
