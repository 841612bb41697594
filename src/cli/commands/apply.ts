import type { Command } from 'commander'
import { ReplicaFeeder } from '../replica-feeder.ts'
import { examples } from '../examples.ts'
import { parseLine, type SourceLine } from '../change-line.ts'
import { type Line, readLines } from '../line-reader.ts'
import { checkReplicaTarget } from '../replica-target.ts'
import { addOperatorsOption, type StoreChoice } from '../shared-options.ts'
import { withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, countText } from '../words.ts'

export function addApply(program: Command, terminal: Terminal): void {
  addOperatorsOption(
    program
      .command('apply <dir> [file]')
      .description('Apply a change stream (NDJSON, from a file or stdin) to a replica, exactly.'),
  )
    .addHelpText(
      'after',
      examples(
        ['varve changes ./store | varve apply ./replica', 'catches up; again: only what is new'],
        ['varve changes ./store --follow | ssh host varve apply ./replica', 'to another machine'],
        ['varve apply ./replica changes.ndjson', 'from a file'],
      ),
    )
    .action(async (location: string, file: string | undefined, choice: StoreChoice) => {
      const stream = readLines(file ?? '-')
      const { value: first = [] } = await stream.next()
      await checkReplicaTarget(location, choice, sourceIn(first))
      await withWriter(location, { ...choice, create: true, role: 'replica' }, async (store) => {
        const feeder = new ReplicaFeeder(store)
        await feed(feeder, first)
        for await (const lines of stream) await feed(feeder, lines)
        await feeder.finish()
        await store.sync()
        const { latest } = store.history()
        terminal.note(`applied ${amountText(feeder.applied, 'event')}; latest ${countText(latest)}`)
      })
    })
}

/** What has arrived is applied before we wait for more: a replica that follows must not lag by a full batch. */
async function feed(feeder: ReplicaFeeder, lines: readonly Line[]): Promise<void> {
  for (const line of lines) await feeder.take(line)
  await feeder.applyWhole()
}

/** What the first line says, where it is a source line. */
function sourceIn(lines: readonly Line[]): SourceLine | undefined {
  const line = lines.find(({ text }) => text.trim() !== '')
  if (line === undefined) return undefined
  const parsed = parseLine(line.text, `Line ${line.number}`)
  return parsed.kind === 'source' ? parsed.source : undefined
}
