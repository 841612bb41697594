/**
 * Fields that carry their own names: `varint tag | varint length | bytes`, to the end of what holds them. A reader that does
 * not know a tag skips the field when the tag's low bit is set, and must refuse the whole otherwise: so additions need no
 * new format version, and a reader never misunderstands what it half knows.
 */
import { VarveError } from '../base/errors.ts'
import { ByteReader, varintBytes, writeVarint } from '../base/varint.ts'

/** With this bit a tag may be skipped by who does not know it. */
export const TAG_IGNORABLE = 1

/** Fields while they are gathered; `bytes` puts them one behind the other. */
export class FieldList {
  readonly #parts: Uint8Array[] = []

  /** Keeps `bytes`, which must not change afterwards. */
  add(tag: number, bytes: Uint8Array): this {
    const head = Buffer.allocUnsafe(varintBytes(tag) + varintBytes(bytes.length))
    writeVarint(head, writeVarint(head, 0, tag), bytes.length)
    this.#parts.push(head, bytes)
    return this
  }

  addNumber(tag: number, value: number): this {
    const bytes = Buffer.allocUnsafe(varintBytes(value))
    writeVarint(bytes, 0, value)
    return this.add(tag, bytes)
  }

  addText(tag: number, text: string): this {
    return this.add(tag, Buffer.from(text))
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

export interface FieldSource {
  readonly file: string
  /** Called with what is wrong and where; must throw. */
  readonly fail: (reason: string, position: number) => never
}

/**
 * Calls `visit` for each field with a reader over its bytes alone. `visit` answers false for a tag that it does not know;
 * it need not read a field to its end (a newer writer may have put more there).
 */
export function readFields(
  reader: ByteReader,
  source: FieldSource,
  visit: (tag: number, field: ByteReader) => boolean,
): void {
  while (reader.remaining > 0) {
    const tag = reader.varint()
    const length = reader.varint()
    const start = reader.position
    // Against what is left behind the length itself.
    if (length > reader.remaining) reader.fail(`a field of ${length} bytes is cut off`)
    const field = new ByteReader(reader.bytes, start, start + length, source.fail)
    if (!visit(tag, field) && (tag & TAG_IGNORABLE) === 0) {
      throw unsupportedFormat('a field', {
        file: source.file,
        found: `field ${tag}`,
        supported: 'the fields of this version',
      })
    }
    reader.position = start + length
  }
}

/** VARVE_UNSUPPORTED_FORMAT: `what` was written by a newer version than ours. */
export function unsupportedFormat(
  what: string,
  details: Readonly<{ file: string; found: number | string; supported: number | string }>,
): VarveError {
  const { file, found, supported } = details
  return new VarveError(
    'VARVE_UNSUPPORTED_FORMAT',
    `${what} was written by a newer version of Varve: found ${found}, supported ${supported} (${file})`,
    details,
  )
}
