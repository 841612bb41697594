/**
 * The NDJSON entry format of `export` and `import`: a control line that says what follows, then one line an entry.
 *
 * ```
 * {"control":"entries","format":"varve-entries","version":1,"seqno":42,"keyspaces":{"default":{},"visits":{"mergeOperator":"counter"}}}
 * {"keyspace":"default","key":"city:lisbon","value":"Lisboa"}
 * {"keyspace":"visits","key":"city:lisbon","value":{"base64":"AQAAAAAAAAA="}}
 * ```
 */
import { fromJson, type JsonBytes } from './encoding.ts'
import { CommandError } from './exit-codes.ts'

export const ENTRY_FORMAT = 'varve-entries'

export interface EntriesLine {
  readonly control: 'entries'
  readonly format: string
  readonly version: number
  /** The state that was exported. */
  readonly seqno: number
  readonly keyspaces: Readonly<Record<string, { mergeOperator?: string }>>
}

export interface EntryLine {
  readonly keyspace: string
  readonly key: JsonBytes
  readonly value: JsonBytes
}

export type ParsedEntry =
  | { readonly kind: 'header'; readonly keyspaces: EntriesLine['keyspaces'] }
  | {
      readonly kind: 'entry'
      readonly keyspace: string | undefined
      readonly key: Buffer
      readonly value: Buffer
    }

export function parseEntryLine(text: string, where: string): ParsedEntry {
  const fields = parseObject(text, where)
  if (Object.hasOwn(fields, 'control')) return parseHeader(fields, where)
  const key = fromJson(fields['key'])
  const value = fromJson(fields['value'])
  if (key === undefined || value === undefined) {
    throw new CommandError(
      `${where} has no key and value as \`varve export\` writes them; for other documents name the member that is the key: --key <name>.`,
    )
  }
  const { keyspace } = fields
  if (keyspace !== undefined && typeof keyspace !== 'string') {
    throw new CommandError(`${where} has a keyspace that is no text.`)
  }
  return { kind: 'entry', keyspace, key, value }
}

export function parseObject(text: string, where: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new CommandError(`${where} is not JSON: ${(error as Error).message}`)
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>
  }
  throw new CommandError(`${where} is not a JSON object.`)
}

function parseHeader(fields: Record<string, unknown>, where: string): ParsedEntry {
  const { format, version, keyspaces = {} } = fields
  if (format !== ENTRY_FORMAT || version !== 1) {
    throw new CommandError(`${where} is in another format than ${ENTRY_FORMAT} 1.`)
  }
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
  const isNeed = (value: unknown): boolean =>
    isObject(value) &&
    ['undefined', 'string'].includes(typeof Reflect.get(value as object, 'mergeOperator'))
  if (!isObject(keyspaces) || !Object.values(keyspaces as object).every(isNeed)) {
    throw new CommandError(`${where} does not say what the keyspaces need.`)
  }
  return { kind: 'header', keyspaces: keyspaces as EntriesLine['keyspaces'] }
}
