/**
 * Copies borrowed bytes into Buffers that the caller owns.
 *
 * Small results share chunks of 66 KiB: one allocation per few hundred results instead of one each. What a caller keeps
 * therefore keeps its chunk, as with Buffer.allocUnsafe; results above CHUNK_SHARE_MAX get memory of their own.
 *
 * Two things make materialising cheap (two results of 16 + 100 bytes: 137 ns against 390 ns for `set(subarray)` + `subarray`):
 *  - Buffer[Symbol.species] is Node's own FastBuffer class: its constructor makes a true Buffer in 40 ns, `subarray` takes 100.
 *  - Short bytes are copied by 32-bit words, from a word view over the whole source array that is made once per source. The
 *    copy lands on the same alignment as the source has, so that whole words can be moved; up to three bytes on either side
 *    are padding that no result shows.
 *
 * ```
 *  source   |....|..ab|cdef|gh..|....|      words that overlap [a, h]
 *  chunk    |next|..ab|cdef|gh..|next|      the result is [a, h] at the same offset inside its first word
 * ```
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { allocatePooled } from '../env/pooled-memory.ts'

/** Four values of 16 KiB fit, each with the head of its frame in a blob file. */
const CHUNK_BYTES = 66 * 1024
export const CHUNK_WORDS: number = CHUNK_BYTES / 4
/** At most a quarter of a chunk is lost when a result does not fit its rest. */
const CHUNK_SHARE_MAX = CHUNK_BYTES / 4
/** Above this, the native `set` with a view is faster than words (100 B: 20 against 45 ns; 400 B: 235 against 85 ns). */
const WORD_COPY_MAX = 160
/** Up to here a loop over bytes is cheaper than making a view. */
const LOOP_COPY_MAX = 20

const NO_WORDS = new Int32Array(0)

type BufferConstructorOf = new (memory: ArrayBuffer, offset: number, length: number) => Buffer
/** Makes a Buffer of the caller's own out of memory that nobody writes to again. */
export const OwnedBuffer: BufferConstructorOf = Reflect.get(
  Buffer,
  Symbol.species,
) as BufferConstructorOf

/** Arrays that word views are kept of: about as many as a merge has sources. */
const SOURCES_MAX = 8

/**
 * Word views over the arrays that a stream of bytes came from lately. Keep one per stream (keys, values). Keeps those arrays
 * alive.
 */
export class WordSource {
  words: Int32Array = NO_WORDS
  /** The array is lent: results are where they stand, in this memory. */
  lentMemory: ArrayBuffer | undefined = undefined
  /** Where the array begins, in bytes of `words` or `lentMemory`. */
  base = 0
  readonly #lent: WeakSet<Uint8Array> | undefined
  #current: Uint8Array | undefined = undefined
  #arrays: Uint8Array[] = []
  #views: Int32Array[] = []
  #memories: (ArrayBuffer | undefined)[] = []
  #next = 0

  /** `lent`: arrays that nobody writes to again. */
  constructor(lent?: WeakSet<Uint8Array>) {
    this.#lent = lent
  }

  /** Makes `words` and `base` those of `bytes`. */
  attach(bytes: Uint8Array): void {
    if (this.#current === bytes) return
    let i = 0
    while (i < this.#arrays.length && this.#arrays[i] !== bytes) i++
    if (i === this.#arrays.length) {
      i = this.#next
      this.#next = (i + 1) % SOURCES_MAX
      this.#arrays[i] = bytes
      const isLent = this.#lent?.has(bytes) === true
      this.#memories[i] = isLent ? (bytes.buffer as ArrayBuffer) : undefined
      this.#views[i] = isLent
        ? NO_WORDS
        : new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2)
    }
    this.#current = bytes
    this.words = this.#views[i]!
    this.lentMemory = this.#memories[i]
    this.base = bytes.byteOffset
  }
}

export class ResultPool {
  #memory: ArrayBuffer = new ArrayBuffer(0)
  #words: Int32Array = new Int32Array(0)
  #bytes: Uint8Array = new Uint8Array(0)
  /** Next free word of the chunk. */
  #at: number = CHUNK_WORDS

  /** Memory for a result of the caller's own that is yet to be written; not cleared. */
  readonly allocate = (bytes: number): Buffer => {
    if (bytes > CHUNK_SHARE_MAX) return Buffer.allocUnsafeSlow(bytes)
    const words = (bytes + 3) >> 2
    if (this.#at + words > CHUNK_WORDS) this.#renew()
    const at = this.#at << 2
    this.#at += words
    return new OwnedBuffer(this.#memory, at, bytes)
  }

  /** The current chunk: as memory, */
  get memory(): ArrayBuffer {
    return this.#memory
  }

  /** bytes, */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** and words, CHUNK_WORDS of them. */
  get words(): Int32Array {
    return this.#words
  }

  /** The first of at least `words` free words of the chunk, which is another one when this one has less. */
  room(words: number): number {
    if (this.#at + words > CHUNK_WORDS) this.#renew()
    return this.#at
  }

  /** The words before this one belong to results. */
  takeUpTo(word: number): void {
    this.#at = word
  }

  /** bytes[start, end) as a Buffer of the caller's own. Remembers nothing of `bytes`. */
  copy(bytes: Uint8Array, start: number, end: number): Buffer {
    const length = end - start
    if (length === 0) return EMPTY_BYTES
    if (length > CHUNK_SHARE_MAX) return copyAlone(bytes, start, end)
    const words = (length + 3) >> 2
    if (this.#at + words > CHUNK_WORDS) this.#renew()
    const at = this.#at << 2
    this.#at += words
    const target = this.#bytes
    if (length > LOOP_COPY_MAX) {
      target.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length), at)
    } else {
      for (let i = 0; i < length; i++) target[at + i] = bytes[start + i]!
    }
    return new OwnedBuffer(this.#memory, at, length)
  }

  /** The same for streams of results out of the same arrays; not copied where the array is lent. */
  copyFrom(source: WordSource, bytes: Uint8Array, start: number, end: number): Buffer {
    const length = end - start
    if (length === 0) return EMPTY_BYTES
    source.attach(bytes)
    const lent = source.lentMemory
    if (lent !== undefined) return new OwnedBuffer(lent, source.base + start, length)
    if (length > WORD_COPY_MAX) return this.copy(bytes, start, end)
    const from = source.words
    const first = (source.base + start) >> 2
    const count = ((source.base + end + 3) >> 2) - first
    // The last bytes of an array whose size is no multiple of four are in no word.
    if (first + count > from.length) return this.copy(bytes, start, end)
    if (this.#at + count > CHUNK_WORDS) this.#renew()
    const at = this.#at
    const to = this.#words
    for (let i = 0; i < count; i++) to[at + i] = from[first + i]!
    this.#at = at + count
    return new OwnedBuffer(this.#memory, (at << 2) + ((source.base + start) & 3), length)
  }

  #renew(): void {
    // Not cleared: every byte that a result shows is written first.
    const chunk = allocatePooled(CHUNK_BYTES)
    this.#memory = chunk.buffer as ArrayBuffer
    this.#words = new Int32Array(this.#memory)
    this.#bytes = new Uint8Array(this.#memory)
    this.#at = 0
  }
}

function copyAlone(bytes: Uint8Array, start: number, end: number): Buffer {
  const own = Buffer.allocUnsafeSlow(end - start)
  own.set(bytes.subarray(start, end), 0)
  return own
}
