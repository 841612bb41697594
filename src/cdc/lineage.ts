/**
 * Whether a replica and the source that it is fed from share one history, and what the replica then knows of it: store id and
 * epochs. Pure.
 *
 * A seqno means one thing only within its epoch (invariant I6). So the two histories agree as far as the replica goes when
 * every seqno that it holds was given out in the same epoch on both sides. Epochs that begin behind the replica's latest are
 * news and say nothing against it.
 *
 * A replica that was made empty has never heard of a source: its store id is a stand-in and its only epoch has the number 0.
 * The first token or list of epochs that it is given makes it a replica of that store.
 */
import { VarveError } from '../base/errors.ts'
import { epochEnd } from '../version/epochs.ts'
import type { Epoch } from '../version/store-state.ts'
import type { TokenFields } from './resume-token.ts'

/** Number of the epoch of a replica that knows no source yet; real ones count from 1. */
export const STAND_IN_EPOCH = 0

export interface Lineage {
  readonly storeId: string
  readonly epochs: readonly Epoch[]
}

/** What a source says of itself along with its events. */
export interface SourceClaim {
  readonly token: TokenFields | undefined
  /** Its whole list. */
  readonly epochs: readonly Epoch[] | undefined
}

export interface HeldSeqnos {
  /** What the replica holds now, */
  readonly latest: number
  /** and with the events that came with the claim. */
  readonly newest: number
}

/** Whether an epoch is one of a source, not the stand-in of a replica that has heard of none. */
export function isReal({ epoch }: Epoch): boolean {
  return epoch !== STAND_IN_EPOCH
}

/** Whether the replica has not heard of any source yet. */
export function isStandIn(lineage: Lineage): boolean {
  return lineage.epochs.at(-1)?.epoch === STAND_IN_EPOCH
}

/**
 * What the replica knows when it has taken in the events up to `newest`; `own` itself where nothing is new. Throws
 * VARVE_WRONG_STORE { expected, found } or VARVE_HISTORY_DIVERGED { latest, epochId, epochFirst }.
 */
export function followSource(own: Lineage, claim: SourceClaim, held: HeldSeqnos): Lineage {
  const { token } = claim
  const storeId = storeIdAfter(own, claim)
  let epochs = isStandIn(own)
    ? (claim.epochs ?? own.epochs)
    : withList(own.epochs, claim.epochs, held)
  if (token !== undefined) {
    epochs = withToken(isStandIn({ storeId, epochs }) ? [] : epochs, token, claim, held)
  }
  if (storeId === own.storeId && isSameList(epochs, own.epochs)) return own
  return { storeId, epochs }
}

function storeIdAfter(own: Lineage, { token }: SourceClaim): string {
  if (token === undefined || token.storeId === own.storeId) return own.storeId
  // An epoch's id is random: who knows it has it from that store, only without a token so far.
  const isKnown = own.epochs.some(
    ({ id, first, epoch }) =>
      epoch !== STAND_IN_EPOCH && id === token.epochId && first === token.epochFirst,
  )
  if (isKnown || isStandIn(own)) return token.storeId
  throw new VarveError('VARVE_WRONG_STORE', 'the events are of another store', {
    expected: own.storeId,
    found: token.storeId,
  })
}

/** `known` together with the source's list. */
function withList(
  known: readonly Epoch[],
  given: readonly Epoch[] | undefined,
  { latest, newest }: HeldSeqnos,
): readonly Epoch[] {
  if (given === undefined) return known
  for (const epoch of given) ensureAgrees(known, epoch, latest)
  const isGiven = ({ id }: Epoch): boolean => given.some((epoch) => epoch.id === id)
  // A list that was learned from tokens says nothing of what came before its first epoch.
  const before = known.filter(({ first }) => first < given[0]!.first)
  const onlyHere = known.find(
    (epoch) => epoch.first <= latest && !before.includes(epoch) && !isGiven(epoch),
  )
  const hasNews = newest > latest || given.some(({ id }) => !known.some((own) => own.id === id))
  if (onlyHere !== undefined && hasNews) throw diverged(onlyHere, latest)
  // Sent again with a list from before: what is known is more.
  return hasNews ? [...before, ...given] : known
}

/** The epochs with the one that the token names, which must reach to the token's position. */
function withToken(
  known: readonly Epoch[],
  token: TokenFields,
  claim: SourceClaim,
  { latest, newest }: HeldSeqnos,
): readonly Epoch[] {
  const named = {
    epoch: (known.at(-1)?.epoch ?? 0) + 1,
    id: token.epochId,
    first: token.epochFirst,
  }
  if (known.length > 0) ensureAgrees(known, named, latest)
  let epochs = known
  const index = known.findIndex(({ id }) => id === named.id)
  if (index < 0) {
    // Of an epoch from before what is known nothing can be held against it.
    if (known.length > 0 && named.first < known[0]!.first) return known
    epochs = [...known.filter(({ first }) => first <= named.first), named]
  } else if (claim.epochs === undefined && newest > latest) {
    // What began behind our latest and is now inside the token's epoch was never the source's: nothing was written in it.
    epochs = known.filter(({ first }, i) => i <= index || first <= latest || first >= token.next)
  }
  const end = epochEnd({ epochs }, named.id)!
  if (token.next > end + 1) throw diverged(named, latest)
  return epochs
}

/** An epoch that is unknown here must begin behind what is held; a known one where it began here. */
function ensureAgrees(known: readonly Epoch[], epoch: Epoch, latest: number): void {
  const same = known.find(({ id }) => id === epoch.id)
  if (same !== undefined) {
    if (same.first !== epoch.first) throw diverged(epoch, latest)
  } else if (epoch.first <= latest && epoch.first >= known[0]!.first) {
    throw diverged(epoch, latest)
  }
}

function isSameList(a: readonly Epoch[], b: readonly Epoch[]): boolean {
  if (a.length !== b.length) return false
  return a.every(({ epoch, id, first }, i) => {
    const other = b[i]!
    return epoch === other.epoch && id === other.id && first === other.first
  })
}

function diverged(epoch: Epoch, latest: number): VarveError {
  return new VarveError(
    'VARVE_HISTORY_DIVERGED',
    `the replica, which holds seqnos up to ${latest}, and the source went on apart`,
    { latest, epochId: epoch.id, epochFirst: epoch.first },
  )
}
