import type { Command } from 'commander'
import { examples } from '../examples.ts'
import { addOperatorsOption, type StoreChoice } from '../shared-options.ts'
import { withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { countText } from '../words.ts'

export function addCheckpoint(program: Command, terminal: Terminal): void {
  addOperatorsOption(
    program
      .command('checkpoint <dir> <target>')
      .description(
        'Copy a store, consistently, into a new or empty directory: by hard links where possible.',
      ),
  )
    .addHelpText(
      'after',
      examples(
        ['varve checkpoint ./store /backup/monday', 'a backup; open it as any store'],
        ['varve checkpoint ./store ./replica', 'the base of a replica, for varve replicate'],
      ) +
        '\nThe store must not be open elsewhere: a program that has it open calls store.checkpoint(target).',
    )
    .action((location: string, target: string, choice: StoreChoice) =>
      withWriter(location, choice, async (store) => {
        const { seqno } = await store.checkpoint(target)
        terminal.note(`${target} holds everything up to seqno ${countText(seqno)}`)
      }),
    )
}
