/** A segment: what its footer says, its entries block by block, its range fragments, its change index. */
import { FLAG_BLOB } from '../../base/entry-kind.ts'
import { blockEntries } from '../../block/block-entries.ts'
import { decodeBlobReference } from '../../block/blob-reference.ts'
import type { ReadableFile } from '../../env/file-system.ts'
import { readSegmentFooter } from '../../segment/opened-segment.ts'
import type { SegmentFooter } from '../../segment/segment-footer.ts'
import { SegmentReader } from '../../segment/segment-reader.ts'
import { type DumpChoice, type DumpWriter, type Fact, kindText } from './dump-writer.ts'

const EVENTS_AT_ONCE = 10_000

export async function dumpSegment(
  file: ReadableFile,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  const footer = readSegmentFooter(file)
  await writer.properties('segment', propertiesOf(footer))
  const reader = new SegmentReader(file, footer.meta, undefined)
  if (choice.hasEntries) {
    await dumpFragments(reader, choice, writer)
    await dumpEntries(reader, choice, writer)
  }
  if (choice.hasChanges) await dumpChanges(reader, choice, writer)
}

function propertiesOf(footer: SegmentFooter): Record<string, Fact> {
  const { meta, parts, origin } = footer
  const key = (bytes: Uint8Array | undefined): Fact =>
    bytes === undefined ? undefined : { key: bytes }
  return {
    number: meta.number,
    keyspace: meta.keyspaceId,
    order: meta.order,
    bytes: meta.bytes,
    entries: meta.entries,
    events: meta.events,
    pointTombstones: meta.pointTombstones,
    derivedEntries: meta.derivedEntries,
    heldEntries: meta.heldEntries,
    rangeFragments: meta.rangeFragments,
    minSeqno: meta.minSeqno,
    maxSeqno: meta.maxSeqno,
    minEventSeqno: meta.minEventSeqno,
    maxEventSeqno: meta.maxEventSeqno,
    firstKey: key(meta.firstKey),
    lastKey: key(meta.lastKey),
    coverStart: key(meta.coverStart),
    coverEnd: key(meta.coverEnd),
    blocks: footer.blocks,
    largestBlockBytes: footer.largestBlockBytes,
    changeChunks: footer.changeChunks,
    dataBytes: parts.dataBytes,
    changeBytes: parts.changeBytes + parts.directoryBytes,
    bloomBytes: parts.bloomBytes,
    rangeBytes: parts.rangeBytes,
    indexBytes: parts.indexBytes + parts.separatorBytes,
    builtWith: footer.builtWith,
    origin: origin === undefined ? undefined : { data: origin },
    blobReferences: meta.blobReferences.length === 0 ? undefined : { data: meta.blobReferences },
  }
}

async function dumpFragments(
  reader: SegmentReader,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  const { ranges } = reader
  for (let at = 0; at < Math.min(ranges.count, choice.limit); at++) {
    const end = ranges.end(at)
    await writer.item('fragment', {
      start: { key: ranges.start(at) },
      end: end === undefined ? undefined : { key: end },
      seqnos: { data: [...ranges.seqnos(at)] },
    })
  }
}

async function dumpEntries(
  reader: SegmentReader,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  let left = choice.limit
  await reader.readAllBlocks({
    visit: async ({ block, position, bytes, start, end, firstOrdinal }) => {
      if (left <= 0) return
      for (const { slot, key, seqno, kind, value } of blockEntries(bytes, start, end)) {
        if (left-- <= 0) return
        const isBlob = (kind & FLAG_BLOB) !== 0
        await writer.item('entry', {
          ordinal: firstOrdinal + slot,
          block,
          position,
          seqno,
          kind: kindText(kind),
          key: { key },
          value: isBlob ? undefined : { value },
          blob: isBlob ? { data: decodeBlobReference(value, 0, value.length) } : undefined,
        })
      }
    },
  })
}

async function dumpChanges(
  reader: SegmentReader,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  const { minEventSeqno, maxEventSeqno, events } = reader.meta
  if (events === 0) return
  let from = minEventSeqno
  let left = choice.limit
  while (from <= maxEventSeqno && left > 0) {
    const run = await reader.events(from, maxEventSeqno, Math.min(left, EVENTS_AT_ONCE))
    const { commits } = run
    for (let row = 0; row < run.count; row++) {
      const commit = run.commitIds[row]!
      const first = commits.first[commit]!
      const meta = commits.meta(commit)
      await writer.item('change', {
        seqno: run.seqnos[row]!,
        ordinal: run.ordinals[row]!,
        commitSeqno: first,
        commitLast: first + commits.size[commit]! - 1,
        timestamp: commits.timeMs[commit]!,
        commitMeta: meta === undefined ? undefined : { value: meta },
      })
    }
    left -= run.count
    from = run.next
  }
}
