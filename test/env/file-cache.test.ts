import { expect, test } from 'vitest'
import { openFilesLimit } from '../../src/env/descriptor-limit.ts'
import { FileCache } from '../../src/env/file-cache.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { systemCode } from '../../src/env/disk-errors.ts'
import { systemError } from '../../src/env/system-error.ts'

const target = Buffer.alloc(16)

function diskWith(count: number): { fs: MemoryFileSystem; paths: string[] } {
  const fs = new MemoryFileSystem()
  const paths = Array.from({ length: count }, (_, i) => `/${i}`)
  for (const path of paths) {
    const file = fs.create(path)
    file.append(Buffer.from(path), 0, path.length)
    file.close()
  }
  return { fs, paths }
}

function read(cache: FileCache, path: string): string {
  const file = cache.open(path)
  return target.toString('latin1', 0, file.readSync(target, 0, file.size, 0))
}

test('a file is opened at its first use', () => {
  const { fs } = diskWith(1)
  const cache = new FileCache(fs, { openFilesMax: 4 })
  const file = cache.open('/0')
  expect(fs.openFileCount).toBe(0)
  expect(file.size).toBe(2)
  expect(fs.openFileCount).toBe(1)
  expect(cache.open('/0')).toBe(file)
})

test('every file can be read with few descriptors', async () => {
  const { fs, paths } = diskWith(50)
  const cache = new FileCache(fs, { openFilesMax: 4 })
  for (let round = 0; round < 3; round++) {
    for (const path of paths) {
      expect(read(cache, path)).toBe(path)
      expect(await cache.open(path).read(target, 0, 16, 0)).toBe(path.length)
      expect(fs.openFileCount).toBeLessThanOrEqual(4)
    }
  }
  expect(cache.openFileCount).toBe(4)
  const file = cache.open('/0')
  cache.close()
  expect(fs.openFileCount).toBe(0)
  expect(codeOf(() => file.readSync(target, 0, 1, 0))).toBe('VARVE_CLOSED')
})

test('where no bound is given, the one of the process counts', () => {
  const { fs, paths } = diskWith(600)
  const cache = new FileCache(fs, {})
  for (const path of paths) expect(read(cache, path)).toBe(path)
  expect(cache.openFileCount).toBe(openFilesLimit())
  cache.close()
})

test('a file that is read all the time stays open', () => {
  const { fs, paths } = diskWith(20)
  const opened: string[] = []
  const openRead = fs.openRead.bind(fs)
  fs.openRead = (path) => {
    opened.push(path)
    return openRead(path)
  }
  const cache = new FileCache(fs, { openFilesMax: 4 })
  for (let round = 0; round < 3; round++) {
    for (const path of paths) {
      read(cache, path)
      read(cache, '/0')
    }
  }
  expect(opened.filter((path) => path === '/0').length).toBeLessThan(5)
})

test('a forgotten file is closed, and opened anew when it is asked for again', () => {
  const { fs } = diskWith(2)
  const cache = new FileCache(fs, { openFilesMax: 4 })
  read(cache, '/0')
  read(cache, '/1')
  cache.forget('/0')
  cache.forget('/nowhere')
  expect(fs.openFileCount).toBe(1)
  fs.remove('/0')
  expect(codeOf(() => read(cache, '/0'))).toBe('ENOENT')
})

test('when descriptors run out, half are closed and the opening is tried again', async () => {
  const { fs, paths } = diskWith(20)
  const cache = new FileCache(fs, { openFilesMax: 100 })
  for (const path of paths.slice(0, 8)) read(cache, path)
  fs.inject({ operation: 'read', effect: 'EMFILE' })
  expect(read(cache, '/9')).toBe('/9')
  expect(cache.openFileCount).toBe(5)
  fs.inject({ operation: 'create', effect: 'EMFILE' })
  cache.fs.create('/new').close()
  expect(cache.openFileCount).toBe(2)
  fs.inject({ operation: 'syncDirectory', effect: 'EMFILE' })
  await cache.fs.syncDirectory('/')
  expect(cache.openFileCount).toBe(1)
  for (const path of paths) expect(read(cache, path)).toBe(path)
})

test('a shortage that is not ours to mend is passed on', async () => {
  const { fs } = diskWith(2)
  const cache = new FileCache(fs, { openFilesMax: 100 })
  fs.inject({ operation: 'read', times: Infinity, effect: 'EMFILE' })
  expect(codeOf(() => read(cache, '/0'))).toBe('EMFILE')
  fs.clearFaults()
  read(cache, '/0')
  fs.inject({ operation: 'syncDirectory', times: 2, effect: 'EMFILE' })
  await expect(cache.fs.syncDirectory('/')).rejects.toMatchObject({ code: 'EMFILE' })
  expect(codeOf(() => cache.fs.openRead('/nowhere'))).toBe('ENOENT')
})

test('room is made for a list of the directory too', () => {
  class Short extends MemoryFileSystem {
    isShort = false
    override list(directory: string): string[] {
      if (!this.isShort) return super.list(directory)
      this.isShort = false
      throw systemError('ENFILE', 'scandir', directory)
    }
  }
  const fs = new Short()
  for (const path of ['/a', '/b']) fs.create(path).close()
  const cache = new FileCache(fs, { openFilesMax: 100 })
  for (const path of ['/a', '/b']) read(cache, path)
  fs.isShort = true
  expect(cache.fs.list('/').sort()).toEqual(['a', 'b'])
  expect(cache.openFileCount).toBe(1)
})

test('a directory whose sync has failed is not synced again, whatever could be closed', async () => {
  const { fs, paths } = diskWith(4)
  const cache = new FileCache(fs, { openFilesMax: 100 })
  for (const path of paths) read(cache, path)
  // The next one would succeed, and what it should have made durable be gone.
  fs.inject({ operation: 'syncDirectory', effect: 'EIO' })
  await expect(cache.fs.syncDirectory('/')).rejects.toMatchObject({ code: 'EIO' })
  expect(cache.openFileCount).toBe(4)
})

test('with keepOpen no file is closed to make room: it may be gone', () => {
  const { fs, paths } = diskWith(4)
  const cache = new FileCache(fs, { openFilesMax: 2, keepOpen: true })
  for (const path of paths) cache.open(path)
  for (const path of paths) fs.remove(path)
  fs.inject({ operation: 'create', effect: 'EMFILE' })
  expect(codeOf(() => cache.fs.create('/new'))).toBe('EMFILE')
  for (const path of paths) expect(read(cache, path)).toBe(path)
})

test('with keepOpen every file is opened at once and survives its removal', () => {
  const { fs, paths } = diskWith(10)
  const cache = new FileCache(fs, { openFilesMax: 2, keepOpen: true })
  for (const path of paths) cache.open(path)
  expect(fs.openFileCount).toBe(10)
  for (const path of paths) fs.remove(path)
  for (const path of paths) expect(read(cache, path)).toBe(path)
  expect(codeOf(() => cache.open('/nowhere'))).toBe('ENOENT')
})

test('a file that could not be opened can be asked for again', () => {
  const { fs } = diskWith(1)
  const cache = new FileCache(fs, { openFilesMax: 2, keepOpen: true })
  fs.inject({ operation: 'read', effect: 'EMFILE' })
  expect(codeOf(() => cache.open('/0'))).toBe('EMFILE')
  expect(read(cache, '/0')).toBe('/0')
})

test('the size is read anew on request', () => {
  const fs = new MemoryFileSystem()
  const writer = fs.create('/log')
  const cache = new FileCache(fs, { openFilesMax: 2 })
  const file = cache.open('/log')
  expect(file.size).toBe(0)
  writer.append(Buffer.from('abc'), 0, 3)
  expect(file.size).toBe(0)
  expect(file.refreshSize()).toBe(3)
  expect(file.size).toBe(3)
})

test('slow reads turn the disk slow for a while; a file system in memory never is', () => {
  const { fs } = diskWith(1)
  let nowMs = 0
  const openRead = fs.openRead.bind(fs)
  fs.openRead = (path) => {
    const file = openRead(path)
    const readSync = file.readSync.bind(file)
    file.readSync = (...args) => {
      nowMs += 1
      return readSync(...args)
    }
    return file
  }
  const plain = new FileCache(fs, { openFilesMax: 2 })
  const watched = new FileCache(fs, { openFilesMax: 2, monotonicMs: () => nowMs })
  for (let i = 0; i < 20; i++) {
    read(plain, '/0')
    read(watched, '/0')
  }
  expect(plain.isDiskFast).toBe(true)
  expect(watched.isDiskFast).toBe(false)
  nowMs += 10_000
  expect(watched.isDiskFast).toBe(true)
})

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    return systemCode(error)
  }
  return undefined
}
