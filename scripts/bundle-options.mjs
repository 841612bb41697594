/** How the engine is bundled: what is in a package or in Node stays outside. */
import fs from 'node:fs'
import path from 'node:path'

/** Hands on the map that the compiler wrote beside each module, so that the bundle's map leads back to TypeScript. */
const mapsOfCompiler = {
  name: 'maps-of-compiler',
  load(id) {
    const map = `${id}.map`
    if (!fs.existsSync(map)) return undefined
    const code = fs.readFileSync(id, 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, '')
    return { code, map: fs.readFileSync(map, 'utf8') }
  },
}

export const BUNDLED = {
  external: (specifier) => !specifier.startsWith('.') && !path.isAbsolute(specifier),
  platform: 'node',
  logLevel: 'warn',
  // Numbers that have names stand where they are used.
  optimization: { inlineConst: true },
  plugins: [mapsOfCompiler],
}

/**
 * V8 keeps the source of a module on its heap, in two bytes a character where a single one is not of Latin-1, be it in a
 * comment. Without comments, in ASCII, the library is 1.3 MB less, which every full collection of a process has less to look at.
 */
export const OUTPUT = { format: 'esm', comments: false, charset: 'ascii' }
