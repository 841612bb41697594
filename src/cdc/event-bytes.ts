/**
 * Gives events Buffers of their own: key and value, which lie side by side in memtables and windows, by one copy.
 *
 * ```
 *   source  |....| key | value |  header  | key | value |....
 *                └──────────── one span, copied at once ────┘
 *   chunk   |....| key | value |  header  | key | value |....    events are views into it
 * ```
 *
 * Where neighbours follow each other in the source (a memtable's arena), a span covers many events, the record headers between
 * them included: measured 10 ns an event instead of 60 for copying each. The events of one reader share chunks, 4 KiB at first,
 * then up to 64; what a caller keeps keeps its chunk, as with Buffer.allocUnsafe. Large entries get memory of their own.
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { allocatePooled } from '../env/pooled-memory.ts'

/** Small at first: a poll that finds a few events should not cost 64 KiB. */
const CHUNK_BYTES_FIRST = 2 ** 12
const CHUNK_BYTES_MAX = 2 ** 16
/** At most a quarter of a large chunk is lost when a span does not fit its rest. */
const SPAN_BYTES_MAX = CHUNK_BYTES_MAX / 4
/** Up to here, moving 32-bit words is faster than the native copy with the view it needs. */
const WORD_COPY_MAX = 160

/** Node's own Buffer class: its constructor makes a view in 40 ns, `subarray` takes 100. */
type OwnedBufferClass = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer
const OwnedBuffer = Reflect.get(Buffer, Symbol.species) as OwnedBufferClass

const NO_MEMORY = new ArrayBuffer(0)
const NO_WORDS = new Int32Array(NO_MEMORY)

export class EventBytes {
  #chunk: ArrayBufferLike = NO_MEMORY
  #bytes: Uint8Array = new Uint8Array(NO_MEMORY)
  #words: Int32Array = NO_WORDS
  #at = 0
  #chunkBytes = CHUNK_BYTES_FIRST
  /** Where the last span went, and how far its offsets moved. */
  #memory: ArrayBufferLike = this.#chunk
  #shift = 0
  #start = 0
  #end = 0
  #source: Uint8Array | undefined
  #sourceWords: Int32Array = NO_WORDS

  /** Begins a run of spans from one array that does not change until `detach`. */
  attach(source: Uint8Array): void {
    this.#source = source
    this.#sourceWords = new Int32Array(source.buffer, 0, source.buffer.byteLength >> 2)
    this.#start = 0
    this.#end = 0
  }

  /** Forgets the source, which would be kept alive. */
  detach(): void {
    this.#source = undefined
    this.#sourceWords = NO_WORDS
    this.#memory = this.#chunk
    this.#end = 0
  }

  /** Lets go of the chunk too; the next one is small again. */
  release(): void {
    this.detach()
    this.#chunk = NO_MEMORY
    this.#memory = NO_MEMORY
    this.#bytes = new Uint8Array(NO_MEMORY)
    this.#words = NO_WORDS
    this.#at = 0
    this.#chunkBytes = CHUNK_BYTES_FIRST
  }

  /**
   * Makes source[start, end) available to `view`, by a copy unless the last one has it. `ahead`: how far the bytes that follow
   * are likely to be asked for next.
   */
  take(start: number, end: number, ahead: number): void {
    if (start >= this.#start && end <= this.#end) return
    const length = end - start
    if (length > SPAN_BYTES_MAX) {
      this.#takeAlone(start, end)
      return
    }
    const spanEnd = ahead > end ? Math.min(ahead, start + SPAN_BYTES_MAX) : end
    this.#copy(start, Math.max(spanEnd, end))
  }

  /** Makes `memory`, which the caller may keep, available to `view`, as what stands in the source from `position` on. */
  lend(memory: ArrayBufferLike, position: number): void {
    this.#memory = memory
    this.#shift = -position
    this.#end = 0
  }

  /** source[start, end), which was taken or lent, as a Buffer of its own. */
  view(start: number, end: number): Buffer {
    if (start === end) return EMPTY_BYTES
    return new OwnedBuffer(this.#memory, start + this.#shift, end - start)
  }

  #copy(start: number, end: number): void {
    const source = this.#source!
    const length = end - start
    // The copy keeps the alignment of the source, so that whole words can be moved.
    const offset = source.byteOffset + start
    const lead = offset & 3
    const room = (lead + length + 3) & ~3
    if (this.#at + room > this.#bytes.length) this.#renew(room)
    const at = this.#at
    this.#at += room
    const first = offset >> 2
    const count = room >> 2
    const from = this.#sourceWords
    if (length <= WORD_COPY_MAX && first + count <= from.length) {
      const to = this.#words
      const target = at >> 2
      for (let i = 0; i < count; i++) to[target + i] = from[first + i]!
    } else {
      this.#bytes.set(source.subarray(start, end), at + lead)
    }
    this.#memory = this.#chunk
    this.#shift = at + lead - start
    this.#start = start
    this.#end = end
  }

  #takeAlone(start: number, end: number): void {
    const own = allocatePooled(end - start)
    own.set(this.#source!.subarray(start, end))
    this.#memory = own.buffer
    this.#shift = -start
    this.#start = start
    this.#end = end
  }

  #renew(room: number): void {
    const size = Math.max(this.#chunkBytes, room)
    this.#chunkBytes = Math.min(size * 2, CHUNK_BYTES_MAX)
    // Not cleared: every byte that a view shows was copied before.
    const chunk = allocatePooled(size)
    this.#chunk = chunk.buffer
    this.#bytes = new Uint8Array(chunk.buffer, 0, size)
    this.#words = new Int32Array(chunk.buffer, 0, size >> 2)
    this.#at = 0
  }
}
