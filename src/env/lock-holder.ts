/**
 * Who holds a store's lock, as the LOCK file tells it, and whether that process may still be there.
 *
 * Process ids say little by themselves: they are used again after a reboot, and mean another process in another container.
 * So the file names the kernel that ran (boot id), the namespaces on Linux, and when the process started.
 */
import fs from 'node:fs'
import os from 'node:os'
import { systemCode } from './disk-errors.ts'

export interface LockHolder {
  readonly pid: number
  readonly host: string
  /** Drawn for each lock: tells this LOCK file from a later one. */
  readonly token: string
  /** Inode of the directory: a copied directory carries the LOCK of the original. */
  readonly directoryInode: number
  /** The rest is known on Linux only. `startTicks`: when the process started, in clock ticks since boot. */
  readonly startTicks: string | undefined
  readonly bootId: string | undefined
  readonly pidNamespace: string | undefined
  readonly netNamespace: string | undefined
  /** Each container has its own. */
  readonly utsNamespace: string | undefined
}

export function describeSelf(token: string, directoryInode: number): LockHolder {
  return {
    pid: process.pid,
    host: os.hostname(),
    token,
    directoryInode,
    startTicks: startTicks(process.pid),
    bootId: readText('/proc/sys/kernel/random/boot_id'),
    pidNamespace: readNamespace('pid'),
    netNamespace: readNamespace('net'),
    utsNamespace: readNamespace('uts'),
  }
}

export function encodeHolder(holder: LockHolder): string {
  return `${JSON.stringify(holder, undefined, 2)}\n`
}

/** Undefined for what no writer of ours has written whole. */
export function decodeHolder(text: string): LockHolder | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
  if (typeof value !== 'object' || value === null) return undefined
  const field = (name: string): unknown => Reflect.get(value, name)
  const optional = (name: string): string | undefined => {
    const text = field(name)
    return typeof text === 'string' ? text : undefined
  }
  const pid = field('pid')
  const host = optional('host')
  const token = optional('token')
  const directoryInode = field('directoryInode')
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0) return undefined
  if (host === undefined || token === undefined) return undefined
  if (typeof directoryInode !== 'number') return undefined
  return {
    pid,
    host,
    token,
    directoryInode,
    startTicks: optional('startTicks'),
    bootId: optional('bootId'),
    pidNamespace: optional('pidNamespace'),
    netNamespace: optional('netNamespace'),
    utsNamespace: optional('utsNamespace'),
  }
}

/**
 * Whether the holder may still be running, seen from `self`. Where nobody can tell (another machine, another container),
 * it may.
 *
 * @param isProcess whether that process of this pid namespace runs; a seam for tests
 */
export function mayBeAlive(
  holder: LockHolder,
  self: LockHolder,
  isProcess: (pid: number, startTicks: string | undefined) => boolean = isRunning,
): boolean {
  if (holder.directoryInode !== self.directoryInode) return false
  if (holder.host !== self.host) return true
  if (holder.bootId !== self.bootId) return false
  if (holder.pidNamespace === self.pidNamespace) return isProcess(holder.pid, holder.startTicks)
  // A container that was started again has its old name, but no namespace of its former life.
  return holder.utsNamespace === self.utsNamespace
}

function isRunning(pid: number, ticks: string | undefined): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, but somebody else's.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
  }
  return ticks === undefined || startTicks(pid) === ticks
}

/** Field 22 of /proc/<pid>/stat; the second one, a name in parentheses, may itself hold blanks and parentheses. */
function startTicks(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ', 20)[19]
}

function readText(file: string): string | undefined {
  return whereKnown(() => fs.readFileSync(file, 'utf8').trim())
}

function readNamespace(kind: 'pid' | 'net' | 'uts'): string | undefined {
  return whereKnown(() => fs.readlinkSync(`/proc/self/ns/${kind}`))
}

/**
 * Undefined where the system has no such file, or shows it to nobody. Any other failure must not look like that: without
 * knowing itself a process would take the lock of another one that is alive.
 */
function whereKnown(read: () => string): string | undefined {
  try {
    return read()
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined
    throw error
  }
}
