/**
 * Reads entries by ordinal: the second half of a change scan's window. Ordinals ascend, so blocks come in file order; each
 * is read and checked once, and neighbours are read together.
 */
import { assert } from '../base/assert.ts'
import { entryOffset, firstKeyAt } from '../block/block-search.ts'
import { type ByteSource, readFully, readFullySync } from '../block/read-fully.ts'
import type { BlockSource } from './block-source.ts'
import { LogBlockWalk } from './log-block.ts'
import type { GatherTarget } from './gather-target.ts'

export interface GatherResult {
  /** How many of the ordinals were read; fewer when the arena became full. */
  readonly gathered: number
  /** Blocks that entries were taken from; with `seen`, those of them that it did not know. */
  readonly blocksRead: number
  readonly bytesRead: number
}

/**
 * Reading over a gap of so many bytes is cheaper than a second read: on the calling thread, which pays for each byte that the
 * page cache copies, about one block; in the thread pool, where a read costs 20 us.
 */
const GAP_BYTES_MAX = 6 * 1024
const GAP_BYTES_MAX_POOLED = 2 ** 15
/** Up to here, moving 32-bit words is faster than the native copy. */
const WORD_COPY_MAX = 160

/**
 * Reads the entries with these ordinals (ascending, `count` of them) into `target`, one row each, until it is full.
 * `mayRead`: on the calling thread, 2 us a read, else in the thread pool, 20 us. `seen`: one bit a block, set when the block
 * was counted. Each block that is read is checked, also when it was seen: what was good in memory may have rotted on the disk.
 */
export async function gatherEntries(
  file: ByteSource,
  source: BlockSource,
  ordinals: Int32Array,
  count: number,
  target: GatherTarget,
  mayRead: boolean,
  seen: Uint8Array | undefined,
): Promise<GatherResult> {
  const { index } = source
  const { positions, firstOrdinals } = index
  const gapMax = mayRead ? GAP_BYTES_MAX : GAP_BYTES_MAX_POOLED
  let gathered = 0
  let blocksRead = 0
  let bytesRead = 0
  let block = 0
  const plan = { first: 0, last: 0, wanted: 0 }
  const walk = new LogBlockWalk()
  while (gathered < count && !target.isFull) {
    const ordinal = ordinals[gathered]!
    assert(ordinal < firstOrdinals[index.count]!, 'ordinals are those of the segment')
    block = index.blockOfOrdinal(ordinal, block)
    index.check(block)
    const position = positions[block]!
    planRun(plan, source, ordinals, gathered, count, block, target, gapMax)
    const { last } = plan
    const length = positions[last + 1]! - position
    // One block larger than the arena's front comes in a buffer of its own.
    const isOwn = length > target.readBytes
    const buffer = isOwn ? Buffer.allocUnsafeSlow(length) : target.bytes
    if (mayRead) readFullySync(file, buffer, 0, length, position)
    else await readFully(file, buffer, 0, length, position)
    bytesRead += length
    const isSummed = source.areSummed(buffer, 0, plan)
    while (gathered < count && !target.isFull) {
      const next = index.blockOfOrdinal(ordinals[gathered]!, block)
      if (next > last) break
      block = next
      if (seen === undefined || takeBit(seen, block)) blocksRead++
      const stored = isOwn ? buffer : target.bytes
      const end = firstOrdinals[block + 1]!
      gathered = takeFromBlock(source, block, stored, positions[block]! - position, end, ordinals, {
        from: gathered,
        count,
        target,
        isSummed,
        walk,
      })
    }
  }
  return { gathered, blocksRead, bytesRead }
}

/** Finds the last block that is worth reading together with `first`, and how many of those up to it are wanted. */
function planRun(
  plan: { first: number; last: number; wanted: number },
  source: BlockSource,
  ordinals: Int32Array,
  from: number,
  count: number,
  first: number,
  target: GatherTarget,
  gapMax: number,
): void {
  const { index } = source
  const { positions, firstOrdinals } = index
  const limit = positions[first]! + target.readBytes
  // More than the arena takes need not be read; entries are about as large as they are in their blocks.
  const wanted = positions[first]! + Math.max(0, target.limitBytes - target.usedBytes)
  let last = first
  let i = from
  plan.first = first
  plan.wanted = 0
  for (;;) {
    const end = firstOrdinals[last + 1]!
    while (i < count && ordinals[i]! < end) i++
    plan.last = last
    plan.wanted++
    if (i === count || positions[last + 1]! >= wanted) return
    const next = index.blockOfOrdinal(ordinals[i]!, last)
    index.check(next)
    if (positions[next]! - positions[last + 1]! > gapMax || positions[next + 1]! > limit) return
    last = next
  }
}

/** Which of the ordinals are to be taken, and to where. */
interface Rows {
  readonly from: number
  readonly count: number
  readonly target: GatherTarget
  readonly isSummed: boolean
  readonly walk: LogBlockWalk
}

/** Copies the wanted entries of one block; returns the index of the first ordinal that is not in it or did not fit. */
function takeFromBlock(
  source: BlockSource,
  block: number,
  stored: Uint8Array,
  storedAt: number,
  endOrdinal: number,
  ordinals: Int32Array,
  rows: Rows,
): number {
  const { target, count, isSummed } = rows
  const { index } = source
  const isPlain = source.isPlain(block)
  if (!isPlain && source.walkLog(stored, storedAt, block, rows.walk, isSummed)) {
    return takeFromLog(source, block, endOrdinal, ordinals, rows)
  }
  const rawBytes = index.rawBytes(block)
  const firstOrdinal = index.firstOrdinals[block]!
  let bytes = stored
  let start = storedAt
  if (isPlain) {
    source.check(stored, storedAt, block, isSummed)
  } else {
    const isOwn = rawBytes > target.rawBytes
    bytes = isOwn ? Buffer.allocUnsafeSlow(rawBytes) : target.bytes
    start = isOwn ? 0 : target.readBytes
    source.unpack(stored, storedAt, block, bytes, start, true)
  }
  const end = start + rawBytes
  const keyAt = firstKeyAt(bytes, start)
  let i = rows.from
  while (i < count && ordinals[i]! < endOrdinal && !target.isFull) {
    const isInside = bytes === target.bytes
    const at = start + entryOffset(bytes, end, ordinals[i]! - firstOrdinal)
    copyEntry(bytes, at, keyAt, target, isInside)
    // Adding a row may have given the arena a larger array, with the block in it at the same place.
    if (isInside) bytes = target.bytes
    i++
    assert(i === count || ordinals[i]! > ordinals[i - 1]!, 'ordinals ascend')
  }
  return i
}

/** The same for a block in the form of the log, on which `walk` stands. */
function takeFromLog(
  source: BlockSource,
  block: number,
  endOrdinal: number,
  ordinals: Int32Array,
  rows: Rows,
): number {
  const { target, count, walk } = rows
  const isInside = walk.bytes === target.bytes
  let passed = source.index.firstOrdinals[block]!
  let i = rows.from
  while (i < count && ordinals[i]! < endOrdinal && !target.isFull) {
    for (; passed <= ordinals[i]!; passed++) if (!walk.next()) source.failWalk(block)
    const { keyAt, keyBytes, valueBytes } = walk
    const to = target.add(keyBytes, valueBytes, walk.kind, walk.seqno, keyAt & 3)
    // Adding a row may have given the arena a larger array, with the block in it at the same place.
    if (isInside) walk.bytes = target.bytes
    copyTo(target, to, walk.bytes, keyAt, keyBytes + valueBytes, isInside)
    i++
    assert(i === count || ordinals[i]! > ordinals[i - 1]!, 'ordinals ascend')
  }
  return i
}

function copyEntry(
  bytes: Uint8Array,
  entryAt: number,
  firstKey: number,
  target: GatherTarget,
  isInside: boolean,
): void {
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
  const seqno =
    ((bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24)) >>>
      0) +
    (bytes[at + 5]! | (bytes[at + 6]! << 8)) * 4294967296
  const kind = bytes[at]!
  const suffixAt = at + 7
  const keyAt = target.add(shared + rest, valueBytes, kind, seqno, (suffixAt - shared) & 3)
  // The rest of the key and the value lie side by side in both places.
  copyTo(target, keyAt + shared, bytes, suffixAt, rest + valueBytes, isInside)
  const into = target.bytes
  let i = 0
  if (isInside) {
    const { view } = target
    for (; i + 4 <= shared; i += 4) view.setInt32(keyAt + i, view.getInt32(firstKey + i))
  }
  for (; i < shared; i++) into[keyAt + i] = bytes[firstKey + i]!
}

/** Copies `length` bytes to a place that `target` gave, of the same alignment. `isInside`: `bytes` are its own. */
function copyTo(
  target: GatherTarget,
  to: number,
  bytes: Uint8Array,
  suffixAt: number,
  length: number,
  isInside: boolean,
): void {
  const into = target.bytes
  if (!isInside) {
    into.set(bytes.subarray(suffixAt, suffixAt + length), to)
  } else if (length > WORD_COPY_MAX) {
    into.copyWithin(to, suffixAt, suffixAt + length)
  } else {
    // Both have the same alignment. What else is in the first word is the entry's own, and written below.
    const { words } = target
    const source = suffixAt >> 2
    const shift = (to >> 2) - source
    const end = (suffixAt + length + 3) >> 2
    let i = source
    // Four at a time: 10 ns less for 116 bytes.
    for (const last = end - 3; i < last; i += 4) {
      words[i + shift] = words[i]!
      words[i + shift + 1] = words[i + 1]!
      words[i + shift + 2] = words[i + 2]!
      words[i + shift + 3] = words[i + 3]!
    }
    for (; i < end; i++) words[i + shift] = words[i]!
  }
}

/** Sets the bit; true when it was not set. */
function takeBit(bits: Uint8Array, index: number): boolean {
  const mask = 1 << (index & 7)
  if ((bits[index >>> 3]! & mask) !== 0) return false
  bits[index >>> 3]! |= mask
  return true
}
