/** What it costs to ask for the changes since a point in history: the later the point, the more segments are left unopened. */
import Table from 'cli-table3'
import type { ScanStats, Varve } from '../../src/index.ts'

const FRACTIONS = [0, 0.5, 0.9, 0.99, 0.999]

interface Row {
  readonly fraction: number
  readonly stats: ScanStats
  readonly seconds: number
}

export async function printSinceTable(store: Varve): Promise<void> {
  const { latest } = store.history()
  const rows: Row[] = []
  for (const fraction of FRACTIONS) {
    rows.push(await scanFrom(store, 1 + Math.floor(latest * fraction), fraction))
  }
  // The scan of everything skips nothing: its blocks are all there are.
  const blocksInAll = rows[0]?.stats.blocksTotal ?? 0
  const table = new Table({
    head: ['from', 'segments', 'skipped', 'blocks read', 'of all', 'events', 'events/s'],
    colAligns: ['right', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: process.stdout.isTTY ? {} : { head: [], border: [] },
  })
  for (const { fraction, stats, seconds } of rows) {
    table.push([
      `${Number((fraction * 100).toFixed(1))} %`,
      count(stats.segmentsTotal),
      count(stats.segmentsSkipped),
      count(stats.blocksRead),
      count(blocksInAll),
      count(stats.eventsDelivered),
      count(stats.eventsDelivered / seconds),
    ])
  }
  console.log(table.toString())
}

async function scanFrom(store: Varve, from: number, fraction: number): Promise<Row> {
  const start = performance.now()
  await using scan = store.scanSinceSeqno(from)
  while ((await scan.nextBatch()).length > 0);
  return { fraction, stats: scan.stats, seconds: (performance.now() - start) / 1000 }
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}
