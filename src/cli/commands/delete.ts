import type { Command } from 'commander'
import { parseKey } from '../encoding.ts'
import { examples } from '../examples.ts'
import { usageError } from '../exit-codes.ts'
import { successorOf } from '../key-successor.ts'
import {
  addEncodingOptions,
  addKeyspaceOption,
  addOperatorsOption,
  addYesOption,
  type EncodingChoice,
  keyEncodingOf,
  type KeyspaceChoice,
  type StoreChoice,
} from '../shared-options.ts'
import { keyspaceNamed, withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, KeyspaceChoice, EncodingChoice {
  readonly gte?: string
  readonly lt?: string
  readonly prefix?: string
  readonly dropKeyspace?: boolean
  readonly yes?: boolean
  readonly sync: boolean
}

export function addDelete(program: Command, terminal: Terminal): void {
  const command = program
    .command('delete <dir> [key]')
    .description('Delete a key, a range of keys, or a whole keyspace.')
    .option('--gte <key>', 'a range: from this key on')
    .option('--lt <key>', 'a range: before this key')
    .option('-p, --prefix <key>', 'a range: all keys that begin so')
    .option('--drop-keyspace', 'the keyspace itself, with all its keys')
    .option('--no-sync', 'do not wait until it is on disk')
  addYesOption(addOperatorsOption(addEncodingOptions(addKeyspaceOption(command))))
    .addHelpText(
      'after',
      examples(
        ['varve delete ./store city:porto', 'one key'],
        ['varve delete ./store --prefix city: --yes', 'all keys with a prefix, unasked'],
        ['varve delete ./store -k visits --drop-keyspace', 'asks first'],
      ),
    )
    .action(async (location: string, key: string | undefined, choice: Choice) => {
      const range = rangeToDelete(choice)
      const ways = [key, range, choice.dropKeyspace].filter((way) => way !== undefined)
      if (ways.length !== 1) {
        throw usageError('Give a key, or --gte/--lt, or --prefix, or --drop-keyspace.')
      }
      const options = { sync: choice.sync }
      const where = `keyspace ${JSON.stringify(choice.keyspace)} of ${location}`
      if (range !== undefined) {
        await terminal.confirm(`This deletes a range of keys in ${where}.`, choice.yes)
      }
      if (choice.dropKeyspace === true) {
        await terminal.confirm(`This deletes ${where} with all its keys.`, choice.yes)
      }
      await withWriter(location, choice, async (store) => {
        const keyspace = await keyspaceNamed(store, choice.keyspace)
        let seqno: number
        if (key !== undefined) {
          seqno = await keyspace.delete(parseKey(key, keyEncodingOf(choice)), options)
        } else if (range !== undefined) {
          seqno = await keyspace.deleteRange(range.start, range.end, options)
        } else seqno = await store.dropKeyspace(choice.keyspace, options)
        terminal.note(`seqno ${seqno}`)
      })
    })
}

function rangeToDelete(choice: Choice): { start: Buffer; end: Buffer | undefined } | undefined {
  const encoding = keyEncodingOf(choice)
  const { gte, lt, prefix } = choice
  if (prefix !== undefined) {
    if (gte !== undefined || lt !== undefined) throw usageError('--prefix stands alone.')
    const start = parseKey(prefix, encoding)
    return { start, end: successorOf(start) }
  }
  if (gte === undefined && lt === undefined) return undefined
  return {
    start: gte === undefined ? Buffer.alloc(0) : parseKey(gte, encoding),
    end: lt === undefined ? undefined : parseKey(lt, encoding),
  }
}
