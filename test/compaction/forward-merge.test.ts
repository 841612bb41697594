import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import { ForwardMerge, SegmentRun } from '../../src/compaction/forward-merge.ts'
import { InputSegments } from '../../src/compaction/input-segments.ts'
import { joinPath, segmentFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { SegmentWriter } from '../../src/segment/segment-writer.ts'

interface Entry {
  key: Buffer
  seqno: number
}

function byKeyThenNewest(a: Entry, b: Entry): number {
  return Buffer.compare(a.key, b.key) || b.seqno - a.seqno
}

function writeSegment(fs: MemoryFileSystem, number: number, entries: Entry[]): SegmentMeta {
  const file = fs.create(joinPath('/s', segmentFileName(number)))
  const writer = new SegmentWriter(file, {
    number,
    keyspaceId: 1,
    order: 'key',
    blockBytes: 512,
    compression: 'none',
    bloomBitsPerKey: 0,
  })
  const commits = new CommitTable()
  const none = Buffer.alloc(0)
  for (const { key, seqno } of entries) {
    writer.add(key, 0, key.length, seqno, KIND_INSERT, none, 0, 0, commits, NO_COMMIT)
  }
  const meta = writer.finish()
  file.close()
  return meta
}

/** Keys with long shared parts, of which one may be the beginning of another, zeros among them. */
const keys = fc
  .tuple(
    fc.constantFrom('', 'common/prefix/'),
    fc.array(fc.constantFrom(0, 1, 97, 255), { minLength: 1, maxLength: 14 }),
    fc.constantFrom('', 'a tail that goes beyond what is compared at once'),
  )
  .map(([head, middle, tail]) =>
    Buffer.concat([Buffer.from(head), Buffer.from(middle), Buffer.from(tail)]),
  )

test('segments are merged by key, newest first, and each entry knows whether its key is the one before', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('', 'shared by every key of the run/'),
      fc.array(fc.tuple(keys, fc.nat(11)), { minLength: 1, maxLength: 120 }),
      (head, drawn) => {
        const fs = new MemoryFileSystem()
        fs.makeDirectory('/s')
        const runs: Entry[][] = Array.from({ length: 12 }, () => [])
        drawn.forEach(([key, run], i) => {
          runs[run]!.push({ key: Buffer.concat([Buffer.from(head), key]), seqno: i + 1 })
        })
        const filled = runs.filter((entries) => entries.length > 0)
        for (const entries of filled) entries.sort(byKeyThenNewest)
        const expected = filled.flat().sort(byKeyThenNewest)
        const context = { fs, operators: new Map(), historyBufferBytes: 0, readAheadBytes: 4096 }
        const inputs = new InputSegments(context, '/s')
        const opened = filled.map((entries, i) => {
          // Every second one in two segments, as a level is.
          const cut =
            i % 2 === 0 ? entries.length : entries.findIndex((e) => !e.key.equals(entries[0]!.key))
          const parts =
            cut > 0 && cut < entries.length
              ? [entries.slice(0, cut), entries.slice(cut)]
              : [entries]
          const metas = parts.map((part, k) => writeSegment(fs, 1 + 2 * i + k, part))
          return run(SegmentRun.begin(inputs, metas))
        })
        const bounds = { first: expected[0]!.key, last: expected.at(-1)!.key }
        const merge = new ForwardMerge(opened, bounds)
        let last: Buffer | undefined
        for (const { key, seqno } of expected) {
          const { iterator } = merge.current!
          const found = Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd))
          expect(found.equals(key)).toBe(true)
          expect(iterator.seqno).toBe(seqno)
          expect(merge.isSameKey).toBe(last?.equals(key) ?? false)
          last = key
          merge.next()
        }
        expect(merge.current).toBeUndefined()
        inputs.close()
        expect(fs.openFileCount).toBe(0)
      },
    ),
    { numRuns: 100 },
  )
})

function run<T>(steps: Generator<undefined, T, undefined>): T {
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}
