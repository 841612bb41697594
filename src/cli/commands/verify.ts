import fs from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import type { VerifyReport } from '../../db/verify.ts'
import { parseFileName } from '../../env/file-names.ts'
import { examples } from '../examples.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { addOperatorsOption, type StoreChoice } from '../shared-options.ts'
import { withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, bytesText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly json?: boolean
}

const ATTEMPTS_MAX = 4

export function addVerify(program: Command, terminal: Terminal): void {
  const command = program
    .command('verify <dir>')
    .description('Read every byte, check every checksum and the stream; exit code 5 for damage.')
    .option('--json', 'the report as JSON')
  addOperatorsOption(command)
    .addHelpText(
      'after',
      examples(
        ['varve verify ./store', 'one line for each problem'],
        ['varve verify ./store --json | jq .problems', 'for programs'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        let bar: { update(done: number): void; stop(): void } | undefined
        const onProgress = (done: number, total: number): void => {
          bar ??= terminal.progress('verify', total)
          bar.update(done)
        }
        let report = await store.verify({ onProgress })
        // A writer removes files that it has compacted, and begins new manifests: what it did is no damage.
        for (let attempt = 1; attempt < ATTEMPTS_MAX && mayHaveMoved(report); attempt++) {
          await store.refresh()
          report = await store.verify({ onProgress })
        }
        bar?.stop()
        if (choice.json === true) await terminal.json(report)
        else {
          for (const { file, offset, code, message } of report.problems) {
            const where = offset === undefined ? file : `${file} at ${offset}`
            const text = message.includes(file) ? message : `${where}: ${message}`
            await terminal.line(`${text} [${code}]`)
          }
        }
        const read = `${amountText(report.filesChecked, 'file')}, ${bytesText(report.bytesChecked)}`
        if (!report.ok) {
          const what = amountText(report.problems.length, 'problem')
          throw new CommandError(
            `${what} in ${read}. \`varve repair\` keeps the rest.`,
            EXIT.corruption,
          )
        }
        if (choice.json !== true) await terminal.line(`ok: ${read}`)
      }),
    )
}

function mayHaveMoved({ problems }: VerifyReport): boolean {
  return problems.some(
    ({ file }) => !fs.existsSync(file) || parseFileName(path.basename(file))?.type === 'manifest',
  )
}
