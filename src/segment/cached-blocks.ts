/**
 * The blocks of one segment as lookups see them: in the block cache, or read into it.
 */
import { assert } from '../base/assert.ts'
import { type BlockCache, SLOT_BYTES_MAX } from '../block/block-cache.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import type { CacheFile } from '../block/cache-file.ts'
import { type ByteSource, readFully, readFullySync } from '../block/read-fully.ts'
import type { BlockSource } from './block-source.ts'

const NOTHING = new Uint8Array(0)
/** Larger than any slab of the cache. */
const LARGE_BYTES = 2 ** 20

export class CachedBlocks {
  /** After `enter`: the block's content begins at bytes[start]. Borrowed until the next operation on the cache. */
  bytes: Uint8Array = NOTHING
  start = 0
  /** The segment's part of the cache; undefined without a cache. */
  readonly cached: CacheFile | undefined
  readonly #file: ByteSource
  readonly #source: BlockSource
  readonly #cache: BlockCache | undefined
  readonly #loading: Map<number, Promise<void>> = new Map()
  /**
   * A block that the cache does not hold. Without a cache it is all there is of one; beside a cache, a block too large for it,
   * on its way from `load` to the lookup that waits for it.
   */
  #kept: { readonly block: number; readonly bytes: Uint8Array } | undefined
  #isClosed = false

  constructor(file: ByteSource, source: BlockSource, cache: BlockCache | undefined) {
    this.#file = file
    this.#source = source
    this.#cache = cache
    this.cached = cache?.open(source.index.count)
  }

  /** Sets `bytes` and `start` to the block; false when it would have to be read and may not be. */
  enter(block: number, mayRead: boolean): boolean {
    const { cached } = this
    const slot = cached === undefined ? -1 : cached.directory[block]!
    if (slot >= 0) {
      const cache = this.#cache!
      cache.hits++
      cache.referenced[slot] = 1
      this.bytes = cache.slabOf(slot)
      this.start = cache.offsetOf(slot)
      return true
    }
    if (this.#enterLarge(block)) {
      if (cached !== undefined) this.#cache!.hits++
      return true
    }
    if (!mayRead) return false
    this.#read(block)
    return true
  }

  /** Lets go of a block that is too large to be held on to until the next lookup. */
  leave(): void {
    if (this.bytes.length > LARGE_BYTES) this.bytes = NOTHING
  }

  /** Reads the block without blocking the thread and puts it where `enter` finds it. Those who ask at once share one read. */
  load(block: number): Promise<void> {
    let loading = this.#loading.get(block)
    if (loading === undefined) {
      loading = this.#load(block).finally(() => this.#loading.delete(block))
      this.#loading.set(block, loading)
    }
    return loading
  }

  /** Forgets what the cache holds of the segment. */
  close(): void {
    this.#isClosed = true
    this.#kept = undefined
    this.bytes = NOTHING
    if (this.cached !== undefined) this.#cache!.close(this.cached)
  }

  #enterLarge(block: number): boolean {
    const { cached } = this
    const large = cached === undefined ? undefined : this.#cache!.side(cached, block)
    if (large !== undefined) {
      this.#point(large, 0)
      return true
    }
    if (this.#kept?.block !== block) return false
    this.#point(this.#kept.bytes, 0)
    if (cached !== undefined) this.#kept = undefined
    return true
  }

  #read(block: number): void {
    const { cached } = this
    const source = this.#source
    source.index.check(block)
    const storedBytes = source.index.storedBytes(block)
    if (cached !== undefined) {
      const cache = this.#cache!
      cache.misses++
      const rawBytes = source.index.rawBytes(block)
      if (rawBytes <= SLOT_BYTES_MAX && storedBytes <= SLOT_BYTES_MAX) {
        this.#readThroughScratch(cache, cached, block, storedBytes, rawBytes)
        return
      }
    }
    const stored = Buffer.allocUnsafeSlow(storedBytes)
    readFullySync(this.#file, stored, 0, storedBytes, source.index.positions[block]!)
    const slot = this.#keep(block, stored)
    if (slot >= 0) this.#point(this.#cache!.slabOf(slot), this.#cache!.offsetOf(slot))
    else assert(this.#enterLarge(block), 'a block that was read can be entered')
  }

  #point(bytes: Uint8Array, start: number): void {
    this.bytes = bytes
    this.start = start
  }

  /**
   * Into memory that the last read has left in the processor's cache, and from there to a slot only when the block cache has
   * room or wants it. Straight into a slot costs twice as much (4 KiB: 1.8 against 1.0 us), because a slot is cold memory.
   */
  #readThroughScratch(
    cache: BlockCache,
    cached: CacheFile,
    block: number,
    storedBytes: number,
    rawBytes: number,
  ): void {
    const source = this.#source
    const { stored, storedView, unpacked } = cache.landing
    let content = stored
    readFullySync(this.#file, content, 0, storedBytes, source.index.positions[block]!)
    if (source.isPlain(block)) {
      source.checkAgain(content, storedView, 0, block)
    } else {
      source.unpack(content, 0, block, unpacked, 0)
      content = unpacked
    }
    const slot = cache.admits(rawBytes) ? cache.reserve(cached, block, rawBytes) : -1
    if (slot < 0) {
      this.#point(content, 0)
      return
    }
    const slab = cache.slabOf(slot)
    const at = cache.offsetOf(slot)
    slab.set(new Uint8Array(content.buffer, content.byteOffset, rawBytes), at)
    this.#point(slab, at)
  }

  async #load(block: number): Promise<void> {
    const { index } = this.#source
    index.check(block)
    const storedBytes = index.storedBytes(block)
    const stored = Buffer.allocUnsafeSlow(storedBytes)
    if (this.#cache !== undefined) this.#cache.misses++
    await readFully(this.#file, stored, 0, storedBytes, index.positions[block]!)
    if (!this.#isClosed) this.#keep(block, stored)
  }

  /** Checks the stored block, decompresses it and puts it where `enter` finds it: returns its slot, -1 when not in one. */
  #keep(block: number, stored: Uint8Array): number {
    const { cached } = this
    const source = this.#source
    const rawBytes = source.index.rawBytes(block)
    // Someone may have read it while this one was under way.
    const known = cached === undefined ? -1 : cached.directory[block]!
    if (known >= 0) return known
    const slot = cached === undefined ? -1 : this.#cache!.reserve(cached, block, rawBytes)
    if (slot >= 0) {
      this.#fillSlot(slot, block, stored)
      return slot
    }
    let bytes: Uint8Array
    if (source.isPlain(block)) {
      source.check(stored, 0, block)
      bytes = stored.subarray(0, stored.length - BLOCK_TRAILER_BYTES)
    } else {
      bytes = Buffer.allocUnsafeSlow(rawBytes)
      source.unpack(stored, 0, block, bytes, 0)
    }
    if (cached === undefined || !this.#cache!.putSide(cached, block, bytes)) {
      this.#kept = { block, bytes }
    }
    return -1
  }

  #fillSlot(slot: number, block: number, stored: Uint8Array): void {
    const cache = this.#cache!
    const source = this.#source
    const slab = cache.slabOf(slot)
    const at = cache.offsetOf(slot)
    try {
      if (source.isPlain(block)) {
        source.check(stored, 0, block)
        slab.set(stored.subarray(0, source.index.rawBytes(block)), at)
      } else {
        source.unpack(stored, 0, block, slab, at)
      }
    } catch (error) {
      cache.release(slot)
      throw error
    }
  }
}
