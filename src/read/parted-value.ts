/**
 * One attempt at the value of a key, and what it is put together from when it is not at hand in one piece: a block that must
 * be loaded first, blobs that must be read, operands that must be folded.
 */
import { FLAG_BLOB, KIND_DELETE, KIND_INSERT, KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import type { BlobLocation } from '../block/blob-reference.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { BLOCKED, FOUND } from '../segment/segment-reader.ts'
import { blobLocation, readBlobs, readBlobSync } from './blob-values.ts'
import { foldChain } from './operand-chain.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'
import type { VersionWalk } from './version-walk.ts'

/**
 * Each blocked source costs a round or two: its footer, its block. After so many rounds (blocks evicted as fast as they come)
 * a lookup reads on the calling thread.
 */
export const ATTEMPTS_MAX = 64
/** A read that folded more operands than this leaves the value in the memtable. */
const REMEMBER_ABOVE = 32

/** A value that is not at hand yet: a block must be loaded, or blobs read, before it can be put together. */
export class PartedValue {
  /** Set: nothing else is known yet. */
  blocked: Promise<void> | undefined = undefined
  key: Buffer | undefined = undefined
  /** Newest first; none: the base is the value. */
  readonly operands: (Buffer | BlobLocation)[] = []
  base: Buffer | BlobLocation | undefined = undefined
  blobBytes = 0
  /** Where to leave the value of a long chain. */
  memtable: Memtable | undefined = undefined
  ordinal = 0

  readSync(view: ReadView, keyspace: KeyspaceReadSettings): Buffer | undefined {
    if (this.operands.length === 0) return this.#readBaseSync(view)
    const read = (part: Buffer | BlobLocation): Buffer =>
      Buffer.isBuffer(part) ? part : readBlobSync(view, part)
    const base = this.#readBaseSync(view)
    return this.fold(view, keyspace, base, this.operands.map(read))
  }

  #readBaseSync(view: ReadView): Buffer | undefined {
    const { base } = this
    return base === undefined || Buffer.isBuffer(base) ? base : readBlobSync(view, base)
  }

  async read(view: ReadView, keyspace: KeyspaceReadSettings): Promise<Buffer | undefined> {
    const parts = this.base === undefined ? this.operands : [this.base, ...this.operands]
    const blobs = parts.filter((part): part is BlobLocation => !Buffer.isBuffer(part))
    const values = await readBlobs(view, blobs)
    let next = 0
    const all = parts.map((part) => (Buffer.isBuffer(part) ? part : values[next++]!))
    const base = this.base === undefined ? undefined : all.shift()
    return this.fold(view, keyspace, base, all)
  }

  /** `operands` newest first. */
  fold(
    view: ReadView,
    keyspace: KeyspaceReadSettings,
    base: Buffer | undefined,
    operands: readonly Buffer[],
  ): Buffer | undefined {
    if (operands.length === 0) return base
    const folded = foldChain(keyspace, { key: this.key!, base, operands: operands.toReversed() })
    // What an operator returns may be something of its own; the caller gets bytes that nobody else has.
    if (operands.length > REMEMBER_ABOVE && this.memtable !== undefined) {
      this.memtable.remember(this.ordinal, folded)
    }
    return view.scratch.pool.copy(folded, 0, folded.length)
  }
}

/** The value, or what is missing for it. */
export function attempt(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
  mayRead: boolean,
  memtableCover: number,
): Buffer | undefined | PartedValue {
  const { walk } = view.scratch
  const status = walk.first(view, keyspace.id, key, snapshot, mayRead, memtableCover)
  let answer: Buffer | undefined | PartedValue
  if (status === FOUND) {
    const kind = walk.kind & (KIND_MASK | FLAG_BLOB)
    if (kind === KIND_INSERT) answer = copyValue(view, walk)
    else if (kind === KIND_DELETE) answer = undefined
    else answer = collect(view, keyspace, key, walk)
  } else {
    answer = status === BLOCKED ? blockedValue(walk) : undefined
  }
  walk.end()
  return answer
}

/** From the first version, a merge operand or an insert in a blob file, on. */
function collect(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  walk: VersionWalk,
): Buffer | undefined | PartedValue {
  const value = new PartedValue()
  value.memtable = walk.memtable
  value.ordinal = walk.ordinal
  for (;;) {
    const kind = walk.kind & KIND_MASK
    if (kind === KIND_MERGE) {
      const remembered = walk.memtable?.memo(walk.ordinal)
      if (remembered !== undefined) {
        value.base = Buffer.from(remembered)
        break
      }
      value.operands.push(partOf(view, walk, value))
    } else {
      if (kind === KIND_INSERT) value.base = partOf(view, walk, value)
      break
    }
    const status = walk.next()
    if (status === BLOCKED) return blockedValue(walk)
    if (status !== FOUND) break
  }
  if (value.operands.length > 0) value.key = Buffer.from(key)
  if (value.blobBytes > 0) return value
  // An operator may read the store itself: the walk is over before it is called.
  walk.end()
  const operands = value.operands as Buffer[]
  return value.fold(view, keyspace, value.base as Buffer | undefined, operands)
}

function partOf(view: ReadView, walk: VersionWalk, value: PartedValue): Buffer | BlobLocation {
  if ((walk.kind & FLAG_BLOB) === 0) return copyValue(view, walk)
  const location = blobLocation(walk.bytes, walk.valueStart, walk.valueEnd)
  value.blobBytes += location.length + 1
  return location
}

function copyValue(view: ReadView, walk: VersionWalk): Buffer {
  return view.scratch.pool.copy(walk.bytes, walk.valueStart, walk.valueEnd)
}

function blockedValue(walk: VersionWalk): PartedValue {
  const value = new PartedValue()
  value.blocked = walk.whenLoaded()
  return value
}

/** Loads blocks until none is missing: the value, or one with blobs to read. The caller holds the view's version. */
export async function whenUnblocked(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
  missing: PartedValue,
  memtableCover: number,
): Promise<Buffer | undefined | PartedValue> {
  let value = missing
  for (let round = 0; value.blocked !== undefined; round++) {
    await value.blocked
    const mayRead = round >= ATTEMPTS_MAX
    const answer = attempt(view, keyspace, key, snapshot, mayRead, memtableCover)
    if (!(answer instanceof PartedValue)) return answer
    value = answer
  }
  return value
}
