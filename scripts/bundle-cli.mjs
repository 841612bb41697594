/**
 * Makes one file of the command line, `<out>/background/command.js`: src/cli, the engine, and commander, cli-progress and
 * cli-table3, so that the package needs none of them installed, and a command starts in half the time. It has an engine of its
 * own: what the library exports for it could not be as fast there. It lies in background/ because a worker's file is looked
 * for beside the code that starts it; `<out>/cli/varve.js` is what runs it. Notices of what is bundled go into
 * `<out>/cli/NOTICES.txt`.
 *
 *     node scripts/bundle-cli.mjs [out directory, default dist]
 */
import fs from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { build } from 'rolldown'
import { BUNDLED, OUTPUT } from './bundle-options.mjs'

const root = path.resolve(import.meta.dirname, '..')
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist'))
const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
const outside = new Set([...builtinModules, ...Object.keys(dependencies)])

const { output } = await build({
  ...BUNDLED,
  input: path.join(root, 'src', 'cli', 'varve.ts'),
  external: (specifier) => specifier.startsWith('node:') || outside.has(specifier),
  transform: { target: 'es2022' },
  output: { ...OUTPUT, file: path.join(out, 'background', 'command.js') },
})

const file = path.join(out, 'cli', 'varve.js')
fs.mkdirSync(path.dirname(file), { recursive: true })
fs.writeFileSync(file, "#!/usr/bin/env node\nimport '../background/command.js'\n")
fs.chmodSync(file, 0o755)
fs.writeFileSync(path.join(out, 'cli', 'NOTICES.txt'), noticesOf(output[0].moduleIds.toSorted()))

/** Licence texts of every package that the bundle has a file of. */
function noticesOf(inputs) {
  const names = new Set()
  for (const input of inputs) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (match !== null) names.add(match[1])
  }
  const notices = [...names].map((directory) => {
    const {
      name: title,
      version,
      license,
    } = JSON.parse(fs.readFileSync(path.join(directory, 'package.json'), 'utf8'))
    const text = fs.readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
    const body =
      text === undefined ? '' : fs.readFileSync(path.join(directory, text), 'utf8').trim()
    return `${title} ${version} (${license})\n\n${body}\n`
  })
  return `command.js contains these packages.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`
}
