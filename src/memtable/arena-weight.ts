/**
 * Makes a memtable's arena count for the garbage collector.
 *
 * The engine's collector is driven by how much memory hangs on JavaScript objects, and shared memory does not count: flushed
 * memtables stayed until chance brought a collection, 180 MB for each million entries, gigabytes in a fill without pause. What
 * counts is an array as large as the arena that is never touched, so that it takes no memory. Making it mostly begins a collection.
 * With an owner who says when the memtable is let go that is when there is something to collect, and not when the next one has
 * just begun: a fill has a collection less, a twentieth of its time.
 */

/** Smaller arenas do not matter. */
const ARENA_BYTES_MIN = 1024 * 1024

export class ArenaWeight {
  /** Only there to be counted. */
  array: ArrayBuffer | undefined
  #arenaBytes = 0
  #isOwned = false

  /** The arena has so many bytes of shared memory now. */
  grow(arenaBytes: number): void {
    if (arenaBytes <= ARENA_BYTES_MIN) return
    this.#arenaBytes = arenaBytes
    if (!this.#isOwned) this.array = new ArrayBuffer(arenaBytes)
  }

  /** There is an owner, who will call `letGo`. */
  own(): void {
    this.#isOwned = true
  }

  /** The owner has no more use for the memtable. Readers may go on. */
  letGo(): void {
    if (this.#arenaBytes === 0) return
    try {
      this.array = new ArrayBuffer(this.#arenaBytes)
    } catch {
      // Not even memory that is never touched: before the engine says so it has collected all there was.
    }
  }
}
