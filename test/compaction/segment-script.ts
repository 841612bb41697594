/** Segments as the picker's text scripts write them; see testdata/picker.txt. */
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'

const KIB = 1024

/** `20:a-c,size=30,tomb=2,cover=[c,p)`; a segment without points: `20:,cover=[a,)`. */
export function parseSegment(text: string): SegmentMeta {
  const [head, ...rest] = text.split(/,(?=[a-z]+=)/)
  const [number, keys] = head!.split(':')
  const given = new Map(rest.map((attribute) => attribute.split('=') as [string, string]))
  const amount = (name: string, otherwise: number): number => Number(given.get(name) ?? otherwise)
  const cover = /^\[(\w*),(\w*)\)$/.exec(given.get('cover') ?? '')
  const [file, bytes] = (given.get('blob') ?? '').split(':').map(Number)
  const [min, max] = (given.get('seqnos') ?? `${number}0..${number}9`).split('..').map(Number)
  const [first, last] = keys === '' ? [] : keys!.split('-')
  return {
    number: Number(number),
    keyspaceId: 1,
    bytes: amount('size', 8) * KIB,
    order: 'key',
    entries: amount('entries', 100),
    pointTombstones: amount('tomb', 0),
    derivedEntries: amount('derived', 0),
    heldEntries: amount('held', 0),
    firstKey: first === undefined ? undefined : Buffer.from(first),
    lastKey: last === undefined ? undefined : Buffer.from(last),
    rangeFragments: cover === null ? 0 : 1,
    coverStart: cover === null ? undefined : Buffer.from(cover[1]!),
    coverEnd: cover === null || cover[2] === '' ? undefined : Buffer.from(cover[2]!),
    minSeqno: min!,
    maxSeqno: max!,
    events: 100,
    minEventSeqno: min!,
    maxEventSeqno: max!,
    blobReferences: given.has('blob') ? [{ file: file!, bytes: bytes! * KIB }] : [],
  }
}

export interface ScriptStore {
  levels: SegmentMeta[][]
  history: SegmentMeta[]
  words: Map<string, string[]>
}

export function parseStore(lines: readonly string[]): ScriptStore {
  const words = new Map(lines.map((line) => [line.split(' ')[0]!, line.split(' ').slice(1)]))
  const levels: SegmentMeta[][] = []
  for (let level = 0; level < 7; level++) {
    levels.push((words.get(`L${level}`) ?? []).map(parseSegment))
  }
  const history = (words.get('H') ?? []).map((text) => ({
    ...parseSegment(text),
    order: 'seqno' as const,
  }))
  return { levels, history, words }
}
