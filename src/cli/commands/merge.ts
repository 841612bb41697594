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

interface Choice extends StoreChoice, KeyspaceChoice, EncodingChoice, WriteChoice {
  readonly operator?: string
}

export function addMerge(program: Command, terminal: Terminal): void {
  const command = program
    .command('merge <dir> <key> [operand]')
    .description("Merge an operand into a key by the keyspace's merge operator.")
    .option('--operator <name>', 'the merge operator, for a keyspace that has none yet')
  addOperatorsOption(addWriteOptions(addEncodingOptions(addKeyspaceOption(command))))
    .addHelpText(
      'after',
      examples(
        ['varve merge ./store page:1 1 -k visits --value-encoding counter', 'count one more'],
        ['varve merge ./store log "more" -k logs --operator append --create', 'in a new keyspace'],
      ),
    )
    .action(async (location: string, key: string, operand: string | undefined, choice: Choice) => {
      const keyBytes = parseKey(key, keyEncodingOf(choice))
      const encoding = valueEncodingOf(choice)
      const bytes =
        operand === undefined || operand === '-'
          ? await readStandardInput(encoding, 'operand')
          : parseValue(operand, encoding, 'operand')
      const create = choice.create === true
      await withWriter(location, { ...choice, create }, async (store) => {
        const keyspace = await keyspaceToWrite(store, choice.keyspace, {
          create,
          ...(choice.operator === undefined ? {} : { mergeOperator: choice.operator }),
        })
        const seqno = await keyspace.merge(keyBytes, bytes, { sync: choice.sync })
        terminal.note(`seqno ${seqno}`)
      })
    })
}
