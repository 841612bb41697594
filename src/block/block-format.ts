/**
 * A block: the unit that is read, checked and cached. Entries in order, then the tables that find one without walking.
 *
 * ```
 *   entries     count of them, each
 *                 u8      shared: how many bytes of the key are those of the block's first key, at most 255
 *                 varint  length of the rest of the key
 *                 varint  length of the value
 *                 u8      kind and flags (base/entry-kind.ts)
 *                 u48     seqno
 *                 rest of the key | value
 *   tags        count x u8, the low byte of the key's hash      only when TAGGED: blocks that are searched by key
 *   offsets     count x u16 (u32 when WIDE), of the entries, from the block's start
 *   u32         count in the low 30 bits | TAGGED, bit 30 | WIDE, bit 31
 * ```
 *
 * In a file, these bytes, compressed or not, are followed by a trailer:
 *
 * ```
 *   u8   codec (block/codec.ts)
 *   u32  checksum of the stored bytes and the codec, seeded with the low 32 bits of the file's number, so that a block of
 *        another file in a reused sector is no block
 * ```
 *
 * Prefixes are relative to the *first* key and not to the one before, so that any entry can be read alone, and so that
 * `shared` alone decides most comparisons of a search: with L = what the wanted key shares with the first key, an entry with
 * shared > L comes before it and one with shared < L behind it. Measured against restart points (LevelDB): same size,
 * two to four times as fast.
 */

/** Codec and checksum behind the stored bytes of a block. */
export const BLOCK_TRAILER_BYTES = 5
/** The count and its flags at the end of a block. */
export const BLOCK_FOOT_BYTES = 4
export const BLOCK_SHARED_MAX = 255
/** shared, two lengths of one byte each, kind, seqno: no entry is smaller. */
export const ENTRY_BYTES_MIN = 10
/** shared, varints of a key and of a value length, kind, seqno. */
export const ENTRY_HEADER_BYTES_MAX = 16
/** No block is bigger: one entry with the longest key and value, its tables and trailer. */
export const BLOCK_BYTES_MAX: number = 2 ** 30 + 2 ** 17

export const FLAG_TAGGED = 0x40
export const FLAG_WIDE = 0x80
/** A block whose last entry begins beyond this has u32 offsets. */
export const NARROW_OFFSET_MAX = 0xffff

/** Number of entries of the block that ends at `end`. */
export function blockCount(bytes: Uint8Array, end: number): number {
  return (
    bytes[end - 4]! |
    (bytes[end - 3]! << 8) |
    (bytes[end - 2]! << 16) |
    ((bytes[end - 1]! & 0x3f) << 24)
  )
}
