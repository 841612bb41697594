/**
 * Text scripts: cases with sources and what is expected of them, one directive a line.
 *
 * ```
 * case <a sentence>
 * source a@3=new a@1=old      entries, see fake-entries.ts; several sources are merged
 * range a..c@5                a range tombstone; `a..@5` reaches to the end
 * snapshot 4                  default: everything
 * from b | to d               bounds, inclusive and exclusive
 * forward a=new               what a walk in that direction yields
 * ```
 */
import { readFileSync } from 'node:fs'
import { type FakeEntry, parseEntry } from './fake-entries.ts'

export interface ScriptCase {
  name: string
  sources: FakeEntry[][]
  ranges: { start: Buffer; end: Buffer | undefined; seqno: number }[]
  snapshot: number
  from: string | undefined
  to: string | undefined
  expected: { directive: string; text: string }[]
}

export function readScript(file: string): ScriptCase[] {
  const lines = readFileSync(new URL(`testdata/${file}`, import.meta.url), 'utf8').split('\n')
  const cases: ScriptCase[] = []
  for (const line of lines) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [directive, ...words] = trimmed.split(/\s+/) as [string, ...string[]]
    if (directive === 'case') cases.push(emptyCase(words.join(' ')))
    else addTo(cases[cases.length - 1]!, directive, words)
  }
  return cases
}

function emptyCase(name: string): ScriptCase {
  const snapshot = Number.MAX_SAFE_INTEGER
  return { name, sources: [], ranges: [], snapshot, from: undefined, to: undefined, expected: [] }
}

function addTo(script: ScriptCase, directive: string, words: readonly string[]): void {
  if (directive === 'source') script.sources.push(words.map(parseEntry))
  else if (directive === 'snapshot') script.snapshot = Number(words[0])
  else if (directive === 'from') script.from = words[0]
  else if (directive === 'to') script.to = words[0]
  else if (directive === 'range') {
    const [, start, end, seqno] = /^(.*)\.\.(.*)@(\d+)$/.exec(words[0]!) as unknown as string[]
    script.ranges.push({
      start: Buffer.from(start!),
      end: end === '' ? undefined : Buffer.from(end!),
      seqno: Number(seqno),
    })
  } else script.expected.push({ directive, text: words.join(' ') })
}
