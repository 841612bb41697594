import type { Command } from 'commander'
import { examples } from '../examples.ts'
import { addOperatorsOption, type StoreChoice } from '../shared-options.ts'
import { withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { countText, timeText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly json?: boolean
}

export function addHistory(program: Command, terminal: Terminal): void {
  const command = program
    .command('history <dir>')
    .description('How far change capture reaches back, and the epochs of the store.')
    .option('--json', 'as JSON')
  addOperatorsOption(command)
    .addHelpText('after', examples(['varve history ./store --json | jq .floor', 'the floor alone']))
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        const history = store.history()
        if (choice.json === true) return terminal.json({ role: store.role, ...history })
        const { floor, latest, oldestTimestamp, sourceToken } = history
        const events = latest - floor + 1
        await terminal.line(`store     ${history.storeId}, ${store.role}`)
        await terminal.line(`latest    ${countText(latest)}`)
        await terminal.line(
          `floor     ${countText(floor)}, ${countText(events)} events can be read`,
        )
        if (oldestTimestamp !== undefined) {
          await terminal.line(`since     ${timeText(oldestTimestamp)}`)
        }
        if (sourceToken !== undefined) await terminal.line(`source    ${sourceToken}`)
        for (const { epoch, id, first } of history.epochs) {
          await terminal.line(`epoch ${String(epoch).padEnd(3)} from ${countText(first)}, ${id}`)
        }
      }),
    )
}
