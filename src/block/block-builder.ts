/**
 * Encodes entries as they come, straight into the output buffer: nothing is gathered first, every byte is copied once.
 * Measured: 100-byte values, 16-byte keys, twice as fast as collecting a block's entries and then encoding them.
 */
import { copyBytes, copyWords, viewOf, WORD_COPY_MAX } from '../base/bytes.ts'
import { assert } from '../base/assert.ts'
import {
  BLOCK_FOOT_BYTES,
  BLOCK_SHARED_MAX,
  BLOCK_TRAILER_BYTES,
  ENTRY_BYTES_MIN,
  ENTRY_HEADER_BYTES_MAX,
  FLAG_TAGGED,
  FLAG_WIDE,
  NARROW_OFFSET_MAX,
} from './block-format.ts'

/** Up to so many bytes, a loop is faster than words. */
const LOOP_COPY_MAX = 16

export class BlockBuilder {
  #bytes: Uint8Array
  #targetView: DataView
  /** The array that the last value came from: a memtable's arena, a chunk of a segment. */
  #source: Uint8Array
  #sourceView: DataView
  /** Where the block begins, and where its next entry goes. */
  start = 0
  at = 0
  count = 0
  readonly #tagged: boolean
  readonly #firstKey: Uint8Array = new Uint8Array(BLOCK_SHARED_MAX)
  #firstKeyBytes = 0
  #offsets: Int32Array
  #tags: Uint8Array
  #lastShared = 0
  readonly #tableBytesPerEntry: number

  constructor(bytes: Uint8Array, options: { tagged: boolean; blockBytes: number }) {
    this.#bytes = bytes
    this.#targetView = viewOf(bytes)
    this.#source = bytes
    this.#sourceView = this.#targetView
    this.#tagged = options.tagged
    const capacity = Math.ceil(options.blockBytes / ENTRY_BYTES_MIN) + 1
    this.#offsets = new Int32Array(capacity)
    this.#tags = new Uint8Array(capacity)
    this.#tableBytesPerEntry =
      (options.blockBytes > NARROW_OFFSET_MAX ? 4 : 2) + (options.tagged ? 1 : 0)
  }

  /** Where entries are written to; replaced by the owner when it needs more room. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  set bytes(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#targetView = viewOf(bytes)
  }

  /** Begins an empty block at `start`. */
  begin(start: number): void {
    this.start = start
    this.at = start
    this.count = 0
  }

  /** At most so many bytes the block takes in the file, uncompressed, when such an entry is added. */
  bytesWith(keyBytes: number, valueBytes: number): number {
    return (
      this.at -
      this.start +
      ENTRY_HEADER_BYTES_MAX +
      keyBytes +
      valueBytes +
      (this.count + 1) * this.#tableBytesPerEntry +
      BLOCK_FOOT_BYTES +
      BLOCK_TRAILER_BYTES
    )
  }

  /** Adds an entry. The caller has made room for `bytesWith` in `bytes`. */
  add(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    tag: number,
  ): void {
    const at = this.addHead(key, keyStart, keyEnd, seqno, kind, valueEnd - valueStart, tag)
    const bytes = this.#bytes
    const valueBytes = valueEnd - valueStart
    this.at = at + valueBytes
    if (valueBytes <= LOOP_COPY_MAX) {
      for (let i = 0; i < valueBytes; i++) bytes[at + i] = value[valueStart + i]!
    } else if (valueBytes <= WORD_COPY_MAX) {
      if (value !== this.#source) this.#viewSource(value)
      copyWords(this.#targetView, at, this.#sourceView, valueStart, valueBytes)
    } else {
      // Half the cost of `value.subarray`, where `value` is a Buffer: 55 against 110 ns for 100 bytes.
      bytes.set(new Uint8Array(value.buffer, value.byteOffset + valueStart, valueBytes), at)
    }
  }

  /** Adds an entry up to its value, which the caller writes at the returned position (or elsewhere: a huge one). */
  addHead(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    valueBytes: number,
    tag: number,
  ): number {
    const bytes = this.#bytes
    const firstKey = this.#firstKey
    const count = this.count
    const keyBytes = keyEnd - keyStart
    let at = this.at
    let shared = 0
    if (count === 0) {
      const kept = keyBytes < BLOCK_SHARED_MAX ? keyBytes : BLOCK_SHARED_MAX
      for (let i = 0; i < kept; i++) firstKey[i] = key[keyStart + i]!
      this.#firstKeyBytes = kept
      this.#lastShared = BLOCK_SHARED_MAX
    } else {
      const limit = keyBytes < this.#firstKeyBytes ? keyBytes : this.#firstKeyBytes
      while (shared < limit && firstKey[shared] === key[keyStart + shared]) shared++
      // Free of charge, and true of every sorted block: what is shared with the first key only shrinks.
      if (this.#tagged) assert(shared <= this.#lastShared, 'entries of a block come in key order')
      this.#lastShared = shared
      if (count === this.#offsets.length) this.#growTables()
    }
    this.#offsets[count] = at - this.start
    this.#tags[count] = tag
    this.count = count + 1
    bytes[at++] = shared
    let rest = keyBytes - shared
    while (rest > 0x7f) {
      bytes[at++] = rest | 0x80
      rest >>>= 7
    }
    bytes[at++] = rest
    rest = valueBytes
    while (rest > 0x7f) {
      bytes[at++] = rest | 0x80
      rest >>>= 7
    }
    bytes[at++] = rest
    const high = (seqno / 4294967296) | 0
    bytes[at] = kind
    bytes[at + 1] = seqno
    bytes[at + 2] = seqno >>> 8
    bytes[at + 3] = seqno >>> 16
    bytes[at + 4] = seqno >>> 24
    bytes[at + 5] = high
    bytes[at + 6] = high >>> 8
    at += 7
    if (keyBytes - shared > 48) {
      at = copyBytes(bytes, at, key, keyStart + shared, keyEnd)
    } else {
      for (let i = keyStart + shared; i < keyEnd; i++) bytes[at++] = key[i]!
    }
    this.at = at
    return at
  }

  /** Bytes of the key of the entry added last, which goes to `target` where it fits. */
  copyLastKey(target: Uint8Array): number {
    const bytes = this.#bytes
    let at = this.start + this.#offsets[this.count - 1]!
    const shared = bytes[at++]!
    let rest = 0
    let shift = 0
    let byte: number
    do {
      byte = bytes[at++]!
      rest |= (byte & 0x7f) << shift
      shift += 7
    } while (byte > 0x7f)
    while (bytes[at++]! > 0x7f);
    at += 7
    if (shared + rest > target.length) return shared + rest
    copyBytes(target, 0, this.#firstKey, 0, shared)
    return copyBytes(target, shared, bytes, at, at + rest)
  }

  /** Moves the block being built to the beginning of `bytes`. */
  moveToFront(): void {
    if (this.count > 0) this.#bytes.copyWithin(0, this.start, this.at)
    this.at = this.count > 0 ? this.at - this.start : 0
    this.start = 0
  }

  /** Bytes of the tables and the foot that `finish` will write. */
  get tableBytes(): number {
    const width = this.#offsets[this.count - 1]! > NARROW_OFFSET_MAX ? 4 : 2
    return this.count * (width + (this.#tagged ? 1 : 0)) + BLOCK_FOOT_BYTES
  }

  /** Writes the tables at `at`; returns the end of the block, before its trailer. */
  finish(): number {
    this.at = this.writeTables(this.#bytes, this.at)
    return this.at
  }

  /** Writes the tables to `target` at `position`; returns the position after them. */
  writeTables(target: Uint8Array, position: number): number {
    const count = this.count
    const offsets = this.#offsets
    let at = position
    if (this.#tagged) {
      const tags = this.#tags
      for (let i = 0; i < count; i++) target[at + i] = tags[i]!
      at += count
    }
    const wide = offsets[count - 1]! > NARROW_OFFSET_MAX
    for (let i = 0; i < count; i++) {
      const offset = offsets[i]!
      target[at] = offset
      target[at + 1] = offset >>> 8
      if (wide) {
        target[at + 2] = offset >>> 16
        target[at + 3] = offset >>> 24
        at += 4
      } else {
        at += 2
      }
    }
    target[at] = count
    target[at + 1] = count >>> 8
    target[at + 2] = count >>> 16
    target[at + 3] = (count >>> 24) | (wide ? FLAG_WIDE : 0) | (this.#tagged ? FLAG_TAGGED : 0)
    return at + BLOCK_FOOT_BYTES
  }

  #viewSource(source: Uint8Array): void {
    this.#source = source
    this.#sourceView = viewOf(source)
  }

  #growTables(): void {
    const offsets = new Int32Array(this.#offsets.length * 2)
    offsets.set(this.#offsets)
    this.#offsets = offsets
    const tags = new Uint8Array(this.#tags.length * 2)
    tags.set(this.#tags)
    this.#tags = tags
  }
}
