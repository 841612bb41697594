import fs from 'node:fs'
import { once } from 'node:events'
import type { Command } from 'commander'
import type { Varve } from '../../db/varve.ts'
import { type EntriesLine, type EntryLine, ENTRY_FORMAT, parseEntryLine } from '../entry-line.ts'
import { toJson } from '../encoding.ts'
import { examples } from '../examples.ts'
import { usageError } from '../exit-codes.ts'
import { IMPORT_KEYSPACE } from '../importer.ts'
import { readLines } from '../line-reader.ts'
import { addOperatorsOption, severalTimes, type StoreChoice } from '../shared-options.ts'
import { keyspaceNamed, loadVersion, withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, countText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly output?: string
  readonly keyspace?: readonly string[]
  readonly resume?: boolean
}

/** Where an earlier run came to. */
interface Done {
  readonly keyspace: string | undefined
  readonly key: Buffer | undefined
  readonly hasHeader: boolean
}

type Write = (text: string) => Promise<void>

const LOOK_BACK_BYTES = 2 ** 16

export function addExport(program: Command, terminal: Terminal): void {
  const command = program
    .command('export <dir>')
    .description('Write all entries as NDJSON, as they are at one seqno (docs/ndjson.md).')
    .option('-o, --output <file>', 'a file; default: stdout')
    .option('-k, --keyspace <name>', 'only this keyspace; may be given again', severalTimes)
    .option('--resume', 'go on behind the last whole line of --output')
  addOperatorsOption(command)
    .addHelpText(
      'after',
      examples(
        ['varve export ./store | gzip > store.ndjson.gz', 'everything'],
        ['varve export ./store -o store.ndjson --resume', 'goes on where it was interrupted'],
        ['varve export ./store | varve import ./copy', 'a copy without history'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        const { output } = choice
        const names = await namesOf(store, choice)
        if (output === undefined) {
          if (choice.resume === true) throw usageError('--resume needs --output.')
          const nothing = { keyspace: undefined, key: undefined, hasHeader: false }
          await exportEntries(location, store, names, nothing, terminal, (text) =>
            terminal.line(text),
          )
          return
        }
        const done = choice.resume === true ? await lastOf(output) : undefined
        const file = fs.createWriteStream(output, { flags: done === undefined ? 'wx' : 'a' })
        await once(file, 'open')
        let waiting: string[] = []
        const drain = async (): Promise<void> => {
          const text = waiting.join('')
          waiting = []
          if (!file.write(text)) await once(file, 'drain')
        }
        const before = done ?? { keyspace: undefined, key: undefined, hasHeader: false }
        await exportEntries(location, store, names, before, terminal, async (text) => {
          if (waiting.push(text, '\n') >= 2_000) await drain()
        })
        await drain()
        file.end()
        await once(file, 'finish')
      }),
    )
}

/** Each once. One that is not there is told of before anything is written: an empty file would stand in the way of the next try. */
async function namesOf(store: Varve, choice: Choice): Promise<readonly string[]> {
  if (choice.keyspace === undefined) {
    return store.keyspaces().filter((name) => name !== IMPORT_KEYSPACE)
  }
  const names = [...new Set(choice.keyspace)]
  for (const name of names) await keyspaceNamed(store, name)
  return names
}

async function exportEntries(
  location: string,
  store: Varve,
  names: readonly string[],
  done: Done,
  terminal: Terminal,
  write: Write,
): Promise<void> {
  const snapshot = store.snapshot()
  const total = names.reduce((sum, name) => sum + entriesOf(store, name), 0)
  const bar = terminal.progress('export', total)
  let count = 0
  try {
    if (!done.hasHeader) {
      const header = await headerOf(location, names, snapshot.seqno)
      await write(JSON.stringify(header))
    }
    const first = done.keyspace === undefined ? 0 : Math.max(names.indexOf(done.keyspace), 0)
    for (const name of names.slice(first)) {
      const keyspace = await keyspaceNamed(store, name)
      const after = name === done.keyspace && done.key !== undefined ? { gt: done.key } : {}
      const entries = keyspace.entries({ snapshot, ...after })
      for (;;) {
        const batch = await entries.nextBatch()
        if (batch.length === 0) break
        for (const [key, value] of batch) {
          const line: EntryLine = { keyspace: name, key: toJson(key), value: toJson(value) }
          await write(JSON.stringify(line))
        }
        count += batch.length
        bar.update(count)
      }
    }
  } finally {
    bar.stop()
    snapshot.close()
  }
  terminal.note(
    `exported ${amountText(count, 'entry', 'entries')} as of seqno ${countText(snapshot.seqno)}`,
  )
}

/** An estimate for the bar: what the levels hold, old versions with it. */
function entriesOf(store: Varve, name: string): number {
  const levels = store.stats().keyspaces[name]?.levels ?? []
  return levels.reduce((sum, { entries }) => sum + entries, 0)
}

async function headerOf(
  location: string,
  names: readonly string[],
  seqno: number,
): Promise<EntriesLine> {
  const { state } = await loadVersion(location)
  const named = state.keyspaces
    .filter(({ name, droppedAt }) => droppedAt === undefined && names.includes(name))
    .map(({ name, options: { mergeOperator } }): [string, { mergeOperator?: string }] => [
      name,
      mergeOperator === undefined ? {} : { mergeOperator },
    ])
  // Not by assignments: a keyspace may be called __proto__.
  const keyspaces = Object.fromEntries(named)
  return { control: 'entries', format: ENTRY_FORMAT, version: 1, seqno, keyspaces }
}

/** The last whole line of an earlier run; a line that was cut off is taken away. */
async function lastOf(output: string): Promise<Done | undefined> {
  if (!fs.existsSync(output)) return undefined
  let done: Done = { keyspace: undefined, key: undefined, hasHeader: false }
  // A last line without line end was cut off, even if it should happen to be JSON; the cut may go through a character.
  const end = endOfWholeLines(output)
  for await (const lines of readLines(output, { offset: 0, lines: 0, end })) {
    for (const line of lines) {
      const parsed = parseEntryLine(line.text, `Line ${line.number} of ${output}`)
      if (parsed.kind === 'header') done = { ...done, hasHeader: true }
      else done = { hasHeader: true, keyspace: parsed.keyspace, key: parsed.key }
    }
  }
  fs.truncateSync(output, end)
  return done
}

/** Where the last line end of a file stands behind it; 0 where there is none. */
function endOfWholeLines(file: string): number {
  const handle = fs.openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(LOOK_BACK_BYTES)
    let end = fs.fstatSync(handle).size
    while (end > 0) {
      const start = Math.max(0, end - bytes.length)
      const length = fs.readSync(handle, bytes, 0, end - start, start)
      const at = bytes.subarray(0, length).lastIndexOf(0x0a)
      if (at >= 0) return start + at + 1
      end = start
    }
    return 0
  } finally {
    fs.closeSync(handle)
  }
}
