/**
 * Which operations of the file system in memory fail next, and when the process dies.
 */
import { isRegExp } from 'node:util/types'
import { invalidArgument, wrongType } from '../base/errors.ts'
import { type Checks, checkOptions, isAmount, isInteger, isOneOf } from '../base/option-check.ts'
import { systemError } from './system-error.ts'

/** What a fault can strike. */
export type FaultOperation =
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'syncDirectory'

/** Makes matching operations fail. */
export interface Fault {
  /** 'create' also means link and making a directory, 'write' also truncate. */
  operation: FaultOperation
  /** On the whole path; a rename matches by either name, a link by the new one. Default: every file. */
  file?: RegExp
  /** So many matching operations pass first. Default 0. */
  after?: number
  /** How often it strikes; Infinity for ever. Default 1. */
  times?: number
  /**
   * 'short' lets a write take only half of its bytes and report that, as a disk that fills up does. 'EMFILE' strikes where a
   * file is opened: for 'read' that is openRead, while every other effect strikes the reads themselves.
   */
  effect: 'EIO' | 'ENOSPC' | 'EMFILE' | 'short'
}

interface PlannedFault {
  readonly operation: FaultOperation
  readonly file: RegExp | undefined
  readonly effect: Fault['effect']
  passes: number
  strikes: number
}

/** A step of one operation that a fault may strike. */
export interface FaultPoint {
  readonly operation: FaultOperation
  readonly syscall: string
  /** Opening a file, as against using one. */
  readonly isOpening?: boolean
  /** A write of bytes, which may be short. */
  readonly isPartible?: boolean
}

/** Else a test whose fault is misspelt would pass without one. */
const CHECKS: Checks = {
  operation: isOneOf('create', 'read', 'write', 'sync', 'rename', 'remove', 'syncDirectory'),
  file: (value) => (isRegExp(value) ? undefined : { message: 'must be a RegExp', isType: true }),
  after: isInteger(0),
  times: isAmount(0),
  effect: isOneOf('EIO', 'ENOSPC', 'EMFILE', 'short'),
}

export class FaultPlan {
  #faults: PlannedFault[] = []

  add(fault: Fault): void {
    if (fault === undefined) throw wrongType('fault', 'an object', fault)
    checkOptions(fault, CHECKS)
    for (const name of ['operation', 'effect'] as const) {
      if (fault[name] === undefined) throw wrongType(`fault.${name}`, 'a string', undefined)
    }
    if (fault.effect === 'short' && fault.operation !== 'write') {
      throw invalidArgument(`only a write can be short, not '${fault.operation}'`)
    }
    this.#faults.push({
      operation: fault.operation,
      // Without g and y, whose lastIndex would make matching depend on the file before.
      file: fault.file && new RegExp(fault.file.source, fault.file.flags.replace(/[gy]/g, '')),
      effect: fault.effect,
      passes: fault.after ?? 0,
      strikes: fault.times ?? 1,
    })
  }

  clear(): void {
    this.#faults = []
  }

  get isEmpty(): boolean {
    return this.#faults.length === 0
  }

  /**
   * Throws when a fault strikes; true for a short write. The first that was planned wins; the others count the operation all
   * the same.
   */
  strike(point: FaultPoint, path: string, otherPath: string = path): boolean {
    let effect: Fault['effect'] | undefined
    for (const fault of this.#faults) {
      if (!matches(fault, point, path, otherPath)) continue
      if (fault.passes > 0) {
        fault.passes--
      } else if (fault.strikes > 0 && effect === undefined) {
        fault.strikes--
        effect = fault.effect
      }
    }
    if (effect === undefined || effect === 'short') return effect === 'short'
    throw systemError(effect, point.syscall, path)
  }
}

function matches(fault: PlannedFault, point: FaultPoint, path: string, otherPath: string): boolean {
  if (fault.operation !== point.operation) return false
  if (fault.effect === 'short' && point.isPartible !== true) return false
  if (point.operation === 'read' && (fault.effect === 'EMFILE') !== (point.isOpening === true)) {
    return false
  }
  return fault.file === undefined || fault.file.test(path) || fault.file.test(otherPath)
}
