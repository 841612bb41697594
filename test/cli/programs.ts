/** The programs that stand in the documents. */
import fs from 'node:fs'
import path from 'node:path'
import { ROOT } from './built-package.ts'

export interface Program {
  readonly line: number
  readonly code: string
  readonly prints: string | undefined
}

/** Every block of TypeScript; a block that follows "prints:" is the whole output of the one before it. */
export function programsIn(document: string): Program[] {
  const text = fs.readFileSync(path.join(ROOT, document), 'utf8')
  const block = /^```ts\n([\s\S]*?)^```\n(?:\nprints:\n\n```\n([\s\S]*?)^```$)?/gm
  return [...text.matchAll(block)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length,
    code: match[1]!,
    prints: match[2],
  }))
}

/** Lines of the shell blocks, without their comments. */
export function shellLinesIn(document: string): string[] {
  const text = fs.readFileSync(path.join(ROOT, document), 'utf8')
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap((match) =>
    match[1]!
      .split('\n')
      .map((line) => line.replace(/\s+#.*$/, ''))
      .filter((line) => line !== ''),
  )
}

/** What the examples in docstrings may use without saying so. */
const EXAMPLE_IMPORTS = `import { decodeCounter, encodeCounter, hasCode, type MergeOperator, replicate, Varve } from 'varve'
import { ManualClock, MemoryFileSystem } from 'varve/testing'
`

export interface Example {
  /** File and line of its docstring. */
  readonly where: string
  readonly code: string
  /** Every comment in it, in order: what it prints, line by line. */
  readonly prints: readonly string[]
}

/** The examples in the docstrings of src/. */
export function examplesInSources(): Example[] {
  const source = path.join(ROOT, 'src')
  const names = fs.readdirSync(source, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .flatMap((name) => {
      const text = fs.readFileSync(path.join(source, name), 'utf8')
      return [...text.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)].map((match) => {
        const lines = match[1]!.split('\n').map((line) => line.replace(/^ *\* ?/, ''))
        const code = lines.join('\n')
        return {
          where: `src/${name}:${text.slice(0, match.index).split('\n').length}`,
          code: code.includes("from 'varve'") ? code : EXAMPLE_IMPORTS + code,
          prints: lines.flatMap((line) => /(?:^|\s)\/\/ (.*)$/.exec(line)?.slice(1) ?? []),
        }
      })
    })
}
