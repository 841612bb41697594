/** One file's part of the block cache. */
import { ValueTable } from './value-table.ts'

/** What the side store can hold. */
export interface Sized {
  readonly byteLength: number
}

export interface SideEntry<Content extends Sized = Sized> {
  readonly file: CacheFile<Content>
  readonly key: number
  readonly content: Content
  isReferenced: boolean
}

/** `Content`: what it has in the side store. */
export class CacheFile<Content extends Sized = Uint8Array> {
  /** Block number -> slot address, -1 when it is not in a slot. Read directly by lookups. */
  readonly directory: Int32Array
  /** A blob file has no blocks: position of a value's frame -> where its value is. Read directly by lookups. */
  readonly values: ValueTable = new ValueTable()
  readonly side: Map<number, SideEntry<Content>> = new Map()
  /** Place in the cache's table of files; -1 when closed. */
  id: number

  constructor(id: number, blocks: number) {
    this.id = id
    this.directory = new Int32Array(blocks).fill(-1)
  }

  /** What was in a slot is there no more: a block, or in a file without blocks a value. */
  forget(key: number): void {
    if (this.directory.length > 0) this.directory[key] = -1
    else this.values.delete(key)
  }
}
