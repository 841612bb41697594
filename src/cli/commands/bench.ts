import os from 'node:os'
import type { Command } from 'commander'
import Table from 'cli-table3'
import { Varve } from '../../db/varve.ts'
import { examples } from '../examples.ts'
import { PLAIN_TABLE } from '../plain-table.ts'
import { inTemporaryFolder } from '../interrupts.ts'
import { usageError } from '../exit-codes.ts'
import { wholeNumber } from '../shared-options.ts'
import type { Terminal } from '../terminal.ts'
import { countText } from '../words.ts'

interface Choice {
  readonly entries: number
  readonly valueBytes: number
  readonly directory: string
  readonly json?: boolean
}

interface Measurement {
  readonly what: string
  readonly count: number
  readonly seconds: number
}

export function addBench(program: Command, terminal: Terminal): void {
  program
    .command('bench')
    .description(
      'Measure this machine for a few seconds: fill, read, scan, replay. A rough figure.',
    )
    .option('-n, --entries <count>', 'entries', wholeNumber, 100_000)
    .option('--value-bytes <count>', 'bytes of each value', wholeNumber, 100)
    .option('--directory <dir>', 'where the store is made, and removed again', os.tmpdir())
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      examples(['varve bench --directory /mnt/disk', 'a disk of choice']) +
        '\nThe real measurements, with their method, are in docs/benchmarks.md (npm run bench).',
    )
    .action(async (choice: Choice) => {
      if (choice.entries === 0) throw usageError('--entries must be at least 1.')
      const place = { parent: choice.directory, prefix: 'varve-bench-', keep: false }
      await inTemporaryFolder(place, async (directory) => {
        const results = await measure(directory, choice)
        if (choice.json === true) return await terminal.json(results)
        const table = new Table({
          ...PLAIN_TABLE,
          head: ['', 'count', 'seconds', 'a second'],
          colAligns: ['left', 'right', 'right', 'right'],
        })
        for (const { what, count, seconds } of results) {
          const rate = countText(Math.round(count / seconds))
          table.push([what, countText(count), seconds.toFixed(2), rate])
        }
        return await terminal.line(table.toString())
      })
    })
}

async function measure(directory: string, choice: Choice): Promise<Measurement[]> {
  const { entries } = choice
  const store = await Varve.open(directory)
  const results: Measurement[] = []
  const clock = async (what: string, count: number, run: () => Promise<unknown>): Promise<void> => {
    const start = performance.now()
    await run()
    results.push({ what, count, seconds: (performance.now() - start) / 1000 })
  }
  const value = Buffer.alloc(choice.valueBytes, 'v')
  try {
    await clock('put, batches of 1,000', entries, () => fill(store, entries, value))
    await clock('flush', entries, () => store.flush())
    const reads = Math.min(entries, 100_000)
    await clock('get, random', reads, async () => {
      for (let i = 0; i < reads; i++) await store.get(keyAt((i * 7919) % entries))
    })
    await clock('entries', entries, () => drain(store.entries()))
    await clock('changes, from the first', entries, () => drain(store.scanSinceSeqno(1)))
    const last = Math.max(1, entries - 999)
    await clock('changes, the last 1,000', entries - last + 1, () =>
      drain(store.scanSinceSeqno(last)),
    )
  } finally {
    await store.close()
  }
  return results
}

async function fill(store: Varve, entries: number, value: Buffer): Promise<void> {
  const writes: Promise<unknown>[] = []
  for (let at = 0; at < entries; ) {
    const batch = store.batch()
    const end = Math.min(at + 1_000, entries)
    for (; at < end; at++) batch.put(keyAt((at * 7919) % entries), value)
    writes.push(store.write(batch))
    if (writes.length === 16) await Promise.all(writes.splice(0))
  }
  await Promise.all(writes)
  await store.sync()
}

function keyAt(index: number): string {
  return `key:${String(index).padStart(12, '0')}`
}

async function drain(items: { nextBatch(max?: number): Promise<unknown[]> }): Promise<void> {
  while ((await items.nextBatch(10_000)).length > 0) {
    // Only the reading is measured.
  }
}
