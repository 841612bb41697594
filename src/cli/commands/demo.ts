/**
 * Shows what this is about on a store of its own: fills it, draws its layers, asks for the changes since several points, makes a
 * second store of the changes, and compares the two. The data are invented, so it needs nothing but the package.
 */
import { createHash } from 'node:crypto'
import os from 'node:os'
import path from 'node:path'
import Table from 'cli-table3'
import type { Command } from 'commander'
import { encodeCounter } from '../../base/merge-operators.ts'
import type { ScanStats } from '../../cdc/scan-tally.ts'
import { replicate } from '../../db/replicate.ts'
import { Varve } from '../../db/varve.ts'
import { examples } from '../examples.ts'
import { CommandError, usageError } from '../exit-codes.ts'
import { inTemporaryFolder } from '../interrupts.ts'
import { PLAIN_TABLE } from '../plain-table.ts'
import { wholeNumber } from '../shared-options.ts'
import type { Terminal } from '../terminal.ts'
import { countText } from '../words.ts'
import { printStats } from './stats.ts'

interface Choice {
  readonly entries: number
  readonly directory: string
  readonly keep?: boolean
  readonly json?: boolean
}

interface Since {
  readonly from: number
  readonly stats: ScanStats
}

const STATIONS = 200
const FRACTIONS = [0, 0.5, 0.9, 0.99, 0.999]
/** Small, so that even a small store has layers to look at. */
const MEMTABLE_BYTES = 2 ** 20
const SEGMENT_BYTES = 2 ** 20

export function addDemo(program: Command, terminal: Terminal): void {
  program
    .command('demo')
    .description(
      'Show what the store does: layers, a scan that skips them, a replica of the changes.',
    )
    .option('-n, --entries <count>', 'readings to write', wholeNumber, 50_000)
    .option('--directory <dir>', 'where the two stores are made, and removed again', os.tmpdir())
    .option('--keep', 'do not remove them: look into them with the other commands')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      examples(
        ['varve demo', 'takes a few seconds, leaves nothing behind'],
        ['varve demo --keep --directory .', 'leaves two stores to play with'],
      ),
    )
    .action(async (choice: Choice) => {
      if (choice.entries === 0) throw usageError('--entries must be at least 1.')
      const keep = choice.keep === true
      const place = { parent: choice.directory, prefix: 'varve-demo-', keep }
      await inTemporaryFolder(place, async (directory) => {
        try {
          await show(directory, choice, terminal)
        } finally {
          if (keep) terminal.note(`The stores are in ${directory}.`)
        }
      })
    })
}

async function show(directory: string, choice: Choice, terminal: Terminal): Promise<void> {
  const location = path.join(directory, 'source')
  const options = {
    memtableBytes: MEMTABLE_BYTES,
    segmentBytes: SEGMENT_BYTES,
    history: 'all',
  } as const
  const source = await Varve.open(location, options)
  const replica = await Varve.open(path.join(directory, 'replica'), { ...options, role: 'replica' })
  try {
    await fill(source, choice.entries, terminal)
    const since = await scanSince(source)
    await replicate(source, replica, { stopAtLatest: true })
    const digests = { source: await digestOf(source), replica: await digestOf(replica) }
    const isSame = digests.source === digests.replica
    if (choice.json === true) {
      await terminal.json({ events: source.history().latest, since, digests, isSame })
    } else {
      await printStats(location, source, terminal)
      await terminal.line('')
      await terminal.line(tableOf(since))
      await terminal.line('')
      await terminal.line(`digest of state and stream  ${digests.source}`)
      await terminal.line(
        `the same of its replica      ${digests.replica}  ${isSame ? 'same' : 'DIFFERENT'}`,
      )
    }
    if (!isSame) throw new CommandError('The replica differs from its source.')
  } finally {
    await Promise.all([source.close(), replica.close()])
  }
}

/** Readings of invented stations, how many each has, and one station that is taken away again. */
async function fill(store: Varve, entries: number, terminal: Terminal): Promise<void> {
  const counts = await store.keyspace('counts', { mergeOperator: 'counter' })
  const one = encodeCounter(1)
  const bar = terminal.progress('fill', entries)
  const half = Math.ceil(entries / 2)
  const settled = Math.floor(entries * 0.9)
  for (let at = 0; at < entries; ) {
    const batch = store.batch()
    const end = Math.min(at + 500, at < settled ? settled : entries)
    for (; at < end; at++) {
      // The second half corrects the readings of the first.
      const reading = at % half
      const station = stationName((reading * 7919) % STATIONS)
      const key = `${station}/${String(reading).padStart(8, '0')}`
      batch.put(key, JSON.stringify({ celsius: ((at * 31) % 400) / 10, corrected: at >= half }))
      batch.merge(station, one, counts)
    }
    await store.write(batch)
    bar.update(at)
    // What comes after it stands on top of it.
    if (at === settled) await store.compact()
  }
  const gone = stationName(0)
  await store.write(store.batch().deleteRange(`${gone}/`, `${gone}0`).delete(gone, counts))
  await store.flush()
  bar.stop()
}

function stationName(index: number): string {
  return `station-${String(index).padStart(3, '0')}`
}

async function scanSince(store: Varve): Promise<Since[]> {
  const { latest } = store.history()
  const all: Since[] = []
  for (const fraction of FRACTIONS) {
    const from = 1 + Math.floor(latest * fraction)
    const scan = store.scanSinceSeqno(from)
    while ((await scan.nextBatch()).length > 0);
    all.push({ from, stats: scan.stats })
  }
  return all
}

function tableOf(since: readonly Since[]): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['changes from', 'events', 'segments', 'left closed', 'blocks read'],
    colAligns: ['right', 'right', 'right', 'right', 'right'],
  })
  for (const { from, stats } of since) {
    const { eventsDelivered, segmentsTotal, segmentsSkipped, blocksRead } = stats
    table.push([from, eventsDelivered, segmentsTotal, segmentsSkipped, blocksRead].map(countText))
  }
  return table.toString()
}

/** Of every entry of every keyspace, and every event with all that it has. */
async function digestOf(store: Varve): Promise<string> {
  const hash = createHash('sha256')
  for (const name of store.keyspaces()) {
    const keyspace = await store.keyspace(name)
    const entries = keyspace.entries()
    for (
      let batch = await entries.nextBatch();
      batch.length > 0;
      batch = await entries.nextBatch()
    ) {
      for (const [key, value] of batch) hash.update(key).update('\0').update(value).update('\0')
    }
  }
  const scan = store.scanSinceSeqno(1)
  for (let events = await scan.nextBatch(); events.length > 0; events = await scan.nextBatch()) {
    hash.update(JSON.stringify(events))
  }
  return hash.digest('hex').slice(0, 16)
}
