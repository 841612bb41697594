import type { Command } from 'commander'
import { parseKey, printable, toJson } from '../encoding.ts'
import { examples } from '../examples.ts'
import { notFoundError } from '../exit-codes.ts'
import {
  addEncodingOptions,
  addKeyspaceOption,
  addOperatorsOption,
  type EncodingChoice,
  keyEncodingOf,
  type KeyspaceChoice,
  type StoreChoice,
  valueEncodingOf,
} from '../shared-options.ts'
import { keyspaceNamed, withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, KeyspaceChoice, EncodingChoice {
  readonly raw?: boolean
  readonly json?: boolean
}

export function addGet(program: Command, terminal: Terminal): void {
  const command = program
    .command('get <dir> <key>')
    .description('Print the value of a key; exit code 3 where there is none.')
    .option('--raw', 'the bytes as they are, no line end')
    .option('--json', 'key and value as a JSON object')
  addOperatorsOption(addEncodingOptions(addKeyspaceOption(command)))
    .addHelpText(
      'after',
      examples(
        ['varve get ./store city:lisbon', 'the value as text'],
        ['varve get ./store 00ff --key-encoding hex --raw > value.bin', 'a binary key and value'],
        ['varve get ./store page:1 -k visits --value-encoding counter', 'a counter as a number'],
      ),
    )
    .action(async (location: string, key: string, choice: Choice) => {
      const bytes = parseKey(key, keyEncodingOf(choice))
      await withReader(location, choice, async (store) => {
        const keyspace = await keyspaceNamed(store, choice.keyspace)
        const value = await keyspace.get(bytes)
        if (value === undefined) throw notFoundError(`There is no key ${key}.`)
        const encoding = valueEncodingOf(choice)
        if (choice.raw === true) return terminal.bytes(value)
        if (choice.json === true) {
          const shown = {
            key: toJson(bytes, keyEncodingOf(choice)),
            value: toJson(value, encoding),
          }
          return terminal.json(shown)
        }
        if (encoding !== 'utf8') return terminal.line(printable(value, encoding))
        await terminal.bytes(value)
        return terminal.line('')
      })
    })
}
