import { describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { WritableFile } from '../../src/env/file-system.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { systemCode } from '../../src/env/disk-errors.ts'

const DB = '/db'

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

function append(file: WritableFile, text: string): number {
  return file.append(bytes(text), 0, text.length)
}

function content(fs: MemoryFileSystem, path: string): string | undefined {
  const found = fs.files().get(path)
  return found && Buffer.from(found).toString()
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    return systemCode(error)
  }
  return undefined
}

async function codeOfAsync(run: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await run()
  } catch (error) {
    return systemCode(error)
  }
  return undefined
}

function newDisk(): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(DB)
  return fs
}

/** A file that is synced, name and content. */
async function syncedFile(fs: MemoryFileSystem, path: string, text: string): Promise<WritableFile> {
  const file = fs.create(path)
  append(file, text)
  await file.sync()
  await fs.syncDirectory(DB)
  return file
}

describe('files', () => {
  test('what was appended is read back, across chunks', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    const source = Buffer.alloc(200_000)
    for (let i = 0; i < source.length; i++) source[i] = (i * 7) ^ (i >>> 8)
    for (let at = 0; at < source.length; at += 1_337) {
      expect(file.append(source, at, Math.min(1_337, source.length - at))).toBeGreaterThan(0)
    }
    const reader = fs.openRead('/db/a')
    const target = Buffer.alloc(150_000)
    expect(reader.size).toBe(200_000)
    expect(reader.readSync(target, 10, 140_000, 50_000)).toBe(140_000)
    expect(target.subarray(10, 140_010).equals(source.subarray(50_000, 190_000))).toBe(true)
    expect(Buffer.from(fs.files().get('/db/a')!).equals(source)).toBe(true)
  })

  test('a read at and behind the end gives what is there', async () => {
    const fs = newDisk()
    append(fs.create('/db/a'), 'abc')
    const reader = fs.openRead('/db/a')
    const target = Buffer.alloc(8)
    expect(await reader.read(target, 0, 8, 1)).toBe(2)
    expect(reader.readSync(target, 0, 8, 3)).toBe(0)
    expect(reader.readSync(target, 0, 8, 100)).toBe(0)
  })

  test('a reader keeps its size until it refreshes it', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    const reader = fs.openRead('/db/a')
    append(file, 'abc')
    expect(reader.size).toBe(0)
    expect(reader.refreshSize()).toBe(3)
    expect(reader.size).toBe(3)
  })

  test('an open file outlives its name', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    append(file, 'abc')
    const reader = fs.openRead('/db/a')
    fs.remove('/db/a')
    append(file, 'def')
    expect(reader.readSync(Buffer.alloc(6), 0, 6, 0)).toBe(6)
    expect(codeOf(() => fs.openRead('/db/a'))).toBe('ENOENT')
  })

  test('creating or linking over an existing name is EEXIST', () => {
    const fs = newDisk()
    fs.create('/db/a')
    fs.create('/db/b')
    expect(codeOf(() => fs.create('/db/a'))).toBe('EEXIST')
    expect(codeOf(() => fs.link('/db/a', '/db/b'))).toBe('EEXIST')
    expect(codeOf(() => fs.makeDirectory('/db/a/b'))).toBe('EEXIST')
  })

  test('what is not there is ENOENT, or undefined for stat', async () => {
    const fs = newDisk()
    expect(fs.stat('/db/a')).toBeUndefined()
    expect(codeOf(() => fs.list('/nowhere'))).toBe('ENOENT')
    expect(codeOf(() => fs.create('/nowhere/a'))).toBe('ENOENT')
    expect(codeOf(() => fs.remove('/db/a'))).toBe('ENOENT')
    expect(codeOf(() => fs.rename('/db/a', '/db/b'))).toBe('ENOENT')
    expect(await codeOfAsync(() => fs.syncDirectory('/nowhere'))).toBe('ENOENT')
  })

  test('a closed file is EBADF, and open ones are counted', async () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    const reader = fs.openRead('/db/a')
    expect(fs.openFileCount).toBe(2)
    file.close()
    file.close()
    reader.close()
    expect(fs.openFileCount).toBe(0)
    expect(codeOf(() => append(file, 'x'))).toBe('EBADF')
    expect(await codeOfAsync(() => file.sync())).toBe('EBADF')
    expect(codeOf(() => reader.readSync(Buffer.alloc(1), 0, 1, 0))).toBe('EBADF')
  })

  test('a cut file goes on from there, and a longer one is refused', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    append(file, 'abcdef')
    file.truncate(2)
    append(file, 'XY')
    expect(content(fs, '/db/a')).toBe('abXY')
    expect(codeOf(() => file.truncate(5))).toBe('EINVAL')
  })

  test('names are listed sorted and paths are resolved', () => {
    const fs = newDisk()
    for (const name of ['b', 'a', 'c']) fs.create(`/db/${name}`)
    fs.makeDirectory('/db/sub/deep')
    expect(fs.list('/db')).toEqual(['a', 'b', 'c', 'sub'])
    expect(fs.canonicalPath('db/./sub/../a')).toBe('/db/a')
    expect(fs.stat('/db/sub/deep')?.isDirectory).toBe(true)
    expect(codeOf(() => fs.removeDirectory('/db/sub'))).toBe('ENOTEMPTY')
    fs.removeDirectory('/db/sub/deep')
    fs.removeDirectory('/db/sub')
    expect(fs.list('/db')).toEqual(['a', 'b', 'c'])
  })

  test('files() gives copies, sorted by whole path', () => {
    const fs = newDisk()
    append(fs.create('/db/b'), 'b')
    append(fs.create('/db/a'), 'a')
    const files = fs.files()
    expect([...files.keys()]).toEqual(['/db/a', '/db/b'])
    files.get('/db/a')!.fill(0)
    expect(content(fs, '/db/a')).toBe('a')
  })

  test('a hard link is the same bytes and the same inode', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    fs.link('/db/a', '/db/b')
    append(file, 'abc')
    expect(content(fs, '/db/b')).toBe('abc')
    expect(fs.stat('/db/b')).toEqual(fs.stat('/db/a'))
    fs.remove('/db/a')
    expect(content(fs, '/db/b')).toBe('abc')
  })

  test('no two files ever have one inode', () => {
    const fs = newDisk()
    fs.create('/db/a')
    const first = fs.stat('/db/a')!
    fs.remove('/db/a')
    fs.create('/db/a')
    expect(fs.stat('/db/a')!.inode).not.toBe(first.inode)
    expect(fs.stat('/db/a')!.birthTimeMs).toBeGreaterThan(first.birthTimeMs)
  })
})

describe('the lock', () => {
  test('is taken once per directory, by any spelling, until it is released', async () => {
    const fs = newDisk()
    const lock = await fs.lock('/db')
    await expect(fs.lock('db/../db/')).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
    await lock.release()
    await lock.release()
    await (await fs.lock('/db')).release()
  })

  test('releasing an old lock again does not take the new one away', async () => {
    const fs = newDisk()
    const old = await fs.lock('/db')
    await old.release()
    await fs.lock('/db')
    await old.release()
    await expect(fs.lock('/db')).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  })

  test('is not held on the disk that a crash leaves', async () => {
    const fs = newDisk()
    await fs.lock('/db')
    await fs.crash('lost').lock('/db')
  })
})

describe('a power cut', () => {
  test('loses a file whose directory was not synced, though its bytes were', async () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    append(file, 'abc')
    await file.sync()
    expect([...fs.crash('lost').files().keys()]).toEqual([])
    expect(content(fs.crash('kept'), '/db/a')).toBe('abc')
  })

  test('leaves an empty file where only the directory was synced', async () => {
    const fs = newDisk()
    append(fs.create('/db/a'), 'abc')
    await fs.syncDirectory('/db')
    expect(content(fs.crash('lost'), '/db/a')).toBe('')
    expect(content(fs.crash('kept'), '/db/a')).toBe('abc')
  })

  test('keeps what was synced and loses what came after', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abc')
    append(file, 'def')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc')
    expect(content(fs.crash('kept'), '/db/a')).toBe('abcdef')
    expect(content(fs, '/db/a')).toBe('abcdef')
  })

  test('finds nothing of a sync that has not ended, and no more than there was when it began', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abc')
    append(file, 'def')
    const syncing = file.sync()
    append(file, 'ghi')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc')
    await syncing
    expect(content(fs.crash('lost'), '/db/a')).toBe('abcdef')
  })

  test('takes a rename back as a whole unless the directory was synced', async () => {
    const fs = newDisk()
    await syncedFile(fs, '/db/CURRENT', 'old')
    const file = fs.create('/db/CURRENT.tmp')
    append(file, 'new')
    await file.sync()
    fs.rename('/db/CURRENT.tmp', '/db/CURRENT')
    expect(content(fs.crash('lost'), '/db/CURRENT')).toBe('old')
    const syncing = fs.syncDirectory('/db')
    expect(content(fs.crash('lost'), '/db/CURRENT')).toBe('old')
    await syncing
    const after = fs.crash('lost')
    expect([...after.files().keys()]).toEqual(['/db/CURRENT'])
    expect(content(after, '/db/CURRENT')).toBe('new')
  })

  test('brings a removed file back with its synced bytes', async () => {
    const fs = newDisk()
    append(await syncedFile(fs, '/db/a', 'abc'), 'def')
    fs.remove('/db/a')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc')
    await fs.syncDirectory('/db')
    expect(fs.crash('lost').stat('/db/a')).toBeUndefined()
  })

  test('undoes a cut that was not synced', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abcdef')
    file.truncate(2)
    append(file, 'XYZW')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abcdef')
    expect(content(fs.crash('kept'), '/db/a')).toBe('abXYZW')
    await file.sync()
    expect(content(fs.crash('lost'), '/db/a')).toBe('abXYZW')
  })

  test('a sync that began before a cut says nothing about what is written after it', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', '')
    append(file, 'abcdef')
    const syncing = file.sync()
    file.truncate(2)
    append(file, 'XYZW')
    await syncing
    expect(content(fs.crash('lost'), '/db/a')).toBe('abcdef')
  })

  test('knows each hard link by the sync of its own directory, and bytes by any name', async () => {
    const fs = newDisk()
    fs.makeDirectory('/copy')
    const file = fs.create('/db/a')
    append(file, 'abc')
    fs.link('/db/a', '/copy/a')
    await fs.syncDirectory('/copy')
    expect([...fs.crash('lost').files()].map(([path]) => path)).toEqual(['/copy/a'])
    await file.sync()
    expect(content(fs.crash('lost'), '/copy/a')).toBe('abc')
    const image = fs.crash('kept')
    image.corrupt('/copy/a', 0, bytes('X'))
    expect(content(image, '/db/a')).toBe('Xbc')
    expect(content(fs, '/db/a')).toBe('abc')
  })

  test('never loses a file that was renamed into another directory', async () => {
    const fs = newDisk()
    fs.makeDirectory('/lost')
    await syncedFile(fs, '/db/a', 'abc')
    fs.rename('/db/a', '/lost/a')
    for (let seed = 0; seed < 50; seed++) {
      expect(fs.crash({ seed }).files().size, `seed ${seed}`).toBeGreaterThan(0)
    }
    await fs.syncDirectory('/db')
    expect([...fs.crash('lost').files().keys()]).toEqual(['/lost/a'])
  })

  test('leaves made directories where they are', () => {
    const fs = new MemoryFileSystem()
    fs.makeDirectory('/a/b/c')
    expect(fs.crash('lost').stat('/a/b/c')?.isDirectory).toBe(true)
  })

  test('leaves a disk that can be used and crash again', async () => {
    const fs = newDisk()
    await syncedFile(fs, '/db/a', 'abc')
    const image = fs.crash('lost')
    await syncedFile(image, '/db/b', 'def')
    const second = image.crash('lost')
    expect([...second.files().keys()]).toEqual(['/db/a', '/db/b'])
    expect([...fs.files().keys()]).toEqual(['/db/a'])
    expect(second.stat('/db/a')!.inode).toBe(fs.stat('/db/a')!.inode)
    expect(second.operationCount).toBe(0)
  })

  test('of a failed sync nothing is saved by the next one', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abc')
    append(file, 'def')
    fs.inject({ operation: 'sync', effect: 'EIO' })
    expect(await codeOfAsync(() => file.sync())).toBe('EIO')
    append(file, 'ghi')
    await file.sync()
    expect(content(fs, '/db/a')).toBe('abcdefghi')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc\0\0\0ghi')
    file.truncate(3)
    append(file, 'JKL')
    await file.sync()
    expect(content(fs.crash('lost'), '/db/a')).toBe('abcJKL')
  })
})

describe('a seeded power cut', () => {
  test('is the same for the same seed', async () => {
    const run = async (): Promise<MemoryFileSystem> => {
      const fs = newDisk()
      for (let i = 0; i < 5; i++) append(await syncedFile(fs, `/db/${i}`, 'x'), 'y'.repeat(5_000))
      for (let i = 5; i < 9; i++) append(fs.create(`/db/${i}`), 'z')
      return fs
    }
    const [one, other] = [await run(), await run()]
    const images = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const image = JSON.stringify([...one.crash({ seed }).files()])
      expect(JSON.stringify([...other.crash({ seed }).files()])).toBe(image)
      images.add(image)
    }
    expect(images.size).toBeGreaterThan(10)
  })

  test('reaches every subset of the directory changes', () => {
    const fs = newDisk()
    for (const name of ['a', 'b', 'c']) fs.create(`/db/${name}`)
    const seen = new Set<string>()
    for (let seed = 0; seed < 300; seed++) seen.add(fs.crash({ seed }).list('/db').join(''))
    expect([...seen].sort()).toEqual(['', 'a', 'ab', 'abc', 'ac', 'b', 'bc', 'c'])
  })

  test('keeps what was synced, and of the rest only new, old or zero sectors up to some size', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'S'.repeat(700))
    append(file, 'N'.repeat(4_000))
    const kinds = new Set<string>()
    for (let seed = 0; seed < 400; seed++) {
      const found = content(fs.crash({ seed }), '/db/a')!
      expect(found.slice(0, 700), `seed ${seed}`).toBe('S'.repeat(700))
      expect(found.length).toBeLessThanOrEqual(4_700)
      for (let at = 700; at < found.length; at = at - (at % 512) + 512) {
        const sector = found.slice(at, at - (at % 512) + 512)
        expect(sector, `seed ${seed} at ${at}`).toMatch(/^(N+|\0+)$/)
      }
      kinds.add(found.length === 700 ? 'lost' : found.length < 4_700 ? 'short' : 'full')
      if (/\0N/.test(found)) kinds.add('hole')
      if (found.length === 4_700 && !found.includes('\0')) kinds.add('kept')
    }
    expect([...kinds].sort()).toEqual(['full', 'hole', 'kept', 'lost', 'short'])
  })

  test('mixes old and new sectors where synced bytes were cut and written again', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'O'.repeat(3_000))
    file.truncate(1_000)
    append(file, 'N'.repeat(1_500))
    const kinds = new Set<string>()
    for (let seed = 0; seed < 400; seed++) {
      const found = content(fs.crash({ seed }), '/db/a')!
      expect(found.slice(0, 1_000)).toBe('O'.repeat(1_000))
      const rest = found.slice(1_000)
      expect(rest).toMatch(/^[ON\0]*$/)
      if (rest.includes('N') && rest.indexOf('N') < rest.lastIndexOf('O'))
        kinds.add('new before old')
      if (rest.includes('O') && rest.indexOf('O') < rest.lastIndexOf('N'))
        kinds.add('old before new')
    }
    expect([...kinds].sort()).toEqual(['new before old', 'old before new'])
  })

  test('does not touch a file that is wholly synced', async () => {
    const fs = newDisk()
    await syncedFile(fs, '/db/a', 'abc')
    for (let seed = 0; seed < 50; seed++) {
      const image = fs.crash({ seed })
      expect(content(image, '/db/a')).toBe('abc')
      image.corrupt('/db/a', 0, bytes('X'))
    }
    expect(content(fs, '/db/a')).toBe('abc')
  })
})

describe('operations', () => {
  test('are counted once each, when they begin; reads are not', async () => {
    const fs = new MemoryFileSystem()
    const counted = async (run: () => unknown): Promise<number> => {
      const before = fs.operationCount
      await run()
      return fs.operationCount - before
    }
    expect(await counted(() => fs.makeDirectory('/db'))).toBe(1)
    expect(await counted(() => fs.makeDirectory('/db'))).toBe(0)
    let file: WritableFile | undefined
    expect(await counted(() => (file = fs.create('/db/a')))).toBe(1)
    expect(await counted(() => append(file!, 'abc'))).toBe(1)
    expect(await counted(() => file!.sync())).toBe(1)
    expect(await counted(() => file!.truncate(1))).toBe(1)
    expect(await counted(() => fs.link('/db/a', '/db/b'))).toBe(1)
    expect(await counted(() => fs.rename('/db/b', '/db/c'))).toBe(1)
    expect(await counted(() => fs.remove('/db/c'))).toBe(1)
    expect(await counted(() => fs.syncDirectory('/db'))).toBe(1)
    expect(await counted(() => codeOf(() => fs.create('/db/a')))).toBe(1)
    expect(await counted(() => fs.crash('kept').files())).toBe(0)
    expect(
      await counted(async () => {
        fs.openRead('/db/a').readSync(Buffer.alloc(1), 0, 1, 0)
        fs.list('/db')
        fs.stat('/db/a')
        fs.corrupt('/db/a', 0, bytes('x'))
        await (await fs.lock('/db')).release()
      }),
    ).toBe(0)
    const begun = file!.sync()
    expect(fs.operationCount).toBe(11)
    await begun
  })

  test('die from the n-th on, reads too, and nothing more reaches the disk', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abc')
    const reader = fs.openRead('/db/a')
    const lock = await fs.lock('/db')
    fs.dieAtOperation(fs.operationCount + 2)
    append(file, 'def')
    expect(reader.readSync(Buffer.alloc(1), 0, 1, 0)).toBe(1)
    const before = fs.operationCount
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    expect(fs.operationCount).toBe(before + 1)
    await expect(file.sync()).rejects.toThrow(/process died/)
    await expect(fs.syncDirectory('/db')).rejects.toThrow(/process died/)
    await expect(reader.read(Buffer.alloc(1), 0, 1, 0)).rejects.toThrow(/process died/)
    await expect(lock.release()).rejects.toThrow(/process died/)
    await expect(fs.lock('/db')).rejects.toThrow(/process died/)
    for (const dead of [
      () => append(file, 'x'),
      () => reader.readSync(Buffer.alloc(1), 0, 1, 0),
      () => reader.refreshSize(),
      () => fs.openRead('/db/a'),
      () => fs.create('/db/b'),
      () => fs.stat('/db/a'),
      () => fs.list('/db'),
      () => fs.makeDirectory('/x'),
      () => fs.rename('/db/a', '/db/b'),
      () => fs.remove('/db/a'),
      () => fs.canonicalPath('/db'),
    ]) {
      expect(dead).toThrow(/process died/)
    }
    file.close()
    expect(fs.operationCount).toBe(before + 1)
    expect(content(fs.crash('kept'), '/db/a')).toBe('abcdef')
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc')
  })

  test('a sync under way when the process dies never ends well', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'abc')
    append(file, 'def')
    const syncing = file.sync()
    fs.dieAtOperation(fs.operationCount)
    await expect(syncing).rejects.toThrow(/process died/)
    expect(content(fs.crash('lost'), '/db/a')).toBe('abc')
  })

  test('a disk whose process died serves the next one', async () => {
    const fs = newDisk()
    await syncedFile(fs, '/db/a', 'abc')
    fs.dieAtOperation(1)
    const next = fs.crash('lost')
    expect(next.openRead('/db/a').size).toBe(3)
    next.create('/db/b')
  })
})

describe('faults', () => {
  test('strike matching operations, after so many, so many times', () => {
    const fs = newDisk()
    fs.inject({ operation: 'create', file: /\.seg$/g, after: 1, times: 2, effect: 'ENOSPC' })
    const codes = ['1.seg', '2.log', '2.seg', '3.seg', '4.seg'].map((name) =>
      codeOf(() => fs.create(`/db/${name}`)),
    )
    expect(codes).toEqual([undefined, undefined, 'ENOSPC', 'ENOSPC', undefined])
    expect(fs.list('/db')).toEqual(['1.seg', '2.log', '4.seg'])
  })

  test('strike once by default, for ever with Infinity, until cleared', () => {
    const fs = newDisk()
    fs.inject({ operation: 'rename', effect: 'EIO' })
    fs.create('/db/a')
    expect(codeOf(() => fs.rename('/db/a', '/db/b'))).toBe('EIO')
    expect(codeOf(() => fs.rename('/db/a', '/db/b'))).toBeUndefined()
    fs.inject({ operation: 'remove', times: Infinity, effect: 'EIO' })
    for (let i = 0; i < 3; i++) expect(codeOf(() => fs.remove('/db/b'))).toBe('EIO')
    fs.clearFaults()
    expect(codeOf(() => fs.remove('/db/b'))).toBeUndefined()
  })

  test('create also means link and directories, write also truncate', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    append(file, 'abc')
    fs.inject({ operation: 'create', times: 2, effect: 'ENOSPC' })
    expect(codeOf(() => fs.link('/db/a', '/db/b'))).toBe('ENOSPC')
    expect(codeOf(() => fs.makeDirectory('/other'))).toBe('ENOSPC')
    fs.inject({ operation: 'write', times: 2, effect: 'EIO' })
    expect(codeOf(() => file.truncate(1))).toBe('EIO')
    expect(codeOf(() => append(file, 'x'))).toBe('EIO')
    expect(content(fs, '/db/a')).toBe('abc')
  })

  test('a short write takes half and says so, and leaves truncate alone', () => {
    const fs = newDisk()
    const file = fs.create('/db/a')
    fs.inject({ operation: 'write', effect: 'short' })
    fs.inject({ operation: 'write', effect: 'ENOSPC' })
    expect(append(file, 'abcdef')).toBe(3)
    expect(file.size).toBe(3)
    expect(codeOf(() => append(file, 'def'))).toBe('ENOSPC')
    fs.inject({ operation: 'write', effect: 'short' })
    file.truncate(1)
    expect(append(file, 'z')).toBe(0)
    expect(content(fs, '/db/a')).toBe('a')
    expect(() => fs.inject({ operation: 'sync', effect: 'short' })).toThrow(VarveError)
  })

  test('too few descriptors strike the opening of a file, other read faults the reading', () => {
    const fs = newDisk()
    append(fs.create('/db/a'), 'abc')
    fs.inject({ operation: 'read', effect: 'EMFILE' })
    fs.inject({ operation: 'read', effect: 'EIO' })
    expect(codeOf(() => fs.openRead('/db/a'))).toBe('EMFILE')
    const reader = fs.openRead('/db/a')
    const read = (): number => reader.readSync(Buffer.alloc(3), 0, 3, 0)
    expect(codeOf(read)).toBe('EIO')
    expect(read()).toBe(3)
  })

  test('a failed directory sync leaves the changes open', async () => {
    const fs = newDisk()
    fs.create('/db/a')
    fs.inject({ operation: 'syncDirectory', file: /^\/db$/, effect: 'EIO' })
    expect(await codeOfAsync(() => fs.syncDirectory('/db'))).toBe('EIO')
    expect(fs.crash('lost').list('/db')).toEqual([])
    await fs.syncDirectory('/db')
    expect(fs.crash('lost').list('/db')).toEqual(['a'])
  })

  test('bit rot replaces bytes in place, on disk too, and never makes a file longer', async () => {
    const fs = newDisk()
    const file = await syncedFile(fs, '/db/a', 'a'.repeat(70_000))
    fs.dieAtOperation(1)
    const count = fs.operationCount
    fs.corrupt('/db/a', 65_535, bytes('XY'))
    fs.corrupt('/db/a', 69_999, bytes('ZZZ'))
    fs.corrupt('/db/nowhere', 0, bytes('Z'))
    expect(fs.operationCount).toBe(count)
    const found = content(fs.crash('lost'), '/db/a')!
    expect(found).toBe(`${'a'.repeat(65_535)}XY${'a'.repeat(4_462)}Z`)
    file.close()
  })
})
