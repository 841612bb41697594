/**
 * What has no slot in the block cache: large blocks and pages of change events, evicted in the order of arrival with a second
 * chance.
 */
import type { CacheFile, SideEntry, Sized } from './cache-file.ts'

export class SideStore {
  bytes = 0
  readonly #entries: Set<SideEntry> = new Set()

  /** Keeps `content`, which must not change any more. There must be none under this key. */
  put<Content extends Sized>(file: CacheFile<Content>, key: number, content: Content): void {
    const entry = { file, key, content, isReferenced: false }
    file.side.set(key, entry)
    this.#entries.add(entry)
    this.bytes += content.byteLength
  }

  /** What is kept under this key; must not be written to. */
  find<Content extends Sized>(file: CacheFile<Content>, key: number): Content | undefined {
    const entry = file.side.get(key)
    if (entry === undefined) return undefined
    entry.isReferenced = true
    return entry.content
  }

  /** Evicts until no more than so many bytes are left. */
  shrink(bytesMax: number): void {
    while (this.bytes > bytesMax) {
      const oldest = this.#entries.values().next()
      if (oldest.done) return
      const entry = oldest.value
      if (entry.isReferenced) {
        entry.isReferenced = false
        this.#entries.delete(entry)
        this.#entries.add(entry)
      } else {
        this.#drop(entry)
      }
    }
  }

  /** Forgets what is kept under this key, if anything. */
  drop<Content extends Sized>(file: CacheFile<Content>, key: number): void {
    const entry = file.side.get(key)
    if (entry !== undefined) this.#drop(entry)
  }

  /** Forgets all of `file`. */
  dropFile<Content extends Sized>(file: CacheFile<Content>): void {
    for (const entry of file.side.values()) this.#drop(entry)
  }

  #drop(entry: SideEntry): void {
    this.#entries.delete(entry)
    entry.file.side.delete(entry.key)
    this.bytes -= entry.content.byteLength
  }
}
