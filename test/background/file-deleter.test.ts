import { expect, test } from 'vitest'
import { FileDeleter, type DeletableFile } from '../../src/background/file-deleter.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { createTimers } from '../../src/env/timers.ts'

function deleter(names: string[]): {
  fs: MemoryFileSystem
  deleter: FileDeleter
  warnings: string[]
  forgotten: DeletableFile[]
} {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/store')
  for (const name of names) fs.create(`/store/${name}`).close()
  const warnings: string[] = []
  const forgotten: DeletableFile[] = []
  const quiet = (): void => undefined
  const made = new FileDeleter({
    fs,
    directory: '/store',
    timers: createTimers(),
    logger: { debug: quiet, info: quiet, warn: (message) => warnings.push(message), error: quiet },
    onRemove: (file) => forgotten.push(file),
  })
  return { fs, deleter: made, warnings, forgotten }
}

test('files are removed in the background, and caches told before', async () => {
  const t = deleter(['000001.seg', '000002.blob', '000003.seg', 'MANIFEST-000004', '000005.wal'])
  t.deleter.delete([
    { type: 'segment', number: 1 },
    { type: 'blob', number: 2 },
    { type: 'manifest', number: 4 },
    { type: 'wal', number: 5 },
  ])
  expect(t.fs.list('/store').length).toBe(5)
  await t.deleter.drain()
  expect(t.fs.list('/store')).toEqual(['000003.seg'])
  expect(t.forgotten.length).toBe(4)
})

test('a file that cannot be removed is left with a warning, and the others go', async () => {
  const t = deleter(['000001.seg', '000002.seg', '000003.seg'])
  t.fs.inject({ operation: 'remove', file: /000002/, effect: 'EIO' })
  t.deleter.delete([1, 2, 3].map((number) => ({ type: 'segment', number })))
  await t.deleter.drain()
  expect(t.fs.list('/store')).toEqual(['000002.seg'])
  expect(t.warnings.length).toBe(1)
})

test('a file that is gone already is nothing to speak of', async () => {
  const t = deleter([])
  t.deleter.delete([{ type: 'segment', number: 1 }])
  await t.deleter.drain()
  expect(t.warnings).toEqual([])
})

test('draining waits for what is given while it waits', async () => {
  const t = deleter(['000001.seg', '000002.seg'])
  t.deleter.delete([{ type: 'segment', number: 1 }])
  const drained = t.deleter.drain()
  t.deleter.delete([{ type: 'segment', number: 2 }])
  await drained
  expect(t.fs.list('/store')).toEqual([])
})
