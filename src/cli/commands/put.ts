import type { Command } from 'commander'
import { parseKey, parseValue } from '../encoding.ts'
import { examples } from '../examples.ts'
import {
  addEncodingOptions,
  addKeyspaceOption,
  addOperatorsOption,
  addWriteOptions,
  type EncodingChoice,
  keyEncodingOf,
  type KeyspaceChoice,
  type StoreChoice,
  valueEncodingOf,
  type WriteChoice,
} from '../shared-options.ts'
import { readStandardInput } from '../standard-input.ts'
import { keyspaceToWrite, withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, KeyspaceChoice, EncodingChoice, WriteChoice {}

export function addPut(program: Command, terminal: Terminal): void {
  const command = program
    .command('put <dir> <key> [value]')
    .description('Write a key; without a value argument (or with -), the value is read from stdin.')
  addOperatorsOption(addWriteOptions(addEncodingOptions(addKeyspaceOption(command))))
    .addHelpText(
      'after',
      examples(
        [
          'varve put ./store city:porto Porto --create',
          'in a store that is made where it is missing',
        ],
        ['varve put ./store logo < logo.png', 'a value from a file, byte by byte'],
        [`varve put ./store user:1 '{"name": "Ada"}' --value-encoding json`, 'checked JSON'],
      ),
    )
    .action(async (location: string, key: string, value: string | undefined, choice: Choice) => {
      const keyBytes = parseKey(key, keyEncodingOf(choice))
      const encoding = valueEncodingOf(choice)
      const bytes =
        value === undefined || value === '-'
          ? await readStandardInput(encoding, 'value')
          : parseValue(value, encoding)
      const create = choice.create === true
      await withWriter(location, { ...choice, create }, async (store) => {
        const keyspace = await keyspaceToWrite(store, choice.keyspace, {
          create,
        })
        const seqno = await keyspace.put(keyBytes, bytes, { sync: choice.sync })
        terminal.note(`seqno ${seqno}`)
      })
    })
}
