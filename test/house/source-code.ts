/**
 * Reads the sources as far as the rules of the house need it: which files there are, what they import, and their code
 * without comments and texts. No parser: what it misreads would be unusual code, and its own tests show what it can read.
 */
import fs from 'node:fs'
import path from 'node:path'

export interface SourceFile {
  /** From the repository's root, with forward slashes: src/env/timers.ts. */
  readonly path: string
  readonly text: string
}

export interface Import {
  readonly specifier: string
  readonly line: number
}

const ROOT: string = path.resolve(import.meta.dirname, '../..')

/** Every source file below `directory` of the repository. */
export function readSources(directory: string): SourceFile[] {
  return fs
    .readdirSync(path.join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]?[jt]sx?$/.test(name))
    .sort()
    .map((name) => {
      const file = path.posix.join(directory, name.split(path.sep).join('/'))
      return { path: file, text: fs.readFileSync(path.join(ROOT, file), 'utf8') }
    })
}

/**
 * What a file loads, by any way that has a literal name: static, type-only, re-exported, dynamic, `import()` types,
 * `require`, and files found beside it by `new URL(..., import.meta.url)`, which is how workers are started.
 */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text)
  const found: Import[] = []
  const statement =
    /\b(?:from|import|require|require\.resolve|import\.meta\.resolve)\s*\(?\s*(['"`])([^'"`\n]+)\1|\bnew\s+URL\(\s*(['"`])([^'"`\n]+)\3/g
  for (const match of code.matchAll(statement)) {
    const specifier = match[2] ?? match[4]!
    found.push({ specifier, line: lineAt(code, match.index) })
  }
  return found
}

/** Lines stay where they are. */
export function withoutComments(text: string): string {
  return text.replace(TOKENS, (token) => (token.startsWith('/') ? blank(token) : token))
}

/** Also without what stands in quotes; of a template only the code in `${}` stays. */
export function codeOnly(text: string): string {
  return text.replace(TOKENS, (token) => {
    if (!token.startsWith('`')) return blank(token)
    return (
      blank(token.replaceAll(/\$\{[^{}]*\}/g, '')) +
      [...token.matchAll(/\$\{([^{}]*)\}/g)].map((part) => ` ${part[1]} `).join('')
    )
  })
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

const TOKENS =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}
