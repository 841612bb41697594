import path from 'node:path'
import type { Command } from 'commander'
import { parseFileName } from '../../env/file-names.ts'
import { createNodeFileSystem } from '../../env/node-file-system.ts'
import type { ReadableFile } from '../../env/file-system.ts'
import { dumpBlobFile } from '../dump/blob-file.ts'
import { type DumpChoice, type DumpWriter, JsonDump, TextDump } from '../dump/dump-writer.ts'
import { dumpLog } from '../dump/log.ts'
import { dumpManifest } from '../dump/manifest.ts'
import { dumpSegment } from '../dump/segment.ts'
import { examples } from '../examples.ts'
import { notFoundError, usageError } from '../exit-codes.ts'
import {
  addEncodingOptions,
  type EncodingChoice,
  keyEncodingOf,
  valueEncodingOf,
  wholeNumber,
} from '../shared-options.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends EncodingChoice {
  readonly entries?: boolean
  readonly changes?: boolean
  readonly limit?: number
  readonly ndjson?: boolean
}

export function addDump(program: Command, terminal: Terminal): void {
  const command = program
    .command('dump <file>')
    .description(
      'Look into a segment, log, manifest or blob file; needs no other file of the store.',
    )
    .option('--entries', 'also what is in it: entries, commits, edits, values')
    .option('--changes', 'also the change index of a segment')
    .option('-n, --limit <count>', 'at most so many of each', wholeNumber)
    .option('--ndjson', 'one JSON object a line')
  addEncodingOptions(command)
    .addHelpText(
      'after',
      examples(
        ['varve dump ./store/000012.seg', 'properties: bounds, counts, sizes of the parts'],
        ['varve dump ./store/000012.seg --entries -n 20', 'and its first entries'],
        [
          'varve dump ./store/000012.seg --changes',
          'which entries are events, and of which commits',
        ],
        ['varve dump ./store/000013.wal --entries --ndjson', 'the commits in a log'],
      ),
    )
    .action(async (name: string, choice: Choice) => {
      const parsed = parseFileName(path.basename(name))
      const dump = parsed === undefined ? undefined : DUMPS[parsed.type]
      if (parsed === undefined || dump === undefined) {
        throw usageError(
          'The name says what a file is: 000012.seg, .wal, .blob or MANIFEST-000012.',
        )
      }
      const file = openFile(name)
      const options: DumpChoice = {
        number: parsed.number,
        hasEntries: choice.entries === true,
        hasChanges: choice.changes === true,
        limit: choice.limit ?? Infinity,
      }
      const encodings = { keys: keyEncodingOf(choice), values: valueEncodingOf(choice) }
      const writer =
        choice.ndjson === true
          ? new JsonDump(terminal, encodings)
          : new TextDump(terminal, encodings)
      try {
        await dump(file, options, writer)
      } finally {
        file.close()
      }
    })
}

type Dump = (file: ReadableFile, choice: DumpChoice, writer: DumpWriter) => Promise<void>

const DUMPS: Readonly<Record<string, Dump>> = {
  segment: dumpSegment,
  wal: dumpLog,
  manifest: dumpManifest,
  blob: dumpBlobFile,
}

function openFile(name: string): ReadableFile {
  const fs = createNodeFileSystem()
  const stat = fs.stat(name)
  if (stat === undefined || stat.isDirectory) throw notFoundError(`There is no file ${name}.`)
  return fs.openRead(name)
}
