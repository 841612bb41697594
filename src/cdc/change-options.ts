/**
 * What callers hand to scans, tails and consumers, checked by the call itself: all problems at once, unknown names refused.
 * A wrong *type* is a TypeError, everything else VARVE_INVALID_ARGUMENT with details.problems.
 */
import type { BytesLike } from '../base/bytes.ts'
import { KEY_BYTES_MAX } from '../base/entry-kind.ts'
import { invalidArgument, wrongType } from '../base/errors.ts'
import { decodeToken, type TokenFields } from './resume-token.ts'

export type ChangeType = 'Insert' | 'MergeOperand' | 'PointTombstone' | 'RangeTombstone'
export type Visibility = 'committed' | 'durable'

export interface ChangeRangeOptions {
  readonly gt?: BytesLike | undefined
  readonly gte?: BytesLike | undefined
  readonly lt?: BytesLike | undefined
  readonly lte?: BytesLike | undefined
  readonly prefix?: BytesLike | undefined
}

export interface ChangeFilterOptions {
  readonly keyspaces?: readonly string[] | undefined
  readonly range?: ChangeRangeOptions | undefined
  readonly types?: readonly ChangeType[] | undefined
}

export interface ScanOptions extends ChangeFilterOptions {
  readonly upTo?: number | undefined
  readonly limit?: number | undefined
  readonly visibility?: Visibility | undefined
  readonly skip?: boolean | undefined
  readonly memoryBudgetBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface FollowOptions extends ChangeFilterOptions {
  readonly visibility?: Visibility | undefined
  readonly maxBatchEvents?: number | undefined
  readonly heartbeatMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface TailOptions extends FollowOptions {
  readonly from: number | string
}

export interface BatchesOptions extends FollowOptions {
  readonly stopAtLatest?: boolean | undefined
}

export interface ConsumerOptions {
  readonly from?: number | 'now' | 'oldest' | undefined
  readonly maxHeldBytes?: number | undefined
  readonly maxIdleMs?: number | undefined
}

/** A starting point as a caller gives it: a seqno, a token, or a word where words are allowed. */
export type From =
  | { readonly seqno: number }
  | { readonly token: TokenFields }
  | { readonly word: 'now' | 'oldest' }

const LONE_SURROGATE = /\p{Surrogate}/u

const TYPES: readonly ChangeType[] = ['Insert', 'MergeOperand', 'PointTombstone', 'RangeTombstone']

/** Takes one given (not undefined) option; returns what is wrong with its value. Throws for a wrong type. */
type Check = (value: unknown, name: string) => string | undefined

const FILTER_CHECKS: Readonly<Record<string, Check>> = {
  keyspaces: listOf((name) => (typeof name === 'string' ? undefined : 'a string')),
  range: (value, name) => problemsOf(value, name, RANGE_CHECKS).join('; ') || undefined,
  types: (value, name) => {
    listOf((type) => (typeof type === 'string' ? undefined : 'a string'))(value, name)
    const unknown = (value as readonly string[]).find((type) => !TYPES.includes(type as ChangeType))
    return unknown === undefined ? undefined : `has ${unknown}; known: ${TYPES.join(', ')}`
  },
}

const RANGE_CHECKS: Readonly<Record<string, Check>> = {
  gt: bound,
  gte: bound,
  lt: bound,
  lte: bound,
  prefix: bound,
}

const SCAN_CHECKS: Readonly<Record<string, Check>> = {
  ...FILTER_CHECKS,
  upTo: integer(0),
  limit: integer(1),
  visibility,
  skip: boolean,
  memoryBudgetBytes: integer(1),
  signal,
}

const FOLLOW_CHECKS: Readonly<Record<string, Check>> = {
  ...FILTER_CHECKS,
  visibility,
  maxBatchEvents: integer(1),
  heartbeatMs: integer(0),
  signal,
}

/** `from` is a parameter of its own for scans and a field for tails; it is read by `parseFrom`. */
const TAIL_CHECKS: Readonly<Record<string, Check>> = { ...FOLLOW_CHECKS, from: () => undefined }

const BATCHES_CHECKS: Readonly<Record<string, Check>> = { ...FOLLOW_CHECKS, stopAtLatest: boolean }

const CONSUMER_CHECKS: Readonly<Record<string, Check>> = {
  from: () => undefined,
  maxHeldBytes: amount(0),
  maxIdleMs: amount(1),
}

export function checkScanOptions(options: unknown): ScanOptions {
  return checked(options, SCAN_CHECKS) as ScanOptions
}

export function checkTailOptions(options: unknown): TailOptions {
  if (options === undefined) throw wrongType('options', 'an object', options)
  return checked(options, TAIL_CHECKS) as unknown as TailOptions
}

export function checkBatchesOptions(options: unknown): BatchesOptions {
  return checked(options, BATCHES_CHECKS) as BatchesOptions
}

export function checkConsumerOptions(options: unknown): ConsumerOptions {
  return checked(options, CONSUMER_CHECKS) as ConsumerOptions
}

/** Reads `from`. Strings are tokens, or one of `words`. */
export function parseFrom(from: unknown, words: readonly ('now' | 'oldest')[] = []): From {
  if (typeof from === 'string') {
    const word = words.find((one) => one === from)
    return word === undefined ? { token: decodeToken(from) } : { word }
  }
  return { seqno: parseSeqno(from, 'from') }
}

/** A seqno to begin with: 0 means 1. */
export function parseSeqno(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType(name, 'a seqno or a resume token', value)
  if (!Number.isSafeInteger(value) || value < 0) {
    throw invalidArgument(`${name} must be a safe integer of at least 0, got ${value}`, {
      argument: name,
    })
  }
  return value === 0 ? 1 : value
}

export function parseMax(max: unknown): number {
  if (typeof max !== 'number') throw wrongType('max', 'a number', max)
  if (max !== Infinity && !(Number.isSafeInteger(max) && max >= 1)) {
    throw invalidArgument(`max must be an integer of at least 1, got ${max}`, { argument: 'max' })
  }
  return max
}

function checked(
  options: unknown,
  checks: Readonly<Record<string, Check>>,
): Readonly<Record<string, unknown>> {
  if (options === undefined) return {}
  const problems = problemsOf(options, '', checks)
  if (problems.length > 0) throw invalidArgument(problems.join('; '), { problems })
  return options as Readonly<Record<string, unknown>>
}

function problemsOf(
  options: unknown,
  prefix: string,
  checks: Readonly<Record<string, Check>>,
): string[] {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw wrongType(prefix || 'options', 'an object', options)
  }
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    const label = prefix === '' ? name : `${prefix}.${name}`
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      problems.push(`${label} is unknown; known: ${Object.keys(checks).join(', ')}`)
      continue
    }
    if (value === undefined) continue
    const problem = check(value, label)
    if (problem !== undefined) problems.push(prefix === 'range' ? problem : `${label} ${problem}`)
  }
  return problems
}

function integer(min: number): Check {
  return (value, name) => {
    if (typeof value !== 'number') throw wrongType(name, 'a number', value)
    if (Number.isSafeInteger(value) && value >= min) return undefined
    return `must be an integer of at least ${min}, got ${value}`
  }
}

/** An integer, or Infinity for no limit. */
function amount(min: number): Check {
  const check = integer(min)
  return (value, name) => (value === Infinity ? undefined : check(value, name))
}

function boolean(value: unknown, name: string): undefined {
  if (typeof value !== 'boolean') throw wrongType(name, 'a boolean', value)
}

function visibility(value: unknown, name: string): string | undefined {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value)
  return value === 'committed' || value === 'durable'
    ? undefined
    : `must be one of committed, durable, got ${value}`
}

function signal(value: unknown, name: string): undefined {
  if (!(value instanceof AbortSignal)) throw wrongType(name, 'an AbortSignal', value)
}

function bound(value: unknown, name: string): string | undefined {
  if (typeof value === 'string') {
    // Lone surrogates all encode to the same three bytes.
    if (LONE_SURROGATE.test(value))
      return `${name} has a lone surrogate, which no UTF-8 bytes stand for`
  } else if (!(value instanceof Uint8Array)) {
    throw wrongType(name, 'a Uint8Array or a string', value)
  }
  const bytes = Buffer.byteLength(value)
  return bytes > KEY_BYTES_MAX ? `${name} has ${bytes} bytes, at most ${KEY_BYTES_MAX}` : undefined
}

function listOf(expected: (item: unknown) => string | undefined): Check {
  return (value, name) => {
    if (!Array.isArray(value)) throw wrongType(name, 'an array', value)
    for (const [i, item] of value.entries()) {
      const kind = expected(item)
      if (kind !== undefined) throw wrongType(`${name}[${i}]`, kind, item)
    }
    return undefined
  }
}
