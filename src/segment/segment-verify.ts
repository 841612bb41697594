/**
 * Checks every byte of a segment, and that its parts say the same thing.
 *
 * Bytes: the file has the size of the manifest; footer, sections and chunks are under their checksums and follow one another
 * without a gap to the file's end (segment-footer.ts); so are the blocks (block-index.ts); and in each block every byte
 * belongs to an entry or a table (block-check.ts).
 *
 * Meaning: entries are in order, separators separate them, filter and tags know every key, the change index names exactly
 * the entries that have these seqnos, and all counts and bounds of the manifest are those of the entries.
 */
import { compare, U48_MAX } from '../base/bytes.ts'
import { FLAG_DERIVED } from '../base/entry-kind.ts'
import { type BlockEntry, blockEntries } from '../block/block-entries.ts'
import { corruptAt, type FileProblem, problemOf } from '../block/file-problem.ts'
import { hashKey, KeyHash } from '../block/key-hash.ts'
import { runReads } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BlockSource } from './block-source.ts'
import { type EventRun, eventSteps, readDirectorySteps } from './change-reader.ts'
import { type WholeSegment, wholeSteps } from './opened-segment.ts'
import { visitBlocks } from './segment-blocks.ts'
import type { SegmentMeta } from './segment-meta.ts'
import { SegmentTally } from './segment-tally.ts'

/** More problems of one file than this say nothing new. */
const PROBLEMS_MAX = 100

/** Reads the whole file and returns what is wrong with it. `onBytes` hears of every part that was read. */
export async function verifySegment(
  file: ReadableFile,
  meta: SegmentMeta,
  onBytes: (bytes: number) => void = () => {},
): Promise<FileProblem[]> {
  const problems: FileProblem[] = []
  let opened: WholeSegment
  try {
    opened = await runReads(file, wholeSteps(file.path, file.refreshSize(), meta))
  } catch (error) {
    return [problemOf(error)]
  }
  const { parts, bytes: footerBytes } = opened.footer
  const keyBytes = parts.rangeBytes + parts.bloomBytes + parts.separatorBytes
  onBytes(footerBytes + keyBytes + parts.indexBytes)
  let events: EventRun | undefined
  try {
    const directory = await runReads(file, readDirectorySteps(file.path, opened.footer))
    directory.checkAll(meta.events)
    const all = { from: 0, upTo: U48_MAX, limit: Number.POSITIVE_INFINITY }
    events = await runReads(file, eventSteps(file.path, opened.footer, directory, all))
  } catch (error) {
    problems.push(problemOf(error))
  }
  onBytes(parts.directoryBytes + parts.changeBytes)
  const check = new EntryCheck(opened, meta, events, problems)
  const source = new BlockSource(opened.index, { path: file.path, number: meta.number })
  await visitBlocks(file, source, {
    visit: (block) => {
      const entries = blockEntries(block.bytes, block.start, block.end)
      for (const entry of entries) check.entry(entry, block.block, block.position)
      onBytes(block.storedBytes)
    },
    damaged: (error, block) => {
      if (problems.length < PROBLEMS_MAX) problems.push(problemOf(error))
      check.skip()
      onBytes(opened.index.storedBytes(block))
    },
  })
  check.finish()
  return problems
}

class EntryCheck {
  readonly #opened: WholeSegment
  readonly #meta: SegmentMeta
  readonly #events: EventRun | undefined
  /** Row of each entry's event in the change index; -1: none. */
  readonly #eventOf: Int32Array
  readonly #problems: FileProblem[]
  readonly #tally: SegmentTally
  readonly #hash: KeyHash = new KeyHash()
  #previous: BlockEntry | undefined
  #isWhole = true

  constructor(
    opened: WholeSegment,
    meta: SegmentMeta,
    events: EventRun | undefined,
    problems: FileProblem[],
  ) {
    this.#opened = opened
    this.#meta = meta
    this.#events = events
    this.#problems = problems
    this.#tally = new SegmentTally({ byKey: meta.order === 'key' })
    this.#eventOf = new Int32Array(meta.entries).fill(-1)
    for (let row = 0; row < (events?.count ?? 0); row++) {
      const ordinal = events!.ordinals[row]!
      if (this.#eventOf[ordinal] !== -1) this.#report(undefined, `entry ${ordinal} is two events`)
      this.#eventOf[ordinal] = row
    }
  }

  entry(entry: BlockEntry, block: number, position: number): void {
    const { bloom, index } = this.#opened
    const report = (what: string): void => {
      this.#report(position, `entry ${entry.slot} of block ${block} ${what}`)
    }
    if (this.#meta.order === 'key') {
      hashKey(entry.key, 0, entry.key.length, this.#hash)
      if (entry.tag !== (this.#hash.low & 0xff)) report('has another tag than its key')
      if (bloom !== undefined && !bloom.mayContain(this.#hash)) report('is not in the filter')
      if (entry.slot === 0 && block > 0) this.#checkSeparator(entry, block, report)
    }
    const previous = this.#previous
    if (previous !== undefined && !this.#isBefore(previous, entry)) report('is out of order')
    this.#previous = entry
    this.#checkEvent(entry, index.firstOrdinals[block]! + entry.slot, report)
    const { key, seqno, kind, value } = entry
    const tally = this.#tally
    const problem = tally.count(key, 0, key.length, seqno, kind, value, 0, value.length)
    if (this.#meta.order === 'key') tally.lastKey = key
    if (problem !== undefined) report(problem)
  }

  /** A block could not be read: what depends on all entries cannot be told. */
  skip(): void {
    this.#isWhole = false
    this.#previous = undefined
  }

  finish(): void {
    if (!this.#isWhole) return
    const found = this.#tally.bounds(this.#opened.ranges)
    for (const [name, value] of Object.entries(found)) {
      // Nothing in an entry tells that it is held.
      if (name === 'heldEntries') continue
      const expected = this.#meta[name as keyof SegmentMeta]
      if (!isSame(value, expected)) {
        this.#report(undefined, `${name} of the manifest is not what the file holds`)
      }
    }
  }

  #isBefore(previous: BlockEntry, entry: BlockEntry): boolean {
    if (this.#meta.order === 'seqno') return previous.seqno < entry.seqno
    const order = compare(previous.key, entry.key)
    return order < 0 || (order === 0 && previous.seqno > entry.seqno)
  }

  #checkSeparator(entry: BlockEntry, block: number, report: (what: string) => void): void {
    const { key, continuedBelow } = this.#opened.separators!.separator(block)
    const previous = this.#previous
    const order = compare(key, entry.key)
    const isAbove =
      previous === undefined ||
      (continuedBelow === undefined
        ? compare(previous.key, key) < 0
        : compare(previous.key, key) === 0 && previous.seqno > continuedBelow)
    const isNotBelow =
      continuedBelow === undefined ? order <= 0 : order === 0 && entry.seqno <= continuedBelow
    if (!isAbove || !isNotBelow) report('is not where the index separates')
  }

  #checkEvent(entry: BlockEntry, ordinal: number, report: (what: string) => void): void {
    const events = this.#events
    const row = this.#eventOf[ordinal]!
    if (events === undefined || row < 0) return
    if (events.seqnos[row] !== entry.seqno) report('is indexed under another seqno')
    if ((entry.kind & FLAG_DERIVED) !== 0) report('is derived and yet an event')
  }

  #report(offset: number | undefined, message: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(corruptAt(offset, message))
  }
}

function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compare(a, b) === 0
  if (Array.isArray(a) && Array.isArray(b)) return JSON.stringify(a) === JSON.stringify(b)
  return a === b
}
