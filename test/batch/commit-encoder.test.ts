import { describe, expect, it } from 'vitest'
import { operationBytes, writeOperation } from '../../src/batch/commit-encoder.ts'
import { Operation } from '../../src/memtable/operation.ts'

/** Around the lengths at which a number takes a byte more, and at which copying changes. */
const KEYSPACES = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1]
const KEYS = [0, 1, 11, 12, 127, 128, 255, 16_383, 16_384]
const VALUES = [0, 1, 11, 12, 127, 128, 129, 16_383, 16_384, 16_385, 2 ** 21]

function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + seed
  return bytes
}

describe('an encoded operation', () => {
  for (const keyspaceId of KEYSPACES) {
    it(`is read back whatever its lengths are, in keyspace ${keyspaceId}`, () => {
      const operation = new Operation()
      for (const keyBytes of KEYS) {
        for (const valueBytes of VALUES) {
          const key = bytesOf(keyBytes, 7)
          const value = bytesOf(valueBytes, 11)
          const bytes = operationBytes(keyspaceId, keyBytes, valueBytes)
          const target = Buffer.alloc(bytes + 8, 0xee)
          const end = writeOperation(target, 3, 1, keyspaceId, key, value)

          const at = `key of ${keyBytes}, value of ${valueBytes} bytes`
          expect(end, at).toBe(3 + bytes)
          expect(operation.readChecked(target, 3, end), at).toBe(true)
          expect(operation.kind, at).toBe(1)
          expect(operation.keyspaceId, at).toBe(keyspaceId)
          const found = [operation.keyStart, operation.keyEnd, operation.valueEnd]
          expect(found, at).toEqual([end - valueBytes - keyBytes, end - valueBytes, end])
          expect(target.compare(key, 0, keyBytes, operation.keyStart, operation.keyEnd), at).toBe(0)
          expect(target.compare(value, 0, valueBytes, operation.valueStart, end), at).toBe(0)
          expect(
            target.subarray(end).every((byte) => byte === 0xee),
            at,
          ).toBe(true)
          expect(
            target.subarray(0, 3).every((byte) => byte === 0xee),
            at,
          ).toBe(true)
        }
      }
    })
  }
})
