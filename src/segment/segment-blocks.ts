/**
 * All data blocks of a segment in file order, a few hundred kilobytes at a time: for scans that trust no index, dump, verify
 * and repair.
 */
import type { VarveError } from '../base/errors.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import { type ByteSource, readFully } from '../block/read-fully.ts'
import type { BlockSource } from './block-source.ts'

/** One block, checked. Its bytes are borrowed until the visit ends. */
export interface VisitedBlock {
  /** Counted from 0. */
  readonly block: number
  readonly position: number
  readonly storedBytes: number
  /** block/codec.ts */
  readonly codec: number
  readonly entries: number
  readonly firstOrdinal: number
  /** The block is bytes[start, end), decompressed, without its trailer; see block/block-entries.ts. */
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

export interface BlockVisitor {
  /** A promise is waited for before the next block. */
  visit(block: VisitedBlock): void | Promise<void>
  /** Hears of a block that is damaged, and the walk goes on; without it the error is thrown. */
  damaged?(error: unknown, block: number): void
}

const READ_BYTES = 2 ** 18

export async function visitBlocks(
  file: ByteSource,
  source: BlockSource,
  visitor: BlockVisitor,
): Promise<{ blocksRead: number; bytesRead: number }> {
  const { index } = source
  const { positions, firstOrdinals } = index
  index.checkAll()
  let chunk: Uint8Array = new Uint8Array(0)
  let raw: Uint8Array = new Uint8Array(0)
  let block = 0
  while (block < index.count) {
    const position = positions[block]!
    let last = block
    while (last + 1 < index.count && positions[last + 2]! - position <= READ_BYTES) last++
    const length = positions[last + 1]! - position
    if (chunk.length < length) chunk = Buffer.allocUnsafeSlow(length)
    await readFully(file, chunk, 0, length, position)
    for (; block <= last; block++) {
      const at = positions[block]! - position
      const storedBytes = index.storedBytes(block)
      const rawBytes = index.rawBytes(block)
      const isPlain = source.isPlain(block)
      if (!isPlain && raw.length < rawBytes) raw = Buffer.allocUnsafeSlow(rawBytes)
      try {
        if (isPlain) source.check(chunk, at, block)
        else source.unpack(chunk, at, block, raw, 0)
      } catch (error) {
        if (visitor.damaged === undefined) throw error
        visitor.damaged(error as VarveError, block)
        continue
      }
      const start = isPlain ? at : 0
      await visitor.visit({
        block,
        position: positions[block]!,
        storedBytes,
        codec: chunk[at + storedBytes - BLOCK_TRAILER_BYTES]!,
        entries: firstOrdinals[block + 1]! - firstOrdinals[block]!,
        firstOrdinal: firstOrdinals[block]!,
        bytes: isPlain ? chunk : raw,
        start,
        end: start + rawBytes,
      })
    }
  }
  return { blocksRead: index.count, bytesRead: positions[index.count]! }
}
