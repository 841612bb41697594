import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeFully } from '../../src/env/file-system.ts'
import { createNodeFileSystem } from '../../src/env/node-file-system.ts'
import { systemCode } from '../../src/env/disk-errors.ts'

const disk = createNodeFileSystem()
let root: string

beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'varve-fs-')))
})

afterEach(() => {
  fs.rmSync(root, { recursive: true })
})

function at(name: string): string {
  return path.join(root, name)
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    return systemCode(error)
  }
  return undefined
}

test('what was appended is read back, in both forms', async () => {
  const file = disk.create(at('a'))
  writeFully(file, Buffer.from('xabcdefx'), 1, 6)
  expect(file.size).toBe(6)
  await file.sync()
  const reader = disk.openRead(at('a'))
  expect(reader.size).toBe(6)
  const target = Buffer.alloc(8, '.')
  expect(reader.readSync(target, 1, 4, 2)).toBe(4)
  expect(target.toString()).toBe('.cdef...')
  expect(await reader.read(target, 0, 8, 3)).toBe(3)
  expect(target.toString('latin1', 0, 3)).toBe('def')
  expect(reader.readSync(target, 0, 8, 100)).toBe(0)
  expect(await reader.read(target, 0, 8, 100)).toBe(0)
  file.close()
  reader.close()
})

test('files and directories are for their owner only', () => {
  const mask = process.umask(0)
  try {
    disk.makeDirectory(at('x/y'))
    disk.create(at('x/y/a')).close()
  } finally {
    process.umask(mask)
  }
  expect(fs.statSync(at('x')).mode & 0o777).toBe(0o700)
  expect(fs.statSync(at('x/y')).mode & 0o777).toBe(0o700)
  expect(fs.statSync(at('x/y/a')).mode & 0o777).toBe(0o600)
})

test('making a directory that is there does nothing; a file in its place is an error', () => {
  disk.makeDirectory(root)
  disk.create(at('a')).close()
  expect(codeOf(() => disk.makeDirectory(at('a')))).toBe('EEXIST')
  expect(codeOf(() => disk.makeDirectory(at('a/b')))).toBe('ENOTDIR')
})

test('a directory that cannot be made is an error, also where its parent is there and the system knows none', () => {
  fs.symlinkSync(at('nowhere'), at('dangling'))
  expect(codeOf(() => disk.makeDirectory(at('dangling')))).toBe('EEXIST')
  expect(codeOf(() => disk.makeDirectory(at('dangling/x')))).toBe('EEXIST')
  if (process.platform !== 'linux') return
  expect(codeOf(() => disk.makeDirectory('/proc/varve'))).toBe('ENOENT')
  expect(codeOf(() => disk.makeDirectory('/proc/varve/x'))).toBe('ENOENT')
})

test('a name may hold what parts names elsewhere', { skip: process.platform === 'win32' }, () => {
  disk.makeDirectory(at('x\\y/z\\'))
  expect(fs.readdirSync(at('x\\y'))).toEqual(['z\\'])
})

test('creating a file that is there is EEXIST, and leaves it alone', () => {
  fs.writeFileSync(at('a'), 'abc')
  expect(codeOf(() => disk.create(at('a')))).toBe('EEXIST')
  expect(fs.readFileSync(at('a'), 'utf8')).toBe('abc')
})

test('a cut file goes on from there, and a longer one is refused', () => {
  const file = disk.create(at('a'))
  file.append(Buffer.from('abcdef'), 0, 6)
  file.truncate(2)
  expect(file.size).toBe(2)
  file.append(Buffer.from('XY'), 0, 2)
  expect(fs.readFileSync(at('a'), 'utf8')).toBe('abXY')
  expect(codeOf(() => file.truncate(5))).toBe('EINVAL')
  file.close()
})

test('a reader sees a file grow once it refreshes its size', () => {
  const file = disk.create(at('a'))
  const reader = disk.openRead(at('a'))
  expect(reader.size).toBe(0)
  file.append(Buffer.from('abc'), 0, 3)
  expect(reader.size).toBe(0)
  expect(reader.refreshSize()).toBe(3)
  expect(reader.size).toBe(3)
  file.close()
  reader.close()
})

test('stat tells files from directories and is undefined for what is not there', () => {
  fs.writeFileSync(at('a'), 'abc')
  expect(disk.stat(root)?.isDirectory).toBe(true)
  expect(disk.stat(at('a'))).toMatchObject({ isDirectory: false, size: 3 })
  expect(disk.stat(at('b'))).toBeUndefined()
  expect(disk.stat(at('a/b'))).toBeUndefined()
})

test('stat tells a file from its copy, and knows it again after a rename', () => {
  fs.writeFileSync(at('a'), 'abc')
  const before = disk.stat(at('a'))
  fs.copyFileSync(at('a'), at('b'))
  expect(disk.stat(at('b'))!.inode).not.toBe(before!.inode)
  disk.rename(at('a'), at('c'))
  expect(disk.stat(at('c'))).toEqual(before)
})

test('names are listed sorted, linked, renamed and removed', async () => {
  for (const name of ['b', 'a']) disk.create(at(name)).close()
  disk.link(at('a'), at('c'))
  disk.rename(at('b'), at('d'))
  expect(disk.list(root)).toEqual(['a', 'c', 'd'])
  expect(disk.stat(at('c'))!.inode).toBe(disk.stat(at('a'))!.inode)
  expect(codeOf(() => disk.link(at('a'), at('d')))).toBe('EEXIST')
  for (const name of ['a', 'c', 'd']) disk.remove(at(name))
  await disk.syncDirectory(root)
  disk.makeDirectory(at('x'))
  disk.removeDirectory(at('x'))
  expect(disk.list(root)).toEqual([])
  expect(codeOf(() => disk.list(at('x')))).toBe('ENOENT')
  await expect(disk.syncDirectory(at('x'))).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a path is resolved as far as it is there', () => {
  disk.makeDirectory(at('real'))
  fs.symlinkSync(at('real'), at('link'))
  expect(disk.canonicalPath(at('link'))).toBe(at('real'))
  expect(disk.canonicalPath(at('link/new/newer'))).toBe(at('real/new/newer'))
  expect(disk.canonicalPath('.')).toBe(fs.realpathSync('.'))
})

test('a descriptor is not given back while a call is using it', async () => {
  const bytes = Buffer.alloc(1 << 20, 1)
  const file = disk.create(at('a'))
  file.append(bytes, 0, bytes.length)
  const syncing = file.sync()
  file.close()
  const reader = disk.openRead(at('a'))
  const target = Buffer.alloc(bytes.length)
  const reading = reader.read(target, 0, target.length, 0)
  reader.close()
  // Would take the numbers that were given back too early.
  const others = [disk.create(at('b')), disk.create(at('c'))]
  await syncing
  expect(await reading).toBe(bytes.length)
  expect(target.equals(bytes)).toBe(true)
  for (const other of others) other.close()
  expect(codeOf(() => file.append(bytes, 0, 1))).toBe('EBADF')
  expect(codeOf(() => reader.readSync(target, 0, 1, 0))).toBe('EBADF')
  await expect(file.sync()).rejects.toMatchObject({ code: 'EBADF' })
})

test('a short write is an error with the size that was reached', () => {
  const file = disk.create(at('a'))
  const half = { ...wrap(file), append: (): number => 0 }
  expect(codeOf(() => writeFully(half, Buffer.from('abc'), 0, 3))).toBe('ENOSPC')
  file.close()
})

function wrap(file: ReturnType<typeof disk.create>): Parameters<typeof writeFully>[0] {
  return {
    path: file.path,
    size: file.size,
    append: (source, offset, length) => file.append(source, offset, length),
    sync: () => file.sync(),
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
  }
}
