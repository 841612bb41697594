/**
 * Which files some live version still references.
 *
 * Versions are numbered in the order in which they are made. A file is in every version from the one that added it to before
 * the one that removed it, and never comes back. So a removed file is needed while a version in that span lives; it waits with
 * the newest such version, and when that dies it moves on to the next older one in its span, or is unreachable. That makes
 * the answer exact: an old cursor keeps what it can see, and not what came and went after it.
 */
import { assert } from '../base/assert.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import type { Place, VersionEdit } from './version-edit.ts'

export interface UnreachableFile {
  readonly type: 'segment' | 'blob' | 'manifest'
  readonly number: number
}

export interface SegmentLifetime {
  readonly meta: SegmentMeta
  /** Where it is in the newest version. */
  place: Place
  readonly addedIn: number
  /** Infinity while the newest version has it. */
  removedIn: number
}

interface BlobLifetime {
  readonly meta: BlobFileMeta
  readonly addedIn: number
  removedIn: number
}

interface Waiting {
  readonly type: 'segment' | 'blob'
  readonly number: number
  readonly addedIn: number
}

export class FileLifetimes {
  readonly #segments = new Map<number, SegmentLifetime>()
  readonly #blobs = new Map<number, BlobLifetime>()
  /** Ids of versions that live, ascending. */
  readonly #live: number[] = []
  /** Removed files by the newest live version that has them. */
  readonly #waiting = new Map<number, Waiting[]>()
  readonly #onUnreachable: (files: readonly UnreachableFile[]) => void

  constructor(onUnreachable: (files: readonly UnreachableFile[]) => void) {
    this.#onUnreachable = onUnreachable
  }

  /** Every segment that some live version has. */
  segment(number: number): SegmentLifetime | undefined {
    return this.#segments.get(number)
  }

  has(number: number): boolean {
    return this.#segments.has(number) || this.#blobs.has(number)
  }

  addSegment(meta: SegmentMeta, place: Place, version: number): void {
    assert(!this.has(meta.number), 'a file number is used once')
    this.#segments.set(meta.number, { meta, place, addedIn: version, removedIn: Infinity })
  }

  addBlob(meta: BlobFileMeta, version: number): void {
    assert(!this.has(meta.number), 'a file number is used once')
    this.#blobs.set(meta.number, { meta, addedIn: version, removedIn: Infinity })
  }

  /** A version lives from now on; it is newer than all before. */
  begin(version: number): void {
    this.#live.push(version)
  }

  /** `version`, which is already live, does not have these files any more. */
  remove(
    files: { readonly segments: readonly number[]; readonly blobs: readonly number[] },
    version: number,
  ): void {
    const unreachable: UnreachableFile[] = []
    for (const number of files.segments) {
      const lifetime = this.#segments.get(number)!
      lifetime.removedIn = version
      this.#settle({ type: 'segment', number, addedIn: lifetime.addedIn }, version, unreachable)
    }
    for (const number of files.blobs) {
      const lifetime = this.#blobs.get(number)!
      lifetime.removedIn = version
      this.#settle({ type: 'blob', number, addedIn: lifetime.addedIn }, version, unreachable)
    }
    if (unreachable.length > 0) this.#onUnreachable(unreachable)
  }

  /** The last reference to a version is gone. */
  end(version: number): void {
    this.#live.splice(this.#firstFrom(version), 1)
    const waiting = this.#waiting.get(version)
    if (waiting === undefined) return
    this.#waiting.delete(version)
    const unreachable: UnreachableFile[] = []
    for (const file of waiting) this.#settle(file, version, unreachable)
    if (unreachable.length > 0) this.#onUnreachable(unreachable)
  }

  /** Nobody reads any version any more, whatever is still held: what waits is unreachable now. Only `end` may follow. */
  endAll(): void {
    this.#live.length = 0
    const unreachable: UnreachableFile[] = []
    for (const [version, files] of this.#waiting) {
      for (const file of files) this.#settle(file, version, unreachable)
    }
    this.#waiting.clear()
    if (unreachable.length > 0) this.#onUnreachable(unreachable)
  }

  /** Lets a removed file wait with the newest live version below `before` that has it. */
  #settle(file: Waiting, before: number, unreachable: UnreachableFile[]): void {
    const holder = this.#live[this.#firstFrom(before) - 1]
    if (holder !== undefined && holder >= file.addedIn) {
      const waiting = this.#waiting.get(holder)
      if (waiting === undefined) this.#waiting.set(holder, [file])
      else waiting.push(file)
      return
    }
    if (file.type === 'segment') this.#segments.delete(file.number)
    else this.#blobs.delete(file.number)
    unreachable.push({ type: file.type, number: file.number })
  }

  /** Index of the first live version that is not older. */
  #firstFrom(version: number): number {
    let low = 0
    let high = this.#live.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#live[middle]! < version) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What is of no use when the edit is not applied. */
export function filesAddedBy(edit: VersionEdit): UnreachableFile[] {
  return [
    ...(edit.additions ?? []).map(({ meta }) => ({
      type: 'segment' as const,
      number: meta.number,
    })),
    ...(edit.blobAdditions ?? []).map(({ number }) => ({ type: 'blob' as const, number })),
  ]
}
