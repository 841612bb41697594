/**
 * What the state of a repaired store follows from: its segments, and what its logs still hold.
 */
import type { ConsumerRecord, KeyspaceRecord, StoreState } from '../version/store-state.ts'
import type { SegmentAddition } from '../version/version-edit.ts'
import type { ReplayedLog } from './log-replay.ts'
import { mergeKeyspaceOptions } from './options.ts'
import type { SeqnoRange } from './seqno-census.ts'

/** Seqnos that are missing between what is in segments and the end of the logs. */
export function holesIn({ memtables }: ReplayedLog, lastFlushedSeqno: number): SeqnoRange[] {
  const holes: SeqnoRange[] = []
  let next = lastFlushedSeqno + 1
  for (const { firstSeqno, lastSeqno } of memtables) {
    if (firstSeqno > next) holes.push({ from: next, to: firstSeqno - 1 })
    next = lastSeqno + 1
  }
  return holes
}

/** The first seqno of a commit in the logs; Infinity when there is none. */
export function firstLogged({ memtables }: ReplayedLog): number {
  const first = memtables.find(({ isEmpty }) => !isEmpty)
  return first?.firstSeqno ?? Number.POSITIVE_INFINITY
}

/** Names for keyspaces of which only the data is left: their names and options stood in edits that are lost. */
export function withUnknownKeyspaces(
  state: StoreState,
  additions: readonly SegmentAddition[],
  { memtables }: ReplayedLog,
): Pick<StoreState, 'keyspaces' | 'nextKeyspaceId'> {
  const keyspaces = [...state.keyspaces]
  const ids = new Set([
    ...additions.map(({ keyspaceId }) => keyspaceId),
    ...memtables.flatMap((memtable) => memtable.keyspaceIds()),
  ])
  for (const id of [...ids].sort((a, b) => a - b)) {
    if (keyspaces.some((known) => known.id === id)) continue
    const record = recoveredKeyspace(id)
    let { name } = record
    while (keyspaces.some((known) => known.name === name)) name += '-'
    keyspaces.push({ ...record, name })
  }
  const last = keyspaces.reduce((most, { id }) => Math.max(most, id), 0)
  return { keyspaces, nextKeyspaceId: Math.max(state.nextKeyspaceId, last + 1) }
}

/** One of which only the data is left. */
export function recoveredKeyspace(id: number): KeyspaceRecord {
  return {
    id,
    name: `recovered-${id}`,
    options: mergeKeyspaceOptions({}, undefined),
    droppedAt: undefined,
  }
}

/** Consumers whose next event is gone are lost; acks in the logs count. */
export function consumersAbove(
  floor: number,
  consumers: readonly ConsumerRecord[],
  { acks }: ReplayedLog,
): ConsumerRecord[] {
  const positions = new Map(acks.map(({ consumer, next }) => [consumer, next]))
  return consumers.map((consumer) => {
    const position = positions.get(consumer.name) ?? consumer.position
    return position < floor ? { ...consumer, position, state: 'lost' } : consumer
  })
}
