/**
 * Resume tokens: where a reader stands, and in which history. They outlive the process, travel to replicas and back, and are
 * handed in years later; so each one says what it is, and one that does not fit is refused with a code of its own.
 *
 * URL-safe base64 without padding, of:
 *
 * ```
 *   u8      version, 1
 *   block   store id         varint length, bytes (UTF-8)
 *   block   epoch id
 *   varint  first seqno of that epoch
 *   varint  next seqno to deliver
 *   u32     checksum of all bytes before
 * ```
 *
 * The epoch named is the one that gave out `next - 1`, the last seqno the reader may have seen, not the current one: so a
 * token stays good on every copy of the store that shares the history it has seen, and on no other (invariant I6).
 */
import { checksum } from '../base/checksum.ts'
import { VarveError, invalidArgument } from '../base/errors.ts'
import { ByteReader, ByteWriter } from '../base/varint.ts'
import { epochEnd, epochOf } from '../version/epochs.ts'
import type { Epoch } from '../version/store-state.ts'

const TOKEN_VERSION = 1
const TOKEN_CHARACTERS_MAX = 1024
const URL_SAFE = /^[A-Za-z0-9_-]+$/

/** Opaque, URL-safe: store id, epoch, next seqno. Refused where it does not fit the store's history. */
export type ResumeToken = string & { readonly __varveResumeToken?: never }

export interface TokenFields {
  readonly storeId: string
  readonly epochId: string
  readonly epochFirst: number
  readonly next: number
}

/** The part of a source that tokens are made from and held against. */
export interface TokenHome {
  readonly storeId: string
  readonly epochs: readonly Epoch[]
  readonly isWriter: boolean
  readonly latest: number
}

export function encodeToken(fields: TokenFields): ResumeToken {
  const writer = new ByteWriter(128)
  writer.u8(TOKEN_VERSION).text(fields.storeId).text(fields.epochId)
  writer.varint(fields.epochFirst).varint(fields.next)
  writer.u32(checksum(writer.bytes(), 0, writer.length))
  return writer.bytes().toString('base64url') as ResumeToken
}

/** Throws VARVE_INVALID_ARGUMENT for anything that `encodeToken` did not make. Says nothing about whether it fits a store. */
export function decodeToken(token: string): TokenFields {
  // The alphabet is checked here because Buffer skips what it does not know: two texts would then be one token.
  if (token.length > TOKEN_CHARACTERS_MAX || !URL_SAFE.test(token)) throw malformed('not base64url')
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.toString('base64url') !== token) throw malformed('not canonical')
  const end = bytes.length - 4
  if (end < 1) throw malformed('too short')
  if (bytes[0] !== TOKEN_VERSION) throw malformed(`version ${bytes[0]} is not known`)
  if (checksum(bytes, 0, end) !== bytes.readUInt32LE(end)) throw malformed('checksum differs')
  const reader = new ByteReader(bytes, 1, end, (reason) => {
    throw malformed(reason)
  })
  const storeId = reader.text()
  const epochId = reader.text()
  const epochFirst = reader.varint()
  const next = reader.varint()
  if (reader.remaining !== 0) throw malformed('bytes are left over')
  if (next < 1 || epochFirst < 1) throw malformed('seqnos begin with 1')
  return { storeId, epochId, epochFirst, next }
}

/** The token of a reader that goes on at `next`. */
export function tokenAt(home: TokenHome, next: number): ResumeToken {
  // Before the first epoch nothing was seen: every history has begun so.
  const epoch = epochOf(home, next - 1) ?? home.epochs[0]!
  return encodeToken({ storeId: home.storeId, epochId: epoch.id, epochFirst: epoch.first, next })
}

/**
 * The position a token stands for in this store. Throws VARVE_WRONG_STORE { expected, found } or VARVE_HISTORY_DIVERGED
 * { requested, epochId, epochEnd }. On a store that does not write itself the position may lie ahead of the latest.
 */
export function positionOfToken(home: TokenHome, fields: TokenFields): number {
  const { storeId, epochId, epochFirst, next } = fields
  if (storeId !== home.storeId) {
    throw new VarveError('VARVE_WRONG_STORE', 'The token is of another store', {
      expected: home.storeId,
      found: storeId,
    })
  }
  const epoch = home.epochs.find(({ id }) => id === epochId)
  if (epoch === undefined || epoch.first !== epochFirst) {
    throw diverged('The token is of an epoch that this store never had', {
      requested: next,
      epochId,
    })
  }
  // Whoever gives out the seqnos knows where the current epoch ends; a replica may only be behind.
  const end = home.isWriter
    ? Math.min(epochEnd(home, epochId)!, home.latest)
    : epochEnd(home, epochId)!
  if (next > end + 1) {
    throw diverged('The token is beyond the end of its epoch: what it has seen was lost', {
      requested: next,
      epochId,
      epochEnd: end,
    })
  }
  return next
}

function diverged(message: string, details: Readonly<Record<string, unknown>>): VarveError {
  return new VarveError('VARVE_HISTORY_DIVERGED', message, details)
}

function malformed(reason: string): VarveError {
  return invalidArgument(`The resume token is malformed: ${reason}`, { argument: 'from', reason })
}
