import type { Command } from 'commander'
import { printable, toJson } from '../encoding.ts'
import { examples } from '../examples.ts'
import {
  addEncodingOptions,
  addKeyspaceOption,
  addOperatorsOption,
  addRangeOptions,
  keyEncodingOf,
  type KeyspaceChoice,
  type RangeChoice,
  rangeOf,
  type StoreChoice,
  valueEncodingOf,
  wholeNumber,
} from '../shared-options.ts'
import { keyspaceNamed, withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, KeyspaceChoice, RangeChoice {
  readonly keysOnly?: boolean
  readonly ndjson?: boolean
}

export function addScan(program: Command, terminal: Terminal): void {
  const command = program
    .command('scan <dir>')
    .description('Print entries in key order, one a line: key, tab, value.')
    .option('--keys-only', 'no values')
    .option('--reverse', 'from the last key to the first')
    .option('-n, --limit <count>', 'at most so many', wholeNumber)
    .option('--ndjson', 'one JSON object a line')
  addOperatorsOption(addEncodingOptions(addRangeOptions(addKeyspaceOption(command))))
    .addHelpText(
      'after',
      examples(
        ['varve scan ./store --prefix city: --limit 10', 'the first ten cities'],
        ['varve scan ./store --reverse -n 1 --keys-only', 'the last key'],
        ['varve scan ./store --ndjson --value-encoding json | jq .value.json.name', 'with jq'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        const keyspace = await keyspaceNamed(store, choice.keyspace)
        const keyEncoding = keyEncodingOf(choice)
        const valueEncoding = valueEncodingOf(choice)
        if (choice.keysOnly === true) {
          await using(keyspace.keys(rangeOf(choice)), (key) =>
            terminal.line(
              choice.ndjson === true
                ? JSON.stringify({ key: toJson(key, keyEncoding) })
                : printable(key, keyEncoding),
            ),
          )
          return
        }
        await using(keyspace.entries(rangeOf(choice)), ([key, value]) =>
          terminal.line(
            choice.ndjson === true
              ? JSON.stringify({
                  key: toJson(key, keyEncoding),
                  value: toJson(value, valueEncoding),
                })
              : `${printable(key, keyEncoding)}\t${printable(value, valueEncoding)}`,
          ),
        )
      }),
    )
}

interface Items<T> {
  nextBatch(): Promise<T[]>
  close(): Promise<void>
}

async function using<T>(items: Items<T>, each: (item: T) => Promise<void>): Promise<void> {
  try {
    for (;;) {
      const batch = await items.nextBatch()
      if (batch.length === 0) return
      for (const item of batch) await each(item)
    }
  } finally {
    await items.close()
  }
}
