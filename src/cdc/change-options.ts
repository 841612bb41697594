/**
 * What callers hand to scans, tails and consumers, checked by the call itself: all problems at once, unknown names refused.
 * A wrong *type* is a TypeError, everything else VARVE_INVALID_ARGUMENT with details.problems.
 */
import type { BytesLike } from '../base/bytes.ts'
import { KEY_BYTES_MAX } from '../base/entry-kind.ts'
import { hasCode, invalidArgument, wrongType } from '../base/errors.ts'
import {
  type Check,
  type Checks,
  isAmount,
  isBoolean,
  isBytesLike,
  isInteger,
  isOneOf,
  isSignal,
  isTexts,
  problemsOf,
  throwProblems,
} from '../base/option-check.ts'
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

/** A bound of a range is a key, or a part of one. */
const isBound: Check = (value) => {
  const problem = isBytesLike(value)
  if (problem !== undefined) return problem
  if (typeof value === 'string' && LONE_SURROGATE.test(value)) {
    // Lone surrogates all encode to the same three bytes.
    return { message: 'has a lone surrogate, which no UTF-8 bytes stand for' }
  }
  const bytes = Buffer.byteLength(value as BytesLike)
  return bytes > KEY_BYTES_MAX
    ? { message: `has ${bytes} bytes, at most ${KEY_BYTES_MAX}` }
    : undefined
}

const areTypes: Check = (value) => {
  const problem = isTexts(value)
  if (problem !== undefined) return problem
  const unknown = (value as readonly string[]).find((type) => !TYPES.includes(type as ChangeType))
  return unknown === undefined
    ? undefined
    : { message: `has ${unknown}; known: ${TYPES.join(', ')}` }
}

/** Looked at elsewhere. */
const isAnything: Check = () => undefined

/** `range` is an options object of its own. */
const FILTER_CHECKS: Checks = { keyspaces: isTexts, range: isAnything, types: areTypes }

const RANGE_CHECKS: Checks = {
  gt: isBound,
  gte: isBound,
  lt: isBound,
  lte: isBound,
  prefix: isBound,
}

const SCAN_CHECKS: Checks = {
  ...FILTER_CHECKS,
  upTo: isAmount(0),
  limit: isAmount(1),
  visibility: isOneOf('committed', 'durable'),
  skip: isBoolean,
  memoryBudgetBytes: isInteger(1),
  signal: isSignal,
}

const FOLLOW_CHECKS: Checks = {
  ...FILTER_CHECKS,
  visibility: isOneOf('committed', 'durable'),
  maxBatchEvents: isAmount(1),
  heartbeatMs: isAmount(0),
  signal: isSignal,
}

/** `from` is a parameter of its own for scans and a field for tails; it is read by `parseFrom`. */
const TAIL_CHECKS: Checks = { ...FOLLOW_CHECKS, from: isAnything }

const BATCHES_CHECKS: Checks = { ...FOLLOW_CHECKS, stopAtLatest: isBoolean }

const CONSUMER_CHECKS: Checks = {
  from: isAnything,
  maxHeldBytes: isAmount(0),
  maxIdleMs: isAmount(1),
}

export function checkScanOptions(options: unknown): ScanOptions {
  return checked(options, SCAN_CHECKS) as ScanOptions
}

export function checkTailOptions(options: unknown): TailOptions {
  if (options === undefined) throw wrongType('options', 'an object', options)
  return checked(options, TAIL_CHECKS) as TailOptions
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
    return word === undefined ? { token: tokenIn(from, words) } : { word }
  }
  return { seqno: parseSeqno(from, 'from') }
}

function tokenIn(from: string, words: readonly string[]): TokenFields {
  try {
    return decodeToken(from)
  } catch (cause) {
    if (!hasCode(cause, 'VARVE_INVALID_ARGUMENT')) throw cause
    const others = words.map((word) => `'${word}', `).join('')
    const message = `from must be ${others}a seqno or a resume token; what it is now is a malformed token: ${String(cause.details['reason'])}`
    throw Object.assign(invalidArgument(message, cause.details), { cause })
  }
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

function checked(options: unknown, checks: Checks): object {
  if (options === undefined) return {}
  const problems = problemsOf(options, checks)
  const range: unknown =
    'range' in checks ? (options as ChangeFilterOptions | null)?.range : undefined
  throwProblems([...problems, ...problemsOf(range, RANGE_CHECKS, 'range.')])
  return options as object
}
