/** Entries in a list as an EntryIterator, and an output that remembers: what the tests of the entry sorter stand on. */
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { EntryIterator } from '../../src/base/entry-iterator.ts'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
} from '../../src/base/entry-kind.ts'
import { type MergeOperator, mergeOperators } from '../../src/base/merge-operators.ts'
import {
  EntrySorter,
  type SortedOutput,
  type SortRules,
} from '../../src/compaction/entry-sorter.ts'
import type { RangeCover } from '../../src/compaction/version-fates.ts'

export interface TestEntry {
  key: string
  seqno: number
  kind: number
  value: string
}

export interface SortedEntry extends TestEntry {
  isEvent: boolean
  isHeld: boolean
}

/** Walks a list, and spoils the bytes of an entry when it moves on: whoever kept a reference is found out. */
export class ListIterator extends EntryIterator {
  readonly #entries: readonly TestEntry[]
  #at = -1

  constructor(entries: readonly TestEntry[]) {
    super()
    this.#entries = entries
  }

  override seekToFirst(): void {
    this.#at = 0
    this.#show()
  }
  override next(): void {
    this.keyBytes.fill(0xee)
    this.valueBytes.fill(0xee)
    this.#at++
    this.#show()
  }
  override seekToLast(): void {
    throw new Error('not here')
  }
  override seek(): void {
    throw new Error('not here')
  }
  override seekBefore(): void {
    throw new Error('not here')
  }
  override prev(): void {
    throw new Error('not here')
  }
  override load(): Promise<void> {
    throw new Error('not here')
  }
  override close(): void {}

  #show(): void {
    const entry = this.#entries[this.#at]
    this.valid = entry !== undefined
    if (entry === undefined) return
    this.keyBytes = Buffer.from(`<${entry.key}>`)
    this.keyStart = 1
    this.keyEnd = this.keyBytes.length - 1
    this.valueBytes = Buffer.from(`(${entry.value})`)
    this.valueStart = 1
    this.valueEnd = this.valueBytes.length - 1
    this.seqno = entry.seqno
    this.kind = entry.kind
    this.ordinal = this.#at
  }
}

export class Recorder implements SortedOutput {
  live: SortedEntry[] = []
  history: SortedEntry[] = []
  started: string[] = []

  startKey(bytes: Uint8Array, start: number, end: number): void {
    this.started.push(Buffer.from(bytes.subarray(start, end)).toString())
  }
  keep(...args: Parameters<SortedOutput['keep']>): void {
    const [kb, ks, ke, seqno, kind, vb, vs, ve, , commitId, isHeld] = args
    const key = Buffer.from(kb.subarray(ks, ke)).toString()
    const value = Buffer.from(vb.subarray(vs, ve)).toString()
    this.live.push({ key, seqno, kind, value, isEvent: commitId !== NO_COMMIT, isHeld })
  }
  retire(...args: Parameters<SortedOutput['retire']>): void {
    const [kb, ks, ke, seqno, kind, vb, vs, ve, , commitId] = args
    const key = Buffer.from(kb.subarray(ks, ke)).toString()
    const value = Buffer.from(vb.subarray(vs, ve)).toString()
    this.history.push({ key, seqno, kind, value, isEvent: commitId !== NO_COMMIT, isHeld: false })
  }
}

/** Concatenates, and only onto a base. */
const digits: MergeOperator = {
  name: 'digits',
  merge: (_key, base, operands) => Buffer.concat([base ?? Buffer.alloc(0), ...operands]),
}
const broken: MergeOperator = {
  name: 'broken',
  merge: () => {
    throw new Error('broken')
  },
  combine: () => {
    throw new Error('broken')
  },
}
export const testOperators: Readonly<Record<string, MergeOperator>> = {
  append: mergeOperators.append,
  digits,
  broken,
}

export interface SortInput {
  entries: readonly TestEntry[]
  snapshots: readonly number[]
  dropFloor: number
  operator: MergeOperator | undefined
  ranges: RangeCover | undefined
  isBottom: (key: string) => boolean
}

export function sortEntries(input: SortInput): Recorder {
  const recorder = new Recorder()
  const commits = new CommitTable()
  const rules: SortRules = {
    snapshots: input.snapshots,
    dropFloor: input.dropFloor,
    operator: input.operator,
    ranges: input.ranges,
    readBlob: (bytes, start, end) => Buffer.from(bytes.subarray(start, end)),
    isBottom: (bytes, start, end) =>
      input.isBottom(Buffer.from(bytes.subarray(start, end)).toString()),
    borrowValues: false,
  }
  const sorter = new EntrySorter(rules, recorder)
  const iterator = new ListIterator(input.entries)
  let last: string | undefined
  for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
    const key = String(Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd)))
    const isEvent = (iterator.kind & FLAG_DERIVED) === 0
    const id = isEvent ? commits.add(iterator.seqno, 1, 0, undefined) : NO_COMMIT
    sorter.accept(iterator, commits, id, key === last)
    last = key
  }
  sorter.finish()
  return recorder
}

const KINDS: Readonly<Record<string, number>> = {
  put: KIND_INSERT,
  merge: KIND_MERGE,
  delete: KIND_DELETE,
  blob: KIND_INSERT | FLAG_BLOB,
}

/** `5:put=ab*!` */
export function parseEntry(text: string, key: string): TestEntry & { isHeld: boolean } {
  const match = /^(\d+):([a-z]+)(?:=([^*!]*))?(\*?)(!?)$/.exec(text)
  const kind = KINDS[match?.[2] ?? '']
  if (match === null || kind === undefined) throw new Error(`not an entry: ${text}`)
  return {
    key,
    seqno: Number(match[1]),
    kind: kind | (match[4] === '*' ? FLAG_DERIVED : 0),
    value: match[3] ?? '',
    isHeld: match[5] === '!',
  }
}

export function formatEntry(entry: TestEntry & { isHeld?: boolean }): string {
  const name =
    (entry.kind & FLAG_BLOB) !== 0
      ? 'blob'
      : Object.keys(KINDS).find((k) => KINDS[k] === (entry.kind & KIND_MASK))
  const value = (entry.kind & KIND_MASK) === KIND_DELETE ? '' : `=${entry.value}`
  const derived = (entry.kind & FLAG_DERIVED) !== 0 ? '*' : ''
  return `${entry.seqno}:${name}${value}${derived}${entry.isHeld === true ? '!' : ''}`
}
