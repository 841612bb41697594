/** How the engine is bundled: what is in a package or in Node stays outside. */
import path from 'node:path'

export const BUNDLED = {
  external: (specifier) => !specifier.startsWith('.') && !path.isAbsolute(specifier),
  platform: 'node',
  logLevel: 'warn',
  // Numbers that have names stand where they are used.
  optimization: { inlineConst: true },
}

/**
 * V8 keeps the source of a module on its heap, in two bytes a character where one of them is not of Latin-1, and comments draw
 * arrows. Without them the library is 1.3 MB less, which every full collection of a process has less to look at.
 */
export const OUTPUT = { format: 'esm', comments: false }
