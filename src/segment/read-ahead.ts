/**
 * The piece of its file that a segment iterator walks through.
 *
 * ```
 *   file      ... | block | block | block | block | ...
 *                 '-------- chunk --------'             read at once, in the direction of the walk; from 8 KiB doubling
 *                                                       up to `readAheadBytes`, and starting over after a seek elsewhere
 * ```
 *
 * With `lent`, chunks behind the first are lent: memory that nobody writes to again, so that values in it may be handed out
 * where they stand instead of being copied. Whoever gets such a value owns it and may change it; so a block of a lent chunk is
 * entered once, and read again when the walk comes back to it.
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { allocatePooled } from '../env/pooled-memory.ts'
import type { BlockCache } from '../block/block-cache.ts'
import type { CacheFile } from '../block/cache-file.ts'
import { SPARE_BYTES } from '../block/spare-buffers.ts'
import { type ByteSource, readFully, readFullySync } from '../block/read-fully.ts'
import type { BlockIndex } from './block-index.ts'
import type { BlockSource } from './block-source.ts'
import type { Separators } from './separators.ts'

/** What an iterator needs of an open segment. */
export interface IteratedSegment {
  readonly file: ByteSource
  readonly source: BlockSource
  /** Undefined: not in key order. */
  readonly separators: Separators | undefined
  readonly cache: BlockCache | undefined
  readonly cached: CacheFile | undefined
}

export interface ReadAheadOptions {
  /** Largest chunk read at once. Default 256 KiB, 64 KiB with `lent`. */
  readonly readAheadBytes?: number
  /** What entries take of which it is known that no more are wanted. */
  readonly wantedBytes?: number | undefined
  /** Lent chunks are entered here. They are smaller, because one value that is kept keeps its chunk. */
  readonly lent?: WeakSet<Uint8Array> | undefined
}

const READ_AHEAD_BYTES = 2 ** 18
const FIRST_READ_BYTES = 2 ** 13
const LENT_BYTES_MAX = 2 ** 16
const NO_BLOCK = -1

/** A piece of the file, and what it is to be read into. */
interface ChunkPlan {
  readonly bytes: Uint8Array
  readonly position: number
  readonly length: number
  /** The blocks, `last` included. */
  readonly first: number
  readonly last: number
  readonly isLent: boolean
}

export class ReadAhead {
  /** Stored bytes [from, to) of the file. */
  bytes: Uint8Array = EMPTY_BYTES
  from = 0
  /** The checksums of all blocks that are here were found good. */
  isSummed = false
  /** The memory of `bytes`, when this is the first chunk of a short range: they read the same blocks again and again. */
  view: DataView | undefined = undefined
  #to = 0
  readonly #isShort: boolean
  /** Of the first chunk, and of one after a seek elsewhere. */
  readonly #firstReadBytes: number
  #nextReadBytes: number
  readonly #readAheadBytes: number
  readonly #lent: WeakSet<Uint8Array> | undefined
  /** The chunk is lent, and what lies between the first and the last block that were entered in it is not ours any more. */
  #isLent = false
  #firstEntered = NO_BLOCK
  #lastEntered = NO_BLOCK
  /** The thread pool is writing to a chunk. */
  #isLoading = false
  #isClosed = false

  constructor({ readAheadBytes, wantedBytes, lent }: ReadAheadOptions) {
    this.#isShort = wantedBytes !== undefined
    this.#firstReadBytes = Math.min(wantedBytes ?? FIRST_READ_BYTES, SPARE_BYTES)
    this.#nextReadBytes = this.#firstReadBytes
    this.#lent = lent
    this.#readAheadBytes =
      readAheadBytes ?? (lent === undefined ? READ_AHEAD_BYTES : LENT_BYTES_MAX)
  }

  /** A walk goes on at this position. Elsewhere: what follows may be short. */
  aim(position: number): void {
    if (position < this.from || position > this.#to) this.#nextReadBytes = this.#firstReadBytes
  }

  /** Whether the block is here. */
  holds({ positions }: BlockIndex, block: number): boolean {
    return (
      positions[block]! >= this.from &&
      positions[block + 1]! <= this.#to &&
      (!this.#isLent || block > this.#lastEntered || block < this.#firstEntered)
    )
  }

  /** The block, which is here, becomes the current one: from now on its values may be handed out. */
  enter(block: number): void {
    if (this.#lastEntered === NO_BLOCK || block < this.#firstEntered) this.#firstEntered = block
    if (block > this.#lastEntered) this.#lastEntered = block
  }

  /** Reads the block, and those that come next. What was here is given up. */
  readSync(segment: IteratedSegment, block: number, isBackward: boolean): void {
    const plan = this.#plan(segment, block, isBackward)
    readFullySync(segment.file, plan.bytes, 0, plan.length, plan.position)
    this.#take(segment, plan)
  }

  /** The same without blocking the thread. */
  async read(segment: IteratedSegment, block: number, isBackward: boolean): Promise<void> {
    const plan = this.#plan(segment, block, isBackward)
    this.#isLoading = true
    try {
      await readFully(segment.file, plan.bytes, 0, plan.length, plan.position)
    } finally {
      this.#isLoading = false
    }
    if (!this.#isClosed) this.#take(segment, plan)
  }

  close(segment: IteratedSegment | undefined): void {
    this.#isClosed = true
    // A chunk that is being written to is left to the garbage collector.
    if (!this.#isLoading) this.#giveBack(segment)
    this.bytes = EMPTY_BYTES
    this.view = undefined
    this.#to = this.from
  }

  #plan({ source, cache }: IteratedSegment, block: number, isBackward: boolean): ChunkPlan {
    const { index } = source
    const { positions, count } = index
    index.check(block)
    const most = Math.min(this.#nextReadBytes, this.#readAheadBytes)
    let first = block
    let last = block + 1
    if (isBackward) {
      while (first > 0 && positions[last]! - positions[first - 1]! <= most) index.check(--first)
    } else {
      while (last < count && positions[last + 1]! - positions[first]! <= most) index.check(last++)
    }
    const position = positions[first]!
    const length = positions[last]! - position
    // Should the read fail, nothing is here.
    this.#to = this.from
    const isLent =
      this.#lent !== undefined &&
      this.#nextReadBytes > this.#firstReadBytes &&
      length <= LENT_BYTES_MAX &&
      source.isPlain(block)
    let bytes = this.bytes
    if (isLent) bytes = allocatePooled(length)
    else if (bytes.length < length || this.#isLent) {
      const wanted = Math.max(length, most)
      bytes = cache?.spares.take(wanted) ?? Buffer.allocUnsafeSlow(wanted)
    }
    return { bytes, position, length, first, last: last - 1, isLent }
  }

  #take(segment: IteratedSegment, plan: ChunkPlan): void {
    if (plan.isLent) {
      // What short walks read into goes to the next of them.
      this.#giveBack(segment)
      this.#lent!.add(plan.bytes)
    }
    this.#isLent = plan.isLent
    this.#firstEntered = NO_BLOCK
    this.#lastEntered = NO_BLOCK
    this.bytes = plan.bytes
    this.from = plan.position
    this.#to = plan.position + plan.length
    // All of the first chunk may never be wanted.
    const { first, last } = plan
    const isFirst = this.#nextReadBytes <= this.#firstReadBytes
    this.view =
      isFirst && this.#isShort
        ? new DataView(plan.bytes.buffer, plan.bytes.byteOffset, plan.length)
        : undefined
    this.isSummed =
      !isFirst && segment.source.areSummed(plan.bytes, 0, { first, last, wanted: last - first + 1 })
    this.#nextReadBytes = Math.min(this.#nextReadBytes * 2, this.#readAheadBytes)
  }

  #giveBack(segment: IteratedSegment | undefined): void {
    if (!this.#isLent) segment?.cache?.spares.give(this.bytes)
  }
}
