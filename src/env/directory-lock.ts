/**
 * The writer's lock on a store's directory. Node has no flock, so there are two parts:
 *
 *  - On Linux an abstract unix socket named after the directory's device and inode: symbolic links, bind mounts, worker
 *    threads and other processes all meet at it, and the kernel frees it with the process, however that ends. It does not
 *    reach across network namespaces, that is, into other containers.
 *  - The LOCK file beside it reaches everywhere, but stays behind when the process is killed. Whoever has the socket may
 *    replace a LOCK file whose writer is gone; see lock-holder.ts for how that is told.
 *
 * Elsewhere the LOCK file stands alone, created exclusively.
 */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import { VarveError } from '../base/errors.ts'
import { joinPath, LOCK_FILE, lockAsideName, temporaryFileName } from './file-names.ts'
import type { DirectoryLock } from './file-system.ts'
import {
  decodeHolder,
  describeSelf,
  encodeHolder,
  type LockHolder,
  mayBeAlive,
} from './lock-holder.ts'
import { systemCode } from './disk-errors.ts'

/** A LOCK file that nobody can read is somebody's who is just writing it, or garbage after so long. */
const UNREADABLE_MS_MAX = 2_000

/** Takes the lock, or throws VARVE_LOCKED with { holder }. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  return process.platform === 'linux' ? await lockBySocket(directory) : await lockByFile(directory)
}

async function lockBySocket(directory: string): Promise<DirectoryLock> {
  const stat = fs.statSync(directory)
  const server = await listen(`\0varve:${stat.dev}:${stat.ino}`)
  // A sandbox may forbid sockets; the file then does what it can.
  if (server === undefined) return await lockByFile(directory)
  if (server === 'in use') throw lockedNow(directory, readHolder(directory), stat.ino)
  try {
    const self = describeSelf(newToken(), stat.ino)
    const holder = readHolder(directory)
    // Having the socket proves that nobody of this network namespace is left.
    const isNeighbour = holder?.bootId === self.bootId && holder?.netNamespace === self.netNamespace
    if (holder !== undefined && !isNeighbour && mayBeAlive(holder, self)) {
      throw lockedByFile(directory, holder)
    }
    const temporary = joinPath(directory, temporaryFileName(LOCK_FILE))
    fs.writeFileSync(temporary, encodeHolder(self), { mode: 0o600 })
    fs.renameSync(temporary, joinPath(directory, LOCK_FILE))
    return releasable(async () => {
      removeOwn(directory, self)
      await closeServer(server)
    })
  } catch (error) {
    await closeServer(server)
    throw error
  }
}

/** The lock without a socket: for other systems than Linux. Exported for its tests. */
export async function lockByFile(directory: string): Promise<DirectoryLock> {
  const self = describeSelf(newToken(), fs.statSync(directory).ino)
  const file = joinPath(directory, LOCK_FILE)
  for (let attempts = 0; attempts < 3; attempts++) {
    if (createExclusively(file, encodeHolder(self))) {
      return releasable(async () => removeOwn(directory, self))
    }
    const holder = readHolder(directory)
    if (holder === undefined ? isFresh(file) : mayBeAlive(holder, self)) {
      throw lockedByFile(directory, holder)
    }
    removeStale(directory, holder)
  }
  throw lockedByFile(directory, readHolder(directory))
}

/** The server, 'in use', or undefined where sockets are not to be had. */
function listen(name: string): Promise<net.Server | 'in use' | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((connection) => connection.destroy())
    // A store that is open must not keep an idle program from ending.
    server.unref()
    server.once('error', (error) =>
      resolve(systemCode(error) === 'EADDRINUSE' ? 'in use' : undefined),
    )
    server.listen({ path: name, exclusive: true }, () => resolve(server))
  })
}

function closeServer(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function releasable(release: () => Promise<void>): DirectoryLock {
  let released: Promise<void> | undefined
  return { release: () => (released ??= release()) }
}

function createExclusively(file: string, text: string): boolean {
  try {
    fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

function readHolder(directory: string): LockHolder | undefined {
  const file = joinPath(directory, LOCK_FILE)
  // Mostly it is not there: an error costs more than asking.
  if (fs.statSync(file, { throwIfNoEntry: false }) === undefined) return undefined
  try {
    return decodeHolder(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function isFresh(file: string): boolean {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat !== undefined && Date.now() - stat.mtimeMs < UNREADABLE_MS_MAX
}

/** Moved aside first: two who find the same stale file must not remove each other's new one. */
function removeStale(directory: string, stale: LockHolder | undefined): void {
  const file = joinPath(directory, LOCK_FILE)
  const aside = joinPath(directory, lockAsideName(newToken()))
  try {
    fs.renameSync(file, aside)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const moved = decodeHolder(fs.readFileSync(aside, 'utf8'))
  if (moved?.token === stale?.token) fs.unlinkSync(aside)
  else fs.renameSync(aside, file)
}

function removeOwn(directory: string, self: LockHolder): void {
  if (readHolder(directory)?.token === self.token) fs.unlinkSync(joinPath(directory, LOCK_FILE))
}

function newToken(): string {
  return randomUUID()
}

/** Somebody has the socket, so is alive: nothing is to be removed. */
function lockedNow(
  directory: string,
  holder: LockHolder | undefined,
  directoryInode: number,
): VarveError {
  if (holder !== undefined && isOurProcess(holder, directoryInode)) {
    return locked('this process already. Open it once and share it', directory, holder)
  }
  return locked(`${nameOf(holder)}. With readOnly it can be read beside that`, directory, holder)
}

/** Only the LOCK file says so, which stays behind where a process is killed. */
function lockedByFile(directory: string, holder: LockHolder | undefined): VarveError {
  const file = joinPath(directory, LOCK_FILE)
  return locked(`${nameOf(holder)}. If that is surely gone, remove ${file}`, directory, holder)
}

function isOurProcess(holder: LockHolder, directoryInode: number): boolean {
  const { pid, startTicks, pidNamespace } = describeSelf('', directoryInode)
  return (
    holder.pid === pid && holder.startTicks === startTicks && holder.pidNamespace === pidNamespace
  )
}

function nameOf(holder: LockHolder | undefined): string {
  return holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`
}

function locked(where: string, directory: string, holder: LockHolder | undefined): VarveError {
  return new VarveError('VARVE_LOCKED', `${directory} is open in ${where}`, {
    holder: holder && { pid: holder.pid, host: holder.host },
  })
}
