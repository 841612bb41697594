/**
 * One directory of the file system in memory: its names now, its names on disk, and the changes between the two.
 *
 * A change is what a journal would write as one: a new name, a removed one, or both at once for a rename inside the
 * directory. A rename into another directory is two changes, of which the removal never reaches the disk without the
 * addition: a file may be found under both names after a power cut, not under none.
 */
import type { MemoryFile } from './memory-file.ts'

export type MemoryNode = MemoryFile | MemoryDirectory

export interface DirectoryChange {
  /** Over all directories, in the order in which the changes were made. */
  readonly sequence: number
  /** Undefined: the name is removed. */
  readonly names: readonly (readonly [name: string, node: MemoryNode | undefined])[]
  /** Reaches the disk only with or after this one. */
  readonly requires?: { readonly directory: MemoryDirectory; readonly change: DirectoryChange }
}

export class MemoryDirectory {
  readonly inode: number
  readonly names: Map<string, MemoryNode>
  readonly #onDisk: Map<string, MemoryNode>
  /** Ascending by sequence. */
  #pending: DirectoryChange[] = []

  constructor(inode: number, names: Map<string, MemoryNode> = new Map()) {
    this.inode = inode
    this.names = names
    this.#onDisk = new Map(names)
  }

  change(change: DirectoryChange): void {
    apply(change, this.names)
    this.#pending.push(change)
  }

  /** Makes every change up to `sequence` durable. */
  sync(sequence: number): void {
    let count = 0
    for (const change of this.#pending) {
      if (change.sequence > sequence) break
      change.requires?.directory.sync(change.requires.change.sequence)
      apply(change, this.#onDisk)
      count++
    }
    this.#pending.splice(0, count)
  }

  /** The names after a power cut, when `isKept` decides about each change that was not synced. */
  namesAfterCrash(isKept: (change: DirectoryChange) => boolean): Map<string, MemoryNode> {
    const names = new Map(this.#onDisk)
    for (const change of this.#pending) {
      const required = change.requires
      const isPossible =
        required === undefined || required.directory.hasAfterCrash(required.change, isKept)
      if (isPossible && isKept(change)) apply(change, names)
    }
    return names
  }

  /** Whether the change is on disk, or will be by `isKept`. */
  hasAfterCrash(change: DirectoryChange, isKept: (change: DirectoryChange) => boolean): boolean {
    return !this.#pending.includes(change) || isKept(change)
  }
}

function apply(change: DirectoryChange, names: Map<string, MemoryNode>): void {
  for (const [name, node] of change.names) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}
