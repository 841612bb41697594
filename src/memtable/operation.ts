/**
 * One operation of a commit record, as offsets into the bytes that hold it: see batch/commit-record.ts for the layout.
 *
 * Written for the memtable's inner loops: the bytes were checked when they were published, so nothing is checked here.
 */

export class Operation {
  /** Kind and flags. */
  kind = 0
  keyspaceId = 0
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  /** Position behind the varint that was read last. */
  #at = 0

  /** Reads the operation that begins at `at`. */
  read(bytes: Uint8Array, at: number): void {
    this.kind = bytes[at]!
    let p = at + 1
    let keyspaceId = bytes[p++]!
    if (keyspaceId > 0x7f) {
      keyspaceId = this.#more(bytes, p, keyspaceId)
      p = this.#at
    }
    let keyBytes = bytes[p++]!
    if (keyBytes > 0x7f) {
      keyBytes = this.#more(bytes, p, keyBytes)
      p = this.#at
    }
    let valueBytes = bytes[p++]!
    if (valueBytes > 0x7f) {
      valueBytes = this.#more(bytes, p, valueBytes)
      p = this.#at
    }
    this.keyspaceId = keyspaceId
    this.keyStart = p
    this.keyEnd = p + keyBytes
    this.valueStart = p + keyBytes
    this.valueEnd = p + keyBytes + valueBytes
  }

  /** The same, but false when the operation does not end by `end`. */
  readChecked(bytes: Uint8Array, at: number, end: number): boolean {
    // What lies behind `end` is at worst read as zeros or as undefined, and then found to be too far.
    if (at >= end) return false
    this.read(bytes, at)
    return this.keyEnd >= this.keyStart && this.valueEnd >= this.keyEnd && this.valueEnd <= end
  }

  /** The rest of a varint of up to 31 bits whose first byte was `first`. */
  #more(bytes: Uint8Array, at: number, first: number): number {
    let value = first & 0x7f
    let shift = 7
    let p = at
    for (;;) {
      const byte = bytes[p++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80 || shift === 28) break
      shift += 7
    }
    this.#at = p
    return value
  }
}
