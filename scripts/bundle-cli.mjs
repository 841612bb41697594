/**
 * Bundles the command line into one file, `<out>/cli/varve.js`: src/cli with commander, cli-progress and cli-table3 in it, so
 * that the package needs none of them installed. The engine stays outside: the bundle imports the modules that tsc wrote beside
 * it. Notices of what is bundled go into `<out>/cli/NOTICES.txt`.
 *
 *     node scripts/bundle-cli.mjs [out directory, default dist]
 */
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'

const root = path.resolve(import.meta.dirname, '..')
const source = path.join(root, 'src')
const cli = path.join(source, 'cli')
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist'))

/** Every import that leaves src/cli for another part of src is one of `<out>/<part>/…` at run time. */
const engineOutside = {
  name: 'engine-outside',
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\.?\// }, ({ path: specifier, importer }) => {
      if (!importer.startsWith(cli)) return undefined
      const target = path.resolve(path.dirname(importer), specifier)
      if (target.startsWith(cli + path.sep) || !target.startsWith(source + path.sep))
        return undefined
      const module = path.relative(source, target).split(path.sep).join('/').replace(/\.ts$/, '.js')
      return { path: `../${module}`, external: true }
    })
  },
}

const file = path.join(out, 'cli', 'varve.js')
const { metafile } = await build({
  entryPoints: [path.join(cli, 'varve.ts')],
  outfile: file,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  metafile: true,
  legalComments: 'none',
  plugins: [engineOutside],
  // Some of the libraries are CommonJS and require Node's own modules.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'\nconst require = makeRequire(import.meta.url)",
  },
})
fs.chmodSync(file, 0o755)
fs.writeFileSync(
  path.join(out, 'cli', 'NOTICES.txt'),
  noticesOf(Object.keys(metafile.inputs).toSorted()),
)

/** Licence texts of every package that the bundle has a file of. */
function noticesOf(inputs) {
  const names = new Set()
  for (const input of inputs) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (match !== null) names.add(match[1])
  }
  const notices = [...names].map((name) => {
    const directory = path.resolve(root, name)
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
  return `varve.js contains these packages.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`
}
