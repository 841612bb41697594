/**
 * What a change stream says of its source: lineage, and the merge operators of every keyspace that the stream may name, also of
 * those that were dropped while history still has events of them.
 */
import type { Varve } from '../db/varve.ts'
import type { KeyspaceRecord } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import {
  CHANGE_FORMAT,
  CHANGE_FORMAT_VERSION,
  type DroppedKeyspace,
  type SourceLine,
} from './change-line.ts'
import { loadVersion } from './store-access.ts'

export async function sourceLineOf(location: string, store: Varve): Promise<SourceLine> {
  const version = await loadVersion(location)
  const records = version.state.keyspaces
  const isLive = livingOf(records, store.keyspaces())
  // Entries, not assignments: a keyspace may be called __proto__.
  const keyspaces: Record<string, { mergeOperator?: string }> = Object.fromEntries(
    records.filter(isLive).map((record) => [record.name, operatorOf(record)]),
  )
  const dropped = records.filter((record) => !isLive(record))
  const { storeId, epochs } = store.history()
  return {
    control: 'source',
    format: CHANGE_FORMAT,
    version: CHANGE_FORMAT_VERSION,
    storeId,
    epochs,
    keyspaces,
    ...(dropped.length === 0 ? {} : { dropped: await withEnds(dropped, version, store) }),
  }
}

/** Of several records with one name the last can be alive; whether it is, the open store knows from the log. */
function livingOf(
  records: readonly KeyspaceRecord[],
  names: readonly string[],
): (record: KeyspaceRecord) => boolean {
  const last = new Map(records.map((record) => [record.name, record]))
  return (record) => names.includes(record.name) && last.get(record.name) === record
}

/** Where each one ends: as the manifest says, or as the log does, which is not in segments yet. */
async function withEnds(
  dropped: readonly KeyspaceRecord[],
  version: Version,
  store: Varve,
): Promise<DroppedKeyspace[]> {
  const unknown = dropped.filter(({ droppedAt }) => droppedAt === undefined)
  const found = new Map<string, number[]>()
  if (unknown.length > 0) {
    const from = Math.max(version.state.lastFlushedSeqno + 1, store.history().floor)
    const keyspaces = unknown.map(({ name }) => name)
    for await (const event of store.scanSinceSeqno(from, {
      keyspaces,
      types: ['RangeTombstone'],
    })) {
      if (event.type !== 'RangeTombstone' || event.dropsKeyspace !== true) continue
      found.set(event.keyspace, [...(found.get(event.keyspace) ?? []), event.seqno])
    }
  }
  const ended: DroppedKeyspace[] = []
  for (const record of dropped) {
    const droppedAt = record.droppedAt ?? found.get(record.name)?.shift()
    if (droppedAt === undefined) continue
    ended.push({ keyspace: record.name, droppedAt, ...operatorOf(record) })
  }
  return ended
}

function operatorOf({ options: { mergeOperator } }: KeyspaceRecord): { mergeOperator?: string } {
  return mergeOperator === undefined ? {} : { mergeOperator }
}
