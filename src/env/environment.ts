/**
 * Where the outside world comes in: the disk, the wall clock, the log. Tests replace each of them.
 */
import { wrongType } from '../base/errors.ts'
import type { FileSystem } from './file-system.ts'
import { createNodeFileSystem } from './node-file-system.ts'

/** Where messages go. The default says nothing. */
export interface Logger {
  /** What is of use only to who works on Varve. */
  debug(msg: string, fields?: object): void
  /** What happens in the normal course of things. */
  info(msg: string, fields?: object): void
  /** What goes on, but should be looked at: no worker thread, something left open. */
  warn(msg: string, fields?: object): void
  /** What failed in the background, or threw in a listener. */
  error(msg: string, fields?: object): void
}

/** Where the outside world comes in; tests replace it with what `varve/testing` has. */
export interface Environment {
  /** The store's lock belongs to it. With any other than Node's, background work runs on the calling thread. */
  fs: FileSystem
  /** Wall clock in ms, for event times and ages. May go backwards; the store keeps event times from doing so. */
  now(): number
  /** Hears of what concerns nobody's call. */
  logger: Logger
}

/** Says nothing: what a program has to know comes as errors and events. */
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Fills in Node's file system, the system's clock and a silent logger. A part of the wrong type is a TypeError. */
export function resolveEnvironment(partial: Partial<Environment> = {}): Environment {
  if (typeof partial !== 'object' || partial === null) {
    throw wrongType('environment', 'an object', partial)
  }
  const { fs, now, logger: given = silent } = partial
  if (fs !== undefined && !isFileSystem(fs)) {
    throw wrongType('environment.fs', 'a file system of Varve', fs)
  }
  if (now !== undefined && typeof now !== 'function') {
    throw wrongType('environment.now', 'a function', now)
  }
  if (given !== silent && !isLogger(given)) {
    throw wrongType('environment.logger', 'an object with debug, info, warn and error', given)
  }
  const logger = given === silent ? silent : unfailing(given)
  return {
    fs: fs ?? createNodeFileSystem(),
    // Called on the object it came from: a clock may be an instance with state of its own.
    now: now === undefined ? () => Date.now() : guarded(() => now.call(partial), logger),
    logger,
  }
}

/**
 * A clock that throws tells nothing of use. It is asked wherever time is needed, in the midst of a commit too, where there is
 * no call that could fail with it.
 */
function guarded(now: () => number, logger: Logger): () => number {
  let isTold = false
  return () => {
    try {
      return wholeMs(now())
    } catch (error) {
      if (!isTold) logger.error('environment.now threw; taken for 0', { error })
      isTold = true
      return 0
    }
  }
}

/** A logger that throws must fail neither a flush nor what it was about to tell of; there is nobody left to tell that. */
function unfailing(logger: Logger): Logger {
  const say =
    (level: keyof Logger) =>
    (msg: string, fields?: object): void => {
      try {
        logger[level](msg, fields)
      } catch {
        // As above.
      }
    }
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
}

/** Times are stored as whole milliseconds since 1970; a clock may say 1000.75, or nothing of use. */
function wholeMs(ms: number): number {
  return ms >= 0 && ms <= MS_MAX ? Math.floor(ms) : 0
}

/** The last moment that a Date can be. */
const MS_MAX = 8.64e15

function isFileSystem(value: unknown): value is FileSystem {
  return hasMethods(value, ['create', 'openRead', 'stat', 'list', 'syncDirectory', 'lock'])
}

function isLogger(value: unknown): value is Logger {
  return hasMethods(value, ['debug', 'info', 'warn', 'error'])
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}
