/**
 * On a readOnly store: which segments and blob files are open. Its writer removes them when *it* does not need them any more, so
 * they are opened with the version that has them, and closed when nobody here reads such a version any more.
 */
import type { SegmentCache } from '../segment/segment-cache.ts'
import type { Version } from '../version/version.ts'

export class FilesInUse {
  readonly #segments: SegmentCache
  readonly #counts = new Map<number, number>()

  constructor(segments: SegmentCache) {
    this.#segments = segments
  }

  /** Opens all of them: the writer may remove them at any time. */
  addAll(version: Version): void {
    for (const number of fileNumbers(version)) {
      this.#counts.set(number, (this.#counts.get(number) ?? 0) + 1)
    }
    for (const meta of version.segments()) this.#segments.reader(meta)
    for (const number of version.blobs.keys()) this.#segments.blob(number)
  }

  removeAll(version: Version): void {
    for (const number of fileNumbers(version)) {
      const count = this.#counts.get(number)! - 1
      if (count > 0) {
        this.#counts.set(number, count)
        continue
      }
      this.#counts.delete(number)
      this.#segments.forget(number)
    }
  }
}

function* fileNumbers(version: Version): Generator<number> {
  for (const { number } of version.segments()) yield number
  yield* version.blobs.keys()
}
