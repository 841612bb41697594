/**
 * CURRENT names the manifest in force. Text, three lines:
 *
 * ```
 * varve 1
 * MANIFEST-000012
 * 8d1f03aa
 * ```
 *
 * The first is the format version, the last the checksum of the two lines before, in hex. It is only ever replaced whole:
 * written beside, synced, renamed, and the directory synced. So it is never torn, and anything wrong with it is corruption.
 */
import { rareChecksum } from '../base/checksum.ts'
import { corruption } from '../base/errors.ts'
import { systemCode } from '../env/disk-errors.ts'
import {
  CURRENT_FILE,
  joinPath,
  manifestFileName,
  parseFileName,
  temporaryFileName,
} from '../env/file-names.ts'
import {
  type FileSystem,
  type ReadableFile,
  type WritableFile,
  writeFully,
} from '../env/file-system.ts'
import { unsupportedFormat } from '../record/tagged-fields.ts'

export const CURRENT_FORMAT_VERSION = 1

/** Far more than any version needs; what is larger is no CURRENT. */
const CURRENT_BYTES_MAX = 4_096
const WORD = 'varve'
const CURRENT_LINES = /^varve \d{1,9}\n([^\n]*)\n([0-9a-f]{8})\n$/
const SUM_LINE_BYTES = 9

export function encodeCurrent(manifestNumber: number): Buffer {
  const text = `${WORD} ${CURRENT_FORMAT_VERSION}\n${manifestFileName(manifestNumber)}\n`
  return Buffer.from(`${text}${hexChecksum(text)}\n`)
}

/** Number of the manifest in force. `path` is for messages. */
export function decodeCurrent(bytes: Uint8Array, path: string): number {
  const fail = (message: string): never => {
    throw corruption(message, { file: path, offset: 0 })
  }
  const text = Buffer.from(bytes).toString()
  const version = Number(/^varve (\d{1,9})(?:\n|$)/.exec(text)?.[1])
  if (version > CURRENT_FORMAT_VERSION) {
    throw unsupportedFormat('the store', {
      file: path,
      found: version,
      supported: CURRENT_FORMAT_VERSION,
    })
  }
  const lines = CURRENT_LINES.exec(text)
  const end = bytes.length - SUM_LINE_BYTES
  if (lines === null || Number.parseInt(lines[2]!, 16) !== rareChecksum(bytes, 0, end)) {
    return fail('CURRENT is damaged')
  }
  const parsed = parseFileName(lines[1]!)
  if (parsed?.type !== 'manifest') return fail('CURRENT names no manifest')
  return parsed.number
}

/** Number of the manifest in force; undefined where there is no CURRENT. */
export function readCurrent(fs: FileSystem, directory: string): number | undefined {
  const path = joinPath(directory, CURRENT_FILE)
  const file = openIfThere(fs, path)
  if (file === undefined) return undefined
  try {
    // Without asking for its size: one byte more than it may have.
    const bytes = Buffer.allocUnsafe(CURRENT_BYTES_MAX + 1)
    const read = file.readSync(bytes, 0, bytes.length, 0)
    if (read > CURRENT_BYTES_MAX) {
      throw corruption('CURRENT is damaged: it is too large', { file: path, offset: 0 })
    }
    return decodeCurrent(bytes.subarray(0, read), path)
  } finally {
    file.close()
  }
}

function openIfThere(fs: FileSystem, path: string): ReadableFile | undefined {
  try {
    return fs.openRead(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Writes the new content beside CURRENT. The caller syncs it, and what it names, before `installCurrent`; and closes it. */
export function prepareCurrent(
  fs: FileSystem,
  directory: string,
  manifestNumber: number,
): WritableFile {
  const path = joinPath(directory, temporaryFileName(CURRENT_FILE))
  if (fs.stat(path) !== undefined) fs.remove(path)
  const bytes = encodeCurrent(manifestNumber)
  const file = fs.create(path)
  try {
    writeFully(file, bytes, 0, bytes.length)
    return file
  } catch (error) {
    file.close()
    throw error
  }
}

/** Puts what was prepared in force. Durable when the directory is synced. */
export function installCurrent(fs: FileSystem, directory: string): void {
  fs.rename(joinPath(directory, temporaryFileName(CURRENT_FILE)), joinPath(directory, CURRENT_FILE))
}

function hexChecksum(text: string): string {
  const bytes = Buffer.from(text)
  return rareChecksum(bytes, 0, bytes.length).toString(16).padStart(8, '0')
}
