/**
 * Checks that a merge operand can be used before it is written.
 */
import { invalidArgument, VarveError } from '../base/errors.ts'
import type { KeyspaceState } from './keyspace-directory.ts'

/** Throws NO_MERGE_OPERATOR, or INVALID_ARGUMENT for an operand that the operator refuses. */
export function checkOperand(keyspace: KeyspaceState, operand: Uint8Array): void {
  const operator = keyspace.operator
  if (operator === undefined) {
    throw new VarveError(
      'VARVE_NO_MERGE_OPERATOR',
      `keyspace ${JSON.stringify(keyspace.name)} has no merge operator: open it with { mergeOperator }`,
      { keyspace: keyspace.name },
    )
  }
  if (operator.validate === undefined) return
  try {
    // A copy: the operator is a stranger's code and must not see or change more than the operand.
    operator.validate(Buffer.from(operand))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = invalidArgument(`operand refused by ${operator.name}: ${reason}`, {
      keyspace: keyspace.name,
      operator: operator.name,
    })
    error.cause = cause
    throw error
  }
}
