/** Builds a fixture; in the child process, outside all clocks. */
import { Dataset } from '../workloads/dataset.ts'
import type { Context } from '../workloads/workload.ts'
import { writeBatches } from '../workloads/write-batches.ts'
import { fixtureEvents, fixtureOrder } from './fixture-order.ts'
import type { Fixture } from './job.ts'

export async function writeFixture(context: Context, fixture: Fixture): Promise<void> {
  const count = fixtureEvents(fixture, context.job.entries)
  const store = await context.open({ changeLog: fixture.changeLog })
  await writeBatches(store, new Dataset(fixture.valueBytes), {
    count,
    indexOf: fixtureOrder(fixture, count),
  })
  if (fixture.state === 'flushed') await store.flush?.()
  if (fixture.state === 'compacted') await store.settle()
  await store.close()
}
