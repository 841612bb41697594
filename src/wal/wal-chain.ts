/**
 * Which log files make up the write-ahead log, and in which order.
 *
 * The manifest names the first log that is still needed. Each log's header names the log before it, with its end. A log that
 * nothing leads to is not part of the log:
 *
 *  - it begins a chain of its own and the manifest does not name it: a recovery that did not finish had begun to copy into it;
 *  - its header is damaged: a power cut came before it was first synced, so nothing in it was promised;
 *  - the log before it is damaged so or missing: then nothing in it was promised either, unless it proves the contrary.
 *
 * Exactly when is a log needed? It is created, its header written and synced and its directory synced (all by `sync` of
 * WalWriter) before the manifest names it; so the log that the manifest names must be there, whole up to its first record.
 * And it is synced, with its directory, before the log after it counts any byte as durable; so a later log with such a count,
 * or with a header that calls the earlier one durable, proves that the earlier one must be there, whole up to its end.
 */
import { corruption } from '../base/errors.ts'
import { joinPath, type StoreFile, storeFiles, walFileName } from '../env/file-names.ts'
import type { FileSystem, ReadableFile } from '../env/file-system.ts'
import { recordSeed } from '../record/record-frame.ts'
import { RECORD_COMMIT, RECORD_HEADER_BYTES, RECORD_WAL_HEADER } from '../record/record-header.ts'
import { RecordReader } from '../record/record-reader.ts'
import { decodeWalHeader, WAL_HEADER_SEED, type WalEnd, type WalHeader } from './wal-header.ts'

/** A header is much shorter. */
const HEADER_READ_BYTES = 4096

export interface WalFile {
  readonly number: number
  readonly path: string
  /** Undefined: damaged, or of another store. */
  readonly header: WalHeader | undefined
  /** Behind the header, where nothing else is in the log: there is no more to read. */
  readonly emptyEnd: WalEnd | undefined
}

export interface WalChain {
  /** In order; the first is the one that the manifest names. */
  readonly logs: readonly WalFile[]
  /** Logs with higher numbers than the first that are not part of the chain. */
  readonly others: readonly WalFile[]
  /** Those of the others that continue a log which is missing or whose header is damaged, as far as one can follow. */
  readonly detached: readonly WalFile[]
}

export interface WalChainOptions {
  readonly fs: FileSystem
  readonly directory: string
  /** `StoreState.logId`. */
  readonly logId: string
  /** The first log that is needed. */
  readonly walNumber: number
  /** What is in the directory, where that is known and nobody else changes it. */
  readonly files?: readonly StoreFile[] | undefined
}

/** Numbers of all log files in the directory, ascending. `files`: what is there. */
export function listLogs(
  fs: FileSystem,
  directory: string,
  files: readonly StoreFile[] = storeFiles(fs.list(directory)),
): number[] {
  const numbers: number[] = []
  for (const { type, number } of files) {
    if (type === 'wal') numbers.push(number)
  }
  return numbers.sort((a, b) => a - b)
}

/** Reads the headers and puts the logs in order. VARVE_CORRUPTION when the first one is missing or its header damaged. */
export async function loadWalChain(options: WalChainOptions): Promise<WalChain> {
  const { fs, directory, logId, walNumber } = options
  const files: WalFile[] = []
  for (const number of listLogs(fs, directory, options.files)) {
    if (number < walNumber) continue
    const path = joinPath(directory, walFileName(number))
    files.push(await readHeader(fs, path, { number, logId }))
  }
  const first = files[0]
  const path = joinPath(directory, walFileName(walNumber))
  if (first?.number !== walNumber) {
    throw corruption('a log that the manifest names is missing', { file: path })
  }
  if (first.header === undefined) {
    throw corruption('the header of a log that the manifest names is damaged', {
      file: path,
      offset: 0,
    })
  }
  const logs = [first]
  const others = new Set(files.slice(1))
  for (;;) {
    const next = await successor(fs, logs.at(-1)!, [...others], logId)
    if (next === undefined) {
      return { logs, others: [...others], detached: detachedOf(logs, [...others], walNumber) }
    }
    others.delete(next)
    logs.push(next)
  }
}

/** The log that continues `log`. Attempts to create one that came to nothing may have left others. */
async function successor(
  fs: FileSystem,
  log: WalFile,
  files: readonly WalFile[],
  logId: string,
): Promise<WalFile | undefined> {
  const candidates = files.filter(({ header }) => header?.previous?.number === log.number)
  const chosen = candidates.pop()
  for (const file of candidates) {
    if ((await scanLog(fs, file, logId)).hasCommits) {
      throw corruption('two logs continue the same one', { file: file.path, offset: 0 })
    }
  }
  return chosen
}

/**
 * A recovery that did not finish leaves a chain of its own, with a beginning: nothing in that was promised. What has no
 * beginning may be the rest of our chain.
 */
function detachedOf(
  logs: readonly WalFile[],
  others: readonly WalFile[],
  walNumber: number,
): WalFile[] {
  const detached = new Set<number>()
  const byNumber = new Map([...logs, ...others].map((log) => [log.number, log]))
  // Ascending: a log comes after the one that it continues.
  for (const { number, header } of others) {
    const link = header?.previous
    if (link === undefined || link.number < walNumber) continue
    const isLost = byNumber.get(link.number)?.header === undefined
    if (isLost || detached.has(link.number)) detached.add(number)
  }
  return others.filter(({ number }) => detached.has(number))
}

/** What a look at a whole log tells of those before it. */
export interface WalScan {
  /** Some record counts bytes of it as durable: then every earlier log is durable. */
  readonly hasDurableRecords: boolean
  /** Commits, whether or not something before them is damaged. */
  readonly hasCommits: boolean
}

export async function scanLog(fs: FileSystem, file: WalFile, logId: string): Promise<WalScan> {
  return withFile(fs, file.path, async (readable) => {
    const reader = openRecords(readable, file.number, logId)
    let hasCommits = false
    let isGood = await reader.next(WAL_HEADER_SEED)
    while (isGood) {
      hasCommits ||= reader.type === RECORD_COMMIT
      isGood = await reader.next()
    }
    const behind = reader.isAtEnd ? undefined : await reader.findBehind()
    return {
      hasDurableRecords: reader.durableBytes > 0 || (behind?.durableBytes ?? 0) > 0,
      hasCommits: hasCommits || behind !== undefined,
    }
  })
}

/** VARVE_CORRUPTION when the header is damaged by something else than a power cut before its first sync. */
async function readHeader(
  fs: FileSystem,
  path: string,
  log: { number: number; logId: string },
): Promise<WalFile> {
  const { number } = log
  return withFile(fs, path, async (file) => {
    const reader = openRecords(file, number, log.logId, HEADER_READ_BYTES)
    if (await reader.next(WAL_HEADER_SEED)) {
      if (reader.type !== RECORD_WAL_HEADER)
        throw reader.corruption(0, 'a log begins without header')
      const start = reader.start + RECORD_HEADER_BYTES
      const header = decodeWalHeader(reader.bytes, start, reader.end, path)
      const { position: bytes, lastChecksum } = reader
      const emptyEnd = reader.isAtEnd ? { number, bytes, checksum: lastChecksum } : undefined
      return { number, path, header: header.logId === log.logId ? header : undefined, emptyEnd }
    }
    const damage = await reader.damage()
    if (damage?.isRot === true) throw reader.corruption(0, `log header: ${damage.reason}`)
    return { number, path, header: undefined, emptyEnd: undefined }
  })
}

export function openRecords(
  file: ReadableFile,
  number: number,
  logId: string,
  readBytes?: number,
): RecordReader {
  const options = { fileNumber: number, seed: recordSeed(logId) }
  return new RecordReader(file, readBytes === undefined ? options : { ...options, readBytes })
}

export async function withFile<T>(
  fs: FileSystem,
  path: string,
  use: (file: ReadableFile) => Promise<T>,
): Promise<T> {
  const file = fs.openRead(path)
  try {
    return await use(file)
  } finally {
    file.close()
  }
}
