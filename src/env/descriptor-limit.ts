/**
 * How many descriptors a store may keep open to read from. They are shared with the rest of the program, which must not run
 * out of them because a store has many files.
 */
import fs from 'node:fs'

/** More cost kernel memory and save nothing: what is read often fits. */
const OPEN_FILES_MAX = 512
/** A search through levels needs some to be of any use. */
export const OPEN_FILES_MIN = 16

/** A quarter of what the process may have, within bounds. Where the system does not tell, the most. */
export function openFilesLimit(read: () => string = readLimits): number {
  const limit = /^Max open files\s+(\d+)/m.exec(read())?.[1]
  if (limit === undefined) return OPEN_FILES_MAX
  return Math.max(OPEN_FILES_MIN, Math.min(OPEN_FILES_MAX, Math.floor(Number(limit) / 4)))
}

function readLimits(): string {
  try {
    return fs.readFileSync('/proc/self/limits', 'latin1')
  } catch {
    // No Linux, or no /proc: nobody tells.
    return ''
  }
}
