/** Rebuilds a store from the change events of another: the same operations, in the same order, in the same atomic steps. */
import type { Batch, ChangeEvent, Keyspace, Varve } from '../../src/index.ts'
import { type Atlas, keyspacesOf } from './stores.ts'

const EVENTS_PER_BATCH = 1000

/** Gives the number of events applied. */
export async function replay(
  source: Varve,
  target: Atlas,
  onProgress: (events: number) => void,
): Promise<number> {
  const keyspaces = new Map(keyspacesOf(target).map((each) => [each.name, each]))
  await using scan = source.scanSinceSeqno(1)
  let applied = 0
  for (;;) {
    // Whole commits only: a batch of the target never ends inside one.
    const events = await scan.nextBatch(EVENTS_PER_BATCH)
    if (events.length === 0) return applied
    const batch = target.store.batch()
    for (const event of events) {
      const keyspace = keyspaces.get(event.keyspace)
      if (keyspace === undefined) throw new Error(`no keyspace ${event.keyspace} to replay into`)
      apply(batch, event, keyspace)
    }
    await target.store.write(batch)
    applied += events.length
    onProgress(applied)
  }
}

function apply(batch: Batch, event: ChangeEvent, keyspace: Keyspace): void {
  switch (event.type) {
    case 'Insert':
      batch.put(event.key, event.value, keyspace)
      break
    case 'MergeOperand':
      batch.merge(event.key, event.operand, keyspace)
      break
    case 'PointTombstone':
      batch.delete(event.key, keyspace)
      break
    case 'RangeTombstone':
      batch.deleteRange(event.startKey, event.endKey, keyspace)
      break
  }
}
