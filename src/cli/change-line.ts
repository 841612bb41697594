/**
 * The NDJSON change format: one line an event, in the order of seqnos, and control lines that say where the events come from
 * and how far they go. docs/ndjson.md describes it; it is stable: members may be added, none changes its meaning.
 *
 * ```
 * {"control":"source","format":"varve-changes","version":1,"storeId":"…","epochs":[…],"keyspaces":{"default":{}}}
 * {"type":"Insert","keyspace":"default","key":"a","value":"1","seqno":1,"commitSeqno":1,"commitLast":1,"timestamp":1700000000000}
 * {"control":"position","next":2,"token":"AR…"}
 * ```
 */
import type { ChangeEvent } from '../cdc/change-event.ts'
import { type Encoding, fromJson, type JsonBytes, toJson } from './encoding.ts'
import { CommandError } from './exit-codes.ts'

export const CHANGE_FORMAT = 'varve-changes'
export const CHANGE_FORMAT_VERSION = 1

/** First line, and again whenever something in it changed: what a replica must know before the events that follow. */
export interface SourceLine {
  readonly control: 'source'
  readonly format: string
  readonly version: number
  readonly storeId: string
  readonly epochs: readonly { epoch: number; id: string; first: number }[]
  readonly keyspaces: Readonly<Record<string, { mergeOperator?: string }>>
  /** Earlier ones of which history still has events. A name may stand here several times, and in `keyspaces` as well. */
  readonly dropped?: readonly DroppedKeyspace[]
}

export interface DroppedKeyspace {
  readonly keyspace: string
  /** Seqno of the event that dropped it. */
  readonly droppedAt: number
  readonly mergeOperator?: string
}

/** Everything below `next` that passed the filter was sent; `token` resumes there. Also the heartbeat. */
export interface PositionLine {
  readonly control: 'position'
  readonly next: number
  readonly token: string
}

export type ParsedLine =
  | { readonly kind: 'event'; readonly event: ChangeEvent }
  | { readonly kind: 'source'; readonly source: SourceLine }
  | { readonly kind: 'position'; readonly position: PositionLine }
  /** A control line of a later version, which may be passed over. */
  | { readonly kind: 'other' }

export interface LineEncodings {
  readonly keys: Encoding
  readonly values: Encoding
}

const EXACT: LineEncodings = { keys: 'utf8', values: 'utf8' }

export function encodeEvent(event: ChangeEvent, encodings: LineEncodings = EXACT): string {
  const { type, keyspace, seqno, commitSeqno, commitLast, timestamp, commitMeta } = event
  const { keys, values } = encodings
  let content: Record<string, JsonBytes | null | true>
  if (event.type === 'RangeTombstone') {
    content = {
      startKey: toJson(event.startKey, keys),
      endKey: event.endKey === undefined ? null : toJson(event.endKey, keys),
    }
    if (event.dropsKeyspace === true) content['dropsKeyspace'] = true
  } else {
    content = { key: toJson(event.key, keys) }
    if (event.type === 'Insert') content['value'] = toJson(event.value, values)
    if (event.type === 'MergeOperand') content['operand'] = toJson(event.operand, values)
  }
  const base = { seqno, commitSeqno, commitLast, timestamp }
  const meta = commitMeta === undefined ? {} : { commitMeta: toJson(commitMeta) }
  return JSON.stringify({ type, keyspace, ...content, ...base, ...meta })
}

/** `where` is for messages: "line 17". Throws what is to be said of a line that is none of ours. */
export function parseLine(text: string, where: string): ParsedLine {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new CommandError(`${where} is not JSON: ${(error as Error).message}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new CommandError(`${where} is not a JSON object.`)
  }
  const fields = new Fields(parsed as Record<string, unknown>, where)
  return 'control' in parsed ? parseControl(fields) : { kind: 'event', event: parseEvent(fields) }
}

function parseControl(fields: Fields): ParsedLine {
  const control = fields.text('control')
  if (control === 'position') {
    const { next, token } = { next: fields.seqno('next'), token: fields.text('token') }
    return { kind: 'position', position: { control, next, token } }
  }
  if (control !== 'source') return { kind: 'other' }
  const format = fields.text('format')
  const version = fields.seqno('version')
  if (format !== CHANGE_FORMAT || version !== CHANGE_FORMAT_VERSION) {
    fields.fail(`is in format ${format} ${version}; ${CHANGE_FORMAT} 1 can be read`)
  }
  return {
    kind: 'source',
    source: {
      control,
      format,
      version,
      storeId: fields.text('storeId'),
      epochs: fields.epochs(),
      keyspaces: fields.keyspaces(),
      dropped: fields.dropped(),
    },
  }
}

function parseEvent(fields: Fields): ChangeEvent {
  const base = {
    keyspace: fields.text('keyspace'),
    seqno: fields.seqno('seqno'),
    commitSeqno: fields.seqno('commitSeqno'),
    commitLast: fields.seqno('commitLast'),
    timestamp: fields.seqno('timestamp'),
    ...(fields.has('commitMeta') ? { commitMeta: fields.bytes('commitMeta') } : {}),
  }
  const { seqno, commitSeqno, commitLast } = base
  // Whoever passes over what is known already goes by the end of the commit.
  if (commitSeqno < 1 || commitSeqno > seqno || seqno > commitLast) {
    fields.fail(`has seqno ${seqno} outside of its commit, ${commitSeqno} to ${commitLast}`)
  }
  const type = fields.text('type')
  switch (type) {
    case 'Insert':
      return { type, ...base, key: fields.bytes('key'), value: fields.bytes('value') }
    case 'MergeOperand':
      return { type, ...base, key: fields.bytes('key'), operand: fields.bytes('operand') }
    case 'PointTombstone':
      return { type, ...base, key: fields.bytes('key') }
    case 'RangeTombstone':
      return {
        type,
        ...base,
        startKey: fields.bytes('startKey'),
        endKey: fields.isNull('endKey') ? undefined : fields.bytes('endKey'),
        ...(fields.isTrue('dropsKeyspace') ? { dropsKeyspace: true as const } : {}),
      }
    default:
      return fields.fail(`has an unknown type ${JSON.stringify(type)}`)
  }
}

/** One parsed line, field by field; whatever is wrong with it is said with its place. */
class Fields {
  readonly #fields: Record<string, unknown>
  readonly #where: string

  constructor(fields: Record<string, unknown>, where: string) {
    this.#fields = fields
    this.#where = where
  }

  fail(what: string): never {
    throw new CommandError(`${this.#where} ${what}.`)
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name)
  }

  isNull(name: string): boolean {
    return this.has(name) && this.#fields[name] === null
  }

  isTrue(name: string): boolean {
    return this.has(name) && this.#fields[name] === true
  }

  text(name: string): string {
    const value = this.has(name) ? this.#fields[name] : undefined
    return typeof value === 'string' ? value : this.fail(`has no ${name}`)
  }

  seqno(name: string): number {
    const value = this.has(name) ? this.#fields[name] : undefined
    const isWhole = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    return isWhole ? value : this.fail(`has no ${name} that is a whole number`)
  }

  bytes(name: string): Buffer {
    const bytes = this.has(name) ? fromJson(this.#fields[name]) : undefined
    return bytes ?? this.fail(`has no ${name} that stands for bytes`)
  }

  epochs(): SourceLine['epochs'] {
    const epochs = this.#fields['epochs']
    if (!Array.isArray(epochs)) return this.fail('has no epochs')
    return epochs.map((value: unknown) => {
      const epoch = new Fields((value ?? {}) as Record<string, unknown>, this.#where)
      return { epoch: epoch.seqno('epoch'), id: epoch.text('id'), first: epoch.seqno('first') }
    })
  }

  dropped(): readonly DroppedKeyspace[] {
    const dropped = this.#fields['dropped'] ?? []
    if (!Array.isArray(dropped)) return this.fail('has no list of dropped keyspaces')
    return dropped.map((value: unknown) => {
      const one = new Fields((value ?? {}) as Record<string, unknown>, this.#where)
      return {
        keyspace: one.text('keyspace'),
        droppedAt: one.seqno('droppedAt'),
        ...(one.has('mergeOperator') ? { mergeOperator: one.text('mergeOperator') } : {}),
      }
    })
  }

  keyspaces(): SourceLine['keyspaces'] {
    const keyspaces = this.#fields['keyspaces']
    if (typeof keyspaces !== 'object' || keyspaces === null) return this.fail('has no keyspaces')
    return keyspaces as SourceLine['keyspaces']
  }
}
