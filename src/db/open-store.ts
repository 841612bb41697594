/**
 * `Varve.open`: from a location and options to an open store.
 */
import { InlineRunner, type JobRunner } from '../background/job-runner.ts'
import { FileDeleter } from '../background/file-deleter.ts'
import { WorkerRunner } from '../background/worker-runner.ts'
import { BlockCache } from '../block/block-cache.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { VarveError } from '../base/errors.ts'
import { type CompactionOptions, compactionOptions } from '../compaction/compaction-options.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import { type Environment, resolveEnvironment } from '../env/environment.ts'
import { FileCache } from '../env/file-cache.ts'
import type { DirectoryLock, FileSystem } from '../env/file-system.ts'
import { type StoreFile, storeFiles } from '../env/file-names.ts'
import { createTimers, type Timers } from '../env/timers.ts'
import { SegmentCache } from '../segment/segment-cache.ts'
import { hasStore, isStore } from '../version/orphans.ts'
import { throwIfAborted } from './arguments.ts'
import { Diagnostics } from './diagnostics.ts'
import { LeakWatch } from './leak-watch.ts'
import { checkIsDirectory, checkLocation } from './location.ts'
import { operatorOf } from './keyspace-registry.ts'
import { type OpenOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { openReader } from './open-reader.ts'
import { openWriter } from './open-writer.ts'
import { notFound } from './recovery.ts'
import { Store } from './store.ts'

/** What both kinds of opening work with. */
export interface OpenContext {
  readonly location: string
  readonly directory: string
  readonly options: ResolvedOptions
  readonly environment: Environment
  readonly timers: Timers
  /** The file system with descriptors made free when they run out. */
  readonly fs: FileSystem
  readonly files: FileCache
  readonly blockCache: BlockCache
  readonly segments: SegmentCache
  readonly tuning: CompactionOptions
  readonly diagnostics: Diagnostics
  readonly leaks: LeakWatch
  readonly runner: JobRunner
  readonly callingThread: JobRunner
  readonly deleter: FileDeleter
  readonly lock: DirectoryLock | undefined
  /** Whether there is a store already. */
  readonly exists: boolean
  /** What was in the directory when it was locked; undefined for a reader. */
  readonly found: readonly StoreFile[] | undefined
}

/** What users cannot set: tests make stores with many small levels by it, and run them on a clock of their own. */
export interface StoreTuning extends CompactionOptions {
  readonly timers: Timers
}

/** As `Varve.open`, without its face. `tuning`: numbers that steer compaction, other than their defaults. */
export async function openStoreCore(
  location: string,
  options?: OpenOptions,
  tuning: Partial<StoreTuning> = {},
): Promise<Store> {
  checkLocation(location)
  const resolved = resolveOptions(options)
  const environment = resolveEnvironment(options?.environment)
  throwIfAborted(resolved.signal)
  // Known to be wrong before there is any store to look at.
  operatorOf('default', { mergeOperator: resolved.keyspace.mergeOperator }, resolved.operators)
  try {
    return await openChecked(location, resolved, environment, tuning)
  } catch (cause) {
    throw translateDiskError(cause, { operation: 'open', file: location })
  }
}

async function openChecked(
  location: string,
  options: ResolvedOptions,
  environment: Environment,
  tuning: Partial<StoreTuning>,
): Promise<Store> {
  const { fs } = environment
  const directory = fs.canonicalPath(location)
  if (!checkIsDirectory(fs, directory)) {
    const mayCreate = options.createIfMissing && !options.readOnly
    if (!mayCreate) throw notFound(location)
    fs.makeDirectory(directory)
  }
  if (options.readOnly) {
    if (!hasStore(fs, directory)) throw notFound(location)
    return openWith({ location, directory, lock: undefined }, options, environment, tuning)
  }
  const lock = await fs.lock(directory)
  try {
    throwIfAborted(options.signal)
    return await openWith({ location, directory, lock }, options, environment, tuning)
  } catch (error) {
    await lock.release()
    throw error
  }
}

type Place = Pick<OpenContext, 'location' | 'directory' | 'lock'>

async function openWith(
  place: Place,
  options: ResolvedOptions,
  environment: Environment,
  tuning: Partial<StoreTuning>,
): Promise<Store> {
  const { location, directory, lock } = place
  // Once: nobody else changes it from here on.
  const found = lock && storeFiles(environment.fs.list(directory))
  const exists = found === undefined || isStore(environment.fs, directory, found)
  if (!exists && !options.createIfMissing) throw notFound(location)
  if (exists && options.errorIfExists) {
    throw new VarveError('VARVE_EXISTS', `there is a store in ${location} already`, { location })
  }
  const context = { ...makeParts(place, options, environment, tuning), exists, found }
  try {
    return options.readOnly ? await openReader(context) : await openWriter(context)
  } catch (error) {
    context.leaks.stop()
    await context.runner.close()
    context.segments.close()
    context.files.close()
    throw error
  }
}

function makeParts(
  place: Place,
  options: ResolvedOptions,
  environment: Environment,
  tuning: Partial<StoreTuning>,
): Omit<OpenContext, 'exists' | 'found'> {
  const { location, directory } = place
  const { logger } = environment
  const { timers = createTimers(), ...numbers } = tuning
  const files = new FileCache(environment.fs, { keepOpen: options.readOnly })
  const { fs } = files
  const blockCache = new BlockCache({ capacityBytes: options.blockCacheBytes })
  const segments = new SegmentCache(files, directory, blockCache, {
    openBlob: (file, number, cache) => new BlobReader(file, number, cache),
  })
  const diagnostics = new Diagnostics(location, () => timers.monotonicMs())
  const { leakWarningMs } = options
  const callingThread = new InlineRunner({ fs, timers })
  const isThreaded = options.backgroundWorkers > 0 && fs.kind === 'node' && !options.readOnly
  return {
    ...place,
    options,
    environment,
    timers,
    fs,
    files,
    blockCache,
    segments,
    tuning: { ...compactionOptions(options), ...numbers },
    diagnostics,
    leaks: new LeakWatch({
      leakWarningMs,
      now: () => environment.now(),
      timers,
      logger,
      diagnostics,
    }),
    callingThread,
    runner: isThreaded
      ? new WorkerRunner({ fs, timers, logger, inline: callingThread })
      : callingThread,
    deleter: new FileDeleter({
      fs,
      directory,
      timers,
      logger,
      onRemove: ({ number }) => segments.forget(number),
    }),
  }
}
