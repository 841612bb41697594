/**
 * A store whose events are all in segment files, as they are on a disk.
 */
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { KIND_MASK, KIND_RANGE_DELETE } from '../../src/base/entry-kind.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { segmentFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter } from '../../src/segment/segment-writer.ts'
import { merge, put, remove, removeRange } from '../memtable/commits.ts'
import { derived, type FakeEntry, FakeStore } from './fake-store.ts'

export class Disk {
  readonly fs: MemoryFileSystem = new MemoryFileSystem()
  readonly cache: BlockCache = new BlockCache({ capacityBytes: 2 ** 18 })
  #number = 0

  constructor() {
    this.fs.makeDirectory('/s')
  }

  /** One file of these entries; those without a commit are no events. */
  write(entries: readonly FakeEntry[], order: 'key' | 'seqno'): SegmentReader {
    const number = ++this.#number
    const path = `/s/${segmentFileName(number)}`
    const file = this.fs.create(path)
    const writer = new SegmentWriter(file, {
      number,
      keyspaceId: entries[0]!.keyspaceId,
      order,
      blockBytes: 512,
      compression: number % 2 === 0 ? 'none' : 'deflate',
      bloomBitsPerKey: 10,
    })
    const commits = new CommitTable()
    const sorted = entries.toSorted((a, b) =>
      order === 'seqno' ? a.seqno - b.seqno : a.key.compare(b.key) || b.seqno - a.seqno,
    )
    for (const { key, value, kind, seqno, commit } of sorted) {
      const id =
        commit === undefined
          ? NO_COMMIT
          : commits.add(commit.first, commit.size, commit.timeMs, commit.meta)
      writer.add(key, 0, key.length, seqno, kind, value, 0, value.length, commits, id)
    }
    const meta = writer.finish()
    file.close()
    return new SegmentReader(this.fs.openRead(path), meta, this.cache)
  }
}

/** A store with 400 commits, all of them in files: some keys' newest versions live, the rest in history. */
export function stored(disk: Disk): FakeStore {
  const store = new FakeStore()
  for (let i = 0; i < 400; i++) {
    const keyspaceId = 1 + (i % 2)
    const operations = [put(`key ${(i * 37) % 90}`, 'v'.repeat((i * 13) % 200), keyspaceId)]
    if (i % 5 === 0)
      operations.push(merge(`count ${i % 3}`, `+${i}`, 1), remove(`key ${i % 50}`, 2))
    if (i % 31 === 0) operations.push(removeRange('key 1', 'key 3', keyspaceId))
    store.commit(operations, i % 7 === 0 ? { meta: `origin ${i % 4}` } : {})
  }
  store.flush()
  store.replaceSegments([], writeAll(disk, store))
  return store
}

/** Files with all events of its log. */
export function writeAll(disk: Disk, store: FakeStore): SegmentReader[] {
  const readers: SegmentReader[] = []
  for (const keyspaceId of [1, 2]) {
    const own = store.log.filter((entry) => entry.keyspaceId === keyspaceId)
    const newest = new Map(own.map((entry) => [entry.key.toString(), entry.seqno]))
    const isLive = ({ kind, key, seqno }: FakeEntry): boolean =>
      (kind & KIND_MASK) !== KIND_RANGE_DELETE && newest.get(key.toString()) === seqno
    const live = own.filter(isLive)
    const half = live.length / 2
    const byKey = live.toSorted((a, b) => a.key.compare(b.key))
    // One live entry that was made by folding: it stands for reading only.
    const folded = { ...derived(byKey[0]!), seqno: store.latest }
    readers.push(disk.write([...byKey.slice(0, half), folded], 'key'))
    readers.push(disk.write(byKey.slice(half), 'key'))
    const history = own.filter((entry) => !isLive(entry))
    readers.push(disk.write(history.slice(0, 150), 'seqno'))
    readers.push(disk.write(history.slice(150), 'seqno'))
  }
  return readers
}
