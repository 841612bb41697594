/**
 * The front of the commit pipeline: turns public calls into encoded commits, refusing what is wrong before anything is
 * written.
 */
import { assert } from '../base/assert.ts'
import { EMPTY_BYTES } from '../base/bytes.ts'
import { FLAG_DROPS_KEYSPACE, FLAG_OPEN_END, KIND_RANGE_DELETE } from '../base/entry-kind.ts'
import { VarveError, wrongType } from '../base/errors.ts'
import { type BufferLender, CommitEncoder, encodeFields } from '../batch/commit-encoder.ts'
import { AbortWatch } from '../write/abort-watch.ts'
import type { CommitPipeline } from '../write/commit-pipeline.ts'
import type { PendingCommit } from '../write/pending-commit.ts'
import { Staging } from '../write/staging.ts'
import { aborted, type BytesLike, throwIfAborted, toMeta } from './arguments.ts'
import { type Batch, type BatchAck, type ResolveKeyspace, WriteBatch } from './batch.ts'
import { type KeyspaceState, keyspaceNotFound } from './keyspace-directory.ts'
import {
  type Checks,
  checkOptions,
  isBoolean,
  isBytesLike,
  isSignal,
} from '../base/option-check.ts'

/** Options of every write. */
export interface WriteOptions {
  /** True: the promise resolves when the write is on disk (fdatasync). It is visible before. Default: the store's `sync`. */
  sync?: boolean
  /** At most 256 bytes that travel with the commit's events, through replicas too: an origin, a trace id. */
  meta?: BytesLike
  /** Counts until the commit is in the write-ahead log; after that the write resolves. */
  signal?: AbortSignal
}

/** Seqnos of a written batch. */
export interface CommitInfo {
  /** Of its first operation. */
  readonly first: number
  /** Of its last one. */
  readonly last: number
}

const WRITE_CHECKS: Checks = { sync: isBoolean, meta: isBytesLike, signal: isSignal }

/** What a commit with consumer acks has to pass and do; see cdc/consumers.ts. */
export interface AckPort {
  /** Throws to refuse the ack. `last`: seqno of the commit's last operation. */
  check(ack: BatchAck, last: number): void
  /** `last`: as for `check`; `timeMs`: of the commit. */
  apply(ack: BatchAck, last: number, timeMs: number): void
}

export interface WriterOptions {
  /** Undefined where `ensureWritable` always throws. */
  readonly pipeline: CommitPipeline | undefined
  readonly sync: boolean
  /** Throws where local writes are refused: readOnly, replica, closed, poisoned. */
  readonly ensureWritable: () => void
  readonly acks: AckPort
  readonly resolveKeyspace: ResolveKeyspace
}

/** What a commit does besides its operations. */
interface CommitEffects {
  readonly timeMs?: number | undefined
  readonly check?: ((first: number) => void) | undefined
  /** The seqno that the first operation must get; see PendingCommit. */
  readonly expectedFirst?: number | undefined
  readonly published?: ((first: number, timeMs: number) => void) | undefined
}

type EncodedCommit = Pick<PendingCommit, 'bytes' | 'start' | 'end' | 'operations' | 'userBytes'>

/** A larger buffer is not kept for the next batch. */
const SPARE_BYTES_MAX = 1024 * 1024

export class Writer implements BufferLender {
  readonly #given: CommitPipeline | undefined
  readonly #staging = new Staging()
  /** The buffer of the batch that was written last; free once nothing waits in the pipeline. */
  #spare: Buffer | undefined
  readonly #aborts = new AbortWatch(aborted)
  readonly #options: WriterOptions

  constructor(options: WriterOptions) {
    this.#given = options.pipeline
    this.#options = options
  }

  /** Throws where nothing can be written to the keyspace: closed, poisoned, readOnly, a replica, dropped. */
  ensureAccepts(keyspace: KeyspaceState): void {
    this.#options.ensureWritable()
    this.#pipeline.ensureOpen()
    if (keyspace.isDropped) throw keyspaceNotFound(keyspace.name)
  }

  /** One operation, already checked, as a commit of its own. Resolves to its seqno. */
  single(
    keyspace: KeyspaceState,
    kind: number,
    key: Uint8Array,
    value: Uint8Array,
    options: WriteOptions | undefined,
    published?: (first: number) => void,
  ): Promise<number> {
    this.ensureAccepts(keyspace)
    const staging = this.#staging
    if (options === undefined && published === undefined) {
      if (this.#pipeline.isEmpty) staging.reset()
      staging.encode(kind, keyspace.id, key, value, EMPTY_BYTES)
      return new Promise((resolve, reject) => {
        this.#pipeline.submit({
          bytes: staging.bytes,
          start: staging.start,
          end: staging.end,
          operations: 1,
          userBytes: key.length + value.length,
          sync: this.#options.sync,
          timeMs: undefined,
          check: undefined,
          expectedFirst: undefined,
          published: undefined,
          resolve,
          reject,
          aborted: undefined,
          unwatch: undefined,
        })
      })
    }
    const fields = fieldsWith(metaOf(options), [])
    if (this.#pipeline.isEmpty) staging.reset()
    staging.encode(kind, keyspace.id, key, value, fields)
    const commit = {
      bytes: staging.bytes,
      start: staging.start,
      end: staging.end,
      operations: 1,
      userBytes: key.length + value.length,
    }
    return this.#submit(commit, options, { published })
  }

  /** All operations of the batch, atomically. */
  async write(batch: Batch, options: WriteOptions | undefined): Promise<CommitInfo> {
    if (!WriteBatch.isOne(batch)) {
      throw wrongType('batch', 'a batch made by batch()', batch)
    }
    this.#options.ensureWritable()
    this.#pipeline.ensureOpen()
    // All that can be refused, before the batch is used: it may then be written with better options.
    const meta = metaOf(options)
    const { encoder, acks } = batch.take(this.#options.resolveKeyspace)
    const operations = encoder.operations
    const effects: CommitEffects =
      acks.length === 0
        ? {}
        : {
            check: (first) => {
              for (const ack of acks) this.#options.acks.check(ack, first + operations - 1)
            },
            published: (first, timeMs) => {
              const last = first + operations - 1
              for (const ack of acks) this.#options.acks.apply(ack, last, timeMs)
            },
          }
    const record = recordOf(encoder, fieldsWith(meta, acks))
    this.#keepSpare(encoder.ownMemory)
    const first = await this.#submit(record, options, effects)
    return { first, last: first + operations - 1 }
  }

  /** Drops a keyspace: one range tombstone over all of it. `published` runs when it is visible. */
  dropKeyspace(
    keyspace: KeyspaceState,
    options: WriteOptions | undefined,
    published: (seqno: number) => void,
  ): Promise<number> {
    return this.single(
      keyspace,
      KIND_RANGE_DELETE | FLAG_OPEN_END | FLAG_DROPS_KEYSPACE,
      EMPTY_BYTES,
      EMPTY_BYTES,
      options,
      published,
    )
  }

  /** An ack on its own: a record without operations. Durable when it resolves. */
  ack(ack: BatchAck, effects: CommitEffects): Promise<number> {
    this.#pipeline.ensureTakesAcks()
    const record = recordOf(new CommitEncoder(), encodeFields({ acks: [ack] }))
    return this.#submit(record, { sync: true }, effects)
  }

  /** A commit made elsewhere in the store (a replica's commits); sync as given. */
  commit(
    encoder: CommitEncoder,
    fields: Buffer,
    options: { sync: boolean; signal?: AbortSignal | undefined },
    effects: CommitEffects,
  ): Promise<number> {
    this.#pipeline.ensureOpen()
    return this.#submit(recordOf(encoder, fields), options, effects)
  }

  lend(bytes: number): Buffer | undefined {
    const spare = this.#spare
    if (spare === undefined || spare.length < bytes) return undefined
    // Who wrote it may still wait to be copied into the arena: its bytes would be another batch's.
    if (!this.#pipeline.isEmpty) return undefined
    this.#spare = undefined
    return spare
  }

  #keepSpare(memory: Buffer | undefined): void {
    if (memory === undefined || memory.length > SPARE_BYTES_MAX) return
    if (this.#spare === undefined || this.#spare.length < memory.length) this.#spare = memory
  }

  get #pipeline(): CommitPipeline {
    assert(this.#given !== undefined, 'who may write has a pipeline')
    return this.#given
  }

  #submit(
    record: EncodedCommit,
    options: { sync?: boolean | undefined; signal?: AbortSignal | undefined } | undefined,
    effects: CommitEffects,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const commit: PendingCommit = {
        // One by one, in the order of `single`: spread, they would be objects of another shape, and each write 10 us slower.
        bytes: record.bytes,
        start: record.start,
        end: record.end,
        operations: record.operations,
        userBytes: record.userBytes,
        sync: options?.sync ?? this.#options.sync,
        timeMs: effects.timeMs,
        check: effects.check,
        expectedFirst: effects.expectedFirst,
        published: effects.published,
        resolve,
        reject,
        aborted: undefined,
        unwatch: undefined,
      }
      const signal = options?.signal
      if (signal !== undefined) this.#aborts.add(commit, signal)
      this.#pipeline.submit(commit)
    })
  }
}

function recordOf(encoder: CommitEncoder, fields: Buffer): EncodedCommit {
  const { operations, userBytes } = encoder
  const bytes = encoder.finish(fields)
  return { bytes, start: 0, end: bytes.length, operations, userBytes }
}

/** The meta of checked options. */
function metaOf(options: WriteOptions | undefined): Uint8Array | undefined {
  checkOptions(options, WRITE_CHECKS)
  throwIfAborted(options?.signal)
  return options?.meta === undefined ? undefined : toMeta(options.meta)
}

function fieldsWith(meta: Uint8Array | undefined, acks: readonly BatchAck[]): Buffer {
  if (meta === undefined && acks.length === 0) return EMPTY_BYTES
  return encodeFields({ meta, acks })
}

/** For callers that refuse before they reach the writer. */
export function readOnlyError(reason: 'readOnly' | 'replica'): VarveError {
  return new VarveError(
    'VARVE_READ_ONLY',
    reason === 'readOnly'
      ? 'the store was opened readOnly'
      : 'the store is a replica: it accepts only applyChanges until it is promoted',
    { reason },
  )
}
