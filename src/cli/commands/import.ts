import fs from 'node:fs'
import { type Command, Option } from 'commander'
import { createRowSource, type RowFormat } from '../import-rows.ts'
import { Importer } from '../importer.ts'
import { examples } from '../examples.ts'
import { notFoundError, usageError } from '../exit-codes.ts'
import { readLines } from '../line-reader.ts'
import {
  addKeyspaceOption,
  addOperatorsOption,
  type KeyspaceChoice,
  type StoreChoice,
  wholeNumber,
} from '../shared-options.ts'
import { withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, countText } from '../words.ts'

interface Choice extends StoreChoice, KeyspaceChoice {
  readonly format?: RowFormat
  readonly key?: string
  readonly value?: string
  readonly keyPrefix: string
  readonly separator: string
  readonly batch: number
  readonly resume?: boolean
}

export function addImport(program: Command, terminal: Terminal): void {
  const command = program
    .command('import <dir> [file]')
    .description(
      'Write entries from NDJSON or CSV (a file, or stdin); the store is made if missing.',
    )
    .addOption(
      new Option('--format <format>', 'default: as the name ends').choices(['ndjson', 'csv']),
    )
    .option('--key <name>', 'the member or column that is the key')
    .option('--value <name>', 'the member or column that is the value; default: all, as JSON')
    .option('--key-prefix <text>', 'put before each key', '')
    .option('--separator <character>', 'between the columns of a CSV', ',')
    .option('--batch <count>', 'entries in one atomic commit', wholeNumber, 1_000)
    .option('--resume', 'keep the place in the store, and go on there after an interruption')
  addOperatorsOption(addKeyspaceOption(command))
    .addHelpText(
      'after',
      examples(
        ['varve import ./store dump.ndjson', 'what `varve export` wrote'],
        ['varve import ./store users.ndjson --key id --key-prefix user:', 'any JSON documents'],
        ['varve import ./store cities.csv --key name --value population', 'two columns of a CSV'],
        ['varve import ./store big.ndjson --resume', 'may be interrupted, and run again'],
      ),
    )
    .action((location: string, file: string | undefined, choice: Choice) =>
      importFile(terminal, location, file ?? '-', choice),
    )
}

async function importFile(
  terminal: Terminal,
  location: string,
  file: string,
  choice: Choice,
): Promise<void> {
  const format = choice.format ?? (/\.(csv|tsv)$/i.test(file) ? 'csv' : 'ndjson')
  checkChoice(file, format, choice)
  await withWriter(location, { ...choice, create: true }, async (store) => {
    const importer = await Importer.start(store, { file, ...choice })
    const rows = createRowSource({ ...choice, format })
    const size = file === '-' ? 0 : fs.statSync(file).size
    const bar = terminal.progress('import', size)
    try {
      // The head of a CSV names its columns: it is read again, also when the rest was.
      if (format === 'csv' && importer.start.offset > 0) rows.readHead(firstLine(file))
      for await (const lines of readLines(file, importer.start)) {
        for (const line of lines) {
          const row = rows.take(line)
          if (row !== undefined) await importer.add(row)
        }
        bar.update(lines.at(-1)!.end)
      }
      rows.finish()
      await importer.finish()
    } catch (error) {
      await importer.stop()
      bar.stop()
      terminal.note(`imported ${amountText(importer.count, 'entry', 'entries')}, then:`)
      throw error
    }
    bar.stop()
    const { lines } = importer.start
    const before = lines > 0 ? `, behind line ${countText(lines)}` : ''
    terminal.note(`imported ${amountText(importer.count, 'entry', 'entries')}${before}`)
  })
}

function checkChoice(file: string, format: RowFormat, choice: Choice): void {
  if (choice.batch === 0) throw usageError('--batch must be at least 1.')
  if (choice.separator.length !== 1) throw usageError('--separator is one character.')
  if (format === 'csv' && choice.key === undefined) throw usageError('A CSV needs --key <column>.')
  if (choice.resume === true && file === '-') throw usageError('stdin cannot be resumed.')
  if (file !== '-' && !fs.existsSync(file)) throw notFoundError(`There is no file ${file}.`)
}

/** Of a file that is not empty. */
function firstLine(file: string): string {
  const handle = fs.openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(2 ** 20)
    const length = fs.readSync(handle, bytes, 0, bytes.length, 0)
    const end = bytes.subarray(0, length).indexOf(0x0a)
    return bytes.toString('utf8', 0, end < 0 ? length : end).replace(/\r$/, '')
  } finally {
    fs.closeSync(handle)
  }
}
