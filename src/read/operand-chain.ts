/**
 * Folding what reads collect of a key whose newest version is a merge operand.
 */
import { VarveError } from '../base/errors.ts'
import { foldOperands } from '../base/merge-operators.ts'
import type { KeyspaceReadSettings } from './read-view.ts'

export interface OperandChain {
  readonly key: Buffer
  /** Undefined: there is no value below the operands, or it was deleted. */
  readonly base: Buffer | undefined
  /** Oldest first, at least one. Bytes of their own: an operator may keep what it is given. */
  readonly operands: readonly Buffer[]
}

/**
 * The value of the chain. It may share memory with the chain or with something of the operator's.
 * Throws VARVE_NO_MERGE_OPERATOR, VARVE_MERGE_FAILED.
 */
export function foldChain(keyspace: KeyspaceReadSettings, chain: OperandChain): Buffer {
  if (keyspace.operator === undefined) {
    throw new VarveError(
      'VARVE_NO_MERGE_OPERATOR',
      `keyspace ${JSON.stringify(keyspace.name)} holds merge operands but was opened without its merge operator`,
      { keyspace: keyspace.name },
    )
  }
  return foldOperands(keyspace.operator, chain.key, chain.base, chain.operands, keyspace.name)
}
