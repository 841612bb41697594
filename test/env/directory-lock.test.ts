import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lockByFile } from '../../src/env/directory-lock.ts'
import { createNodeFileSystem } from '../../src/env/node-file-system.ts'
import { describeSelf, encodeHolder, type LockHolder } from '../../src/env/lock-holder.ts'

const HOLDER = new URL('./lock-holder-process.ts', import.meta.url)
const disk = createNodeFileSystem()

let root: string
let directory: string
const children: ChildProcess[] = []
const workers: Worker[] = []

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-lock-'))
  directory = path.join(root, 'db')
  fs.mkdirSync(directory)
})

afterEach(async () => {
  for (const child of children.splice(0)) await end(child)
  for (const worker of workers.splice(0)) await worker.terminate()
  fs.rmSync(root, { recursive: true })
})

/** Starts a process that tries to take the lock; resolves to its answer. */
function lockInProcess(prefix: string[] = []): Promise<{ answer: string; child: ChildProcess }> {
  const [command, ...args] = [...prefix, process.execPath, '--import', 'tsx', HOLDER.pathname]
  const child = spawn(command!, [...args, directory], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`The other process ended with ${code}`)))
    child.stdout!.once('data', (data) => resolve({ answer: String(data).trim(), child }))
  })
}

function lockInWorker(): Promise<string> {
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(HOLDER.href)}) })`
  const worker = new Worker(code, { eval: true, workerData: { directory } })
  workers.push(worker)
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', resolve)
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
}

const LOCKED = { code: 'VARVE_LOCKED', details: { holder: { pid: process.pid } } }
const isLinux = process.platform === 'linux'

/** What is said after the directory, by whoever refuses the lock. */
async function refusal(lock: Promise<unknown>): Promise<string> {
  const error = await lock.then(
    () => new Error('not refused'),
    (refused: Error) => refused,
  )
  return error.message.replaceAll(directory, '<directory>')
}

describe('the lock on a directory', () => {
  test('is refused a second time in this process, with its holder, and also through a symbolic link', async () => {
    const lock = await disk.lock(directory)
    await expect(disk.lock(directory)).rejects.toMatchObject(LOCKED)
    const link = path.join(root, 'link')
    fs.symlinkSync(directory, link)
    await expect(disk.lock(link)).rejects.toMatchObject(LOCKED)
    await lock.release()
    await (await disk.lock(link)).release()
  })

  test('says that it is held in this process, and in another one that it can be read', async () => {
    const lock = await disk.lock(directory)
    expect(await refusal(disk.lock(directory))).toMatch(
      isLinux
        ? 'open in this process already. Open it once and share it'
        : 'If that is surely gone',
    )
    await lock.release()
    const { child } = await lockInProcess()
    expect(await refusal(disk.lock(directory))).toMatch(
      isLinux
        ? `open in process ${child.pid} on ${os.hostname()}. With readOnly it can be read`
        : 'If that is surely gone',
    )
  })

  test('goes to exactly one of many who ask at once', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => disk.lock(directory)))
    const taken = answers.filter((answer) => answer.status === 'fulfilled')
    expect(taken.length).toBe(1)
    await taken[0]!.value.release()
  })

  test('leaves nothing behind when it is released, twice or once', async () => {
    const lock = await disk.lock(directory)
    expect(fs.readdirSync(directory)).toEqual(['LOCK'])
    expect(fs.statSync(path.join(directory, 'LOCK')).mode & 0o777).toBe(0o600)
    await lock.release()
    await lock.release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  test('is refused to worker threads and other processes', async () => {
    const lock = await disk.lock(directory)
    expect(await lockInWorker()).toBe('VARVE_LOCKED')
    expect((await lockInProcess()).answer).toBe('VARVE_LOCKED')
    await lock.release()
  })

  test('is refused while a worker thread has it, and free when that was terminated', async () => {
    expect(await lockInWorker()).toBe('locked')
    await expect(disk.lock(directory)).rejects.toMatchObject(LOCKED)
    await workers.pop()!.terminate()
    await (await disk.lock(directory)).release()
  })

  test('is refused while another process has it, and free once that was killed', async () => {
    const { answer, child } = await lockInProcess()
    expect(answer).toBe('locked')
    await expect(disk.lock(directory)).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
      details: { holder: { pid: child.pid } },
    })
    await end(child)
    expect(fs.readdirSync(directory)).toEqual(['LOCK'])
    await (await disk.lock(directory)).release()
  })

  test('two directories have two locks', async () => {
    const other = path.join(root, 'other')
    fs.mkdirSync(other)
    const locks = [await disk.lock(directory), await disk.lock(other)]
    for (const lock of locks) await lock.release()
  })

  test('does not keep a program from ending', () => {
    const code = `const { createNodeFileSystem } = await import(${JSON.stringify(new URL('../../src/env/node-file-system.ts', import.meta.url).href)})
      await createNodeFileSystem().lock(${JSON.stringify(directory)})`
    const args = ['--import', 'tsx', '--input-type=module', '-e', code]
    expect(spawnSync(process.execPath, args, { timeout: 30_000 }).status).toBe(0)
  })

  test('needs a directory that is there', async () => {
    await expect(disk.lock(path.join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('garbage in the LOCK file does not block where the socket decides', {
    skip: !isLinux,
  }, async () => {
    fs.writeFileSync(path.join(directory, 'LOCK'), '{"pid": 12')
    await (await disk.lock(directory)).release()
  })

  test('a copied directory is free, though its LOCK names a running process', async () => {
    const lock = await disk.lock(directory)
    const copy = path.join(root, 'copy')
    fs.cpSync(directory, copy, { recursive: true })
    await (await disk.lock(copy)).release()
    await lock.release()
  })
})

const canUnshare = isLinux && spawnSync('unshare', ['--net', 'true']).status === 0

describe.skipIf(!canUnshare)('in another network namespace', () => {
  test('the LOCK file of a running process counts, and no longer when it was killed', async () => {
    const { answer, child } = await lockInProcess(['unshare', '--net'])
    expect(answer).toBe('locked')
    await expect(disk.lock(directory)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
    await end(child)
    await (await disk.lock(directory)).release()
  })

  test('our LOCK file counts', async () => {
    const lock = await disk.lock(directory)
    expect((await lockInProcess(['unshare', '--net'])).answer).toBe('VARVE_LOCKED')
    await lock.release()
  })
})

describe('the lock by file alone', () => {
  test('is refused while it is held and free after its release', async () => {
    const lock = await lockByFile(directory)
    await expect(lockByFile(directory)).rejects.toMatchObject(LOCKED)
    expect(await refusal(lockByFile(directory))).toContain('remove <directory>/LOCK')
    await lock.release()
    await lock.release()
    expect(fs.readdirSync(directory)).toEqual([])
    await (await lockByFile(directory)).release()
  })

  test('replaces the file of a process that is gone', async () => {
    writeLock({ pid: 2 ** 22 + 1, startTicks: undefined })
    await (await lockByFile(directory)).release()
    expect(fs.readdirSync(directory)).toEqual([])
  })

  test('refuses the file of another machine', async () => {
    writeLock({ host: 'elsewhere', bootId: 'another' })
    await expect(lockByFile(directory)).rejects.toMatchObject({
      details: { holder: { host: 'elsewhere' } },
    })
  })

  test('takes an unreadable file for one that is being written, for a while', async () => {
    const file = path.join(directory, 'LOCK')
    fs.writeFileSync(file, '')
    await expect(lockByFile(directory)).rejects.toMatchObject({ details: { holder: undefined } })
    fs.utimesSync(file, 1_000, 1_000)
    await (await lockByFile(directory)).release()
  })

  test('does not remove a LOCK file that is no longer its own', async () => {
    const lock = await lockByFile(directory)
    writeLock({ token: 'another' })
    await lock.release()
    expect(fs.readdirSync(directory)).toEqual(['LOCK'])
  })
})

function writeLock(changes: Partial<LockHolder>): void {
  const holder = { ...describeSelf('token', fs.statSync(directory).ino), ...changes }
  fs.writeFileSync(path.join(directory, 'LOCK'), encodeHolder(holder))
}
