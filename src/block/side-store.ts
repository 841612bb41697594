/** What has no slot in the block cache: large blocks, evicted in the order of arrival with a second chance. */
import type { CacheFile, SideEntry } from './cache-file.ts'

export class SideStore {
  bytes = 0
  readonly #entries: Set<SideEntry> = new Set()

  /** Keeps `bytes`, which must not change any more. There must be none under this key. */
  put(file: CacheFile, key: number, bytes: Uint8Array): void {
    const entry = { file, key, bytes, isReferenced: false }
    file.side.set(key, entry)
    this.#entries.add(entry)
    this.bytes += bytes.length
  }

  /** What is kept under this key; must not be written to. */
  find(file: CacheFile, key: number): Uint8Array | undefined {
    const entry = file.side.get(key)
    if (entry === undefined) return undefined
    entry.isReferenced = true
    return entry.bytes
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

  /** Forgets all of `file`. */
  dropFile(file: CacheFile): void {
    for (const entry of file.side.values()) this.#drop(entry)
  }

  #drop(entry: SideEntry): void {
    this.#entries.delete(entry)
    entry.file.side.delete(entry.key)
    this.bytes -= entry.bytes.length
  }
}
