/**
 * Walks the entries of a segment, in both directions, through a private read-ahead buffer: an iterator never fills the block
 * cache, and what it points to cannot be overwritten by others.
 *
 * A block that is in the cache is copied from there; each other one is checked once, when the walk enters it.
 *
 * The current key is put together in an array of its own: the bytes an entry shares with the block's first key are mostly in
 * place already, because neighbours share about the same number.
 */
import { assert } from '../base/assert.ts'
import { copyBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { EntryIterator } from '../base/entry-iterator.ts'
import { BLOCK_SHARED_MAX, blockCount } from '../block/block-format.ts'
import { entryOffset, firstKeyAt, firstKeyBytes, lowerBound } from '../block/block-search.ts'
import { type IteratedSegment, ReadAhead, type ReadAheadOptions } from './read-ahead.ts'

export interface SegmentIteratorOptions extends ReadAheadOptions {
  /** False: moves that need the disk end `blocked`. */
  readonly mayRead: boolean
}

const NO_BLOCK = -1

/** An iterator whose entries can be taken block by block as well. */
export interface BlockwiseIterator extends EntryIterator {
  /** Whose block the current entry stands in; only while `valid`. */
  readonly inBlock: SegmentIterator
}

/** What a move does in the block that it reaches. */
const TO_FIRST = 0
const TO_LAST = 1
/** To the first entry with key >= the sought one. */
const TO_LOWER = 2
/** To the last entry with key < the sought one. */
const TO_BEFORE = 3

export class SegmentIterator extends EntryIterator implements BlockwiseIterator {
  readonly #open: { sync(): IteratedSegment; async(): Promise<IteratedSegment> }
  #segment: IteratedSegment | undefined
  readonly #mayRead: boolean
  #isClosed = false

  /** The current block: its content is bytes[start, end). */
  #block = NO_BLOCK
  #bytes: Uint8Array = EMPTY_BYTES
  #start = 0
  #end = 0
  #count = 0
  #slot = 0
  #firstKeyAt = 0
  /** So many bytes at the front of `keyBytes` are those of the block's first key. */
  #inPlace = 0

  readonly #ahead: ReadAhead
  /** A decompressed block, or one copied from the cache. */
  #raw: Uint8Array = EMPTY_BYTES

  /** What a blocked move still has to do. */
  #pendingBlock = NO_BLOCK
  #pendingMove = TO_FIRST
  #sought: Uint8Array = EMPTY_BYTES
  #soughtBytes = 0

  /** `open` gives the segment, opened; until then nothing is read. */
  constructor(
    open: { sync(): IteratedSegment; async(): Promise<IteratedSegment> },
    opened: IteratedSegment | undefined,
    options: SegmentIteratorOptions,
  ) {
    super()
    this.#open = open
    this.#segment = opened
    this.#mayRead = options.mayRead
    this.#ahead = new ReadAhead(options)
    this.keyBytes = opened?.cache?.spares.takeKey() ?? new Uint8Array(BLOCK_SHARED_MAX + 1)
  }

  get inBlock(): this {
    return this
  }

  /** Entries of the current block from the current one on. */
  get entriesLeft(): number {
    return this.#count - this.#slot
  }

  /** Where the current entry begins in `valueBytes`. */
  get entryAt(): number {
    const slot = this.#slot
    return slot === 0 ? this.#start : this.#start + entryOffset(this.#bytes, this.#end, slot)
  }

  /** Whether the current entry is the one that the others of its block share bytes with, */
  get isFirstInBlock(): boolean {
    return this.#slot === 0
  }

  /** and where that one's key begins in `valueBytes`. */
  get firstKeyAt(): number {
    return this.#firstKeyAt
  }

  /**
   * Forward by so many entries of the block. Only what `next` needs is made to fit the entry reached, whose value ends at
   * `valueEnd`; that move is to follow.
   */
  skip(entries: number, valueEnd: number): void {
    this.#slot += entries
    this.ordinal += entries
    this.valueEnd = valueEnd
  }

  override seekToFirst(): void {
    this.#seek(TO_FIRST)
  }

  override seekToLast(): void {
    this.#seek(TO_LAST)
  }

  override seek(key: Uint8Array, start: number, end: number): void {
    this.#keepSought(key, start, end)
    this.#seek(TO_LOWER)
  }

  override seekBefore(key: Uint8Array, start: number, end: number): void {
    this.#keepSought(key, start, end)
    this.#seek(TO_BEFORE)
  }

  override next(): void {
    const slot = this.#slot + 1
    if (slot < this.#count) {
      this.#slot = slot
      this.ordinal++
      // Entries follow one another.
      this.#decode(this.valueEnd)
    } else if (this.valid) {
      this.#arrive(this.#block + 1, TO_FIRST)
    }
  }

  override prev(): void {
    const slot = this.#slot - 1
    if (slot >= 0) {
      this.#slot = slot
      this.ordinal--
      this.#decode(this.#start + entryOffset(this.#bytes, this.#end, slot))
    } else if (this.valid) {
      this.#arrive(this.#block - 1, TO_LAST)
    }
  }

  override async load(): Promise<void> {
    if (this.#isClosed || !this.blocked) return
    if (this.#segment === undefined) {
      this.#segment = await this.#open.async()
      if (this.#isClosed) return
      this.blocked = false
      this.#seek(this.#pendingMove)
      return
    }
    const block = this.#pendingBlock
    const move = this.#pendingMove
    this.#block = NO_BLOCK
    await this.#ahead.read(this.#segment, block, move === TO_LAST || move === TO_BEFORE)
    if (this.#isClosed) return
    this.blocked = false
    this.#arrive(block, move)
  }

  override close(): void {
    this.#isClosed = true
    this.valid = false
    this.blocked = false
    this.#ahead.close(this.#segment)
    this.#segment?.cache?.spares.giveKey(this.keyBytes)
    this.keyBytes = EMPTY_BYTES
    this.#segment = undefined
    this.#raw = EMPTY_BYTES
    this.#bytes = EMPTY_BYTES
    this.valueBytes = EMPTY_BYTES
    this.#count = 0
    this.#block = NO_BLOCK
  }

  #keepSought(key: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (this.#sought.length < length) this.#sought = new Uint8Array(Math.max(length * 2, 64))
    copyBytes(this.#sought, 0, key, start, end)
    this.#soughtBytes = length
  }

  #seek(move: number): void {
    this.valid = false
    this.blocked = false
    if (this.#isClosed) return
    if (this.#segment === undefined) {
      if (!this.#mayRead) {
        this.#pendingMove = move
        this.blocked = true
        return
      }
      this.#segment = this.#open.sync()
    }
    const { separators, source } = this.#segment
    const { index } = source
    if (index.count === 0) return
    let block = 0
    if (move === TO_LAST) block = index.count - 1
    else if (move !== TO_FIRST) {
      assert(separators !== undefined, 'only key order is sought in')
      block = separators.locate(this.#sought, 0, this.#soughtBytes, Number.POSITIVE_INFINITY)
    }
    this.#ahead.aim(index.positions[block]!)
    this.#arrive(block, move)
  }

  #arrive(target: number, wanted: number): void {
    this.valid = false
    const segment = this.#segment
    if (segment === undefined) return
    let block = target
    let move = wanted
    for (;;) {
      if (block < 0 || block >= segment.source.index.count) {
        // As after a seek to nowhere: neither direction goes on from here.
        this.#block = NO_BLOCK
        this.#count = 0
        this.#slot = 0
        return
      }
      if (block !== this.#block && !this.#enter(segment, block, move)) {
        this.#pendingBlock = block
        this.#pendingMove = move
        this.blocked = true
        return
      }
      let slot = 0
      if (move === TO_LAST) {
        slot = this.#count - 1
      } else if (move !== TO_FIRST) {
        slot = lowerBound(this.#bytes, this.#start, this.#end, this.#sought, 0, this.#soughtBytes)
        if (move === TO_BEFORE) slot--
      }
      if (slot < 0) {
        block--
        move = TO_LAST
        continue
      }
      if (slot === this.#count) {
        block++
        move = TO_FIRST
        continue
      }
      this.#slot = slot
      this.ordinal = segment.source.index.firstOrdinals[block]! + slot
      this.valid = true
      this.#decode(
        slot === 0 ? this.#start : this.#start + entryOffset(this.#bytes, this.#end, slot),
      )
      return
    }
  }

  /** Makes `block` the current one; false when it would have to be read and may not be. */
  #enter(segment: IteratedSegment, block: number, move: number): boolean {
    const { source, cache, cached } = segment
    const { index } = source
    const ahead = this.#ahead
    const rawBytes = index.rawBytes(block)
    const inChunk = ahead.holds(index, block)
    if (!inChunk && cache !== undefined && cached !== undefined && cached.id >= 0) {
      const slot = cached.directory[block]!
      if (slot >= 0) {
        this.#growRaw(rawBytes)
        const from = cache.offsetOf(slot)
        this.#raw.set(cache.slabOf(slot).subarray(from, from + rawBytes))
        this.#adopt(block, this.#raw, 0, rawBytes)
        return true
      }
      const large = cache.side(cached, block)
      if (large !== undefined) {
        this.#adopt(block, large, 0, rawBytes)
        return true
      }
    }
    if (!inChunk) {
      if (!this.#mayRead) return false
      // The current block's bytes are given up; should the read fail, nothing is current.
      this.#block = NO_BLOCK
      ahead.readSync(segment, block, move === TO_LAST || move === TO_BEFORE)
    }
    const at = index.positions[block]! - ahead.from
    if (source.isPlain(block)) {
      if (ahead.view !== undefined) source.checkAgain(ahead.bytes, ahead.view, at, block)
      else source.check(ahead.bytes, at, block, ahead.isSummed)
      ahead.enter(block)
      this.#adopt(block, ahead.bytes, at, rawBytes)
    } else {
      this.#growRaw(rawBytes)
      // A failure must not leave half a block behind as the current one.
      this.#block = NO_BLOCK
      source.unpack(ahead.bytes, at, block, this.#raw, 0, ahead.isSummed)
      this.#adopt(block, this.#raw, 0, rawBytes)
    }
    return true
  }

  #adopt(block: number, bytes: Uint8Array, start: number, length: number): void {
    this.#block = block
    this.#bytes = bytes
    this.valueBytes = bytes
    this.#start = start
    this.#end = start + length
    this.#count = blockCount(bytes, this.#end)
    this.#firstKeyAt = firstKeyAt(bytes, start)
    const keyBytes = firstKeyBytes(bytes, start)
    if (keyBytes > this.keyBytes.length) this.keyBytes = new Uint8Array(keyBytes * 2)
    this.#inPlace = 0
  }

  #growRaw(bytes: number): void {
    if (this.#raw.length < bytes) this.#raw = Buffer.allocUnsafeSlow(bytes)
  }

  #decode(entryAt: number): void {
    const bytes = this.#bytes
    let at = entryAt
    const shared = bytes[at++]!
    let rest = bytes[at++]!
    if (rest > 0x7f) {
      rest &= 0x7f
      let byte = bytes[at++]!
      rest |= (byte & 0x7f) << 7
      if (byte > 0x7f) {
        byte = bytes[at++]!
        rest |= byte << 14
      }
    }
    let valueBytes = bytes[at++]!
    if (valueBytes > 0x7f) {
      valueBytes &= 0x7f
      let shift = 7
      let byte = 0
      do {
        byte = bytes[at++]!
        valueBytes |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
    }
    this.kind = bytes[at]!
    this.seqno =
      ((bytes[at + 1]! |
        (bytes[at + 2]! << 8) |
        (bytes[at + 3]! << 16) |
        (bytes[at + 4]! << 24)) >>>
        0) +
      (bytes[at + 5]! | (bytes[at + 6]! << 8)) * 4294967296
    at += 7
    const keyBytes = shared + rest
    if (keyBytes > this.keyBytes.length) {
      this.keyBytes = new Uint8Array(keyBytes * 2)
      this.#inPlace = 0
    }
    const key = this.keyBytes
    const firstKey = this.#firstKeyAt
    for (let i = this.#inPlace; i < shared; i++) key[i] = bytes[firstKey + i]!
    this.#inPlace = shared
    if (rest > 64) {
      key.set(bytes.subarray(at, at + rest), shared)
    } else {
      for (let i = 0; i < rest; i++) key[shared + i] = bytes[at + i]!
    }
    at += rest
    this.keyEnd = keyBytes
    this.valueStart = at
    this.valueEnd = at + valueBytes
  }
}
