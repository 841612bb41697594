import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { collect } from '../model/driver.ts'
import { codeOf, fixture, LOCATION } from './open.ts'

const APART = { level0Trigger: 1000, level0Slowdown: 1000, level0Stop: 1000 }

/** Three segments of 300 keys each, values in blob files among them, and a log. */
async function filled() {
  const made = fixture({ blobThresholdBytes: 500, blockBytes: 512 })
  const db = await made.open({}, APART)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 300; i++) {
      await db.put(`key${round}-${i}`, `value ${i}`.repeat(i % 50 === 0 ? 100 : 3))
    }
    await db.flush()
  }
  await db.put('last', 'in the log')
  await db.close()
  return made
}

function filesOf(fs: MemoryFileSystem, suffix: string): string[] {
  return [...fs.files().keys()].filter((name) => name.includes(suffix) && !name.includes('lost'))
}

function flip(fs: MemoryFileSystem, path: string, offset: number): void {
  const bytes = fs.files().get(path)!
  fs.corrupt(path, offset, Uint8Array.of(bytes[offset]! ^ 0x40))
}

async function repair(fs: MemoryFileSystem) {
  return Varve.repair(LOCATION, { environment: { fs } })
}

test('where nothing is damaged nothing is changed', async () => {
  const { fs } = await filled()
  const before = new Map(fs.files())
  const operations = fs.operationCount
  const report = await repair(fs)
  expect(report).toMatchObject({
    filesSetAside: [],
    eventsKept: 901,
    seqnosLost: [],
    floor: 1,
    epoch: 1,
  })
  expect(fs.operationCount).toBe(operations)
  expect(new Map(fs.files())).toEqual(before)
})

test('an open store and a place without a store are refused', async () => {
  const { open, fs } = await filled()
  const db = await open()
  expect(await codeOf(() => repair(fs))).toBe('VARVE_LOCKED')
  await db.close()
  expect(await codeOf(() => Varve.repair('/nowhere', { environment: { fs } }))).toBe(
    'VARVE_NOT_FOUND',
  )
  expect(await codeOf(() => Varve.repair(LOCATION, { fix: true } as never))).toBe(
    'VARVE_INVALID_ARGUMENT',
  )
})

test('a segment with a damaged block keeps its other blocks; the floor rises over the hole', async () => {
  const { open, fs } = await filled()
  const [, second] = filesOf(fs, '.seg')
  flip(fs, second!, 2000)
  const report = await repair(fs)
  expect(report.filesSetAside).toHaveLength(1)
  expect(report.seqnosLost).toEqual([{ from: 301, to: 600 }])
  expect(report.floor).toBe(601)
  expect(report.epoch).toBe(2)
  const db = await open({}, APART)
  expect((await db.verify()).problems).toEqual([])
  const keys = await db.keys().all()
  expect(keys.length).toBeGreaterThan(870)
  expect(keys.length).toBeLessThan(901)
  const events = await collect(db.scanSinceSeqno(601))
  expect(events.map(({ seqno }) => seqno)).toEqual(Array.from({ length: 301 }, (_, i) => 601 + i))
  expect((await db.get('last'))?.toString()).toBe('in the log')
  await db.put('again', '1')
  await db.compact()
  expect((await db.verify()).problems).toEqual([])
  await db.close()
  expect([...fs.files().keys()].filter((name) => name.includes('/lost/'))).toHaveLength(1)
  expect(await repair(fs)).toMatchObject({ filesSetAside: [], seqnosLost: [] })
})

test('a segment that is gone or cannot be opened is lost whole, the others stay', async () => {
  for (const damage of ['remove', 'footer'] as const) {
    const { open, fs } = await filled()
    const [first] = filesOf(fs, '.seg')
    if (damage === 'remove') fs.remove(first!)
    else flip(fs, first!, fs.files().get(first!)!.length - 3)
    expect(
      await codeOf(() =>
        open({}, APART).then((db) =>
          db
            .verify()
            .then(({ ok }) =>
              db
                .close()
                .then(() =>
                  ok ? 'ok' : Promise.reject(Object.assign(new Error('bad'), { code: 'BAD' })),
                ),
            ),
        ),
      ),
    ).not.toBe('no error')
    const report = await repair(fs)
    expect(report.seqnosLost).toEqual([{ from: 1, to: 300 }])
    expect(report.floor).toBe(301)
    const db = await open({}, APART)
    expect(await db.keys().all()).toHaveLength(601)
    expect((await db.verify()).problems).toEqual([])
    await db.close()
  }
})

test('values of a damaged blob file come back as far as their frames are good', async () => {
  const { open, fs } = await filled()
  const [, blob] = filesOf(fs, '.blob')
  flip(fs, blob!, 200)
  const report = await repair(fs)
  expect(report.seqnosLost).toHaveLength(1)
  const db = await open({}, APART)
  expect((await db.verify()).problems).toEqual([])
  const keys = (await db.keys().all()).length
  expect(keys).toBe(900)
  expect((await db.get('key1-250'))?.length).toBeGreaterThan(500)
  await db.close()
})

test('a damaged CURRENT is written anew', async () => {
  const { open, fs } = await filled()
  flip(fs, `${LOCATION}/CURRENT`, 3)
  expect(await codeOf(() => open())).toMatch(/VARVE_(CORRUPTION|UNSUPPORTED_FORMAT)/)
  const report = await repair(fs)
  expect(report).toMatchObject({ seqnosLost: [], floor: 1, eventsKept: 901 })
  const db = await open()
  expect(await db.keys().all()).toHaveLength(901)
  expect((await db.verify()).problems).toEqual([])
  await db.close()
})

test('a damaged log keeps what stands before the damage', async () => {
  const made = fixture()
  const db = await made.open()
  for (let i = 0; i < 50; i++) await db.put(`key${i}`, `value ${i}`, { sync: true })
  const image = made.fs.crash('kept')
  await db.close()
  const [log] = [...image.files().keys()].filter((name) => name.endsWith('.wal'))
  flip(image, log!, 1500)
  const { open } = fixture({}, image)
  expect(await codeOf(() => open())).toBe('VARVE_CORRUPTION')
  const report = await repair(image)
  expect(report.filesSetAside).toHaveLength(1)
  expect(report.epoch).toBe(2)
  const again = await open()
  const { latest } = again.history()
  expect(latest).toBeGreaterThan(5)
  expect(latest).toBeLessThan(50)
  expect(await again.keys().all()).toHaveLength(latest)
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})
