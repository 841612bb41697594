/**
 * Writes one segment file from entries in order. See segment-footer.ts for the file's layout.
 *
 * Entries are encoded straight into the output buffer, which goes to the file in pieces of about a megabyte:
 *
 * ```
 *   buffer   | finished blocks, not yet in the file | the block being built |  free  |
 *            0                                      builder.start           builder.at
 * ```
 *
 * A block is closed before an entry that would make it larger than `blockBytes`; so only an entry that is larger by itself
 * makes a larger block, alone. A very large value does not go through the buffer at all.
 */
import { assert, paranoid } from '../base/assert.ts'
import { copyBytes, EMPTY_BYTES, writeU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { type CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import { FLAG_DERIVED } from '../base/entry-kind.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
import { BlockBuilder } from '../block/block-builder.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import {
  BlockCompressor,
  CODEC_NONE,
  type Compression,
  COMPRESSED_BLOCK_BYTES_MAX,
} from '../block/codec.ts'
import { hashKey, KeyHash } from '../block/key-hash.ts'
import { type WritableFile, writeFully } from '../env/file-system.ts'
import { BlockIndexBuilder } from './block-index.ts'
import { BloomBuilder } from './bloom-filter.ts'
import { ChangeIndexBuilder, sealSection } from './change-index.ts'
import { CHUNK_EVENTS } from './change-chunk.ts'
import { EntryOrder } from './entry-order.ts'
import type { LogBlock } from './log-block.ts'
import { encodeFooter, layoutOf, type SegmentOrigin, type SegmentParts } from './segment-footer.ts'
import type { SegmentMeta } from './segment-meta.ts'
import { SeparatorsBuilder } from './separators.ts'
import { SegmentTally } from './segment-tally.ts'

export interface SegmentWriterOptions {
  /** File number; unique in the store. */
  readonly number: number
  readonly keyspaceId: number
  /** 'seqno': history; neither bloom filter nor separators are made. */
  readonly order: 'key' | 'seqno'
  /** Data blocks are cut near this size. */
  readonly blockBytes: number
  readonly compression: Compression
  /** 0: no bloom filter. */
  readonly bloomBitsPerKey: number
  /** See SegmentOrigin. */
  readonly origin?: SegmentOrigin | undefined
}

/** Finished blocks go to the file when there are so many bytes of them. */
const WRITE_BYTES = 2 ** 20
/**
 * What the buffer begins with, beside room for the blocks at hand: it doubles as the segment grows. A megabyte for each of many small
 * segments (small memtables, many keyspaces) has to be cleared and collected, which took longer than writing them.
 */
const BUFFER_BYTES_FIRST = 2 ** 15
/** Most keys fit. */
const KEY_BYTES_FIRST = 64
/** Values of at least this size are written past the buffer. */
const DIRECT_VALUE_BYTES = 2 ** 18

export class SegmentWriter {
  readonly #file: WritableFile
  readonly #options: SegmentWriterOptions
  readonly #seed: number
  readonly #builder: BlockBuilder
  readonly #compressor: BlockCompressor
  readonly #index: BlockIndexBuilder = new BlockIndexBuilder()
  readonly #separators: SeparatorsBuilder | undefined
  readonly #bloom: BloomBuilder | undefined
  readonly #changes: ChangeIndexBuilder
  readonly #tally: SegmentTally
  readonly #hash: KeyHash = new KeyHash()
  readonly #order: EntryOrder | undefined
  /** Position in the file of the buffer's first byte. */
  #written = 0
  #ranges: FragmentedRanges | undefined
  /** Last key of the block before, in memory that is used again: a buffer a block is a tenth of the time of a flush. */
  #lastKey: Uint8Array = new Uint8Array(KEY_BYTES_FIRST)
  #lastKeyBytes = 0
  /** Seqno of the last entry added. */
  #lastSeqno = 0
  /** What stands between the block before and the one being built: so many bytes, -1 where there is no block before. */
  #separator: Uint8Array = new Uint8Array(KEY_BYTES_FIRST)
  #separatorBytes = -1
  #continuedBelow: number | undefined
  #isFinished = false

  constructor(file: WritableFile, options: SegmentWriterOptions) {
    this.#file = file
    this.#options = options
    this.#seed = options.number % 4294967296
    const byKey = options.order === 'key'
    const buffer = new Uint8Array(BUFFER_BYTES_FIRST + 2 * options.blockBytes)
    this.#builder = new BlockBuilder(buffer, { tagged: byKey, blockBytes: options.blockBytes })
    this.#compressor = new BlockCompressor(options.compression)
    this.#separators = byKey ? new SeparatorsBuilder() : undefined
    this.#bloom = byKey ? new BloomBuilder(options.bloomBitsPerKey) : undefined
    this.#changes = new ChangeIndexBuilder({ seed: this.#seed, isInOrder: !byKey })
    this.#tally = new SegmentTally({ byKey })
    this.#order = paranoid() ? new EntryOrder(options.order) : undefined
  }

  /** Entries so far. */
  get entries(): number {
    return this.#tally.entries
  }

  /** About the size of the file if it were finished now. */
  get estimatedBytes(): number {
    const bloomBytes = this.#bloom === undefined ? 0 : this.#bloom.bytes
    const indexBytes = this.#index.bytes + (this.#separators?.bytes ?? 0)
    const pending = this.#builder.at
    return this.#written + pending + indexBytes + bloomBytes + this.#changes.count * 3 + 512
  }

  /**
   * Adds the next entry in order. `commitId` is the row of its commit in `commits`, NO_COMMIT when it is no event (derived,
   * or below the floor). The bytes are copied during the call; `commits` is read until the segment is finished.
   * Throws Node's error when the disk refuses a write.
   */
  add(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    commits: CommitTable,
    commitId: number,
  ): void {
    const builder = this.#builder
    const tally = this.#tally
    const byKey = this.#bloom !== undefined
    this.#order?.check(key, keyStart, keyEnd, seqno)
    let tag = 0
    if (this.#bloom !== undefined) {
      const hash = this.#hash
      hashKey(key, keyStart, keyEnd, hash)
      tag = hash.low & 0xff
      this.#bloom.add(hash)
    }
    const keyBytes = keyEnd - keyStart
    const valueBytes = valueEnd - valueStart
    const ordinal = tally.entries
    if (builder.count > 0 && builder.bytesWith(keyBytes, valueBytes) > this.#options.blockBytes) {
      this.#closeBlock()
    }
    if (builder.count === 0 && ordinal > 0 && byKey) this.#separate(key, keyStart, keyEnd)
    if (valueBytes >= DIRECT_VALUE_BYTES && builder.count === 0 && this.#mayGoDirect(valueBytes)) {
      this.#addDirect(key, keyStart, keyEnd, seqno, kind, value, valueStart, valueEnd, tag)
    } else {
      this.#makeRoom(builder.bytesWith(keyBytes, valueBytes))
      builder.add(key, keyStart, keyEnd, seqno, kind, value, valueStart, valueEnd, tag)
    }
    this.#lastSeqno = seqno
    if (commitId !== NO_COMMIT) {
      assert((kind & FLAG_DERIVED) === 0, 'a derived entry is no event')
      this.#changes.add(seqno, ordinal, commits, commitId)
    }
    const problem = tally.count(key, keyStart, keyEnd, seqno, kind, value, valueStart, valueEnd)
    assert(problem === undefined, problem ?? '')
  }

  /**
   * Adds the entries of `block`, all of them events, and writes them as they stand in the log: in history without compression. See
   * log-block.ts.
   */
  addLogBlock(block: LogBlock, commits: CommitTable): void {
    assert(this.#bloom === undefined, 'blocks in the form of the log are history')
    if (this.#builder.count > 0) this.#closeBlock()
    this.#flush()
    const { log, start, end, count, rawBytes, lastSeqno } = block
    assert(block.firstSeqno > this.#lastSeqno, 'entries come in order')
    this.#lastSeqno = lastSeqno
    this.#changes.addBlock(block, this.#tally.entries, commits)
    this.#tally.countLogged(block)
    const table = block.table()
    const checksumAt = table.length - 4
    const sum = checksum(table, 0, checksumAt, checksum(log, start, end, this.#seed))
    writeU32(table, checksumAt, sum)
    writeFully(this.#file, log, start, end - start)
    this.#written += end - start
    this.#append(table)
    this.#indexBlock(end - start + table.length, rawBytes, count)
  }

  /** The entry just added is superseded and only here because a snapshot sees it. */
  noteHeld(): void {
    this.#tally.heldEntries++
  }

  /** The range fragments of this segment; at most once, before `finish`. */
  addRangeFragments(ranges: FragmentedRanges): void {
    assert(this.#ranges === undefined && !this.#isFinished, 'range fragments are added once')
    this.#ranges = ranges
  }

  /** Writes the rest of the file. The caller then syncs and closes it. */
  finish(): SegmentMeta {
    const steps = this.finishInSteps()
    let step = steps.next()
    while (!step.done) step = steps.next()
    return step.value
  }

  /** The same in steps of a few milliseconds, for those who share the thread. */
  *finishInSteps(): Generator<undefined, SegmentMeta> {
    assert(!this.#isFinished, 'a segment is finished once')
    this.#isFinished = true
    if (this.#builder.count > 0) this.#closeBlock()
    this.#flush()
    const dataBytes = this.#written
    const chunks = this.#changes.chunks(dataBytes)
    let chunk = chunks.next()
    while (!chunk.done) {
      if (chunk.value !== undefined) this.#append(chunk.value)
      yield undefined
      chunk = chunks.next()
    }
    const changeBytes = this.#written - dataBytes
    const directoryBytes = this.#appendSection(chunk.value)
    const ranges = this.#ranges ?? FragmentedRanges.EMPTY
    const rangeBytes = this.#appendSection(ranges.count > 0 ? ranges.encode() : EMPTY_BYTES)
    yield undefined
    const hasFilter = this.#bloom !== undefined && this.#tally.entries > 0
    const bloomBytes = this.#appendSection(hasFilter ? yield* this.#bloom.finish() : EMPTY_BYTES)
    yield undefined
    const separatorBytes = this.#appendSection(this.#separators?.finish() ?? EMPTY_BYTES)
    const indexBytes = this.#appendSection(
      this.#index.count > 0 ? this.#index.finish() : EMPTY_BYTES,
    )
    const sections = { directoryBytes, rangeBytes, bloomBytes, separatorBytes, indexBytes }
    return this.#appendFooter(ranges, { dataBytes, changeBytes, ...sections })
  }

  #appendFooter(ranges: FragmentedRanges, parts: SegmentParts): SegmentMeta {
    const { number, keyspaceId, order, blockBytes, compression, bloomBitsPerKey } = this.#options
    if (this.#bloom !== undefined && this.#tally.entries > 0) {
      this.#tally.lastKey = Buffer.from(this.#lastKey.subarray(0, this.#lastKeyBytes))
    }
    const meta: SegmentMeta = {
      number,
      keyspaceId,
      bytes: 0,
      order,
      ...this.#tally.bounds(ranges),
      events: this.#changes.count,
      minEventSeqno: this.#changes.firstSeqno,
      maxEventSeqno: this.#changes.lastSeqno,
    }
    const about = {
      parts,
      blocks: this.#index.count,
      largestBlockBytes: this.#index.largestBlockBytes,
      changeChunks: Math.ceil(this.#changes.count / CHUNK_EVENTS),
      builtWith: `blockBytes=${blockBytes} compression=${compression} bloomBitsPerKey=${bloomBitsPerKey}`,
      origin: this.#options.origin,
    }
    const footer = encodeFooter({ meta, ...about })
    this.#append(footer)
    const layout = layoutOf(order, { ...about, bytes: footer.length })
    return { ...meta, bytes: this.#written, layout }
  }

  /** Computes what separates the entry at hand, the first of a block, from the last of the block before. */
  #separate(key: Uint8Array, keyStart: number, keyEnd: number): void {
    const last = this.#lastKey
    const lastBytes = this.#lastKeyBytes
    const limit = Math.min(lastBytes, keyEnd - keyStart)
    let shared = 0
    while (shared < limit && last[shared] === key[keyStart + shared]) shared++
    const isContinued = shared === lastBytes && shared === keyEnd - keyStart
    if (!isContinued) {
      assert(
        shared < keyEnd - keyStart &&
          (shared === lastBytes || last[shared]! < key[keyStart + shared]!),
        'keys come in order',
      )
    }
    const bytes = isContinued ? shared : shared + 1
    if (bytes > this.#separator.length) this.#separator = new Uint8Array(2 * bytes)
    copyBytes(this.#separator, 0, key, keyStart, keyStart + bytes)
    this.#separatorBytes = bytes
    this.#continuedBelow = isContinued ? this.#lastSeqno - 1 : undefined
  }

  #closeBlock(): void {
    const builder = this.#builder
    const bytes = builder.bytes
    const start = builder.start
    const entries = builder.count
    this.#keepLastKey()
    let end = builder.finish()
    const rawBytes = end - start
    const compressor = this.#compressor
    const compressedBytes = compressor.compress(bytes, start, end)
    if (compressedBytes > 0) {
      bytes.set(compressor.output.subarray(0, compressedBytes), start)
      end = start + compressedBytes
    }
    bytes[end++] = compressedBytes > 0 ? compressor.codec : CODEC_NONE
    end = writeU32(bytes, end, checksum(bytes, start, end, this.#seed))
    this.#indexBlock(end - start, rawBytes, entries)
    builder.begin(end)
    if (end >= WRITE_BYTES) this.#flush()
  }

  #indexBlock(storedBytes: number, rawBytes: number, entries: number): void {
    this.#index.add({ storedBytes, rawBytes, entries })
    this.#separators?.add(this.#separator, this.#separatorBytes, this.#continuedBelow)
    this.#separatorBytes = -1
  }

  #keepLastKey(): void {
    if (this.#bloom === undefined) return
    const builder = this.#builder
    let bytes = builder.copyLastKey(this.#lastKey)
    if (bytes > this.#lastKey.length) {
      this.#lastKey = new Uint8Array(2 * bytes)
      bytes = builder.copyLastKey(this.#lastKey)
    }
    this.#lastKeyBytes = bytes
  }

  /** Whether a block of one such value is stored as it is. */
  #mayGoDirect(valueBytes: number): boolean {
    return this.#compressor.codec === CODEC_NONE || valueBytes >= COMPRESSED_BLOCK_BYTES_MAX
  }

  /** Writes a block of one large value: what stands before it, the value from where it is, what stands behind it. */
  #addDirect(
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
    const builder = this.#builder
    this.#makeRoom(builder.bytesWith(keyEnd - keyStart, 0))
    const head = builder.addHead(key, keyStart, keyEnd, seqno, kind, valueEnd - valueStart, tag)
    this.#keepLastKey()
    const start = builder.start
    const tail = Buffer.alloc(builder.tableBytes + BLOCK_TRAILER_BYTES)
    // The codec behind the tables is CODEC_NONE, which is 0.
    const tailEnd = builder.writeTables(tail, 0) + 1
    let sum = checksum(builder.bytes, start, head, this.#seed)
    sum = checksum(value, valueStart, valueEnd, sum)
    sum = checksum(tail, 0, tailEnd, sum)
    writeU32(tail, tailEnd, sum)
    builder.begin(head)
    this.#flush()
    writeFully(this.#file, value, valueStart, valueEnd - valueStart)
    writeFully(this.#file, tail, 0, tail.length)
    this.#written += valueEnd - valueStart + tail.length
    const storedBytes = head - start + valueEnd - valueStart + tail.length
    this.#indexBlock(storedBytes, storedBytes - BLOCK_TRAILER_BYTES, 1)
  }

  /** Makes room for a block of `bytes` from where the builder stands. */
  #makeRoom(bytes: number): void {
    const builder = this.#builder
    const { length } = builder.bytes
    const wanted = builder.start + bytes
    if (wanted <= length) return
    const fullBytes = WRITE_BYTES + 2 * this.#options.blockBytes
    if (length < fullBytes && wanted <= fullBytes) {
      this.#grow(Math.min(Math.max(wanted, 2 * length), fullBytes))
      return
    }
    this.#flush()
    if (bytes > length) this.#grow(Math.max(bytes, 2 * length))
  }

  #grow(bytes: number): void {
    const builder = this.#builder
    const larger = new Uint8Array(bytes)
    larger.set(builder.bytes.subarray(0, builder.at))
    builder.bytes = larger
  }

  /** Writes the finished blocks; the one being built moves to the buffer's beginning. */
  #flush(): void {
    const builder = this.#builder
    const bytes = builder.start
    if (bytes === 0) return
    writeFully(this.#file, builder.bytes, 0, bytes)
    this.#written += bytes
    builder.moveToFront()
  }

  #append(bytes: Uint8Array): void {
    writeFully(this.#file, bytes, 0, bytes.length)
    this.#written += bytes.length
  }

  /** Appends a section with its checksum; nothing where there are no bytes. Returns what it takes in the file. */
  #appendSection(section: Uint8Array): number {
    if (section.length === 0) return 0
    const sealed = sealSection(section, this.#seed)
    this.#append(sealed)
    return sealed.length
  }
}
