/**
 * `import { ... } from 'varve/testing'`: what tests of programs that are built on Varve, and Varve's own, run on.
 */
export type { Fault, FaultOperation } from '../env/fault-plan.ts'
export { ManualClock } from '../env/manual-clock.ts'
export { MemoryFileSystem } from '../env/memory-file-system.ts'
export type {
  DirectoryLock,
  FileStat,
  FileSystem,
  ReadableFile,
  WritableFile,
} from '../env/file-system.ts'
