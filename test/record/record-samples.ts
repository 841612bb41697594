import { joinPath } from '../../src/env/file-names.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import { frameRecord, sealRecord } from '../../src/record/record-frame.ts'

export const DIRECTORY = '/db'
export const SEED = 77
export const FILE_NUMBER = 9

/** Records with these payloads, chained; `durable` tells how many bytes each one counts as durable. */
export function chainOf(
  payloads: readonly Uint8Array[],
  durable: (index: number, offset: number) => number = () => 0,
  options: { fileNumber?: number; seed?: number; type?: number } = {},
): { bytes: Buffer; offsets: number[] } {
  const records: Buffer[] = []
  const offsets: number[] = []
  let previous = 0
  let offset = 0
  for (const [index, payload] of payloads.entries()) {
    const record = frameRecord(options.type ?? 2, payload)
    previous = sealRecord(record, 0, {
      fileNumber: options.fileNumber ?? FILE_NUMBER,
      previous,
      durableBytes: durable(index, offset),
      seed: options.seed ?? SEED,
    })
    records.push(record)
    offsets.push(offset)
    offset += record.length
  }
  return { bytes: Buffer.concat(records), offsets }
}

export function putFile(fs: FileSystem, name: string, bytes: Uint8Array): string {
  const path = joinPath(DIRECTORY, name)
  if (fs.stat(path) !== undefined) fs.remove(path)
  const file = fs.create(path)
  if (bytes.length > 0) file.append(bytes, 0, bytes.length)
  file.close()
  return path
}

/** Deterministic pseudo-random numbers in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export function bytesOf(length: number, fill: number): Buffer {
  return Buffer.alloc(length, fill)
}
