import type { Command } from 'commander'
import { examples } from '../examples.ts'
import {
  addEncodingOptions,
  addKeyspaceOption,
  addOperatorsOption,
  addRangeOptions,
  type KeyspaceChoice,
  type RangeChoice,
  rangeOf,
  type StoreChoice,
} from '../shared-options.ts'
import { keyspaceNamed, withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, KeyspaceChoice, RangeChoice {}

export function addCount(program: Command, terminal: Terminal): void {
  const command = program.command('count <dir>').description('Count keys, by reading them.')
  addOperatorsOption(addEncodingOptions(addRangeOptions(addKeyspaceOption(command))))
    .addHelpText(
      'after',
      examples(
        ['varve count ./store', 'all keys of the default keyspace'],
        ['varve count ./store -k visits --prefix page:', 'those with a prefix'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        const keyspace = await keyspaceNamed(store, choice.keyspace)
        const keys = keyspace.keys(rangeOf(choice))
        let count = 0
        for (;;) {
          const batch = await keys.nextBatch(10_000)
          if (batch.length === 0) break
          count += batch.length
        }
        await terminal.line(String(count))
      }),
    )
}
