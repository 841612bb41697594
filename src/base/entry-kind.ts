/**
 * What an entry is, in one byte: the kind in the low three bits, flags above. The same byte stands in WAL commits,
 * memtables, segment blocks and history.
 */

/** `value` is the value. */
export const KIND_INSERT = 1
/** `value` is one merge operand. */
export const KIND_MERGE = 2
/** A point tombstone; no value. */
export const KIND_DELETE = 3
/** `key` is the start, `value` the exclusive end; with FLAG_OPEN_END there is no end and no value. */
export const KIND_RANGE_DELETE = 4

export const KIND_MASK = 0x07
/** The value bytes are an encoded reference into a blob file. */
export const FLAG_BLOB = 0x08
/** Made for reading by folding operands: never an event, in no change index. */
export const FLAG_DERIVED = 0x10
/** A range delete that reaches to the end of its keyspace. */
export const FLAG_OPEN_END = 0x20
/** A range delete that drops its keyspace. Always with FLAG_OPEN_END and an empty key. */
export const FLAG_DROPS_KEYSPACE = 0x40

export const KEY_BYTES_MAX = 65_535
export const VALUE_BYTES_MAX: number = 2 ** 30
export const COMMIT_BYTES_MAX: number = 2 ** 31 - 2 ** 20
export const META_BYTES_MAX = 256
