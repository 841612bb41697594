/**
 * How much of each segment a range of few items will read: then its first chunk is that and no more, read at once into memory that
 * is still warm. A guess, from sizes alone, rather too large: a second chunk costs more than what the first one has in vain.
 *
 * Measured, 100 entries from a random one: 36 to 27 us where they are in one level; one entry of three segments of level 0: 16.6 to
 * 14.2 us.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'

/** More are read as ranges without a limit are. */
const ITEMS_MAX = 1000
/** Standard deviations more than the mean. */
const DEVIATIONS = 1.5
/** A range begins and ends inside of blocks: one and a half of usual size. */
const ENDS_BYTES = 3 * 1024

type Levels = readonly (readonly SegmentMeta[])[]

export class ShortRange {
  readonly #limit: number
  readonly #levels: Levels
  readonly #entries: number

  private constructor(levels: Levels, limit: number) {
    let entries = 0
    for (let level = 0; level < levels.length; level++) {
      if (level > 0) entries += entriesOf(levels[level]!)
      else for (const meta of levels[0]!) entries += meta.entries
    }
    this.#levels = levels
    this.#limit = limit
    // Range tombstones alone make no entries.
    this.#entries = Math.max(1, entries)
  }

  /** Undefined when it is not short. */
  static of(levels: Levels, limit: number): ShortRange | undefined {
    return limit <= ITEMS_MAX ? new ShortRange(levels, limit) : undefined
  }

  /** Stored bytes of a segment of `level` that will be read: its share of the items, or a little more. */
  bytesOf(meta: SegmentMeta, level: number): number {
    const ofThose = level === 0 ? meta.entries : entriesOf(this.#levels[level]!)
    const share = ofThose / this.#entries
    const entries = this.#limit * share
    const deviation = Math.sqrt(entries * (1 - share))
    const entryBytes = meta.bytes / meta.entries
    return Math.ceil((entries + DEVIATIONS * deviation) * entryBytes + ENDS_BYTES)
  }
}

/** Of a level whose segments are about equal; there may be many. */
function entriesOf(level: readonly SegmentMeta[]): number {
  return level.length === 0 ? 0 : level.length * level[0]!.entries
}
