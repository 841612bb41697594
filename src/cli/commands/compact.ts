import type { Command } from 'commander'
import { parseKey } from '../encoding.ts'
import { examples } from '../examples.ts'
import {
  addEncodingOptions,
  addOperatorsOption,
  type EncodingChoice,
  keyEncodingOf,
  type StoreChoice,
} from '../shared-options.ts'
import { withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { bytesText } from '../words.ts'

interface Choice extends StoreChoice, EncodingChoice {
  readonly keyspace?: string
  readonly start?: string
  readonly end?: string
}

export function addCompact(program: Command, terminal: Terminal): void {
  const command = program
    .command('compact <dir>')
    .description('Compact the store down to its last level. History stays readable.')
    .option('-k, --keyspace <name>', 'only this keyspace')
    .option('--start <key>', 'only from this key on')
    .option('--end <key>', 'only before this key')
  addOperatorsOption(addEncodingOptions(command))
    .addHelpText(
      'after',
      examples(
        ['varve compact ./store', 'everything'],
        ['varve compact ./store -k visits --start page:', 'a part of one keyspace'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withWriter(location, choice, async (store) => {
        const encoding = keyEncodingOf(choice)
        const { keyspace, start, end } = choice
        await store.compact({
          ...(keyspace === undefined ? {} : { keyspace }),
          ...(start === undefined ? {} : { start: parseKey(start, encoding) }),
          ...(end === undefined ? {} : { end: parseKey(end, encoding) }),
        })
        const { io } = store.stats()
        terminal.note(
          `read ${bytesText(io.compactionBytesRead)}, wrote ${bytesText(io.compactionBytesWritten)}`,
        )
      }),
    )
}
