/**
 * The cache of decoded blocks, shared by all keyspaces, and of small blob values.
 *
 * ```
 *   slabs        [ 4 KiB | 4 KiB | 4 KiB | ... ]  [ 16 KiB | 16 KiB | ... ]  ...      each slab is cut into slots of one size
 *   directory    one Int32Array a file: block number -> slot address, or -1
 * ```
 *
 * A slot's address counts units of 512 bytes over all slabs, so that finding a cached block is two array reads (measured: 1 ns,
 * a Map with re-insertion 248 ns). Slabs are made when they are needed, up to the capacity; then slots are taken over by CLOCK,
 * inside their size. A size that has no slab, or one that keeps evicting while another rests, takes over a slab of the size
 * that has most.
 *
 * What is larger than the largest slot (big blocks) and what has no number (blob values) lies in a side store, evicted in the
 * order of arrival with a second chance. Slabs and side store share the capacity: a quarter of it is the side store's when it
 * needs it, and slabs are given up for that; what it does not use the slabs may have.
 *
 * Slots hold the block without its trailer; bytes may be overwritten by the next `reserve`.
 */
import { assert } from '../base/assert.ts'
import { SpareBuffers } from './spare-buffers.ts'

const UNIT_BYTES = 512
const SLAB_BYTES_MAX = 2 ** 20
const SLAB_BYTES_MIN = 2 ** 16
/** Slot sizes. In between only a half step: more sizes would leave slabs half used in small caches. */
const SLOT_BYTES: readonly number[] = [
  512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536,
]
/** Blocks of more bytes go to the side store. */
export const SLOT_BYTES_MAX = 65_536
/** One part in so many of the capacity is the side store's when it needs it. */
const SIDE_SHARE = 4
/** So many blocks are read for one that displaces another. */
const ADMIT_ONE_OF = 8
const NO_BYTES = new Uint8Array(0)

interface SideEntry {
  readonly file: CacheFile
  readonly key: number
  readonly bytes: Uint8Array
  isReferenced: boolean
}

/** One file's part of the cache. */
export class CacheFile {
  /** Block number -> slot address, -1 when it is not in a slot. Read directly by lookups. */
  readonly directory: Int32Array
  readonly side: Map<number, SideEntry> = new Map()
  /** Place in the cache's table of files; -1 when closed. */
  id: number

  constructor(id: number, blocks: number) {
    this.id = id
    this.directory = new Int32Array(blocks).fill(-1)
  }
}

interface SlotSize {
  readonly bytes: number
  readonly slabs: number[]
  /** The clock's hand: index in `slabs`, slot in that slab. */
  handSlab: number
  handSlot: number
  /** Evictions since slabs last changed hands. */
  evictions: number
}

export class BlockCache {
  readonly capacityBytes: number
  /** Read directly by lookups: slab of an address is `address >>> slabShift`, its place there the rest times 512. */
  readonly slabs: Uint8Array[] = []
  readonly slabShift: number
  /** By slot address: touched since the clock's hand went by. Written directly by lookups. */
  referenced: Uint8Array
  hits = 0
  misses = 0
  /** What lookups read a block into, as stored and decompressed. Borrowed like slots: until the next operation. */
  readonly stored: Uint8Array = Buffer.allocUnsafeSlow(SLOT_BYTES_MAX)
  readonly unpacked: Uint8Array = Buffer.allocUnsafeSlow(SLOT_BYTES_MAX)
  /** Not of the cache, but of those who read past it. */
  readonly spares: SpareBuffers = new SpareBuffers()
  readonly #slabBytes: number
  /** Numbers of slabs that were given up. */
  readonly #freeSlabs: number[] = []
  readonly #sizes: SlotSize[]
  readonly #files: (CacheFile | undefined)[] = []
  /** By slot address: id of the file and number of the block that is there; file -1: free. */
  #ownerFile: Int32Array
  #ownerBlock: Int32Array
  #untilAdmitted = ADMIT_ONE_OF
  #untilSideAdmitted = ADMIT_ONE_OF
  readonly #side: Set<SideEntry> = new Set()
  #sideBytes = 0

  constructor(options: { capacityBytes: number }) {
    this.capacityBytes = options.capacityBytes
    let slabBytes = SLAB_BYTES_MIN
    while (slabBytes < SLAB_BYTES_MAX && slabBytes * 64 <= options.capacityBytes) slabBytes *= 2
    this.#slabBytes = slabBytes
    this.slabShift = Math.log2(slabBytes / UNIT_BYTES)
    this.#sizes = SLOT_BYTES.map((bytes) => ({
      bytes,
      slabs: [],
      handSlab: 0,
      handSlot: 0,
      evictions: 0,
    }))
    this.referenced = new Uint8Array(0)
    this.#ownerFile = new Int32Array(0)
    this.#ownerBlock = new Int32Array(0)
  }

  get stats(): { bytes: number; hits: number; misses: number } {
    const bytes = this.#slabsInUse * this.#slabBytes + this.#sideBytes
    return { bytes, hits: this.hits, misses: this.misses }
  }

  /** Takes in a file of `blocks` blocks (0 for one that only uses the side store). */
  open(blocks: number): CacheFile {
    let id = this.#files.indexOf(undefined)
    if (id < 0) id = this.#files.length
    const file = new CacheFile(id, blocks)
    this.#files[id] = file
    return file
  }

  /** Forgets everything of `file`. */
  close(file: CacheFile): void {
    if (file.id < 0) return
    const directory = file.directory
    for (let block = 0; block < directory.length; block++) {
      const slot = directory[block]!
      if (slot >= 0) this.#free(slot)
    }
    for (const entry of file.side.values()) this.#dropSide(entry)
    this.#files[file.id] = undefined
    file.id = -1
  }

  /**
   * Whether a block that was just read is worth a slot. While there is room, always; then one in ADMIT_ONE_OF, because what
   * it would displace is as likely to be asked for: of blocks that are all read alike nothing is gained by replacing one by
   * another, and one that is read again and again is let in soon enough.
   */
  admits(bytes: number): boolean {
    const size = this.#sizeFor(bytes)
    if (size === undefined) return false
    if (size.slabs.length === 0 || !this.#isFull(size) || this.#mayGrow()) return true
    if (--this.#untilAdmitted > 0) return false
    this.#untilAdmitted = ADMIT_ONE_OF
    return true
  }

  /**
   * A slot of at least `bytes` bytes for a block that is about to be written there; -1 when it is too large for one. It
   * counts as cached at once: whoever cannot fill it calls `release`.
   */
  reserve(file: CacheFile, block: number, bytes: number): number {
    assert(file.id >= 0, 'the file is open in the cache')
    const size = this.#sizeFor(bytes)
    if (size === undefined) return -1
    const slot = this.#takeSlot(size)
    this.#ownerFile[slot] = file.id
    this.#ownerBlock[slot] = block
    this.referenced[slot] = 0
    file.directory[block] = slot
    return slot
  }

  /** Gives back a slot that could not be filled. */
  release(slot: number): void {
    const owner = this.#files[this.#ownerFile[slot]!]
    if (owner !== undefined) owner.directory[this.#ownerBlock[slot]!] = -1
    this.#free(slot)
  }

  /** The slab that holds a slot. */
  slabOf(slot: number): Uint8Array {
    return this.slabs[slot >>> this.slabShift]!
  }

  /** Where the slot begins in its slab. */
  offsetOf(slot: number): number {
    return (slot & ((1 << this.slabShift) - 1)) * UNIT_BYTES
  }

  /** What `putSide` kept under this key; must not be written to. */
  side(file: CacheFile, key: number): Uint8Array | undefined {
    const entry = file.side.get(key)
    if (entry === undefined) return undefined
    entry.isReferenced = true
    return entry.bytes
  }

  /** Whether `putSide` is worth it, as `admits` says of slots. */
  admitsSide(bytes: number): boolean {
    if (this.#totalBytes + bytes <= this.capacityBytes) return true
    if (--this.#untilSideAdmitted > 0) return false
    this.#untilSideAdmitted = ADMIT_ONE_OF
    return true
  }

  /** Keeps `bytes` (taken over, never changed); false when there is no room for them at all. */
  putSide(file: CacheFile, key: number, bytes: Uint8Array): boolean {
    assert(file.id >= 0, 'the file is open in the cache')
    if (file.side.has(key)) return true
    const besideOneSlab = this.capacityBytes - Math.min(1, this.#slabsInUse) * this.#slabBytes
    const room = Math.max(
      Math.min(this.capacityBytes / SIDE_SHARE, besideOneSlab),
      this.capacityBytes - this.#slabsInUse * this.#slabBytes,
    )
    if (bytes.length > room / 2) return false
    this.#shrinkSide(room - bytes.length)
    // Its own share may be in the hands of slabs. One of them is the least that works at all.
    while (this.#slabsInUse > 1 && this.#totalBytes + bytes.length > this.capacityBytes) {
      this.#giveUpSlab()
    }
    const entry = { file, key, bytes, isReferenced: false }
    file.side.set(key, entry)
    this.#side.add(entry)
    this.#sideBytes += bytes.length
    return true
  }

  #shrinkSide(bytesMax: number): void {
    while (this.#sideBytes > bytesMax) {
      const oldest = this.#side.values().next()
      if (oldest.done) return
      const entry = oldest.value
      if (entry.isReferenced) {
        entry.isReferenced = false
        this.#side.delete(entry)
        this.#side.add(entry)
      } else {
        this.#dropSide(entry)
      }
    }
  }

  #dropSide(entry: SideEntry): void {
    this.#side.delete(entry)
    entry.file.side.delete(entry.key)
    this.#sideBytes -= entry.bytes.length
  }

  #sizeFor(bytes: number): SlotSize | undefined {
    for (const size of this.#sizes) if (bytes <= size.bytes) return size
    return undefined
  }

  #takeSlot(size: SlotSize): number {
    // Fresh slots of the last slab first: handSlot runs over a slab once before anything is evicted.
    if (size.slabs.length === 0 || (this.#isFull(size) && this.#mayGrow())) this.#addSlab(size)
    else if (this.#isFull(size)) this.#rebalance(size)
    for (;;) {
      const slot = this.#advance(size)
      const file = this.#ownerFile[slot]!
      if (file < 0) return slot
      if (this.referenced[slot] !== 0) {
        this.referenced[slot] = 0
        continue
      }
      this.#files[file]!.directory[this.#ownerBlock[slot]!] = -1
      size.evictions++
      return slot
    }
  }

  /** Whether the slot under the hand is in use: then, fresh slots being handed out in order, all of them are. */
  #isFull(size: SlotSize): boolean {
    return this.#ownerFile[this.#slotUnderHand(size)]! >= 0
  }

  #slotUnderHand(size: SlotSize): number {
    const slab = size.slabs[size.handSlab]!
    return (slab << this.slabShift) + size.handSlot * (size.bytes / UNIT_BYTES)
  }

  #advance(size: SlotSize): number {
    const slot = this.#slotUnderHand(size)
    if (++size.handSlot >= Math.floor(this.#slabBytes / size.bytes)) {
      size.handSlot = 0
      if (++size.handSlab >= size.slabs.length) size.handSlab = 0
    }
    return slot
  }

  get #slabsInUse(): number {
    return this.slabs.length - this.#freeSlabs.length
  }

  get #totalBytes(): number {
    return this.#slabsInUse * this.#slabBytes + this.#sideBytes
  }

  #mayGrow(): boolean {
    const side = Math.min(this.#sideBytes, this.capacityBytes / SIDE_SHARE)
    const slabs = (this.#slabsInUse + 1) * this.#slabBytes
    return this.#slabsInUse === 0 || slabs + side <= this.capacityBytes
  }

  #addSlab(size: SlotSize): void {
    let slab: number
    if (this.#mayGrow()) {
      slab = this.#freeSlabs.pop() ?? this.slabs.length
      this.slabs[slab] = Buffer.allocUnsafeSlow(this.#slabBytes)
      this.#growOwners()
      this.#shrinkSide(this.capacityBytes - this.#slabsInUse * this.#slabBytes)
    } else {
      slab = this.#takeSlab(this.#largestOther(size))
    }
    size.slabs.push(slab)
    size.handSlab = size.slabs.length - 1
    size.handSlot = 0
  }

  #giveUpSlab(): void {
    let largest = this.#sizes[0]!
    for (const size of this.#sizes) if (size.slabs.length > largest.slabs.length) largest = size
    const slab = this.#takeSlab(largest)
    this.slabs[slab] = NO_BYTES
    this.#freeSlabs.push(slab)
  }

  /** Moves a slab to a size that evicted twice all it holds while some other size evicted nothing. */
  #rebalance(size: SlotSize): void {
    const slots = size.slabs.length * Math.floor(this.#slabBytes / size.bytes)
    if (size.evictions < 2 * slots) return
    const other = this.#largestOther(size)
    if (other.slabs.length > 0 && other !== size && other.evictions === 0) this.#addSlab(size)
    for (const each of this.#sizes) each.evictions = 0
  }

  #largestOther(size: SlotSize): SlotSize {
    let largest = size
    for (const other of this.#sizes) {
      if (other === size) continue
      if (largest === size || other.slabs.length > largest.slabs.length) largest = other
    }
    return largest
  }

  #takeSlab(size: SlotSize): number {
    const slab = size.slabs.pop()
    assert(slab !== undefined, 'some size has a slab when the cache is full')
    size.handSlab = 0
    size.handSlot = 0
    const first = slab << this.slabShift
    for (let slot = first; slot < first + (1 << this.slabShift); slot++) {
      if (this.#ownerFile[slot]! >= 0) this.release(slot)
    }
    return slab
  }

  #free(slot: number): void {
    this.#ownerFile[slot] = -1
    this.referenced[slot] = 0
  }

  #growOwners(): void {
    const needed = this.slabs.length << this.slabShift
    if (needed <= this.#ownerFile.length) return
    const capacity = Math.max(needed, this.#ownerFile.length * 2)
    const ownerFile = new Int32Array(capacity).fill(-1)
    ownerFile.set(this.#ownerFile)
    this.#ownerFile = ownerFile
    const ownerBlock = new Int32Array(capacity)
    ownerBlock.set(this.#ownerBlock)
    this.#ownerBlock = ownerBlock
    const referenced = new Uint8Array(capacity)
    referenced.set(this.referenced)
    this.referenced = referenced
  }
}
