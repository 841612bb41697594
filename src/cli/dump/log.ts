/** A write-ahead log: its header, and commit by commit what was written. */
import {
  checkCommit,
  commitFirstSeqno,
  commitOperations,
  commitTimeMs,
  decodeCommitFields,
  OperationCursor,
} from '../../batch/commit-decoder.ts'
import { corruption } from '../../base/errors.ts'
import type { ReadableFile } from '../../env/file-system.ts'
import { RECORD_COMMIT, RECORD_HEADER_BYTES, RECORD_SYNC_MARK } from '../../record/record-header.ts'
import type { RecordReader } from '../../record/record-reader.ts'
import type { FieldSource } from '../../record/tagged-fields.ts'
import { openRecords } from '../../wal/wal-chain.ts'
import { decodeWalHeader, WAL_HEADER_SEED } from '../../wal/wal-header.ts'
import { type DumpChoice, type DumpWriter, kindText } from './dump-writer.ts'

export async function dumpLog(
  file: ReadableFile,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  // The header is read before the log's id is known; the records behind it are sealed with that.
  const first = openRecords(file, choice.number, '')
  if (!(await first.next(WAL_HEADER_SEED))) {
    throw corruption('the header of the log is damaged', { file: file.path, offset: 0 })
  }
  const payload = first.start + RECORD_HEADER_BYTES
  const { logId, previous } = decodeWalHeader(first.bytes, payload, first.end, file.path)
  const reader = openRecords(file, choice.number, logId)
  await reader.next(WAL_HEADER_SEED)
  const records = new LogRecords(reader, file, choice, writer)
  await records.run()
  const damage = await reader.damage()
  await writer.properties('log', {
    number: choice.number,
    bytes: file.size,
    logId,
    previous: previous === undefined ? undefined : { data: previous },
    commits: records.commits,
    operations: records.operations,
    firstSeqno: records.firstSeqno,
    lastSeqno: records.lastSeqno,
    goodBytes: reader.position,
    durableBytes: reader.durableBytes,
    end: damage === undefined ? 'whole' : `${damage.isRot ? 'damaged' : 'torn'}: ${damage.reason}`,
  })
}

class LogRecords {
  commits = 0
  operations = 0
  firstSeqno: number | undefined
  lastSeqno: number | undefined
  readonly #reader: RecordReader
  readonly #source: FieldSource
  readonly #choice: DumpChoice
  readonly #writer: DumpWriter

  constructor(reader: RecordReader, file: ReadableFile, choice: DumpChoice, writer: DumpWriter) {
    this.#reader = reader
    this.#choice = choice
    this.#writer = writer
    this.#source = {
      file: file.path,
      fail: (reason, position) => {
        throw reader.corruption(reader.offset + position - reader.start, `log: ${reason}`)
      },
    }
  }

  async run(): Promise<void> {
    const reader = this.#reader
    while (await reader.next()) {
      if (reader.type === RECORD_COMMIT) await this.#commit()
      else if (reader.type !== RECORD_SYNC_MARK) {
        await this.#writer.item('record', { offset: reader.offset, type: reader.type })
      }
    }
  }

  async #commit(): Promise<void> {
    const { bytes, start, end, offset } = this.#reader
    checkCommit(bytes, start, end, this.#source)
    const operations = commitOperations(bytes, start)
    const first = commitFirstSeqno(bytes, start)
    const isShown = this.#choice.hasEntries && this.commits < this.#choice.limit
    this.commits++
    this.operations += operations
    if (operations > 0) {
      this.firstSeqno ??= first
      this.lastSeqno = first + operations - 1
    }
    if (!isShown) return
    const fields = decodeCommitFields(bytes, start, this.#source)
    await this.#writer.item('commit', {
      offset,
      bytes: end - start,
      first,
      operations,
      timestamp: commitTimeMs(bytes, start),
      meta: fields.meta === undefined ? undefined : { value: fields.meta },
      acks: fields.acks.length === 0 ? undefined : { data: fields.acks },
      sourceToken: fields.sourceToken,
    })
    const cursor = new OperationCursor()
    cursor.open(bytes, start)
    while (cursor.next()) {
      const { kind, seqno, keyspaceId, keyStart, keyEnd, valueStart, valueEnd } = cursor
      await this.#writer.item('operation', {
        seqno,
        kind: kindText(kind),
        keyspace: keyspaceId,
        key: { key: bytes.subarray(keyStart, keyEnd) },
        value: valueEnd > valueStart ? { value: bytes.subarray(valueStart, valueEnd) } : undefined,
      })
    }
  }
}
