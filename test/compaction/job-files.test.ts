import { expect, test } from 'vitest'
import type { WritableFile } from '../../src/env/file-system.ts'
import type { JobBase, JobSteps } from '../../src/compaction/job.ts'
import { JobFiles } from '../../src/compaction/job-files.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

const MIB = Buffer.alloc(2 ** 20, 'x')
const JOB = { directory: '/s', firstFileNumber: 4, fileNumberCount: 10 } as JobBase

/** A job with one file, whose syncs are told of by the size of the file. */
function begin(): { fs: MemoryFileSystem; files: JobFiles; file: WritableFile; synced: number[] } {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/s')
  const files = new JobFiles(fs, JOB)
  const { file } = files.createSegment()
  const sync = file.sync.bind(file)
  const synced: number[] = []
  file.sync = () => {
    synced.push(file.size / MIB.length)
    return sync()
  }
  return { fs, files, file, synced }
}

function write(file: WritableFile, mebibytes: number): void {
  for (let i = 0; i < mebibytes; i++) file.append(MIB, 0, MIB.length)
}

async function run(steps: JobSteps<void>): Promise<void> {
  for (let step = steps.next(); step.done !== true; step = steps.next()) await step.value
}

test('a large file is synced while it is written, one sync at a time, and at the end what is left', async () => {
  const { fs, files, file, synced } = begin()
  write(file, 7)
  files.syncAhead(file)
  expect(synced).toEqual([])
  write(file, 2)
  files.syncAhead(file)
  write(file, 8)
  files.syncAhead(file)
  expect(synced).toEqual([9])
  await new Promise(setImmediate)
  files.syncAhead(file)
  write(file, 1)
  files.complete(file)
  expect(synced).toEqual([9, 17])
  await run(files.settle())
  expect(synced).toEqual([9, 17, 18])
  files.mustBeSettled()
  expect(files.bytesWritten).toBe(18 * MIB.length)
  expect(fs.openFileCount).toBe(0)
  await fs.syncDirectory('/s')
  const [path] = [...fs.crash('lost').files()].map(([name]) => name)
  expect(fs.crash('lost').files().get(path!)).toHaveLength(18 * MIB.length)
})

test('a file that was synced to its end ahead is not synced again', async () => {
  const { files, file, synced } = begin()
  write(file, 8)
  files.complete(file)
  await run(files.settle())
  expect(synced).toEqual([8])
})

test('a sync ahead that fails ends the job where it settles, and its file is never synced again', async () => {
  const { fs, files, file, synced } = begin()
  fs.inject({ operation: 'sync', effect: 'EIO' })
  write(file, 8)
  files.syncAhead(file)
  await new Promise(setImmediate)
  write(file, 8)
  files.complete(file)
  await expect(run(files.settle())).rejects.toMatchObject({ code: 'EIO' })
  expect(synced).toEqual([8])
  files.removeAll()
  expect(fs.list('/s')).toEqual([])
  expect(fs.openFileCount).toBe(0)
})

test('a job that ends under a sync ahead removes its file', async () => {
  const { fs, files, file } = begin()
  write(file, 8)
  files.syncAhead(file)
  files.removeAll()
  await new Promise(setImmediate)
  expect(fs.list('/s')).toEqual([])
  expect(fs.openFileCount).toBe(0)
})
