import { expect, test } from 'vitest'
import type { ChangeEvent } from '../../src/index.ts'
import { collect } from '../model/driver.ts'
import { codeOf, fixture } from './open.ts'

test('a readOnly store sees what its writer has handed over, and more after refresh', async () => {
  const { open, fs } = fixture()
  const writer = await open()
  await writer.put('a', '1')
  const reader = await open({ readOnly: true })
  expect((await reader.get('a'))?.toString()).toBe('1')
  await writer.put('b', '2')
  await writer.flush()
  await writer.put('c', '3')
  expect(await reader.get('b')).toBeUndefined()
  expect(await reader.refresh()).toBe(3)
  expect((await reader.get('c'))?.toString()).toBe('3')
  expect((await collect(reader.scanSinceSeqno(1))).map(({ seqno }) => seqno)).toEqual([1, 2, 3])
  const operations = fs.operationCount
  await reader.close()
  expect(fs.operationCount).toBe(operations)
  await writer.close()
})

test('the signal of an open is none of a refresh', async () => {
  const { open } = fixture()
  const writer = await open()
  const controller = new AbortController()
  const reader = await open({ readOnly: true, signal: controller.signal })
  controller.abort()
  await writer.put('a', '1')
  expect(await reader.refresh()).toBe(1)
  expect(await codeOf(() => open({ readOnly: true, signal: controller.signal }))).toBe(
    'VARVE_ABORTED',
  )
  await reader.close()
  await writer.close()
})

test('a readOnly store refuses everything that writes', async () => {
  const { open } = fixture()
  await (await open()).close()
  const reader = await open({ readOnly: true })
  for (const call of [
    () => reader.put('k', 'v'),
    () => reader.write(reader.batch().put('k', 'v')),
    () => reader.keyspace('new'),
    () => reader.flush(),
    () => reader.compact(),
    () => reader.truncateHistory(1),
    () => reader.consumer('c'),
  ]) {
    expect(await codeOf(call)).toBe('VARVE_READ_ONLY')
  }
  await reader.close()
})

test('opening readOnly changes nothing on disk and starts no epoch', async () => {
  const { open, fs } = fixture()
  const db = await open()
  await db.put('a', '1')
  await db.sync()
  const image = fs.crash('lost')
  const unclean = fixture({}, image)
  const before = image.operationCount
  const reader = await unclean.open({ readOnly: true })
  expect(reader.history().epoch).toBe(1)
  expect((await reader.get('a'))?.toString()).toBe('1')
  await reader.close()
  expect(image.operationCount).toBe(before)
  const writer = await unclean.open()
  expect(writer.history().epoch).toBe(2)
  await writer.close()
  await db.close()
})

test('a readOnly store that was closed cleanly takes no damage for a torn end', async () => {
  const { open, fs } = fixture({ memtableBytes: 16 * 1024 })
  const db = await open()
  for (let i = 0; i < 30; i++) void db.put(`key${i}`, Buffer.alloc(1000))
  await db.close()
  const logs = [...fs.files().keys()].filter((name) => name.endsWith('.wal'))
  const last = logs.at(-1)!
  expect(logs.length).toBeGreaterThan(1)
  const bytes = fs.files().get(last)!
  const cuts = [0, 30, bytes.length >> 1, bytes.length - 1]
  const damages: [string, (disk: typeof fs) => void][] = [
    ['flipped', (disk) => disk.corrupt(last, bytes.length - 5, Uint8Array.of(255))],
    ['removed', (disk) => disk.remove(last)],
    ...cuts.map((size): [string, (disk: typeof fs) => void] => [
      `cut to ${size}`,
      (disk) => {
        disk.remove(last)
        const file = disk.create(last)
        file.append(bytes, 0, size)
        file.close()
      },
    ]),
  ]
  for (const [what, damage] of damages) {
    const disk = fs.crash('kept')
    damage(disk)
    const readOnly = fixture({ readOnly: true }, disk)
    expect(await codeOf(() => readOnly.open()), what).toBe('VARVE_CORRUPTION')
    expect(disk.openFileCount).toBe(0)
  }
})

test('wherever an open or a close dies, a readOnly store has all that was closed cleanly', async () => {
  const { open, fs } = fixture()
  const db = await open()
  for (let i = 0; i < 5; i++) await db.put(`key${i}`, 'value')
  await db.close()
  let hasDied = true
  for (let operation = 1; hasDied; operation++) {
    const dying = fs.crash('kept')
    dying.dieAtOperation(operation)
    const writer = fixture({}, dying)
    hasDied = (await codeOf(async () => (await writer.open()).close())) !== 'no error'
    const reader = await fixture({ readOnly: true }, dying.crash('kept')).open()
    expect(await reader.keys().all()).toHaveLength(5)
    await reader.close()
  }
})

test('a file that is gone is damage to a readOnly store as to its writer', async () => {
  for (const ending of ['.seg', '.blob']) {
    const { open, fs } = fixture({ blobThresholdBytes: 100 })
    const db = await open()
    await db.put('large', 'v'.repeat(200))
    await db.flush()
    await db.close()
    const path = [...fs.files().keys()].find((one) => one.endsWith(ending))!
    const image = fs.crash('kept')
    image.remove(path)
    for (const readOnly of [true, false]) {
      const opening = fixture({}, image).open({ readOnly })
      await expect(opening, `${ending}, ${readOnly}`).rejects.toMatchObject({
        code: 'VARVE_CORRUPTION',
        message: `a file that the manifest names is missing (${path})`,
        details: { file: path },
      })
    }
  }
})

test('a file that is gone because its writer moves on is no damage to a readOnly store', async () => {
  const { open, fs } = fixture()
  const writer = await open()
  await writer.put('a', '1')
  await writer.flush()
  let looks = 0
  /** Whenever the segment is looked for, the writer has just replaced it. */
  const moving = new Proxy(fs, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function') return found
      if (name === 'openRead') {
        return (path: string) => {
          if (path.endsWith('.seg')) looks++
          return target.openRead(path.endsWith('.seg') ? `${path}.gone` : path)
        }
      }
      if (name === 'stat') {
        return (path: string) => {
          const stat = target.stat(path)
          const isAhead = stat !== undefined && looks > 0 && path.includes('MANIFEST')
          return isAhead ? { ...stat, size: stat.size + 1 } : stat
        }
      }
      return found.bind(target)
    },
  })
  expect(await codeOf(() => fixture({}, moving).open({ readOnly: true }))).toBe('VARVE_IO')
  expect(looks).toBeGreaterThan(1)
  await writer.close()
})

test('a tail of a readOnly store goes on with each refresh', async () => {
  const { open } = fixture()
  const writer = await open()
  await writer.put('a', '1')
  const reader = await open({ readOnly: true })
  const tail = reader.tail({ from: 1 })
  expect((await tail.next()).value?.events.map((event: ChangeEvent) => event.seqno)).toEqual([1])
  const next = tail.next()
  await writer.put('b', '2')
  await reader.refresh()
  expect((await next).value?.events.map((event: ChangeEvent) => event.seqno)).toEqual([2])
  await tail.close()
  await reader.close()
  await writer.close()
})
