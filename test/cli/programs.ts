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
