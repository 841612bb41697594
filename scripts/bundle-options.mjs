/** How the engine is bundled: what is in a package or in Node stays outside. */
import path from 'node:path'

export const BUNDLED = {
  external: (specifier) => !specifier.startsWith('.') && !path.isAbsolute(specifier),
  platform: 'node',
  logLevel: 'warn',
  // Numbers that have names stand where they are used.
  optimization: { inlineConst: true },
}
