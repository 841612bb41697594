/**
 * A replica that follows its source, one more that is based on a checkpoint because history no longer reaches back to the
 * beginning, and a change of roles: the source is gone, the replica takes over, and the other one follows it from there.
 *
 *   npx tsx examples/replica.ts ./replication
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { hasCode, replicate, Varve } from '../src/index.ts'

/** Opens the replica in `directory`, or makes one that can follow `source`. */
async function openReplica(source: Varve, directory: string): Promise<Varve> {
  const replica = await Varve.open(directory, { role: 'replica' })
  try {
    await replicate(source, replica, { stopAtLatest: true })
    return replica
  } catch (error) {
    if (!hasCode(error, 'VARVE_HISTORY_TRUNCATED')) throw error
  }
  // Too far behind, or new: what is missing is not in the source's history any more. Start over from a copy of it.
  await replica.close()
  await Varve.destroy(directory)
  await source.checkpoint(directory)
  return Varve.open(directory, { role: 'replica' })
}

export async function main(directory: string): Promise<{ told: string[]; state: string[] }> {
  const told: string[] = []
  const source = await Varve.open(join(directory, 'source'))
  for (let i = 0; i < 100; i++) await source.put(`key${i % 10}`, `value${i}`)

  const first = await openReplica(source, join(directory, 'first'))
  told.push(`the first replica has seqno ${first.history().latest}`)

  await source.truncateHistory(51)
  const second = await openReplica(source, join(directory, 'second'))
  told.push(`the second begins with ${second.history().floor}`)

  const stop = new AbortController()
  const following = [first, second].map((replica) =>
    replicate(source, replica, { signal: stop.signal }),
  )
  await source.put('key3', 'changed', { sync: true })
  while ((await second.get('key3'))?.toString() !== 'changed') await nextTurn()
  while ((await first.get('key3'))?.toString() !== 'changed') await nextTurn()
  stop.abort()
  await Promise.all(following)

  // A consumer that stood at the source goes on at a replica: the token is good on both.
  const { token } = source.scanSinceSeqno(101)
  for await (const event of first.scanSinceSeqno(token)) {
    told.push(`${event.type} at ${event.seqno}`)
  }

  await source.close()
  await first.promote()
  await first.put('key4', 'after the change')
  await replicate(first, second, { stopAtLatest: true })
  told.push(
    `epochs: ${second
      .history()
      .epochs.map((epoch) => epoch.first)
      .join(', ')}`,
  )

  const state = (await second.entries().all()).map(
    ([key, value]) => `${key.toString()}=${value.toString()}`,
  )
  await first.close()
  await second.close()
  return { told, state }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await main(process.argv[2] ?? './replication'))
}
