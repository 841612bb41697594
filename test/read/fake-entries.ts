/**
 * Sorted entries in an array as an EntryIterator; on request one that blocks now and then, as a segment does whose blocks are
 * not in memory, and that overwrites the bytes it lent at each move.
 */
import { EntryIterator } from '../../src/base/entry-iterator.ts'
import { KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'

export interface FakeEntry {
  readonly key: string
  readonly seqno: number
  readonly kind: number
  readonly value: string
}

/** `a@3=x` insert, `a@3+x` merge operand, `a@3-` delete. */
export function parseEntry(text: string): FakeEntry {
  const match = /^(.+?)@(\d+)([=+-])(.*)$/.exec(text)
  if (match === null) throw new Error(`no entry: ${text}`)
  const [, key, seqno, sign, value] = match as unknown as [string, string, string, string, string]
  const kind = sign === '=' ? KIND_INSERT : sign === '+' ? KIND_MERGE : KIND_DELETE
  return { key, seqno: Number(seqno), kind, value }
}

export function compareEntries(a: FakeEntry, b: FakeEntry): number {
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || b.seqno - a.seqno
}

export class FakeIterator extends EntryIterator {
  readonly #entries: readonly FakeEntry[]
  readonly #blocks: () => boolean
  #at = -1
  #target = -1
  isClosed = false

  constructor(entries: readonly FakeEntry[], blocks: () => boolean = () => false) {
    super()
    this.#entries = entries.toSorted(compareEntries)
    this.#blocks = blocks
  }

  seekToFirst(): void {
    this.#moveTo(0)
  }

  seekToLast(): void {
    this.#moveTo(this.#entries.length - 1)
  }

  seek(key: Uint8Array, start: number, end: number): void {
    const wanted = key.subarray(start, end)
    const index = this.#entries.findIndex((e) => Buffer.compare(Buffer.from(e.key), wanted) >= 0)
    this.#moveTo(index < 0 ? this.#entries.length : index)
  }

  seekBefore(key: Uint8Array, start: number, end: number): void {
    const wanted = key.subarray(start, end)
    this.#moveTo(this.#entries.findLastIndex((e) => Buffer.compare(Buffer.from(e.key), wanted) < 0))
  }

  next(): void {
    if (!this.valid) throw new Error('next from no entry')
    this.#moveTo(this.#at + 1)
  }

  prev(): void {
    if (!this.valid) throw new Error('prev from no entry')
    this.#moveTo(this.#at - 1)
  }

  async load(): Promise<void> {
    if (!this.blocked) throw new Error('load while not blocked')
    await Promise.resolve()
    this.blocked = false
    if (this.#blocks()) this.blocked = true
    else this.#show(this.#target)
  }

  close(): void {
    this.isClosed = true
  }

  #moveTo(index: number): void {
    this.valid = false
    this.blocked = false
    this.keyBytes.fill(0xee)
    this.valueBytes.fill(0xee)
    this.#target = index
    if (this.#blocks()) this.blocked = true
    else this.#show(index)
  }

  #show(index: number): void {
    this.#at = index
    const entry = this.#entries[index]
    this.valid = entry !== undefined
    if (entry === undefined) return
    const pad = index % 3
    this.keyBytes = Buffer.concat([Buffer.alloc(pad, 1), Buffer.from(entry.key), Buffer.alloc(1)])
    this.keyStart = pad
    this.keyEnd = this.keyBytes.length - 1
    this.valueBytes = Buffer.concat([
      Buffer.alloc(pad, 2),
      Buffer.from(entry.value),
      Buffer.alloc(2),
    ])
    this.valueStart = pad
    this.valueEnd = this.valueBytes.length - 2
    this.seqno = entry.seqno
    this.kind = entry.kind
    this.ordinal = index
  }
}

/** Blocks in a pattern that depends on the seed alone. */
export function blocksBySeed(seed: number): () => boolean {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 30 === 0
  }
}
