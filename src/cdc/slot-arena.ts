/**
 * Takes in the entries of one stretch of seqnos as they are gathered, in file order, and gives them back in seqno order.
 *
 * ```
 *   by seqno   run, commit            what the indexes say, marked beforehand
 *   bytes      in buckets of neighbouring seqnos, each in pieces; an entry is
 *              | u32 place in the bucket, phase, kind, flags | u16 key bytes, u16 value bytes | key | value |
 *              (a value of 64 KiB and more: its length in a third word)
 *
 *   gather  ──>  bucket 7 | bucket 0 | bucket 7 | bucket 3 | …        whatever bucket an entry is for, it goes to its end
 *   open    ──>  slots of bucket 0: kind, key start, key end, end, run, commit
 *   lend    ──>  the same, over a copy of the bucket's pieces that its reader may keep
 * ```
 *
 * What random seqnos touch while entries come in is one word each, of a column that the processor's cache holds: a slot of six
 * words for each seqno of the window was not (measured: 250 of 930 ns an event went for waiting, for slots and for bytes in
 * file order). A bucket's slots are filled when it is handed out, and fetch its bytes on the way: 100 KB, which then are near.
 *
 * Who hands out everything gets the bucket's pieces copied as they are, front to back: 15 ns an event. Copied one by one in
 * seqno order they took 60, and as much again for waiting until their headers were there.
 */
import { assert } from '../base/assert.ts'
import { corruption } from '../base/errors.ts'
import { FLAG_BLOB, FLAG_DERIVED } from '../base/entry-kind.ts'
import { allocatePooled } from '../env/pooled-memory.ts'
import { segmentFileName } from '../env/file-names.ts'
import { GatherTarget } from '../segment/gather-target.ts'

/** Kind and flags; 0: no event here (yet); FILTERED. */
export const SLOT_KIND = 0
/** The key begins here in the arena, */
export const SLOT_START = 1
/** ends here, where the value begins, */
export const SLOT_KEY_END = 2
export const SLOT_END = 3
/** Number of the run, from 1. */
export const SLOT_RUN = 4
/** Id of the commit in the run's table. */
export const SLOT_COMMIT = 5
export const SLOT_INTS = 6
/** In SLOT_KIND: the event is there and did not pass the filter. */
export const FILTERED = -1

const BUCKETS_MAX = 256
/** Seqnos of one bucket: at least 2^8. */
const BUCKET_SHIFT_MIN = 8
/** A bucket grows by about so much, less where the limit is small; what is left of it when the window is whole is lost. */
const PIECE_BYTES = 2 ** 12
const PIECE_BYTES_MIN = 2 ** 8
/** Memory that is lent to readers: what they keep keeps its chunk. */
export const CHUNK_SHIFT = 16
export const CHUNK_BYTES: number = 2 ** CHUNK_SHIFT
/** A bucket is copied at once up to this share of the limit. */
const LENT_SHARE = 32
/** Pieces of all buckets that would be lost at worst, as a share of the limit. */
const PIECES_SHARE = 8
/** In front of each entry; the first word: */
const HEADER_BYTES = 8
const PLACE_MASK = 0xfff
const PHASE_SHIFT = 12
const KIND_SHIFT = 16
/** the value's length is in a word of its own, */
const IS_LONG = 0x40000000
const LONG_HEADER_BYTES = 12
/** the entry did not pass the filter. */
const IS_FILTERED = 0x80000000 | 0
const SHORT_VALUE_MAX = 0xffff
const KEY_BYTES_MAX = 0xffff
const NO_PIECE = -1

/** Decides about the entry of kind `kind` that is bytes[start, keyEnd, end) of the run; true: it stays. */
export type EntryJudge = (
  kind: number,
  start: number,
  keyEnd: number,
  end: number,
  run: number,
) => boolean

export class SlotArena extends GatherTarget {
  /** Slots of the bucket that was opened last, SLOT_INTS a seqno: see the SLOT_ constants. */
  slots: Int32Array = new Int32Array(0)
  /** Seqnos of that bucket; none while last < first. */
  slotsFirst = 1
  slotsLast = 0
  /**
   * Memory that nothing else is written to, for the bytes of that bucket: a position in the slots is then one in chunk
   * `position >>> CHUNK_SHIFT`. Undefined: positions are those in `bytes`.
   */
  lent: readonly ArrayBuffer[] | undefined = undefined
  /** Whether some value is a blob reference. */
  hasBlobs = false
  /** Whether some entry was left out. */
  #isSifted = false
  #first = 1
  #span = 0
  /** By seqno: the number of its run, from 1, negative once its entry is here; 0: no index names it. */
  #runs: Int32Array = new Int32Array(0)
  #commits: Int32Array = new Int32Array(0)
  #bucketShift = BUCKET_SHIFT_MIN
  readonly #pieceBytes: number
  /** Of each bucket: where it goes on, where its newest piece ends, and the number of that. */
  readonly #next: Int32Array = new Int32Array(BUCKETS_MAX)
  readonly #end: Int32Array = new Int32Array(BUCKETS_MAX)
  readonly #piece: Int32Array = new Int32Array(BUCKETS_MAX)
  /** The piece that is asked last of each bucket's chain. */
  readonly #chain: Int32Array = new Int32Array(BUCKETS_MAX)
  /** Of each piece: where it begins, where what is used of it ends, and the one before it in its bucket. */
  #pieceStart: Int32Array = new Int32Array(256)
  #pieceUsed: Int32Array = new Int32Array(256)
  #pieceBefore: Int32Array = new Int32Array(256)
  #pieces = 0
  #run = 0
  #fileNumber = 0

  constructor(options: { limitBytes: number; readBytes?: number }) {
    super(options)
    const share = Math.floor(options.limitBytes / (BUCKETS_MAX * PIECES_SHARE))
    this.#pieceBytes = Math.min(PIECE_BYTES, Math.max(PIECE_BYTES_MIN, share)) & ~3
  }

  /** Places for the seqnos from `first` on, none of them marked. */
  begin(first: number, span: number): void {
    this.reset()
    if (this.#runs.length < span) {
      this.#runs = new Int32Array(span)
      this.#commits = new Int32Array(span)
    } else {
      this.#runs.fill(0, 0, span)
    }
    this.#first = first
    this.#span = span
    let shift = BUCKET_SHIFT_MIN
    while ((span - 1) >>> shift >= BUCKETS_MAX) shift++
    assert(1 << shift <= PLACE_MASK + 1, 'places in a bucket have twelve bits')
    this.#bucketShift = shift
    this.#next.fill(0)
    this.#end.fill(0)
    this.#piece.fill(NO_PIECE)
    this.#chain.fill(NO_PIECE)
    this.#pieces = 0
    this.hasBlobs = false
    this.#isSifted = false
    this.close()
  }

  /** Forgets the bucket that was opened last. */
  close(): void {
    this.slotsFirst = 1
    this.slotsLast = 0
    this.lent = undefined
  }

  /**
   * The index of a run names these seqnos, each with its commit. Returns how many of them it marked: fewer than `count` where one
   * does not lie in what was begun, or was named before.
   */
  mark(seqnos: Float64Array, commitIds: Int32Array, count: number, run: number): number {
    const runs = this.#runs
    const commits = this.#commits
    const first = this.#first
    const span = this.#span
    for (let i = 0; i < count; i++) {
      const at = seqnos[i]! - first
      if (at < 0 || at >= span || runs[at] !== 0) return i
      runs[at] = run
      commits[at] = commitIds[i]!
    }
    return count
  }

  /** The first seqno that no index names; undefined when all are. */
  get firstUnmarked(): number | undefined {
    const at = this.#runs.subarray(0, this.#span).indexOf(0)
    return at < 0 ? undefined : this.#first + at
  }

  /** Entries that are added from here on are the events of this run, which are marked. */
  beginRun(run: number, fileNumber: number): void {
    assert(run > 0, 'runs are numbered from 1')
    this.#run = run
    this.#fileNumber = fileNumber
  }

  override add(
    keyBytes: number,
    valueBytes: number,
    kind: number,
    seqno: number,
    phase: number,
  ): number {
    const at = seqno - this.#first
    // The entry at the place the index gives must be the event the index says, and come once.
    if (
      at < 0 ||
      at >= this.#span ||
      this.#runs[at] !== this.#run ||
      keyBytes > KEY_BYTES_MAX ||
      (kind & FLAG_DERIVED) !== 0
    ) {
      throw corruption('The change index and the entries do not agree', {
        file: segmentFileName(this.#fileNumber),
        seqno,
      })
    }
    this.#runs[at] = -this.#run
    if ((kind & FLAG_BLOB) !== 0) this.hasBlobs = true
    const bucket = at >>> this.#bucketShift
    const record = this.#place(bucket, entryRoom(keyBytes, valueBytes, phase))
    const { words } = this
    const word = record >> 2
    const head =
      (at - (bucket << this.#bucketShift)) | (phase << PHASE_SHIFT) | (kind << KIND_SHIFT)
    this.count++
    if (valueBytes <= SHORT_VALUE_MAX) {
      words[word] = head
      words[word + 1] = keyBytes | (valueBytes << 16)
      return record + HEADER_BYTES + phase
    }
    words[word] = head | IS_LONG
    words[word + 1] = keyBytes
    words[word + 2] = valueBytes
    return record + LONG_HEADER_BYTES + phase
  }

  /** Makes `slots` those of the bucket with this seqno, which was begun; returns where its slot is in them. */
  open(seqno: number): number {
    if (seqno < this.slotsFirst || seqno > this.slotsLast || this.lent !== undefined) {
      this.lent = undefined
      this.#fillSlots((seqno - this.#first) >>> this.#bucketShift)
    }
    return (seqno - this.slotsFirst) * SLOT_INTS
  }

  /** The same for one who hands out what is in it: the bucket's bytes are `lent`, unless most of them would be for nothing. */
  lend(seqno: number): void {
    if (seqno >= this.slotsFirst && seqno <= this.slotsLast) return
    const bucket = (seqno - this.#first) >>> this.#bucketShift
    this.lent = this.#copyPieces(bucket)
    this.#fillSlots(bucket)
  }

  /** Asks about every entry, and leaves those out for which the answer is no. */
  sift(stays: EntryJudge): void {
    const { words } = this
    for (let bucket = 0; bucket < BUCKETS_MAX; bucket++) {
      this.#closePiece(bucket)
      const base = bucket << this.#bucketShift
      for (let piece = this.#chain[bucket]!; piece !== NO_PIECE; ) {
        const used = this.#pieceUsed[piece]! >> 2
        for (let word = this.#pieceStart[piece]! >> 2; word < used; ) {
          const head = words[word]!
          const isLong = (head & IS_LONG) !== 0
          const phase = (head >>> PHASE_SHIFT) & 3
          const keyBytes = words[word + 1]! & 0xffff
          const valueBytes = isLong ? words[word + 2]! : words[word + 1]! >>> 16
          const start = word * 4 + (isLong ? LONG_HEADER_BYTES : HEADER_BYTES) + phase
          const keyEnd = start + keyBytes
          const run = -this.#runs[base + (head & PLACE_MASK)]!
          if (!stays((head >>> KIND_SHIFT) & 0xff, start, keyEnd, keyEnd + valueBytes, run)) {
            words[word] = head | IS_FILTERED
            this.#isSifted = true
          }
          word += entryRoom(keyBytes, valueBytes, phase) >> 2
        }
        piece = this.#pieceBefore[piece]!
      }
    }
  }

  /** Copies the pieces of a bucket to chunks; undefined where that does not pay, or is too much at once. */
  #copyPieces(bucket: number): ArrayBuffer[] | undefined {
    if (this.#isSifted) return undefined
    this.#closePiece(bucket)
    // Filled in the order of the chain; a piece is never larger than a chunk, unless it is one large entry.
    const sizes: number[] = []
    let total = 0
    for (let piece = this.#chain[bucket]!; piece !== NO_PIECE; piece = this.#pieceBefore[piece]!) {
      const size = this.#pieceUsed[piece]! - this.#pieceStart[piece]!
      total += size
      if (size > CHUNK_BYTES || total > this.limitBytes / LENT_SHARE) return undefined
      const last = sizes.length - 1
      if (last >= 0 && sizes[last]! + size <= CHUNK_BYTES) sizes[last]! += size
      else sizes.push(size)
    }
    const { bytes } = this
    const chunks = sizes.map(allocatePooled)
    let chunk = 0
    let at = 0
    for (let piece = this.#chain[bucket]!; piece !== NO_PIECE; piece = this.#pieceBefore[piece]!) {
      const start = this.#pieceStart[piece]!
      const used = this.#pieceUsed[piece]!
      if (at === sizes[chunk]) {
        chunk++
        at = 0
      }
      chunks[chunk]!.set(bytes.subarray(start, used), at)
      at += used - start
    }
    return chunks.map(({ buffer }) => buffer as ArrayBuffer)
  }

  #fillSlots(bucket: number): void {
    const base = bucket << this.#bucketShift
    const count = Math.min(1 << this.#bucketShift, this.#span - base)
    if (this.slots.length < count * SLOT_INTS) this.slots = new Int32Array(count * SLOT_INTS)
    else this.slots.fill(0, 0, count * SLOT_INTS)
    this.slotsFirst = this.#first + base
    this.slotsLast = this.slotsFirst + count - 1
    if (this.lent !== undefined) {
      for (let chunk = 0; chunk < this.lent.length; chunk++) {
        const words = new Int32Array(this.lent[chunk]!)
        this.#fillFrom(words, { from: 0, to: words.length, base, shift: chunk << CHUNK_SHIFT })
      }
      return
    }
    this.#closePiece(bucket)
    for (let piece = this.#chain[bucket]!; piece !== NO_PIECE; piece = this.#pieceBefore[piece]!) {
      const from = this.#pieceStart[piece]! >> 2
      const to = this.#pieceUsed[piece]! >> 2
      this.#fillFrom(this.words, { from, to, base, shift: 0 })
    }
  }

  /** The slots of the entries in words[from, to), of a bucket whose first place is `base`. */
  #fillFrom(
    words: Int32Array,
    { from, to, base, shift }: { from: number; to: number; base: number; shift: number },
  ): void {
    const { slots } = this
    const runs = this.#runs
    const commits = this.#commits
    for (let word = from; word < to; ) {
      const head = words[word]!
      const isLong = (head & IS_LONG) !== 0
      const phase = (head >>> PHASE_SHIFT) & 3
      const keyBytes = words[word + 1]! & 0xffff
      const valueBytes = isLong ? words[word + 2]! : words[word + 1]! >>> 16
      const start = shift + word * 4 + (isLong ? LONG_HEADER_BYTES : HEADER_BYTES) + phase
      const place = head & PLACE_MASK
      const at = base + place
      const slot = place * SLOT_INTS
      slots[slot + SLOT_KIND] = head < 0 ? FILTERED : (head >>> KIND_SHIFT) & 0xff
      slots[slot + SLOT_START] = start
      slots[slot + SLOT_KEY_END] = start + keyBytes
      slots[slot + SLOT_END] = start + keyBytes + valueBytes
      slots[slot + SLOT_RUN] = -runs[at]!
      slots[slot + SLOT_COMMIT] = commits[at]!
      word += entryRoom(keyBytes, valueBytes, phase) >> 2
    }
  }

  #place(bucket: number, room: number): number {
    const next = this.#next[bucket]!
    if (next + room <= this.#end[bucket]!) {
      this.#next[bucket] = next + room
      return next
    }
    // A large entry stands alone, and the bucket's piece goes on.
    if (room > this.#pieceBytes / 4) {
      const alone = this.reserve(room)
      const piece = this.#addPiece(bucket, alone)
      this.#pieceUsed[piece] = alone + room
      return alone
    }
    // Where nothing else was added meanwhile, the piece grows, up to what one chunk takes: no rest is lost.
    const joins =
      next > 0 &&
      this.#end[bucket] === this.top &&
      this.top + this.#pieceBytes - this.#pieceStart[this.#piece[bucket]!]! <= CHUNK_BYTES
    // Where all entries are of one size, nothing is lost at the piece's end.
    const pieceBytes = room * Math.floor(this.#pieceBytes / room)
    const start = this.reserve(pieceBytes)
    const at = joins ? next : start
    if (!joins) {
      this.#closePiece(bucket)
      this.#piece[bucket] = this.#addPiece(bucket, start)
    }
    this.#next[bucket] = at + room
    this.#end[bucket] = start + pieceBytes
    return at
  }

  /** Notes how much of the bucket's newest piece is used. */
  #closePiece(bucket: number): void {
    const piece = this.#piece[bucket]!
    if (piece !== NO_PIECE) this.#pieceUsed[piece] = this.#next[bucket]!
  }

  #addPiece(bucket: number, start: number): number {
    const piece = this.#pieces++
    if (piece === this.#pieceStart.length) {
      this.#pieceStart = doubled(this.#pieceStart)
      this.#pieceUsed = doubled(this.#pieceUsed)
      this.#pieceBefore = doubled(this.#pieceBefore)
    }
    this.#pieceStart[piece] = start
    this.#pieceBefore[piece] = this.#chain[bucket]!
    this.#chain[bucket] = piece
    return piece
  }
}

/** Whole words for an entry whose key begins `phase` bytes into one. */
function entryRoom(keyBytes: number, valueBytes: number, phase: number): number {
  const header = valueBytes <= SHORT_VALUE_MAX ? HEADER_BYTES : LONG_HEADER_BYTES
  return header + ((phase + keyBytes + valueBytes + 3) & ~3)
}

function doubled(column: Int32Array): Int32Array {
  const larger = new Int32Array(column.length * 2)
  larger.set(column)
  return larger
}
