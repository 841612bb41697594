/**
 * `import { ... } from 'varve/testing'`: what tests of programs that are built on Varve, and Varve's own, run on.
 */
export type { Fault } from '../env/fault-plan.ts'
export { ManualClock } from '../env/manual-clock.ts'
export { MemoryFileSystem } from '../env/memory-file-system.ts'
