import type { Command } from 'commander'
import { ReplicaFeeder } from '../replica-feeder.ts'
import { examples } from '../examples.ts'
import { readLines } from '../line-reader.ts'
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
    .action((location: string, file: string | undefined, choice: StoreChoice) =>
      withWriter(location, { ...choice, create: true, role: 'replica' }, async (store) => {
        const feeder = new ReplicaFeeder(store)
        for await (const lines of readLines(file ?? '-')) {
          for (const line of lines) await feeder.take(line)
          // What has arrived is applied before we wait for more: a replica that follows must not lag by a full batch.
          await feeder.applyWhole()
        }
        await feeder.finish()
        await store.sync()
        const { latest } = store.history()
        terminal.note(`applied ${amountText(feeder.applied, 'event')}; latest ${countText(latest)}`)
      }),
    )
}
