import type { Command } from 'commander'
import { Varve } from '../../db/varve.ts'
import { examples } from '../examples.ts'
import { notFoundError } from '../exit-codes.ts'
import { addOperatorsOption, addYesOption, type StoreChoice } from '../shared-options.ts'
import { isStoreThere, operatorsOf } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, countText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly yes?: boolean
  readonly json?: boolean
}

export function addRepair(program: Command, terminal: Terminal): void {
  const command = program
    .command('repair <dir>')
    .description('Make a damaged store open again with all that is still readable.')
    .option('--json', 'the report as JSON')
  addYesOption(addOperatorsOption(command))
    .addHelpText(
      'after',
      examples(
        ['cp -a ./store ./store.damaged && varve repair ./store', 'after a copy; asks first'],
        ['varve repair ./store --yes --json | jq .seqnosLost', 'what is gone'],
      ) +
        '\nDamaged files are set aside in lost/. The floor of history rises over what is gone, and a new' +
        '\nepoch starts: readers start over where the loss concerns them. Without damage nothing changes.',
    )
    .action(async (location: string, choice: Choice) => {
      if (!isStoreThere(location)) throw notFoundError(`There is no directory ${location}.`)
      await terminal.confirm(
        `This rewrites ${location}; a copy beforehand does no harm.`,
        choice.yes,
      )
      const report = await Varve.repair(location, await operatorsOf(choice))
      if (choice.json === true) return terminal.json(report)
      await terminal.line(`read      ${amountText(report.filesRead, 'file')}`)
      await terminal.line(`events    ${countText(report.eventsKept)} kept`)
      for (const file of report.filesSetAside) await terminal.line(`aside     ${file}`)
      for (const { from, to } of report.seqnosLost) {
        await terminal.line(`lost      seqnos ${countText(from)} to ${countText(to)}`)
      }
      return terminal.line(`floor     ${countText(report.floor)}, epoch ${report.epoch}`)
    })
}
