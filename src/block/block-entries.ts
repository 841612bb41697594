/**
 * The entries of a block as objects, one by one: for verify, dump and repair, where nobody counts nanoseconds.
 */
import { readU48 } from '../base/bytes.ts'
import { blockCount, FLAG_TAGGED, FLAG_WIDE } from './block-format.ts'
import { entryOffset, firstKeyAt } from './block-search.ts'

export interface BlockEntry {
  readonly slot: number
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  /** Borrowed from the block. */
  readonly value: Uint8Array
  /** The byte in the block's table of hashes; undefined when it has none. */
  readonly tag: number | undefined
}

/** Walks the block bytes[start, end), which passed `blockProblem`. */
export function* blockEntries(
  bytes: Uint8Array,
  start: number,
  end: number,
): Generator<BlockEntry, undefined> {
  const count = blockCount(bytes, end)
  const flags = bytes[end - 1]!
  const firstKey = firstKeyAt(bytes, start)
  const tagsAt = end - 4 - count * ((flags & FLAG_WIDE) !== 0 ? 5 : 3)
  for (let slot = 0; slot < count; slot++) {
    let at = start + entryOffset(bytes, end, slot)
    const shared = bytes[at++]!
    const rest = lengthAt(bytes, at)
    at += rest.bytes
    const valueLength = lengthAt(bytes, at)
    at += valueLength.bytes
    const suffixAt = at + 7
    const valueAt = suffixAt + rest.value
    yield {
      slot,
      key: Buffer.concat([
        bytes.subarray(firstKey, firstKey + shared),
        bytes.subarray(suffixAt, valueAt),
      ]),
      seqno: readU48(bytes, at + 1),
      kind: bytes[at]!,
      value: bytes.subarray(valueAt, valueAt + valueLength.value),
      tag: (flags & FLAG_TAGGED) === 0 ? undefined : bytes[tagsAt + slot]!,
    }
  }
  return undefined
}

function lengthAt(bytes: Uint8Array, position: number): { value: number; bytes: number } {
  let value = 0
  let at = position
  let shift = 0
  let byte: number
  do {
    byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    shift += 7
  } while (byte > 0x7f)
  return { value, bytes: at - position }
}
