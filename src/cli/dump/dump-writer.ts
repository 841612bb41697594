/**
 * How a dump is written: the same facts as aligned text for people, or as one JSON object a line.
 */
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../../base/entry-kind.ts'
import type { LineEncodings } from '../change-line.ts'
import { printable, toJson } from '../encoding.ts'
import type { Terminal } from '../terminal.ts'

export interface DumpChoice {
  /** Of the file, by its name. */
  readonly number: number
  readonly hasEntries: boolean
  readonly hasChanges: boolean
  readonly limit: number
}

/** A fact: a key or value, a number, a word, or a list of such. Undefined ones are left out. */
export type Fact =
  | string
  | number
  | boolean
  | undefined
  | { readonly key: Uint8Array }
  | { readonly value: Uint8Array }
  | { readonly data: unknown }

export interface DumpWriter {
  properties(type: string, facts: Readonly<Record<string, Fact>>): Promise<void>
  item(what: string, facts: Readonly<Record<string, Fact>>): Promise<void>
}

export class TextDump implements DumpWriter {
  readonly #terminal: Terminal
  readonly #encodings: LineEncodings

  constructor(terminal: Terminal, encodings: LineEncodings) {
    this.#terminal = terminal
    this.#encodings = encodings
  }

  async properties(type: string, facts: Readonly<Record<string, Fact>>): Promise<void> {
    await this.#terminal.line(this.#terminal.bold(type))
    const known = Object.entries(facts).filter(([, fact]) => fact !== undefined)
    const width = Math.max(...known.map(([name]) => name.length))
    for (const [name, fact] of known) {
      await this.#terminal.line(`  ${name.padEnd(width)}  ${this.#text(fact)}`)
    }
  }

  async item(what: string, facts: Readonly<Record<string, Fact>>): Promise<void> {
    const words = Object.entries(facts)
      .filter(([, fact]) => fact !== undefined)
      .map(([name, fact]) => `${name}=${this.#text(fact)}`)
    await this.#terminal.line(`${what} ${words.join(' ')}`)
  }

  #text(fact: Fact): string {
    if (typeof fact !== 'object') return String(fact)
    if ('key' in fact) return printable(fact.key, this.#encodings.keys)
    if ('value' in fact) return printable(fact.value, this.#encodings.values)
    return JSON.stringify(fact.data)
  }
}

export class JsonDump implements DumpWriter {
  readonly #terminal: Terminal
  readonly #encodings: LineEncodings

  constructor(terminal: Terminal, encodings: LineEncodings) {
    this.#terminal = terminal
    this.#encodings = encodings
  }

  properties(type: string, facts: Readonly<Record<string, Fact>>): Promise<void> {
    return this.item('properties', { type, ...facts })
  }

  item(what: string, facts: Readonly<Record<string, Fact>>): Promise<void> {
    const plain: Record<string, unknown> = {}
    for (const [name, fact] of Object.entries(facts)) plain[name] = this.#plain(fact)
    return this.#terminal.line(JSON.stringify({ [what]: plain }))
  }

  #plain(fact: Fact): unknown {
    if (typeof fact !== 'object') return fact
    if ('key' in fact) return toJson(fact.key, this.#encodings.keys)
    if ('value' in fact) return toJson(fact.value, this.#encodings.values)
    return fact.data
  }
}

const KIND_WORDS = new Map([
  [KIND_INSERT, 'insert'],
  [KIND_MERGE, 'merge'],
  [KIND_DELETE, 'delete'],
  [KIND_RANGE_DELETE, 'range-delete'],
])
const FLAG_WORDS: readonly (readonly [number, string])[] = [
  [FLAG_BLOB, 'blob'],
  [FLAG_DERIVED, 'derived'],
  [FLAG_OPEN_END, 'open-end'],
  [FLAG_DROPS_KEYSPACE, 'drops-keyspace'],
]

/** Kind and flags in words: "insert+blob". */
export function kindText(kind: number): string {
  const words = [KIND_WORDS.get(kind & KIND_MASK) ?? `kind-${kind & KIND_MASK}`]
  for (const [flag, word] of FLAG_WORDS) if ((kind & flag) !== 0) words.push(word)
  return words.join('+')
}
