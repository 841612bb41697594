/** Memtables with their logs on a disk in memory, written to as the commit pipeline does. */
import type { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { Memtable } from '../../src/memtable/memtable.ts'
import { type LoggedMemtable, MemtableSet } from '../../src/write/memtable-set.ts'
import { commitOf, createLog, newDisk, writeCommits } from '../wal/wal-samples.ts'

export class LoggedMemtables {
  #logs = 0
  /** Where the record that was logged last stands in the arena. */
  #offset = 0
  readonly disk: MemoryFileSystem = newDisk()
  readonly set: MemtableSet = new MemtableSet([this.#make(1)], (previous) =>
    this.#make(previous.memtable.lastSeqno + 1, previous),
  )
  /** The next commit, in the active log and visible. */
  commit(operations: number = 1): void {
    this.log(operations)
    this.publish()
  }

  /** The same without being visible: `publish` makes it so. */
  log(operations: number = 1): void {
    const { memtable, wal } = this.set.active
    const bytes = commitOf(memtable.lastSeqno + 1, operations)
    writeCommits(wal, [bytes])
    this.#offset = memtable.append(bytes, 0, bytes.length)
  }

  publish(): void {
    this.set.active.memtable.publish(this.#offset)
  }

  #make(firstSeqno: number, previous?: LoggedMemtable): LoggedMemtable {
    const memtable = new Memtable({
      firstSeqno,
      capacityBytes: 64 * 1024,
      shared: false,
      openSnapshots: () => [],
    })
    return { memtable, wal: createLog(this.disk, ++this.#logs, previous?.wal) }
  }
}
