/** Tables and progress on the screen. */
import { Presets, SingleBar } from 'cli-progress'
import CliTable from 'cli-table3'
import type { Progress } from '../harness/runner.ts'
import type { Table } from './tables.ts'

export function printTable(table: Table): void {
  const isColored = process.stdout.isTTY
  const set = new CliTable({
    head: [...table.head],
    colAligns: table.head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: isColored ? {} : { head: [], border: [] },
  })
  for (const row of table.rows) set.push([...row])
  process.stdout.write(`\n${table.title}\n${set.toString()}\n`)
}

export interface ProgressDisplay {
  show(progress: Progress): void
  end(): void
}

/** A bar where someone watches, one line a measurement where the output is kept. */
export function createProgressDisplay(): ProgressDisplay {
  if (!process.stderr.isTTY) {
    return {
      show: ({ done, total, current }) => {
        if (current !== '') process.stderr.write(`[${done + 1}/${total}] ${current}\n`)
      },
      end: () => undefined,
    }
  }
  const bar = new SingleBar(
    { format: '{bar} {value}/{total} | {eta_formatted} left | {current}', hideCursor: true },
    Presets.shades_classic,
  )
  let isStarted = false
  return {
    show({ done, total, current }) {
      if (!isStarted) bar.start(total, done, { current })
      isStarted = true
      bar.update(done, { current })
    },
    end: () => bar.stop(),
  }
}
