/**
 * Errors across a thread boundary: structured clone drops what we need most, the `code` and `details` of an error and its
 * class. So they cross as plain data and are put together again.
 */
import { inspect } from 'node:util'
import { VarveError, type VarveErrorCode } from '../base/errors.ts'

export interface PlainError {
  readonly isVarve: boolean
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  /** `code`, `errno`, `syscall`, `path`, as far as they are strings or numbers. */
  readonly fields: Readonly<Record<string, string | number>>
  readonly details: Readonly<Record<string, unknown>>
  readonly cause: PlainError | undefined
}

const FIELDS = ['code', 'errno', 'syscall', 'path', 'dest'] as const
const CAUSES_MAX = 8

export function encodeError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) {
    return {
      isVarve: false,
      name: 'Error',
      message: String(error),
      stack: undefined,
      fields: {},
      details: {},
      cause: undefined,
    }
  }
  const fields: Record<string, string | number> = {}
  for (const field of FIELDS) {
    const value: unknown = Reflect.get(error, field)
    if (typeof value === 'string' || typeof value === 'number') fields[field] = value
  }
  const { cause } = error
  return {
    isVarve: error instanceof VarveError,
    name: error.name,
    message: error.message,
    stack: error.stack,
    fields,
    details: error instanceof VarveError ? plainDetails(error.details) : {},
    cause: cause === undefined || depth === CAUSES_MAX ? undefined : encodeError(cause, depth + 1),
  }
}

export function decodeError(plain: PlainError): Error {
  const cause = plain.cause === undefined ? undefined : decodeError(plain.cause)
  const options = cause === undefined ? {} : { cause }
  const error = plain.isVarve
    ? new VarveError(plain.fields['code'] as VarveErrorCode, plain.message, plain.details, options)
    : new Error(plain.message, options)
  if (plain.stack !== undefined) error.stack = plain.stack
  if (!plain.isVarve) {
    Object.assign(error, plain.fields)
    if (plain.name !== 'Error') error.name = plain.name
  }
  return error
}

/** What can be cloned stays; anything else is spelled out. */
function plainDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(details)) {
    plain[name] =
      value === null ||
      ['string', 'number', 'boolean', 'bigint', 'undefined'].includes(typeof value)
        ? value
        : inspect(value, { depth: 2 })
  }
  return plain
}
