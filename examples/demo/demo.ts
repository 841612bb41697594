/**
 * `npm run demo`: the cities of the world go into a store; a second store is rebuilt from the first one's changes alone; both
 * must be the same, before and after they are opened again.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type City, CREDIT, loadCities } from './cities.ts'
import { compareStores, countsAddUp, printComparisons } from './compare.ts'
import { DROPPED_COUNTRY, fillAtlas, plannedOperations } from './fill.ts'
import { startProgress } from './progress.ts'
import { replay } from './replay.ts'
import { printSinceTable } from './since-table.ts'
import { type Atlas, openAtlas } from './stores.ts'

const started = performance.now()
const folder = await mkdtemp(join(tmpdir(), 'varve-demo-'))
try {
  if (!(await runDemo(folder))) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
const seconds = ((performance.now() - started) / 1000).toFixed(1)
const verdict = process.exitCode === undefined ? 'Everything agrees' : 'SOMETHING DIFFERS'
console.log(`\n${verdict}. ${seconds} s in all.\n${CREDIT}.`)

/** True when both stores agree, twice. */
async function runDemo(folder: string): Promise<boolean> {
  const cities = loadCities()
  const directories = { source: join(folder, 'source'), target: join(folder, 'replay') }
  const source = await openAtlas(directories.source)
  const target = await openAtlas(directories.target)
  await fill(source, cities)
  describeLevels(source)
  await rebuild(source, target)
  const agreed = await agree(source, target)
  console.log('\nAsking the first store for its changes since a point of its history:')
  await printSinceTable(source.store)
  const counted = await countsAddUp(source)
  console.log(
    `\nCounters of all countries add up to the cities that are left: ${counted ? 'yes' : 'NO'}`,
  )
  await Promise.all([source.store.close(), target.store.close()])

  console.log('\nBoth closed and opened again:')
  const again = await openAtlas(directories.source)
  const targetAgain = await openAtlas(directories.target)
  const agreedAgain = await agree(again, targetAgain)
  await Promise.all([again.store.close(), targetAgain.store.close()])
  return agreed && counted && agreedAgain
}

async function agree(source: Atlas, target: Atlas): Promise<boolean> {
  const comparisons = await compareStores(source, target)
  printComparisons(comparisons)
  return comparisons.every(({ isSame }) => isSame)
}

async function fill(atlas: Atlas, cities: readonly City[]): Promise<void> {
  const progress = startProgress('writing  ', plannedOperations(cities))
  const report = await fillAtlas(atlas, cities, progress.update)
  progress.stop()
  const rate = count(report.operations / report.seconds)
  console.log(
    `${count(cities.length)} cities: ${count(report.operations)} operations in ${report.seconds.toFixed(1)} s (${rate}/s): ` +
      `puts, counts by country and region, ${report.pages} long pages, updates, deletes, and ${DROPPED_COUNTRY} deleted by range`,
  )
}

function describeLevels({ store }: Atlas): void {
  const { keyspaces, blobs } = store.stats()
  for (const [name, { levels, history }] of Object.entries(keyspaces)) {
    const used = levels.filter((each) => each.segments > 0)
    if (used.length === 0 && history.segments === 0) continue
    const list = used.map((each) => `L${each.level} ${each.segments}`).join(', ')
    console.log(`  ${name}: live segments ${list || 'none'}; history segments ${history.segments}`)
  }
  console.log(`  blob files ${blobs.files}, ${count(blobs.bytes / 1024)} KiB`)
}

async function rebuild(source: Atlas, target: Atlas): Promise<void> {
  const { latest } = source.store.history()
  const progress = startProgress('replaying', latest)
  const start = performance.now()
  const events = await replay(source.store, target, progress.update)
  await target.store.flush()
  progress.stop()
  const seconds = (performance.now() - start) / 1000
  console.log(
    `\nA second store, rebuilt from scanSinceSeqno(1): ${count(events)} events in ${seconds.toFixed(1)} s`,
  )
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}
