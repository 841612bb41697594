/** What a store keeps to itself, and what it does not let others do to the program around it. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type MergeOperator, Varve } from '../../src/index.ts'
import { checksum } from '../../src/base/checksum.ts'
import { VarveError } from '../../src/base/errors.ts'
import { encodeToken } from '../../src/cdc/resume-token.ts'
import { parseFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { FoundEntry } from '../../src/block/block-search.ts'
import { fixture, LOCATION } from '../db/open.ts'
import { hashOf, makeSegment, writeSegment } from '../segment/segment-model.ts'

describe('on the disk', () => {
  let root: string
  let umask: number
  beforeEach(() => {
    root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'varve-safe-')))
    // So that nothing but the store itself takes rights away.
    umask = process.umask(0)
  })
  afterEach(() => {
    process.umask(umask)
    fs.rmSync(root, { recursive: true })
  })

  test('files are for their owner alone, directories too', async () => {
    const location = path.join(root, 'parent', 'store')
    const copy = path.join(root, 'backups', 'copy')
    const db = await Varve.open(location, { backgroundWorkers: 0 })
    await db.consumer('mail')
    for (let i = 0; i < 50; i++) await db.put(`key${i}`, Buffer.alloc(i % 5 === 0 ? 5_000 : 100, i))
    await db.flush()
    await db.put('more', '1')
    await db.flush()
    await db.compact()
    await db.checkpoint(copy)
    expect(modesUnder(root)).toEqual(new Set(['file 600', 'directory 700']))
    await db.close()
    const [segment] = fs.readdirSync(location).filter((name) => name.endsWith('.seg'))
    fs.truncateSync(path.join(location, segment!), 10)
    expect((await Varve.repair(location)).filesSetAside.length).toBeGreaterThan(0)
    expect(fs.readdirSync(location)).toContain('lost')
    expect(modesUnder(root)).toEqual(new Set(['file 600', 'directory 700']))
  })

  test('no name reaches outside of the directory', async () => {
    const location = path.join(root, 'store')
    const names = ['../outside', '/tmp/outside', 'a/b', '..', '.', 'CURRENT', 'nul\0byte', '..\\x']
    let db = await Varve.open(location, { backgroundWorkers: 0 })
    for (const name of names) {
      const keyspace = await db.keyspace(name)
      await keyspace.put(name, Buffer.alloc(5_000, 1))
      await db.consumer(name)
      await (await db.consumer(name)).ack(1)
    }
    await db.flush()
    await db.compact()
    await db.close()
    expect(fs.readdirSync(root)).toEqual(['store'])
    const strange = fs.readdirSync(location).filter((name) => parseFileName(name) === undefined)
    expect(strange).toEqual([])
    db = await Varve.open(location)
    expect(db.keyspaces()).toEqual(expect.arrayContaining(names))
    for (const name of names) expect(await (await db.keyspace(name)).has(name)).toBe(true)
    await db.close()
  })

  test('neither CURRENT nor a token names a file elsewhere', async () => {
    const location = path.join(root, 'store')
    const db = await Varve.open(location)
    await db.put('key', 'value')
    const token = encodeToken({ storeId: '../store', epochId: '/etc', epochFirst: 1, next: 1 })
    await expect(db.scanSinceSeqno(token).nextBatch()).rejects.toMatchObject({
      code: 'VARVE_WRONG_STORE',
    })
    await db.close()
    fs.cpSync(location, path.join(root, 'other'), { recursive: true })
    const [manifest] = fs.readdirSync(location).filter((name) => name.startsWith('MANIFEST'))
    for (const name of [`../other/${manifest}`, path.join(root, 'other', manifest!)]) {
      const text = Buffer.from(`varve 1\n${name}\n`)
      const sum = checksum(text, 0, text.length).toString(16).padStart(8, '0')
      fs.writeFileSync(path.join(location, 'CURRENT'), `${text.toString()}${sum}\n`)
      await expect(Varve.open(location)).rejects.toMatchObject({ code: 'VARVE_CORRUPTION' })
    }
  })
})

test('a block that would become more than it says is refused, and costs no memory', () => {
  const written = writeSegment(makeSegment(1, { entries: 400, keys: 400, valueBytesMax: 200 }), {
    blockBytes: 4096,
    compression: 'deflate',
  })
  const { fs: disk, path: file, meta, bytes, firstBlockBytes } = written
  // 64 MiB of zeros in the place of the first block's four kilobytes, under a checksum that fits.
  const bomb = deflateRawSync(Buffer.alloc(64 * 2 ** 20), { level: 9 })
  const stored = Buffer.from(bytes.subarray(0, firstBlockBytes))
  bomb.copy(stored, 0, 0, firstBlockBytes - 5)
  stored.writeUInt32LE(checksum(stored, 0, stored.length - 4, meta.number), stored.length - 4)
  disk.corrupt(file, 0, stored)
  const reader = new SegmentReader(disk.openRead(file), meta, undefined)
  const key = Buffer.from(meta.firstKey!)
  const find = (): unknown =>
    reader.find(key, 0, key.length, hashOf(key), Infinity, true, new FoundEntry())
  const before = process.memoryUsage().arrayBuffers
  expect(find).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPTION' }))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
  reader.close()
})

describe('prototypes', () => {
  test('are not reached by a merge patch, in whatever way it is folded', async () => {
    const { open } = fixture({ mergeOperator: 'jsonMergePatch' })
    const db = await open()
    await db.put('doc', '{"a":1}')
    await db.merge('doc', '{"__proto__":{"polluted":true}}')
    await db.merge('doc', '{"constructor":{"prototype":{"polluted":true}}}')
    const expected =
      '{"a":1,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'
    expect(String(await db.get('doc'))).toBe(expected)
    await db.flush()
    await db.compact()
    expect(String(await db.get('doc'))).toBe(expected)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
    await db.close()
  })

  test('are not reached by the names of keyspaces, consumers and operators', async () => {
    const { open } = fixture()
    let db = await open()
    const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString']
    for (const name of names) {
      await (await db.keyspace(name)).put('polluted', 'true')
      await db.consumer(name)
      await expect(db.keyspace('other', { mergeOperator: name })).rejects.toMatchObject({
        code: 'VARVE_MERGE_OPERATOR_MISMATCH',
      })
    }
    await db.flush()
    expect(Object.keys(db.stats().keyspaces)).toEqual(expect.arrayContaining(names))
    await db.close()
    db = await open()
    expect(db.consumers().map(({ name }) => name)).toEqual(expect.arrayContaining(names))
    for (const name of names) {
      expect(String(await (await db.keyspace(name)).get('polluted'))).toBe('true')
    }
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
    await db.close()
  })

  test('are not taken for options', async () => {
    const { open } = fixture()
    const options = JSON.parse('{"__proto__":{"readOnly":true},"history":"all"}') as object
    const refused = await open(options).then(
      (db) => db.close(),
      (error: unknown) => error,
    )
    // Refused by name, or left alone: never obeyed.
    if (refused !== undefined) expect(refused).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
    expect(Reflect.get({}, 'readOnly')).toBeUndefined()
  })
})

test('errors name files and never values', async () => {
  const secret = 'S3cr3t-V4lue-0f-Somebody'
  const failing: MergeOperator = {
    name: 'failing',
    merge: () => {
      throw new Error('no')
    },
  }
  const made = fixture({ blobThresholdBytes: 2_000, mergeOperators: [failing] })
  const errors: unknown[] = []
  const note = async (run: () => Promise<unknown>): Promise<void> => {
    await Promise.resolve()
      .then(run)
      .catch((error: unknown) => errors.push(error))
  }
  const db = await made.open()
  const merged = await db.keyspace('merged', { mergeOperator: 'failing' })
  const value = (bytes: number): string => secret.repeat(Math.ceil(bytes / secret.length))
  for (let i = 0; i < 200; i++) await db.put(`key${i}`, value(i % 20 === 0 ? 3_000 : 100))
  await db.flush()
  for (let i = 0; i < 20; i++) await db.put(`late${i}`, value(100), { meta: secret, sync: true })
  await merged.merge('sum', secret)
  await note(() => merged.get('sum'))
  await note(() => db.put('', secret))
  await note(() => db.put('k'.repeat(70_000), secret))
  await note(() => db.put('key', secret, { meta: secret.repeat(100) }))
  await note(() => db.put('key', secret, { wrong: secret } as never))
  await note(() => db.merge('key', secret))
  await note(() => db.scanSinceSeqno(`${secret}` as never).nextBatch())
  const image = made.fs.crash('kept')
  await db.close()
  for (const [file, bytes] of image.files()) {
    for (let round = 0; round < 12; round++) {
      const disk = image.crash('kept')
      const at = Math.floor(((round + 0.5) / 12) * bytes.length)
      disk.corrupt(file, at, Uint8Array.of(bytes[at]! ^ 0x10))
      await readAll(disk, note, errors)
    }
  }
  expect(errors.length).toBeGreaterThan(40)
  const encodings = ['utf8', 'hex', 'base64'] as const
  for (const error of errors) {
    const text = textOf(error)
    for (const encoding of encodings) {
      // In base64 the neighbours shift the letters: a piece of the middle is the same in one of three.
      const piece = Buffer.from(secret).toString(encoding).slice(4, 16)
      expect(text.includes(piece), `${encoding}: ${text.slice(0, 300)}`).toBe(false)
    }
  }
})

/** Everything that may fail on a damaged store, with what fails and what is reported. */
async function readAll(
  disk: MemoryFileSystem,
  note: (run: () => Promise<unknown>) => Promise<void>,
  errors: unknown[],
): Promise<void> {
  const environment = { fs: disk }
  await note(async () => {
    const db = await Varve.open(LOCATION, { environment })
    await note(() => db.entries().all())
    await note(() => db.scanSinceSeqno(db.history().floor).nextBatch(1_000))
    const { problems } = await db.verify()
    errors.push(...problems)
    await db.close()
  })
  await note(async () => errors.push(await Varve.repair(LOCATION, { environment })))
}

/** All that a program could log of it. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error)
  const details = error instanceof VarveError ? JSON.stringify(error.details) : ''
  const cause = error.cause === undefined ? '' : textOf(error.cause)
  return `${error.message} ${details} ${cause}`
}

function modesUnder(directory: string): Set<string> {
  const modes = new Set<string>()
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const stat = fs.statSync(path.join(directory, name))
    const mode = (stat.mode & 0o777).toString(8)
    modes.add(`${stat.isDirectory() ? 'directory' : 'file'} ${mode}`)
  }
  return modes
}
