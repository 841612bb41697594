/**
 * A history that follows from seqnos alone: what stands at a seqno, and how long the commit is that begins there. So whoever
 * goes on after a kill writes what the one before would have written, and whoever reads knows what must be there.
 */
import type { Batch } from '../../src/index.ts'

const KEYS = 400
const COMMIT_OPERATIONS_MAX = 5

export type PlannedOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Buffer }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'deleteRange'; readonly start: string; readonly end: string }

/** Operations of the commit that begins at `first`. */
export function commitLength(first: number): number {
  return 1 + (mixed(first, 1) % COMMIT_OPERATIONS_MAX)
}

export function isSynced(first: number): boolean {
  return mixed(first, 2) % 16 === 0
}

export function plannedAt(seqno: number): PlannedOperation {
  const roll = mixed(seqno, 3) % 100
  const index = mixed(seqno, 4) % KEYS
  if (roll < 2) return { type: 'deleteRange', start: keyOf(index), end: keyOf(index + 5) }
  if (roll < 15) return { type: 'delete', key: keyOf(index) }
  return { type: 'put', key: keyOf(index), value: valueAt(seqno) }
}

export function addPlanned(batch: Batch, seqno: number): void {
  const operation = plannedAt(seqno)
  if (operation.type === 'put') batch.put(operation.key, operation.value)
  else if (operation.type === 'delete') batch.delete(operation.key)
  else batch.deleteRange(operation.start, operation.end)
}

/** Seqno of the put that each key shows after `latest`, which is carried on from call to call. */
export class PlannedState {
  readonly entries: Map<string, number> = new Map()
  #latest = 0

  advance(latest: number): void {
    for (let seqno = this.#latest + 1; seqno <= latest; seqno++) {
      const operation = plannedAt(seqno)
      if (operation.type === 'put') this.entries.set(operation.key, seqno)
      else if (operation.type === 'delete') this.entries.delete(operation.key)
      else this.#deleteRange(operation.start, operation.end)
    }
    this.#latest = latest
  }

  #deleteRange(start: string, end: string): void {
    for (const key of this.entries.keys()) if (key >= start && key < end) this.entries.delete(key)
  }
}

/** Some live in blob files. */
export function valueAt(seqno: number): Buffer {
  const bytes = mixed(seqno, 5) % 12 === 0 ? 5_000 : 8 + (mixed(seqno, 6) % 300)
  const value = Buffer.alloc(bytes, seqno & 0xff)
  value.writeDoubleLE(seqno)
  return value
}

function keyOf(index: number): string {
  return `key-${String(index).padStart(4, '0')}`
}

/** A hash of 31 bits: the finalizer of MurmurHash3. */
function mixed(seqno: number, salt: number): number {
  let h = (seqno ^ Math.imul(salt, 0x9e3779b9)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 1
}
