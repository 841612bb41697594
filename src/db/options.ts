/**
 * Open and keyspace options: allowed ranges, defaults, and what is stored with the store.
 */
import type { Compression } from '../block/codec.ts'
import { builtinOperators, type MergeOperator } from '../base/merge-operators.ts'
import { invalidArgument } from '../base/errors.ts'
import type { Environment } from '../env/environment.ts'
import type { StoredKeyspaceOptions } from '../version/store-state.ts'
import {
  checkOptions,
  type Check,
  type Checks,
  isAmount,
  isBoolean,
  isInteger,
  isObject,
  isOneOf,
  isSignal,
  problemsOf,
  throwProblems,
} from '../base/option-check.ts'

/**
 * How far change capture reaches back: the floor rises when history is older than `maxAgeMs` or bigger than `maxBytes` (user
 * bytes), whichever comes first, but never past a consumer's position. 'all' never raises it; 'none' keeps only what consumers and open
 * scans need.
 */
export type HistoryPolicy = 'all' | 'none' | { maxAgeMs?: number; maxBytes?: number }

/** Options of one keyspace. They are stored; given again at a later open they replace the stored ones, except the merge operator. */
export interface KeyspaceOptions {
  /** Name of a merge operator, built in or among `mergeOperators`. Stored; cannot be changed later. */
  mergeOperator?: string
  /** Values of at least this many bytes go to blob files; false: never. Default 4,096. */
  blobThresholdBytes?: number | false
  /** Block codec. Default 'none'. */
  compression?: Compression
  /** Bloom filter bits per key; 0 for none. Default 10. */
  bloomBitsPerKey?: number
  /** Data blocks are cut near this size: 512 bytes to 1 MiB. Default 2,048; 16,384 with compression. */
  blockBytes?: number
}

/** Options of `Varve.open`; those of the default keyspace among them. */
export interface OpenOptions extends KeyspaceOptions {
  /** Creates the directory, missing parents included. Default true. */
  createIfMissing?: boolean
  /** Default false. */
  errorIfExists?: boolean
  /** Opens without the lock and changes no file, also beside a running writer. Default false. */
  readOnly?: boolean
  /** Stored. Default: as stored, else 'primary'. */
  role?: 'primary' | 'replica'
  /** Default of `WriteOptions.sync`. Default false. */
  sync?: boolean
  /** Acknowledged writes are synced at least this often; 0 switches it off. Default 1,000. */
  syncIntervalMs?: number
  /** The memtables are sealed at this size, or sooner where a small `history.maxBytes` bounds the disk. At least 16 KiB. Default 64 MiB. */
  memtableBytes?: number
  /** Cache for decoded blocks, blob values and change events that were read. Default 64 MiB. */
  blockCacheBytes?: number
  /** Segments are cut near this size by compaction. At least 16 KiB. Default 64 MiB. */
  segmentBytes?: number
  /** 0: flush and compaction run in short slices on the calling thread; else in a worker thread (in one, whatever the number). Default 1. */
  backgroundWorkers?: number
  /**
   * A snapshot, cursor or change scan that stays open for longer is told of, once, by `environment.logger.warn` and on the
   * diagnostics channel `varve:leak`: each keeps old data from being collected. 0 switches it off. Default 600,000 (10 minutes).
   */
  leakWarningMs?: number
  /** How far change capture reaches back. Default { maxAgeMs: 24 h, maxBytes: 1 GiB }. */
  history?: HistoryPolicy
  /** Merge operators by name; the built-in ones are always known. */
  mergeOperators?: readonly MergeOperator[]
  /** File system, clock and logger. */
  environment?: Partial<Environment>
  /** Gives up opening, with VARVE_ABORTED. */
  signal?: AbortSignal
}

export interface ResolvedOptions {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
  readonly readOnly: boolean
  readonly role: 'primary' | 'replica' | undefined
  readonly sync: boolean
  readonly syncIntervalMs: number
  readonly memtableBytes: number
  readonly blockCacheBytes: number
  readonly segmentBytes: number
  readonly backgroundWorkers: number
  readonly leakWarningMs: number
  readonly history: HistoryPolicy
  readonly operators: ReadonlyMap<string, MergeOperator>
  readonly keyspace: KeyspaceOptions
  readonly signal: AbortSignal | undefined
}

const MIB = 1024 * 1024
const DAY_MS = 24 * 3600 * 1000
const DEFAULT_HISTORY: HistoryPolicy = { maxAgeMs: DAY_MS, maxBytes: 1024 * MIB }
const BLOOM_BITS_MAX = 64
const WORKERS_MAX = 16

const isText: Check = (value) =>
  typeof value === 'string' ? undefined : { message: 'must be a string', isType: true }

const KEYSPACE_CHECKS: Checks = {
  mergeOperator: (value) =>
    isText(value) ?? (value === '' ? { message: 'must not be empty' } : undefined),
  blobThresholdBytes: (value) => (value === false ? undefined : isInteger(0)(value)),
  compression: isOneOf('none', 'deflate', 'lz4'),
  bloomBitsPerKey: isInteger(0, BLOOM_BITS_MAX),
  blockBytes: isInteger(512, MIB),
}

const HISTORY_CHECKS: Checks = { maxAgeMs: isAmount(0), maxBytes: isAmount(0) }

const isHistory: Check = (value) => {
  if (value === 'all' || value === 'none') return undefined
  if (typeof value === 'string') return { message: "must be 'all', 'none' or an object" }
  const problem = problemsOf(value, HISTORY_CHECKS)[0]
  if (problem === undefined) return undefined
  return {
    message: `${problem.option} ${problem.message}`,
    ...(problem.isType === true ? { isType: true } : {}),
  }
}

const areOperators: Check = (value) => {
  if (!Array.isArray(value)) return { message: 'must be an array', isType: true }
  const names = new Set<string>()
  for (const operator of value as unknown[]) {
    if (typeof operator !== 'object' || operator === null) {
      return { message: 'must hold merge operators', isType: true }
    }
    const { name, merge } = operator as Partial<MergeOperator>
    if (typeof name !== 'string' || typeof merge !== 'function') {
      return { message: 'must hold objects with a name and a merge function', isType: true }
    }
    const wrong = wrongOptionalPart(operator)
    if (wrong !== undefined) return { message: `holds an operator whose ${wrong}`, isType: true }
    if (name === '') return { message: 'holds an operator without a name' }
    // Stored as UTF-8, it would be another name at the next open.
    if (!name.isWellFormed()) {
      return { message: 'holds an operator whose name has a lone surrogate' }
    }
    if (names.has(name) || builtinOperators.has(name)) {
      return { message: `holds two operators named ${JSON.stringify(name)}, or a built-in name` }
    }
    names.add(name)
  }
  return undefined
}

/** Else a wrong part would only show where it is used: in a merge, or in a compaction. */
function wrongOptionalPart(operator: Partial<MergeOperator>): string | undefined {
  const { validate, combine, module } = operator
  if (validate !== undefined && typeof validate !== 'function') return 'validate is no function'
  if (combine !== undefined && typeof combine !== 'function') return 'combine is no function'
  if (module === undefined || typeof module === 'string' || module instanceof URL) return undefined
  return 'module is neither a string nor a URL'
}

const OPEN_CHECKS: Checks = {
  ...KEYSPACE_CHECKS,
  createIfMissing: isBoolean,
  errorIfExists: isBoolean,
  readOnly: isBoolean,
  role: isOneOf('primary', 'replica'),
  sync: isBoolean,
  syncIntervalMs: isInteger(0, 2 ** 31 - 1),
  memtableBytes: isInteger(16 * 1024, 1024 * MIB),
  blockCacheBytes: isInteger(0, 2 ** 31 - 1),
  segmentBytes: isInteger(16 * 1024, 1024 * MIB),
  backgroundWorkers: isInteger(0, WORKERS_MAX),
  leakWarningMs: isInteger(0, 2 ** 31 - 1),
  history: isHistory,
  mergeOperators: areOperators,
  environment: isObject,
  signal: isSignal,
}

export function checkKeyspaceOptions(options: KeyspaceOptions | undefined): void {
  checkOptions(options, KEYSPACE_CHECKS)
}

export function resolveOptions(options: OpenOptions = {}): ResolvedOptions {
  const problems = problemsOf(options, OPEN_CHECKS)
  throwProblems(problems)
  const operators = new Map(builtinOperators)
  for (const operator of options.mergeOperators ?? []) operators.set(operator.name, operator)
  return {
    createIfMissing: options.createIfMissing ?? true,
    errorIfExists: options.errorIfExists ?? false,
    readOnly: options.readOnly ?? false,
    role: options.role,
    sync: options.sync ?? false,
    syncIntervalMs: options.syncIntervalMs ?? 1000,
    memtableBytes: options.memtableBytes ?? 64 * MIB,
    blockCacheBytes: options.blockCacheBytes ?? 64 * MIB,
    segmentBytes: options.segmentBytes ?? 64 * MIB,
    backgroundWorkers: options.backgroundWorkers ?? 1,
    leakWarningMs: options.leakWarningMs ?? 600_000,
    history: copiedHistory(options.history ?? DEFAULT_HISTORY),
    operators,
    keyspace: pickKeyspaceOptions(options),
    signal: options.signal,
  }
}

/** The policy is asked at each flush: what the caller does to its object after the call must not change it. */
function copiedHistory(history: HistoryPolicy): HistoryPolicy {
  if (typeof history === 'string') return history
  // One by one: they may be inherited.
  const { maxAgeMs, maxBytes } = history
  return {
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  }
}

function pickKeyspaceOptions(options: KeyspaceOptions): KeyspaceOptions {
  const picked: Record<string, unknown> = {}
  for (const name of Object.keys(KEYSPACE_CHECKS)) {
    const value: unknown = Reflect.get(options, name)
    if (value !== undefined) picked[name] = value
  }
  return picked
}

/** What a keyspace's options become: given ones over stored ones over defaults. */
export function mergeKeyspaceOptions(
  given: KeyspaceOptions,
  stored: StoredKeyspaceOptions | undefined,
): StoredKeyspaceOptions {
  const compression = given.compression ?? stored?.compression ?? 'none'
  const threshold = given.blobThresholdBytes ?? stored?.blobThresholdBytes ?? 4096
  return {
    mergeOperator: given.mergeOperator ?? stored?.mergeOperator,
    // An empty value has nothing that a blob file could keep.
    blobThresholdBytes: threshold === false ? Number.POSITIVE_INFINITY : Math.max(1, threshold),
    compression,
    bloomBitsPerKey: given.bloomBitsPerKey ?? stored?.bloomBitsPerKey ?? 10,
    blockBytes: given.blockBytes ?? stored?.blockBytes ?? (compression === 'none' ? 2048 : 16_384),
  }
}

/** Throws INVALID_ARGUMENT where a stored replica is opened as a primary. */
export function checkRole(
  given: 'primary' | 'replica' | undefined,
  stored: 'primary' | 'replica',
): void {
  if (given === 'primary' && stored === 'replica') {
    throw invalidArgument('the store is a replica: open it as one and promote() it', {
      role: given,
      stored,
    })
  }
}
