/**
 * The entry of a change log that is kept by hand, for peers without one: what a program would write who needs to know key, kind and value.
 *
 * ```
 *   kind u8 | key length u16 | key | value
 * ```
 */

export const LOG_PUT = 1
export const LOG_DELETE = 2
const HEADER_BYTES = 3

export function encodeLogEntry(
  kind: number,
  key: Uint8Array,
  value: Uint8Array | undefined,
): Buffer {
  const valueBytes = value === undefined ? 0 : value.length
  const entry = Buffer.allocUnsafe(HEADER_BYTES + key.length + valueBytes)
  entry[0] = kind
  entry[1] = key.length & 0xff
  entry[2] = key.length >>> 8
  entry.set(key, HEADER_BYTES)
  if (value !== undefined) entry.set(value, HEADER_BYTES + key.length)
  return entry
}

export function logEntryKey(entry: Uint8Array): Uint8Array {
  return entry.subarray(HEADER_BYTES, HEADER_BYTES + logEntryKeyBytes(entry))
}

export function logEntryValue(entry: Uint8Array): Uint8Array {
  return entry.subarray(HEADER_BYTES + logEntryKeyBytes(entry))
}

function logEntryKeyBytes(entry: Uint8Array): number {
  return (entry[1] as number) | ((entry[2] as number) << 8)
}
