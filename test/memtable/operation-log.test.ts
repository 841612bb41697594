import { expect, test } from 'vitest'
import { CommitEncoder, encodeFields } from '../../src/batch/commit-encoder.ts'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import { OperationLog } from '../../src/memtable/operation-log.ts'

const CAPACITY_BYTES = 4 * 2 ** 20

function filledLog(shared: boolean): OperationLog {
  const log = new OperationLog({ firstSeqno: 1, capacityBytes: CAPACITY_BYTES, shared })
  fill(log)
  return log
}

/** Values of 64 KiB, 2 MiB in all. */
function fill(log: OperationLog): void {
  for (let i = 0; i < 32; i++) {
    const encoder = new CommitEncoder()
    encoder.add(KIND_INSERT, 0, Buffer.from(`key ${i}`), Buffer.alloc(65_536))
    const record = encoder.finish(encodeFields({}))
    log.append(record, 0, record.length)
  }
}

test('shared memory is given a weight that the garbage collector counts', () => {
  const log = filledLog(true)
  expect(log.arena.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(log.weight.array?.byteLength).toBe(CAPACITY_BYTES)
})

test('memory of the thread itself counts as it is', () => {
  expect(filledLog(false).weight.array).toBeUndefined()
})

test('memory of a log with an owner counts when it is let go', () => {
  const log = new OperationLog({ firstSeqno: 1, capacityBytes: CAPACITY_BYTES, shared: true })
  log.weight.own()
  fill(log)
  expect(log.weight.array).toBeUndefined()
  log.weight.letGo()
  expect(log.weight.array?.byteLength).toBe(CAPACITY_BYTES)
})
