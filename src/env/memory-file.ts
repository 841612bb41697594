/**
 * One file of the file system in memory: what a reader sees, and what a disk would still have after a power cut.
 *
 * Bytes stand in chunks of 64 KiB that copies share. A chunk is only ever written behind every size that somebody has seen,
 * so sharing needs no bookkeeping: whoever must write *inside* such a size (a cut file, bit rot) copies that chunk first.
 * That makes a sync and a crash cost no copy of the content.
 *
 * ```
 * current  |======= same as on disk =======|~~~~ unsynced ~~~~|
 *          0                          stableBytes          size
 * ```
 */
import { systemError } from './system-error.ts'

const CHUNK_SHIFT = 16
const CHUNK_BYTES: number = 1 << CHUNK_SHIFT
const CHUNK_MASK: number = CHUNK_BYTES - 1
/** Files of tests are mostly tiny; the first chunk starts here and doubles. */
const FIRST_CHUNK_BYTES = 512
const SECTOR_BYTES = 512
const ZEROS = new Uint8Array(SECTOR_BYTES)

/** Bytes that grow at the end; `fork` shares them with a copy. */
export class FileBytes {
  size = 0
  #chunks: Uint8Array[] = []
  /** The last chunk belongs to another copy too, which may append to it. */
  #isTailShared = false

  append(source: Uint8Array, offset: number, length: number): void {
    let done = 0
    while (done < length) {
      const at = this.size & CHUNK_MASK
      const chunk = this.#tail(at, length - done)
      const taken = Math.min(length - done, chunk.length - at)
      const from = offset + done
      chunk.set(
        from === 0 && taken === source.length ? source : source.subarray(from, from + taken),
        at,
      )
      this.size += taken
      done += taken
    }
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    const end = Math.min(position + length, this.size)
    let at = position
    while (at < end) {
      const chunk = this.#chunks[at >>> CHUNK_SHIFT]!
      const start = at & CHUNK_MASK
      const taken = Math.min(end - at, CHUNK_BYTES - start)
      target.set(chunk.subarray(start, start + taken), offset + at - position)
      at += taken
    }
    return at > position ? at - position : 0
  }

  /** A copy of the first `size` bytes; later changes on either side are not seen by the other. */
  fork(size: number): FileBytes {
    const copy = new FileBytes()
    copy.#chunks = this.#chunks.slice(0, (size + CHUNK_MASK) >>> CHUNK_SHIFT)
    copy.size = size
    copy.#isTailShared = true
    return copy
  }

  /** Cuts to `size`. Bytes behind it may be shared, so what follows is written to a copy of the chunk. */
  cut(size: number): void {
    this.size = size
    this.#chunks.length = (size + CHUNK_MASK) >>> CHUNK_SHIFT
    this.#isTailShared = true
  }

  /** Writes over bytes that are there; what would lie behind the end is left out. */
  overwrite(position: number, bytes: Uint8Array): void {
    const end = Math.min(position + bytes.length, this.size)
    let at = position
    while (at < end) {
      const index = at >>> CHUNK_SHIFT
      const start = at & CHUNK_MASK
      const taken = Math.min(end - at, CHUNK_BYTES - start)
      const chunk = this.#chunks[index]!.slice()
      chunk.set(bytes.subarray(at - position, at - position + taken), start)
      this.#chunks[index] = chunk
      at += taken
    }
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.size)
    this.read(bytes, 0, this.size, 0)
    return bytes
  }

  /** The chunk to append to at `at`, with room for one byte at least. */
  #tail(at: number, wanted: number): Uint8Array {
    const index = this.size >>> CHUNK_SHIFT
    const chunk = this.#chunks[index]
    if (chunk === undefined) {
      const bytes = index === 0 ? firstChunkBytes(wanted) : CHUNK_BYTES
      this.#isTailShared = false
      return (this.#chunks[index] = new Uint8Array(bytes))
    }
    if (at < chunk.length && !this.#isTailShared) return chunk
    const grown = new Uint8Array(index === 0 ? firstChunkBytes(at + wanted) : CHUNK_BYTES)
    grown.set(chunk.subarray(0, at))
    this.#isTailShared = false
    return (this.#chunks[index] = grown)
  }
}

function firstChunkBytes(wanted: number): number {
  let bytes = FIRST_CHUNK_BYTES
  while (bytes < wanted && bytes < CHUNK_BYTES) bytes *= 2
  return bytes
}

/** A sync between its beginning and its end. */
export interface SyncMark {
  readonly size: number
  readonly cuts: number
}

/** A regular file. Names of it (hard links) are the directories' business; content and durability belong to the file. */
export class MemoryFile {
  readonly inode: number
  /** What a reader sees. */
  readonly current: FileBytes
  /** The disk's content, where that is not simply the first `#stableBytes` of the current one. */
  #disk: FileBytes | undefined
  /** So many first bytes are the same on disk and in `current`. */
  #stableBytes: number
  /** So many first bytes the next sync takes for written: they were, or their sync failed. */
  #cleanBytes: number
  /** Ranges whose sync failed, ascending. */
  #dropped: { start: number; end: number }[] = []
  /** Cuts so far: a sync that began before one has nothing more to say afterwards. */
  #cuts = 0
  #lastMark: SyncMark | undefined

  constructor(inode: number, content: FileBytes = new FileBytes()) {
    this.inode = inode
    this.current = content
    this.#stableBytes = content.size
    this.#cleanBytes = content.size
  }

  truncate(size: number, path: string): void {
    if (size > this.current.size) throw systemError('EINVAL', 'ftruncate', path)
    // A sync under way may as well have ended: that is simpler than remembering the bytes it is about.
    if (this.#lastMark !== undefined) this.endSync(this.#lastMark)
    this.#cuts++
    if (size < this.#stableBytes) {
      this.#disk ??= this.current.fork(this.#stableBytes)
      this.#stableBytes = size
    }
    this.#cleanBytes = Math.min(this.#cleanBytes, size)
    this.#dropped = this.#dropped
      .map(({ start, end }) => ({ start, end: Math.min(end, size) }))
      .filter(({ start, end }) => start < end)
    this.current.cut(size)
  }

  /** Returns what to hand to `endSync`; only then is anything durable. */
  beginSync(): SyncMark {
    this.#lastMark = { size: this.current.size, cuts: this.#cuts }
    return this.#lastMark
  }

  endSync(mark: SyncMark): void {
    if (mark === this.#lastMark) this.#lastMark = undefined
    if (mark.cuts !== this.#cuts) return
    this.#cleanBytes = Math.max(this.#cleanBytes, mark.size)
    if (this.#dropped.length === 0) {
      this.#disk = undefined
      this.#stableBytes = mark.size
      return
    }
    const disk = this.current.fork(mark.size)
    for (const { start, end } of this.#dropped) disk.overwrite(start, new Uint8Array(end - start))
    this.#disk = disk
    this.#stableBytes = Math.min(mark.size, this.#dropped[0]!.start)
  }

  /**
   * As Linux does it: the pages of a failed sync are marked clean, so the next sync succeeds without writing them. Whoever
   * tries again is told that all is well, and finds zeros after a power cut.
   */
  failSync(): void {
    const { size } = this.current
    if (this.#cleanBytes < size) this.#dropped.push({ start: this.#cleanBytes, end: size })
    this.#cleanBytes = size
  }

  /** Bit rot: on disk, and in what is read from it. */
  corrupt(offset: number, bytes: Uint8Array): void {
    this.current.overwrite(offset, bytes)
    this.#disk?.overwrite(offset, bytes)
  }

  /** The content after a power cut; `random` (in [0, 1)) decides about what was not synced. */
  contentAfterCrash(unsynced: 'lost' | 'kept' | (() => number)): FileBytes {
    const { current } = this
    const onDisk = this.#disk ?? current.fork(this.#stableBytes)
    if (unsynced === 'lost') return onDisk.fork(onDisk.size)
    if (unsynced === 'kept') return current.fork(current.size)
    if (onDisk.size === this.#stableBytes && current.size === this.#stableBytes) {
      return onDisk.fork(onDisk.size)
    }
    const kind = unsynced()
    if (kind < 0.15) return onDisk.fork(onDisk.size)
    if (kind < 0.3) return current.fork(current.size)
    if (kind < 0.6) return current.fork(between(this.#stableBytes, current.size, unsynced))
    const largest = Math.max(onDisk.size, current.size)
    const size = unsynced() < 0.5 ? largest : between(this.#stableBytes, largest, unsynced)
    return mixSectors(current, onDisk, this.#stableBytes, size, unsynced)
  }
}

/** Beyond `stableBytes` every sector comes from the new content, from the old one, or holds zeros. */
function mixSectors(
  current: FileBytes,
  onDisk: FileBytes,
  stableBytes: number,
  size: number,
  random: () => number,
): FileBytes {
  const mixed = current.fork(stableBytes)
  const sector = new Uint8Array(SECTOR_BYTES)
  const newShare = random()
  const zeroShare = random() * (1 - newShare)
  while (mixed.size < size) {
    const at = mixed.size
    const length = Math.min(size, at - (at % SECTOR_BYTES) + SECTOR_BYTES) - at
    const choice = random()
    sector.set(ZEROS)
    if (choice < newShare) current.read(sector, 0, length, at)
    else if (choice >= newShare + zeroShare) onDisk.read(sector, 0, length, at)
    mixed.append(sector, 0, length)
  }
  return mixed
}

/** From `lower` to `upper`, both inclusive. */
function between(lower: number, upper: number, random: () => number): number {
  return lower + Math.floor(random() * (upper - lower + 1))
}
