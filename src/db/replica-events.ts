/**
 * From the events that `applyChanges` is given to whole commits, checked, and copied where they are the caller's: nothing of
 * those is looked at again after the call has returned.
 */
import { EMPTY_BYTES, isBytes, U48_MAX } from '../base/bytes.ts'
import {
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import { checkName, toKey, toMeta, toValue } from './arguments.ts'
import { toDeleteRange } from './batch.ts'
import { DEFAULT_KEYSPACE } from './keyspace-directory.ts'

export interface ReplicaOperation {
  readonly kind: number
  readonly keyspace: string
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A commit of the source. */
export interface ReplicaCommit {
  readonly first: number
  readonly last: number
  readonly timeMs: number
  readonly meta: Uint8Array | undefined
  /** Seqno of the first operation that was given: `first`, but where the events begin inside the commit. */
  readonly from: number
  readonly operations: ReplicaOperation[]
  /** It is nothing but the drop of a keyspace. */
  readonly dropsKeyspace: boolean
  bytes: number
}

export interface ReplicaCommits {
  /** Without holes between them. */
  readonly commits: readonly ReplicaCommit[]
  /** The last commit was incomplete; it is not among them. */
  readonly cutOff: ReplicaCommit | undefined
  /** There are operands among the operations. */
  readonly hasOperands: boolean
}

/** The fields that all events have, as a caller may have got them wrong. */
interface GivenEvent {
  readonly type?: unknown
  readonly keyspace?: unknown
  readonly seqno?: unknown
  readonly commitSeqno?: unknown
  readonly commitLast?: unknown
  readonly commitMeta?: unknown
  readonly timestamp?: unknown
  readonly key?: unknown
  readonly value?: unknown
  readonly operand?: unknown
  readonly startKey?: unknown
  readonly endKey?: unknown
  readonly dropsKeyspace?: unknown
}

/** Throws TypeError, VARVE_INVALID_ARGUMENT, or VARVE_SEQNO_GAP { expected, found } for a hole between two of them. */
export function readEvents(events: unknown, { isOurs }: { isOurs: boolean }): ReplicaCommits {
  if (!Array.isArray(events)) throw wrongType('events', 'an array of change events', events)
  const commits: ReplicaCommit[] = []
  let seqno = 0
  let commit: ReplicaCommit | undefined
  let keyspace: unknown
  let hasOperands = false
  for (const given of events as readonly unknown[]) {
    if (typeof given !== 'object' || given === null)
      throw wrongType('events', 'change events', given)
    const event: GivenEvent = given
    const next = integer(event.seqno, 'seqno', 1, Number.MAX_SAFE_INTEGER)
    if (commit !== undefined && next !== seqno + 1) {
      if (next > seqno) throw seqnoGap({ expected: seqno + 1, found: next })
      throw invalidArgument(`events must be in the order of their seqnos: ${next} after ${seqno}`)
    }
    seqno = next
    if (commit === undefined || seqno > commit.last) {
      commit = beginCommit(event, seqno, commit)
      commits.push(commit)
    } else {
      ensureSameCommit(commit, event, seqno)
    }
    if (event.keyspace !== keyspace) checkName(event.keyspace, 'keyspace')
    keyspace = event.keyspace
    hasOperands ||= event.type === 'MergeOperand'
    addOperation(commit, event, isOurs)
  }
  const cutOff = commit !== undefined && seqno < commit.last ? commits.pop() : undefined
  return { commits, cutOff, hasOperands }
}

export function seqnoGap(seqnos: { expected: number; found: number }): VarveError {
  const { expected, found } = seqnos
  return new VarveError(
    'VARVE_SEQNO_GAP',
    `the next event must have seqno ${expected}, not ${found}: those between are missing`,
    seqnos,
  )
}

function beginCommit(
  event: GivenEvent,
  seqno: number,
  before: ReplicaCommit | undefined,
): ReplicaCommit {
  const first = integer(event.commitSeqno, 'commitSeqno', 1, seqno)
  const last = integer(event.commitLast, 'commitLast', seqno, U48_MAX)
  const timeMs = integer(event.timestamp, 'timestamp', 0, U48_MAX)
  if (before !== undefined && first !== seqno) {
    throw invalidArgument(`event ${seqno} is of a commit that begins before another one ends`)
  }
  if (before !== undefined && timeMs < before.timeMs) {
    throw invalidArgument(`event ${seqno} was committed before the one before it`)
  }
  const meta = event.commitMeta
  return {
    first,
    last,
    timeMs,
    meta: meta === undefined ? undefined : copy(toMeta(bytes(meta, 'commitMeta'))),
    from: seqno,
    operations: [],
    dropsKeyspace: event.dropsKeyspace === true,
    bytes: 0,
  }
}

function ensureSameCommit(commit: ReplicaCommit, event: GivenEvent, seqno: number): void {
  const isSame =
    event.commitSeqno === commit.first &&
    event.commitLast === commit.last &&
    event.timestamp === commit.timeMs &&
    isSameMeta(commit.meta, event.commitMeta)
  if (isSame) return
  throw invalidArgument(`event ${seqno} does not say the same of its commit as the one before it`)
}

function isSameMeta(meta: Uint8Array | undefined, given: unknown): boolean {
  if (meta === undefined || given === undefined) return meta === given
  return isBytes(given) && Buffer.compare(meta, given) === 0
}

function addOperation(commit: ReplicaCommit, event: GivenEvent, isOurs: boolean): void {
  const { dropsKeyspace } = event
  if (dropsKeyspace !== undefined) checkDrop(commit, event)
  let kind: number
  let key: Uint8Array
  let value: Uint8Array = EMPTY_BYTES
  switch (event.type) {
    case 'Insert':
      kind = KIND_INSERT
      key = toKey(bytes(event.key, 'key'))
      value = toValue(bytes(event.value, 'value'))
      break
    case 'MergeOperand':
      kind = KIND_MERGE
      key = toKey(bytes(event.key, 'key'))
      value = toValue(bytes(event.operand, 'operand'), 'operand')
      break
    case 'PointTombstone':
      kind = KIND_DELETE
      key = toKey(bytes(event.key, 'key'))
      break
    case 'RangeTombstone': {
      const { endKey } = event
      const end = endKey === undefined ? undefined : bytes(endKey, 'endKey')
      const range = toDeleteRange(bytes(event.startKey, 'startKey'), end)
      kind = KIND_RANGE_DELETE | (dropsKeyspace === true ? FLAG_DROPS_KEYSPACE : 0)
      if (range.end === undefined) kind |= FLAG_OPEN_END
      key = range.start
      value = range.end ?? EMPTY_BYTES
      break
    }
    default:
      throw invalidArgument(`an event has the unknown type ${String(event.type)}`)
  }
  commit.bytes += key.length + value.length
  commit.operations.push({
    kind,
    // Checked by the caller.
    keyspace: event.keyspace as string,
    key: isOurs ? key : copy(key),
    value: isOurs ? value : copy(value),
  })
}

function checkDrop(commit: ReplicaCommit, event: GivenEvent): void {
  const { type, dropsKeyspace, keyspace, startKey, endKey } = event
  if (dropsKeyspace !== true) throw wrongType('dropsKeyspace', 'true or left out', dropsKeyspace)
  const isWhole =
    type === 'RangeTombstone' && endKey === undefined && bytes(startKey, 'startKey').length === 0
  if (!isWhole || commit.first !== commit.last) {
    throw invalidArgument('a keyspace is dropped whole, by a commit of its own')
  }
  if (keyspace === DEFAULT_KEYSPACE) {
    throw invalidArgument('the default keyspace cannot be dropped', { keyspace })
  }
}

function integer(value: unknown, name: string, min: number, max: number): number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw invalidArgument(`${name} of an event must be an integer from ${min} to ${max}, is ${value}`)
}

function bytes(value: unknown, name: string): Uint8Array {
  if (isBytes(value)) return value
  throw wrongType(name, 'a Uint8Array', value)
}

function copy(source: Uint8Array): Uint8Array {
  return source.length === 0 ? EMPTY_BYTES : Buffer.from(source)
}
