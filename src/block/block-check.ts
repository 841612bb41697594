/**
 * Whether bytes that came from a disk are a block at all. Checked once, when a block is loaded; behind this check every
 * reader of blocks trusts lengths and offsets, and none of them can leave the block.
 *
 * The checksum alone would not do: it shows that the bytes are those that were written, not that they were written by us.
 * Measured: 5 to 8 ns an entry, against 20 ns for the checksum.
 */
import { KIND_MASK, KIND_RANGE_DELETE } from '../base/entry-kind.ts'
import {
  BLOCK_FOOT_BYTES,
  BLOCK_SHARED_MAX,
  ENTRY_BYTES_MIN,
  FLAG_TAGGED,
  FLAG_WIDE,
  blockCount,
} from './block-format.ts'

const KNOWN_KIND_MASK = 0x80 | KIND_MASK

/** Why bytes[start, end) are not a block of `entries` entries; undefined when they are. */
export function blockProblem(
  bytes: Uint8Array,
  start: number,
  end: number,
  entries: number,
): string | undefined {
  if (end - start < BLOCK_FOOT_BYTES + ENTRY_BYTES_MIN) return 'a block is too short'
  const count = blockCount(bytes, end)
  if (count !== entries) return `a block has ${count} entries instead of ${entries}`
  const flags = bytes[end - 1]!
  const wide = (flags & FLAG_WIDE) !== 0
  const tableBytes = count * ((wide ? 4 : 2) + ((flags & FLAG_TAGGED) !== 0 ? 1 : 0))
  const offsetsAt = end - BLOCK_FOOT_BYTES - count * (wide ? 4 : 2)
  const entriesEnd = end - BLOCK_FOOT_BYTES - tableBytes
  if (count === 0 || entriesEnd - start < count * ENTRY_BYTES_MIN) {
    return 'a block is too short for its entries'
  }
  const firstKeyBytes = readLength(bytes, start + 1, entriesEnd)
  if (bytes[start] !== 0) return 'the first entry shares bytes with itself'
  const sharedMax = firstKeyBytes < BLOCK_SHARED_MAX ? firstKeyBytes : BLOCK_SHARED_MAX
  let at = start
  for (let i = 0; i < count; i++) {
    const offset = wide
      ? (bytes[offsetsAt + 4 * i]! |
          (bytes[offsetsAt + 4 * i + 1]! << 8) |
          (bytes[offsetsAt + 4 * i + 2]! << 16) |
          (bytes[offsetsAt + 4 * i + 3]! << 24)) >>>
        0
      : bytes[offsetsAt + 2 * i]! | (bytes[offsetsAt + 2 * i + 1]! << 8)
    if (offset !== at - start) return `entry ${i} is not where the block's table says`
    if (bytes[at]! > sharedMax) return `entry ${i} shares more than the first key has`
    // An entry that is cut off reads on into the tables, which are long enough, and is then found to reach too far.
    at++
    let keyBytes = bytes[at++]!
    if (keyBytes > 0x7f) {
      keyBytes = readLength(bytes, at - 1, entriesEnd)
      if (keyBytes < 0) return `entry ${i} has no valid key length`
      at += lengthBytes(bytes, at - 1) - 1
    }
    let valueBytes = bytes[at++]!
    if (valueBytes > 0x7f) {
      valueBytes = readLength(bytes, at - 1, entriesEnd)
      if (valueBytes < 0) return `entry ${i} has no valid value length`
      at += lengthBytes(bytes, at - 1) - 1
    }
    // One comparison for: no unknown flag, and a kind from KIND_INSERT to KIND_RANGE_DELETE.
    if (((bytes[at]! & KNOWN_KIND_MASK) - 1) >>> 0 >= KIND_RANGE_DELETE) {
      return `entry ${i} is of no known kind`
    }
    at += 7 + keyBytes + valueBytes
    if (at > entriesEnd) return `entry ${i} reaches beyond its block`
  }
  if (at !== entriesEnd) return `${entriesEnd - at} bytes of a block belong to no entry`
  return undefined
}

/** A varint of at most 31 bits inside [at, end), or -1. */
function readLength(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  for (let shift = 0; shift < 35 && at < end; shift += 7) {
    const byte = bytes[at++]!
    if (shift === 28 && byte > 7) return -1
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return value
  }
  return -1
}

function lengthBytes(bytes: Uint8Array, at: number): number {
  let count = 1
  while (bytes[at]! >= 0x80) {
    at++
    count++
  }
  return count
}
