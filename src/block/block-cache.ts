/**
 * The cache of decoded blocks, shared by all keyspaces, and of small blob values.
 *
 * ```
 *   slabs        [ 4 KiB | 4 KiB | 4 KiB | ... ]  [ 16 KiB | 16 KiB | ... ]  ...      each slab is cut into slots of one size
 *   directory    one Int32Array a file: block number -> slot address, or -1
 *   values       one table a blob file: position -> slot address
 * ```
 *
 * A slot's address counts units of 512 bytes over all slabs, so that finding a cached block is two array reads (measured: 1 ns,
 * a Map with re-insertion 248 ns). Slabs are made when they are needed, up to the capacity; then slots are taken over by CLOCK,
 * inside their size. A size that has no slab, or one that keeps evicting while another rests, takes over a slab of the size
 * that has most.
 *
 * Blocks and blob values have sizes of their own. A quarter of the slabs belongs to values, the rest to blocks: either may hold
 * what the other does not want, and gives it back when it does. Values are copied into slots, and not kept as arrays, because
 * an array that was evicted is garbage of the old generation: 16 KiB values read at random then spent half of their time in
 * the collector (16.8 us a read; without any cache 9.7).
 *
 * Blocks larger than the largest slot, and pages of change events, lie in a side store. Slabs and side store share the capacity: a quarter of it is the side
 * store's when it needs it, and slabs are given up for that; what it does not use the slabs may have.
 *
 * Slots hold the block without its trailer; bytes may be overwritten by the next `reserve`.
 */
import { assert } from '../base/assert.ts'
import { CacheFile, type Sized } from './cache-file.ts'
import { SideStore } from './side-store.ts'
import { SpareBuffers } from './spare-buffers.ts'

const UNIT_BYTES = 512
const SLAB_BYTES_MAX = 2 ** 20
const SLAB_BYTES_MIN = 2 ** 16
/** Slot sizes. In between only a half step: more sizes would leave slabs half used in small caches. */
const SLOT_BYTES: readonly number[] = [
  512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536,
]
/** Blocks of more bytes go to the side store; values of more are not kept. */
export const SLOT_BYTES_MAX = 65_536
/** One part in so many of the capacity is the side store's when it needs it. */
const SIDE_SHARE = 4
/** So many blocks are read for one that displaces another. */
const ADMIT_ONE_OF = 8
/** One slab in so many is for values when they need it. */
const VALUE_SHARE = 4
const NO_BYTES = new Uint8Array(0)

/** Sizes that hold the same kind of thing. */
class SlotGroup {
  /** Slabs of all its sizes. */
  slabs = 0
  untilAdmitted = ADMIT_ONE_OF
  #sizes: readonly SlotSize[] | undefined

  /** Made with the first use: a store may be opened for a single probe. */
  get sizes(): readonly SlotSize[] {
    return (this.#sizes ??= SLOT_BYTES.map(emptySize))
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

/** Memory for one block between the disk and its slot: made with the first one, as a store may be opened for a single probe. */
export interface BlockLanding {
  /** As it is stored. */
  readonly stored: Uint8Array
  /** The same memory. */
  readonly storedView: DataView
  /** Decompressed. */
  readonly unpacked: Uint8Array
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
  /** Not of the cache, but of those who read past it. */
  readonly spares: SpareBuffers = new SpareBuffers()
  readonly #slabBytes: number
  /** Numbers of slabs that were given up. */
  readonly #freeSlabs: number[] = []
  readonly #blocks: SlotGroup = new SlotGroup()
  readonly #values: SlotGroup = new SlotGroup()
  readonly #files: (CacheFile<Sized> | undefined)[] = []
  /** By slot address: id of the file, and number of the block or position of the value that is there; file -1: free. */
  #ownerFile: Int32Array
  #ownerKey: Float64Array
  readonly #side: SideStore = new SideStore()
  #landing: BlockLanding | undefined

  constructor(options: { capacityBytes: number }) {
    this.capacityBytes = options.capacityBytes
    let slabBytes = SLAB_BYTES_MIN
    while (slabBytes < SLAB_BYTES_MAX && slabBytes * 64 <= options.capacityBytes) slabBytes *= 2
    this.#slabBytes = slabBytes
    this.slabShift = Math.log2(slabBytes / UNIT_BYTES)
    this.referenced = new Uint8Array(0)
    this.#ownerFile = new Int32Array(0)
    this.#ownerKey = new Float64Array(0)
  }

  /** What lookups read a block into. Borrowed like slots: until the next operation. */
  get landing(): BlockLanding {
    return (this.#landing ??= createLanding())
  }

  get stats(): { bytes: number; hits: number; misses: number } {
    const bytes = this.#slabsInUse * this.#slabBytes + this.#side.bytes
    return { bytes, hits: this.hits, misses: this.misses }
  }

  /** Takes in a file of `blocks` blocks; 0 for a blob file, and for what only has things in the side store. */
  open<Content extends Sized = Uint8Array>(blocks: number): CacheFile<Content> {
    let id = this.#files.indexOf(undefined)
    if (id < 0) id = this.#files.length
    const file = new CacheFile<Content>(id, blocks)
    this.#files[id] = file
    return file
  }

  /** Forgets everything of `file`. */
  close<Content extends Sized>(file: CacheFile<Content>): void {
    if (file.id < 0) return
    const directory = file.directory
    for (let block = 0; block < directory.length; block++) {
      const slot = directory[block]!
      if (slot >= 0) this.#free(slot)
    }
    for (const slot of file.values.slots()) this.#free(slot)
    file.values.clear()
    this.#side.dropFile(file)
    this.#files[file.id] = undefined
    file.id = -1
  }

  /**
   * Whether a block that was just read is worth a slot. While there is room, always; then one in ADMIT_ONE_OF, because what
   * it would displace is as likely to be asked for: of blocks that are all read alike nothing is gained by replacing one by
   * another, and one that is read again and again is let in soon enough.
   */
  admits(bytes: number): boolean {
    return this.#admits(this.#blocks, bytes)
  }

  /** The same for a blob value; only after `true` it may be put. */
  admitsValue(bytes: number): boolean {
    return this.#admits(this.#values, bytes)
  }

  /**
   * A slot of at least `bytes` bytes for a block that is about to be written there; -1 when it is too large for one. It
   * counts as cached at once: whoever cannot fill it calls `release`.
   */
  reserve(file: CacheFile, block: number, bytes: number): number {
    assert(file.id >= 0, 'the file is open in the cache')
    const size = sizeFor(this.#blocks, bytes)
    if (size === undefined) return -1
    const slot = this.#takeSlot(this.#blocks, size, file.id, block)
    file.directory[block] = slot
    return slot
  }

  /** Keeps a copy of the value at `position` of a blob file. To be called after `admitsValue`. */
  putValue(file: CacheFile, position: number, value: Uint8Array): void {
    assert(file.id >= 0 && file.directory.length === 0, 'a blob file is open in the cache')
    if (file.values.find(position) >= 0) return
    const bytes = value.length
    const size = sizeFor(this.#values, bytes)
    assert(size !== undefined, 'the value was admitted')
    const slot = this.#takeSlot(this.#values, size, file.id, position)
    this.slabOf(slot).set(value, this.offsetOf(slot))
    file.values.add(position, { slot, bytes })
  }

  /** Gives back a slot that could not be filled. */
  release(slot: number): void {
    this.#files[this.#ownerFile[slot]!]?.forget(this.#ownerKey[slot]!)
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
  side<Content extends Sized>(file: CacheFile<Content>, key: number): Content | undefined {
    return this.#side.find(file, key)
  }

  /** Whether so many bytes displace nothing. */
  hasRoom(bytes: number): boolean {
    return this.#totalBytes + bytes <= this.capacityBytes
  }

  /** Keeps `content` (taken over, never changed); false when there is no room for it at all. */
  putSide<Content extends Sized>(file: CacheFile<Content>, key: number, content: Content): boolean {
    assert(file.id >= 0, 'the file is open in the cache')
    if (file.side.has(key)) return true
    const besideOneSlab = this.capacityBytes - Math.min(1, this.#slabsInUse) * this.#slabBytes
    const room = Math.max(
      Math.min(this.capacityBytes / SIDE_SHARE, besideOneSlab),
      this.capacityBytes - this.#slabsInUse * this.#slabBytes,
    )
    const bytes = content.byteLength
    if (bytes > room / 2) return false
    this.#side.shrink(room - bytes)
    // Its own share may be in the hands of slabs. One of them is the least that works at all.
    while (this.#slabsInUse > 1 && !this.hasRoom(bytes)) this.#giveUpSlab()
    this.#side.put(file, key, content)
    return true
  }

  /** Forgets what `putSide` kept under this key, if anything. */
  dropSide<Content extends Sized>(file: CacheFile<Content>, key: number): void {
    this.#side.drop(file, key)
  }

  #admits(group: SlotGroup, bytes: number): boolean {
    const size = sizeFor(group, bytes)
    if (size === undefined) return false
    const hasSlab = size.slabs.length > 0
    if ((hasSlab && !this.#isFull(size)) || this.#mayGrow() || this.#isOwed(group)) return true
    if (!hasSlab) {
      if (group === this.#blocks) return true
      // All of a small cache belongs to blocks.
      if (group.slabs === 0) return false
    }
    if (--group.untilAdmitted > 0) return false
    group.untilAdmitted = ADMIT_ONE_OF
    return true
  }

  #takeSlot(group: SlotGroup, size: SlotSize, file: number, key: number): number {
    // Fresh slots of the last slab first: handSlot runs over a slab once before anything is evicted.
    if (size.slabs.length === 0) this.#addSlab(group, size)
    else if (this.#isFull(size)) {
      if (this.#mayGrow() || this.#isOwed(group)) this.#addSlab(group, size)
      else this.#rebalance(group, size)
    }
    let slot = this.#advance(size)
    while (this.#ownerFile[slot]! >= 0) {
      if (this.referenced[slot] === 0) {
        this.#files[this.#ownerFile[slot]!]!.forget(this.#ownerKey[slot]!)
        size.evictions++
        break
      }
      this.referenced[slot] = 0
      slot = this.#advance(size)
    }
    this.#ownerFile[slot] = file
    this.#ownerKey[slot] = key
    this.referenced[slot] = 0
    return slot
  }

  /** Whether the other group holds slabs that are this one's. */
  #isOwed(group: SlotGroup): boolean {
    const total = this.#slabsInUse
    const ofValues = Math.floor(total / VALUE_SHARE)
    return group.slabs < (group === this.#values ? ofValues : total - ofValues)
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
    return this.#slabsInUse * this.#slabBytes + this.#side.bytes
  }

  #mayGrow(): boolean {
    const side = Math.min(this.#side.bytes, this.capacityBytes / SIDE_SHARE)
    const slabs = (this.#slabsInUse + 1) * this.#slabBytes
    return this.#slabsInUse === 0 || slabs + side <= this.capacityBytes
  }

  #addSlab(group: SlotGroup, size: SlotSize): void {
    let slab: number
    if (this.#mayGrow()) {
      slab = this.#freeSlabs.pop() ?? this.slabs.length
      this.slabs[slab] = Buffer.allocUnsafeSlow(this.#slabBytes)
      this.#growOwners()
      this.#side.shrink(this.capacityBytes - this.#slabsInUse * this.#slabBytes)
    } else {
      const other = group === this.#blocks ? this.#values : this.#blocks
      const donor = this.#isOwed(group) ? other : group
      slab = this.#takeSlab(donor, largestOf(donor, size))
    }
    group.slabs++
    size.slabs.push(slab)
    size.handSlab = size.slabs.length - 1
    size.handSlot = 0
  }

  #giveUpSlab(): void {
    const ofBlocks = largestOf(this.#blocks)
    const ofValues = largestOf(this.#values)
    const slab =
      ofValues.slabs.length > ofBlocks.slabs.length
        ? this.#takeSlab(this.#values, ofValues)
        : this.#takeSlab(this.#blocks, ofBlocks)
    this.slabs[slab] = NO_BYTES
    this.#freeSlabs.push(slab)
  }

  /** Moves a slab to a size that evicted twice all it holds while some other size of its group evicted nothing. */
  #rebalance(group: SlotGroup, size: SlotSize): void {
    const slots = size.slabs.length * Math.floor(this.#slabBytes / size.bytes)
    if (size.evictions < 2 * slots) return
    const other = largestOf(group, size)
    if (other.slabs.length > 0 && other.evictions === 0) this.#addSlab(group, size)
    for (const each of group.sizes) each.evictions = 0
  }

  #takeSlab(group: SlotGroup, size: SlotSize): number {
    const slab = size.slabs.pop()
    assert(slab !== undefined, 'some size has a slab when the cache is full')
    group.slabs--
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
    const ownerKey = new Float64Array(capacity)
    ownerKey.set(this.#ownerKey)
    this.#ownerKey = ownerKey
    const referenced = new Uint8Array(capacity)
    referenced.set(this.referenced)
    this.referenced = referenced
  }
}

function createLanding(): BlockLanding {
  const stored = Buffer.allocUnsafeSlow(SLOT_BYTES_MAX)
  const unpacked = Buffer.allocUnsafeSlow(SLOT_BYTES_MAX)
  return { stored, storedView: new DataView(stored.buffer), unpacked }
}

function emptySize(bytes: number): SlotSize {
  return { bytes, slabs: [], handSlab: 0, handSlot: 0, evictions: 0 }
}

/** The smallest size that holds so many bytes. */
function sizeFor(group: SlotGroup, bytes: number): SlotSize | undefined {
  for (const size of group.sizes) if (bytes <= size.bytes) return size
  return undefined
}

/** The size with most slabs, `but` for one. */
function largestOf(group: SlotGroup, but?: SlotSize): SlotSize {
  let largest = group.sizes[0] === but ? group.sizes[1]! : group.sizes[0]!
  for (const size of group.sizes) {
    if (size !== but && size.slabs.length > largest.slabs.length) largest = size
  }
  return largest
}
