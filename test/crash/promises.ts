/**
 * What the outside was told, and may therefore rely on: a store that came back from a crash is held against it.
 */
import { CURRENT_FILE, manifestFileName, temporaryFileName } from '../../src/env/file-names.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import { readCurrent } from '../../src/version/current-file.ts'
import { Model, type ModelEvent, type ModelOperation } from '../model/model.ts'
import { FOLDS } from '../model/driver.ts'

export interface EpochSeen {
  readonly epoch: number
  readonly id: string
  readonly first: number
}

/** 'opening', 'closing': a call was made and has not resolved. */
export type Phase = 'new' | 'opening' | 'open' | 'closing' | 'closed'

export interface ConsumerPromise {
  /** 'creating', 'dropping': a call was made and has not resolved. */
  status: 'creating' | 'active' | 'dropping' | 'absent'
  /** Positions that a resolved call made durable; that a call has asked for. */
  resolved: number
  asked: number
  /** Acks inside batches: as durable as the batch that ends with seqno `last`. */
  inBatches: { readonly last: number; readonly next: number }[]
}

/** One life of the name of a consumer that comes and goes while other calls run. */
export interface ConsumerLife {
  /** Where it was asked to begin; highest undefined: at the next seqno of when its turn comes. */
  start: { readonly lowest: number; readonly highest: number | undefined }
  /** The call that makes it has resolved; one that drops it was made; it cannot be there any more, or was never. */
  isMade: boolean
  isLeaving: boolean
  isGone: boolean
  /** As of `ConsumerPromise`. */
  resolved: number
  asked: number
  inBatches: { readonly last: number; readonly next: number }[]
}

/** One life of a keyspace name: created, perhaps dropped. */
export interface Incarnation {
  isResolved: boolean
  droppedAt: number | undefined
}

export interface TokenSeen {
  readonly token: string
  readonly next: number
  /** So many epochs had begun when it was handed out. */
  readonly epochs: number
}

/** Everything promised at one moment. */
export interface Promised {
  phase: Phase
  /** An open has resolved at least once: there must be a store. */
  exists: boolean
  /** Seqno of the last operation handed to the store. */
  submitted: number
  /** Survives the death of the process. */
  acknowledged: number
  /** Since the store was opened it has shown an event, or answered a write, that it did not have then. */
  hasShownNews: boolean
  /** What lay in the directory when the store was opened after what may have been a clean close; undefined: it was none. */
  filesAtClose: readonly string[] | undefined
  /** Survives a power cut. */
  durable: number
  /** Highest floor that was seen. */
  floor: number
  epochs: readonly EpochSeen[]
  /** Opens that were begun since `epochs` was seen: each may have begun an epoch before it died. */
  unseenOpens: number
  readonly consumers: Map<string, ConsumerPromise>
  /** By name, the lives in their order. */
  readonly passing: Map<string, ConsumerLife[]>
  readonly keyspaces: Map<string, Incarnation[]>
  readonly tokens: TokenSeen[]
}

export function nothingPromised(): Promised {
  return {
    phase: 'new',
    exists: false,
    submitted: 0,
    acknowledged: 0,
    hasShownNews: false,
    filesAtClose: undefined,
    durable: 0,
    floor: 1,
    epochs: [],
    unseenOpens: 0,
    consumers: new Map(),
    passing: new Map(),
    keyspaces: new Map([['default', [{ isResolved: true, droppedAt: undefined }]]]),
    tokens: [],
  }
}

export function copyPromised(promised: Promised): Promised {
  return {
    ...promised,
    consumers: new Map(
      [...promised.consumers].map(([name, one]) => [
        name,
        { ...one, inBatches: [...one.inBatches] },
      ]),
    ),
    passing: new Map(
      [...promised.passing].map(([name, lives]) => [
        name,
        lives
          .filter(({ isGone }) => !isGone)
          .map((life) => ({ ...life, inBatches: [...life.inBatches] })),
      ]),
    ),
    keyspaces: new Map(
      [...promised.keyspaces].map(([name, lives]) => [name, lives.map((life) => ({ ...life }))]),
    ),
    tokens: [...promised.tokens],
  }
}

/** Names of a store's files, less what comes and goes with the lock, and what is written beside before CURRENT names it. */
export function filesIn(fs: FileSystem, directory: string): string[] {
  const manifest = readCurrent(fs, directory)
  return fs.list(directory).filter((name) => {
    if (name.startsWith('MANIFEST-')) return name === manifestFileName(manifest!)
    return !name.startsWith('LOCK') && name !== temporaryFileName(CURRENT_FILE)
  })
}

export function isSameList(
  files: readonly string[],
  others: readonly string[] | undefined,
): boolean {
  return others?.length === files.length && files.every((name) => others.includes(name))
}

/** Where the consumer must stand when everything up to `latest` survived. */
export function positionsAllowed(
  consumer: Pick<ConsumerPromise, 'resolved' | 'asked' | 'inBatches'>,
  latest: number,
): { lowest: number; highest: number } {
  let inBatches = 0
  for (const { last, next } of consumer.inBatches) {
    if (last <= latest) inBatches = Math.max(inBatches, next)
  }
  return {
    lowest: Math.max(consumer.resolved, inBatches),
    highest: Math.max(consumer.asked, inBatches),
  }
}

export function lifeBegins(lowest: number, highest: number | undefined): ConsumerLife {
  return {
    start: { lowest, highest },
    isMade: false,
    isLeaving: false,
    isGone: false,
    resolved: 0,
    asked: 0,
    inBatches: [],
  }
}

/** What it may hold history from; Infinity where it is gone. */
export function lowestOf({ isGone, start, resolved }: ConsumerLife): number {
  return isGone ? Infinity : Math.max(start.lowest, resolved)
}

/** Whether a consumer may stand there as this life when everything up to `latest` survived. */
export function mayStandAt(life: ConsumerLife, position: number, latest: number): boolean {
  if (life.isGone) return false
  const { lowest, highest } = positionsAllowed(life, latest)
  return (
    position >= Math.max(lowest, life.start.lowest) &&
    position <= Math.max(highest, life.start.highest ?? latest + 1)
  )
}

/** Whether a keyspace of this name is there when everything up to `latest` survived; undefined: may be or not. */
export function keyspaceExists(lives: readonly Incarnation[], latest: number): boolean | undefined {
  const last = lives.at(-1)
  if (last === undefined) return false
  const isThere = (life: Incarnation): boolean =>
    life.droppedAt === undefined || life.droppedAt > latest
  if (last.isResolved) return isThere(last)
  const before = lives.at(-2)
  if (before !== undefined && isThere(before)) return true
  return undefined
}

/** The model as it was after its first `latest` events. */
export function modelAt(events: readonly ModelEvent[], latest: number): Model {
  const model = new Model(FOLDS)
  let operations: ModelOperation[] = []
  for (const event of events.slice(0, latest)) {
    operations.push(event.operation)
    if (event.seqno !== event.commitLast) continue
    model.commit(operations, event.timestamp, event.meta)
    operations = []
  }
  return model
}
