/**
 * Where single operations are encoded while they wait for the end of the turn: chunks that many small commits share, so that
 * a put allocates no buffer. Commits at or above a quarter of a chunk get a buffer of their own.
 *
 * When no commit waits any more, the current chunk is used again from its start: in the steady state nothing is allocated.
 */
import { COMMIT_BODY_AT } from '../batch/commit-record.ts'
import { operationBytes, writeCommitHeader, writeOperation } from '../batch/commit-encoder.ts'

const CHUNK_BYTES = 256 * 1024

export class Staging {
  /** Where the record that was encoded last stands. */
  bytes: Buffer
  start = 0
  end = 0
  #chunk: Buffer

  constructor() {
    this.#chunk = Buffer.allocUnsafeSlow(4096)
    this.bytes = this.#chunk
  }

  /** Encodes a commit of one operation; afterwards `bytes`, `start` and `end` say where. */
  encode(
    kind: number,
    keyspaceId: number,
    key: Uint8Array,
    value: Uint8Array,
    fields: Buffer,
  ): void {
    const size =
      COMMIT_BODY_AT + fields.length + operationBytes(keyspaceId, key.length, value.length)
    let start = this.end
    if (size >= CHUNK_BYTES / 4) {
      this.bytes = Buffer.allocUnsafeSlow(size)
      start = 0
    } else {
      if (this.bytes !== this.#chunk || start + size > this.#chunk.length) {
        this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
        start = 0
      }
      this.bytes = this.#chunk
    }
    const target = this.bytes
    let p = start + COMMIT_BODY_AT
    if (fields.length > 0) {
      target.set(fields, p)
      p += fields.length
    }
    this.start = start
    this.end = writeOperation(target, p, kind, keyspaceId, key, value)
    writeCommitHeader(target, start, this.end, { operations: 1, fieldBytes: fields.length })
  }

  /** No staged record is needed any more. */
  reset(): void {
    this.bytes = this.#chunk
    this.end = 0
  }
}
