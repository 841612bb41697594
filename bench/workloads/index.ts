import * as changes from './change-capture.ts'
import * as fill from './fill.ts'
import * as following from './following.ts'
import { growth } from './growth.ts'
import { historyBound } from './history-bound.ts'
import * as history from './history.ts'
import { mergeChain } from './merge-chain.ts'
import * as mixed from './mixed.ts'
import * as read from './read.ts'
import * as single from './single-put.ts'
import { skipping } from './skipping.ts'
import * as upkeep from './upkeep.ts'
import type { Workload } from './workload.ts'

/** Groups whose rows every engine may run. */
export const MAIN_GROUPS: readonly Workload['group'][] = ['write', 'read', 'changes', 'upkeep']
export const GROUPS: readonly Workload['group'][] = [...MAIN_GROUPS, 'skipping', 'engine']

/** In the order of the tables. */
export const workloads: readonly Workload[] = [
  fill.fillSequential,
  fill.fillRandom,
  fill.overwrite,
  fill.deleteRandom,
  single.singlePut,
  single.fillSync,
  single.syncedInFlight,
  mixed.mergeRandom,
  mixed.blobWrite,
  read.readRandom,
  read.readRandomCompacted,
  read.readRandomAwaited,
  read.readMissing,
  read.readMissingAwaited,
  read.readSequential,
  read.readSequentialCompacted,
  read.seekRandom,
  mixed.readWhileWriting,
  mixed.blobRead,
  changes.changeFill,
  changes.changeScanJustWritten,
  changes.changeScanLast,
  changes.changeScanLastFirst,
  changes.changeScanAll,
  changes.changeScanAllFresh,
  changes.changePoll,
  following.tailLatency,
  following.tailCatchUp,
  upkeep.reopen,
  upkeep.disk,
  upkeep.loopDelay,
  ...skipping,
  mergeChain,
  history.overwriteCompacted,
  history.readSequentialOverwritten,
  historyBound,
  following.idleTails,
  following.scanMemory,
  ...following.polls,
  ...growth,
]

const byName: ReadonlyMap<string, Workload> = new Map(workloads.map((each) => [each.name, each]))

export function workloadNamed(name: string): Workload {
  const workload = byName.get(name)
  if (workload === undefined) throw new Error(`no workload is named ${name}`)
  return workload
}
