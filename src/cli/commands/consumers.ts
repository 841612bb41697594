import type { Command } from 'commander'
import Table from 'cli-table3'
import { printableName } from '../encoding.ts'
import { examples } from '../examples.ts'
import { addOperatorsOption, addYesOption, type StoreChoice } from '../shared-options.ts'
import { withReader, withWriter } from '../store-access.ts'
import { PLAIN_TABLE } from '../plain-table.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, bytesText, countText, timeText } from '../words.ts'

interface ListChoice extends StoreChoice {
  readonly json?: boolean
}
interface DropChoice extends StoreChoice {
  readonly yes?: boolean
}

export function addConsumers(program: Command, terminal: Terminal): void {
  const consumers = program
    .command('consumers')
    .description('List or drop the durable consumers of a store.')
    .addHelpText(
      'after',
      examples(
        ['varve consumers ls ./store', 'positions, lag, and the history they hold'],
        ['varve consumers drop ./store search-index', 'asks first'],
      ),
    )
  addOperatorsOption(consumers.command('ls <dir>').description('List them.'))
    .option('--json', 'as JSON')
    .action((location: string, choice: ListChoice) => list(location, choice, terminal))
  addYesOption(addOperatorsOption(consumers.command('drop <dir> <name>')))
    .description('Drop one: its position is forgotten, the history it held can go.')
    .action(async (location: string, name: string, choice: DropChoice) => {
      await terminal.confirm(`This forgets the position of ${name} in ${location}.`, choice.yes)
      await withWriter(location, choice, (store) => store.dropConsumer(name))
      terminal.note(`dropped ${name}`)
    })
}

function list(location: string, choice: ListChoice, terminal: Terminal): Promise<void> {
  return withReader(location, choice, async (store) => {
    const all = store.consumers()
    if (choice.json === true) return terminal.json(all)
    if (all.length === 0) return terminal.note('There are no consumers.')
    const table = new Table({
      ...PLAIN_TABLE,
      head: ['consumer', 'position', 'state', 'lag', 'holds', 'last ack'],
      colAligns: ['left', 'right', 'left', 'right', 'right', 'left'],
    })
    for (const { name, position, state, lagEvents, heldBytes, lastAckAt } of all) {
      table.push([
        printableName(name),
        countText(position),
        state,
        amountText(lagEvents, 'event'),
        bytesText(heldBytes),
        lastAckAt === undefined ? 'never' : timeText(lastAckAt),
      ])
    }
    return terminal.line(table.toString())
  })
}
