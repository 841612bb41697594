/**
 * What every part of one file system in memory shares: the count of operations, the planned faults, and whether the process
 * is still alive.
 */
import { FaultPlan, type FaultPoint } from './fault-plan.ts'
import { systemError } from './system-error.ts'

export class MemoryDisk {
  readonly faults: FaultPlan = new FaultPlan()
  operationCount = 0
  /** The operation, counted from 1, that the process does not survive. */
  diesAt: number = Number.POSITIVE_INFINITY
  isDead = false
  openFileCount = 0

  /** Before every operation that changes something: counts it, and throws or returns true (a short write) when it is to fail. */
  begin(point: FaultPoint, path: string, otherPath?: string): boolean {
    this.checkAlive(point.syscall, path)
    this.operationCount++
    if (this.operationCount >= this.diesAt) {
      this.isDead = true
      this.checkAlive(point.syscall, path)
    }
    return !this.faults.isEmpty && this.faults.strike(point, path, otherPath)
  }

  /** Before every read and every opening for reading. */
  beginRead(point: FaultPoint, path: string): void {
    this.checkAlive(point.syscall, path)
    if (!this.faults.isEmpty) this.faults.strike(point, path)
  }

  checkAlive(syscall: string, path: string): void {
    if (this.isDead) throw systemError('EIO', syscall, path, 'process died')
  }
}
