/**
 * Merge operators: how operands become a value. The built-in ones, and the two ways in which the engine calls any of them.
 *
 * An operator is somebody else's code: whatever it throws or returns, the engine sees either bytes or VARVE_MERGE_FAILED.
 */
import { compare, EMPTY_BYTES, isBytes } from './bytes.ts'
import { VALUE_BYTES_MAX } from './entry-kind.ts'
import { invalidArgument, VarveError, wrongType } from './errors.ts'
import { applyPatch, checkPatch, composePatches, jsonText } from './json-merge-patch.ts'

/**
 * How operands become a value. The name is stored with the keyspace, so the operator must be given at every open.
 *
 * ```ts
 * const longest: MergeOperator = {
 *   name: 'longest',
 *   merge: (_key, base, operands) =>
 *     [base ?? Buffer.alloc(0), ...operands].reduce((a, b) => (b.length > a.length ? b : a)),
 * }
 * const db = await Varve.open('./my-store', { mergeOperators: [longest], mergeOperator: 'longest' })
 * await db.merge('word', 'sediment')
 * await db.merge('word', 'lake')
 * console.log(String(await db.get('word'))) // sediment
 * await db.close()
 * ```
 */
export interface MergeOperator {
  /** Other than the built-in ones'. Stored with the keyspaces that use it. */
  readonly name: string
  /**
   * `base` undefined: no value. Operands come oldest first. Must be deterministic. What it is given is a copy.
   * Throwing fails the read with VARVE_MERGE_FAILED, and loses nothing.
   */
  merge(key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]): Buffer
  /** Throws for an operand that it cannot use; `merge` then refuses it with VARVE_INVALID_ARGUMENT. */
  validate?(operand: Buffer): void
  /**
   * Where the operator is associative on operands alone: folds them into one that does exactly what they do one after the
   * other, to any base. Undefined where that cannot be.
   */
  combine?(key: Buffer, operands: readonly Buffer[]): Buffer | undefined
  /** Module that default-exports this operator, so that background workers can load it. */
  readonly module?: string | URL
}

const COUNTER_BYTES = 8
const TWO_32 = 4_294_967_296

/**
 * Eight bytes, little-endian, two's complement: value and operand of the operator 'counter'.
 *
 * ```ts
 * const db = await Varve.open('./my-store', { mergeOperator: 'counter' })
 * await db.merge('visits', encodeCounter(40))
 * await db.merge('visits', encodeCounter(2))
 * console.log(decodeCounter(await db.get('visits'))) // 42n
 * await db.close()
 * ```
 */
export function encodeCounter(value: number | bigint): Buffer {
  if (typeof value !== 'bigint' && typeof value !== 'number') {
    throw wrongType('value', 'a number or a bigint', value)
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw invalidArgument(`a counter is an integer; beyond 2^53 it must be a bigint, got ${value}`)
  }
  const exact = BigInt(value)
  if (BigInt.asIntN(64, exact) !== exact) {
    throw invalidArgument(`a counter has 64 bits, ${value} does not fit`)
  }
  const bytes = Buffer.allocUnsafe(COUNTER_BYTES)
  bytes.writeBigInt64LE(exact)
  return bytes
}

/** The inverse of `encodeCounter`; an absent value counts 0. */
export function decodeCounter(value: Uint8Array | undefined): bigint {
  if (value === undefined) return 0n
  if (!isBytes(value)) throw wrongType('value', 'a Uint8Array or undefined', value)
  checkCounter(value)
  return new DataView(value.buffer, value.byteOffset, COUNTER_BYTES).getBigInt64(0, true)
}

function checkCounter(value: Uint8Array): void {
  if (value.length !== COUNTER_BYTES) {
    throw invalidArgument(`a counter has ${COUNTER_BYTES} bytes, this one has ${value.length}`)
  }
}

/** In two halves: bigints cost ten times as much. */
function sumCounters(base: Buffer | undefined, operands: readonly Buffer[]): Buffer {
  let low = 0
  let high = 0
  if (base !== undefined) {
    checkCounter(base)
    low = base.readUInt32LE(0)
    high = base.readInt32LE(4)
  }
  for (const operand of operands) {
    checkCounter(operand)
    low += operand.readUInt32LE(0)
    high += operand.readInt32LE(4)
    if (low >= TWO_32) {
      low -= TWO_32
      high++
    }
    high |= 0
  }
  const sum = Buffer.allocUnsafe(COUNTER_BYTES)
  sum.writeUInt32LE(low, 0)
  sum.writeInt32LE(high, 4)
  return sum
}

/** Signed 64-bit little-endian addition, wrapping. Absent base: 0. */
const counter: MergeOperator = Object.freeze({
  name: 'counter',
  merge: (_key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]) =>
    sumCounters(base, operands),
  validate: checkCounter,
  combine: (_key: Buffer, operands: readonly Buffer[]) => sumCounters(undefined, operands),
})

const append: MergeOperator = Object.freeze({
  name: 'append',
  merge: (_key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]) =>
    Buffer.concat(base === undefined ? operands : [base, ...operands]),
  combine: (_key: Buffer, operands: readonly Buffer[]) => Buffer.concat(operands),
})

/** The operand (or base) that lies furthest in direction `sign`. */
function furthest(sign: 1 | -1, base: Buffer | undefined, operands: readonly Buffer[]): Buffer {
  let best = base
  for (const operand of operands) {
    if (best === undefined || compare(operand, best) * sign > 0) best = operand
  }
  return best ?? EMPTY_BYTES
}

function extremum(name: string, sign: 1 | -1): MergeOperator {
  return Object.freeze({
    name,
    merge: (_key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]) =>
      furthest(sign, base, operands),
    combine: (_key: Buffer, operands: readonly Buffer[]) => furthest(sign, undefined, operands),
  })
}

const jsonMergePatch: MergeOperator = Object.freeze({
  name: 'jsonMergePatch',
  merge: (_key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]) => {
    let text = base === undefined ? undefined : jsonText(base)
    for (const operand of operands) text = applyPatch(text, jsonText(operand))
    return text === undefined ? EMPTY_BYTES : Buffer.from(text, 'utf8')
  },
  validate: checkPatch,
  combine: (_key: Buffer, operands: readonly Buffer[]) => {
    let text: string | undefined
    for (const operand of operands) {
      const patch = jsonText(operand)
      text = text === undefined ? patch : composePatches(text, patch)
      if (text === undefined) return undefined
    }
    return text === undefined ? undefined : Buffer.from(text, 'utf8')
  },
})

/** The operators that every store knows, by name. */
export const mergeOperators: {
  /** Signed 64-bit little-endian addition, wrapping. Absent base: 0. */
  readonly counter: MergeOperator
  /** Concatenation. */
  readonly append: MergeOperator
  /** The bytewise largest. */
  readonly max: MergeOperator
  /** The bytewise smallest. */
  readonly min: MergeOperator
  /** JSON merge patch, RFC 7396, on UTF-8 JSON. Members keep their order, numbers their digits. */
  readonly jsonMergePatch: MergeOperator
} = Object.freeze({
  counter,
  append,
  max: extremum('max', 1),
  min: extremum('min', -1),
  jsonMergePatch,
})

/** The same for looking up names from outside: no name finds anything inherited. */
export const builtinOperators: ReadonlyMap<string, MergeOperator> = new Map(
  Object.entries(mergeOperators),
)

/**
 * The value of `base` with `operands` (oldest first, at least one) merged in. It may share memory with any of them, or with
 * something of the operator's: copy it before keeping it. Throws VARVE_MERGE_FAILED { operator, keyspace? }.
 */
export function foldOperands(
  operator: MergeOperator,
  key: Buffer,
  base: Buffer | undefined,
  operands: readonly Buffer[],
  keyspace?: string,
): Buffer {
  let value: unknown
  try {
    value = operator.merge(key, base, operands)
  } catch (cause) {
    throw mergeFailed(operator, keyspace, `threw: ${messageOf(cause)}`, cause)
  }
  return checkedResult(operator, keyspace, value)
}

/** One operand in place of `operands` (oldest first), or undefined where the operator cannot say it. As `foldOperands`. */
export function combineOperands(
  operator: MergeOperator,
  key: Buffer,
  operands: readonly Buffer[],
  keyspace?: string,
): Buffer | undefined {
  if (operator.combine === undefined || operands.length === 0) return undefined
  if (operands.length === 1) return operands[0]
  let operand: unknown
  try {
    operand = operator.combine(key, operands)
  } catch (cause) {
    throw mergeFailed(operator, keyspace, `threw: ${messageOf(cause)}`, cause)
  }
  return operand === undefined ? undefined : checkedResult(operator, keyspace, operand)
}

function checkedResult(
  operator: MergeOperator,
  keyspace: string | undefined,
  value: unknown,
): Buffer {
  if (!isBytes(value)) {
    throw mergeFailed(operator, keyspace, 'returned something that is no Buffer')
  }
  if (value.length > VALUE_BYTES_MAX) {
    throw mergeFailed(
      operator,
      keyspace,
      `returned ${value.length} bytes, a value has at most ${VALUE_BYTES_MAX}`,
    )
  }
  return Buffer.isBuffer(value)
    ? value
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function mergeFailed(
  operator: MergeOperator,
  keyspace: string | undefined,
  what: string,
  cause?: unknown,
): VarveError {
  const details =
    keyspace === undefined ? { operator: operator.name } : { operator: operator.name, keyspace }
  return new VarveError(
    'VARVE_MERGE_FAILED',
    `merge operator '${operator.name}' ${what}`,
    details,
    {
      cause,
    },
  )
}
