/**
 * Values of long operand chains that some read has already folded, kept at the newest operand: the next read of the key goes
 * no further back than that. So a hot counter with a million operands in memory is read in the time of the few that are new.
 *
 * A value belongs to one version of one key, so it is right for every snapshot that gets to that version. Bounded: only for
 * chains longer than CHAIN_MIN, one for each chain, MEMO_SHARE of the memtable's capacity in all.
 */
import { KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import type { OperationLog } from './operation-log.ts'

/** Chains up to this length are folded anew each time. */
const CHAIN_MIN = 32
const MEMO_SHARE = 1 / 4

export class OperandMemo {
  readonly #log: OperationLog
  readonly #bytesMax: number
  readonly #values = new Map<number, Buffer>()
  #bytes = 0

  constructor(log: OperationLog, capacityBytes: number) {
    this.#log = log
    this.#bytesMax = Math.floor(capacityBytes * MEMO_SHARE)
  }

  /** The merged value as of this operand; borrowed. */
  get(ordinal: number): Buffer | undefined {
    return this.#values.size === 0 ? undefined : this.#values.get(ordinal)
  }

  /** Keeps a copy of the merged value as of this operand, where that is worth it. */
  remember(ordinal: number, value: Uint8Array): void {
    if (value.length > this.#bytesMax || this.#values.has(ordinal)) return
    const log = this.#log
    let length = 0
    let at = ordinal
    while (
      at >= 0 &&
      (log.arena[log.offsetOf(at)]! & KIND_MASK) === KIND_MERGE &&
      !this.#values.has(at)
    ) {
      length++
      at = log.olderOf(at)
    }
    if (length <= CHAIN_MIN) return
    if (at >= 0) this.#forget(at)
    this.#values.set(ordinal, Buffer.from(value))
    this.#bytes += value.length
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= this.#bytesMax) break
      this.#forget(oldest)
    }
  }

  #forget(ordinal: number): void {
    const value = this.#values.get(ordinal)
    if (value === undefined) return
    this.#bytes -= value.length
    this.#values.delete(ordinal)
  }
}
