/**
 * Removes from the build what nobody who has the package can reach: the modules that the bundles were made of, and types that the
 * exported ones do not name.
 *
 *     node scripts/prune-dist.mjs [out directory, default dist]
 */
import fs from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist'))
const { bin, exports } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
const entries = [...Object.values(bin), ...Object.values(exports).flatMap(filesOf)]
  .map((name) => path.join(out, path.relative('dist', name)))
  .filter((file) => /\.[jt]s$/.test(file))

const kept = new Set([path.join(out, 'cli', 'NOTICES.txt')])
for (const file of entries) keep(file)
for (const entry of fs.readdirSync(out, { recursive: true, withFileTypes: true })) {
  const file = path.join(entry.parentPath, entry.name)
  if (entry.isFile() && !kept.has(file)) fs.rmSync(file)
}
removeEmpty(out)

/** What an entry of package.json's exports stands for: a name, or names by condition. */
function filesOf(target) {
  return typeof target === 'string' ? [target] : Object.values(target)
}

/** The file, its map, and all that it imports from beside it. */
function keep(file) {
  if (kept.has(file)) return
  kept.add(file).add(`${file}.map`)
  const isTypes = file.endsWith('.d.ts')
  const code = fs.readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
  // A type may import where it stands; a bundle only at the beginning of a line, and what its strings say is nothing to follow.
  const imports = isTypes
    ? /\b(?:from |import ?\(?)['"](\.[^'"]+)['"]/g
    : /^(?:import|export) [^'"]*['"](\.[^'"]+)['"]/gm
  for (const [, specifier] of code.matchAll(imports)) {
    const target = path.resolve(path.dirname(file), specifier)
    keep(isTypes ? target.replace(/\.[jt]s$/, '.d.ts') : target)
  }
}

function removeEmpty(directory) {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmpty(path.join(directory, entry.name))
  }
  if (fs.readdirSync(directory).length === 0) fs.rmdirSync(directory)
}
