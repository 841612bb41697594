import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { collect } from '../model/driver.ts'
import { damageable } from './damageable.ts'
import { APART, codeOf, fixture, LOCATION } from './open.ts'

/** Three segments of 300 keys each, values in blob files among them, and a log. */
const filled = () => damageable({ segments: 3, keys: 300, largeEvery: 50 })

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
  // Those of the keys in the block, and no others.
  const lost = report.seqnosLost.flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  )
  expect(lost.length).toBeGreaterThan(0)
  expect(lost.length).toBeLessThan(30)
  const last = lost.at(-1)!
  expect(report.floor).toBe(last + 1)
  expect(report.eventsKept).toBe(901 - last)
  expect(report.epoch).toBe(2)
  const db = await open({}, APART)
  expect((await db.verify()).problems).toEqual([])
  const keys = await db.keys().all()
  expect(keys.length).toBe(901 - lost.length)
  const events = await collect(db.scanSinceSeqno(last + 1))
  expect(events.map(({ seqno }) => seqno)).toEqual(
    Array.from({ length: 901 - last }, (_, i) => last + 1 + i),
  )
  expect((await db.get('last'))?.toString()).toBe('in the log')
  await db.put('again', '1')
  await db.compact()
  expect((await db.verify()).problems).toEqual([])
  await db.close()
  expect([...fs.files().keys()].filter((name) => name.includes('/lost/'))).toHaveLength(1)
  expect(await repair(fs)).toMatchObject({ filesSetAside: [], seqnosLost: [] })
})

test('a repair that was done stays done when the power is cut', async () => {
  const { fs } = await filled()
  const [, second] = filesOf(fs, '.seg')
  flip(fs, second!, 2000)
  const { filesSetAside, floor } = await repair(fs)
  expect(filesSetAside).toHaveLength(1)
  const after = fixture({}, fs.crash('lost'))
  expect(after.fs.stat(`${LOCATION}/${filesSetAside[0]}`)).toBeDefined()
  expect(after.fs.stat(second!)).toBeUndefined()
  const db = await after.open()
  expect(db.history().floor).toBe(floor)
  expect(await db.verify()).toMatchObject({ ok: true })
  await db.close()
})

test('a whole manifest that CURRENT does not name is no damage', async () => {
  const { fs } = await filled()
  const [manifest] = filesOf(fs, 'MANIFEST')
  const bytes = fs.files().get(manifest!)!
  const file = fs.create(`${LOCATION}/MANIFEST-000999`)
  file.append(bytes, 0, bytes.length)
  file.close()
  expect(await repair(fs)).toMatchObject({ filesSetAside: [], seqnosLost: [], floor: 1, epoch: 1 })
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

/** A store with 50 keys in its log, as a crash leaves it, and a byte of the log flipped. */
async function withDamagedLog(offset: number) {
  const made = fixture()
  const db = await made.open()
  await db.consumer('slow')
  await db.consumer('fast')
  for (let i = 0; i < 50; i++) await db.put(`key${i}`, `value ${i}`, { sync: true })
  const fast = await db.consumer('fast')
  await fast.ack(50)
  const image = made.fs.crash('kept')
  await db.close()
  const [log] = [...image.files().keys()].filter((name) => name.endsWith('.wal'))
  flip(image, log!, offset < 0 ? image.files().get(log!)!.length + offset : offset)
  return { image, ...fixture({}, image) }
}

test('a log that is damaged in the middle keeps what stands before and behind it', async () => {
  const { open, image } = await withDamagedLog(1500)
  expect(await codeOf(() => open())).toBe('VARVE_CORRUPTION')
  const report = await repair(image)
  expect(report.filesSetAside).toHaveLength(1)
  expect(report.epoch).toBe(2)
  const [hole] = report.seqnosLost
  expect(report.seqnosLost).toEqual([{ from: hole!.from, to: hole!.from }])
  expect(report.floor).toBe(hole!.from + 1)
  expect(report.eventsKept).toBe(50 - hole!.from)
  let db = await open()
  expect(db.history()).toMatchObject({ latest: 50, floor: hole!.from + 1, durable: 50 })
  expect(await db.keys().all()).toHaveLength(49)
  expect(await db.get(`key${hole!.from - 1}`)).toBeUndefined()
  // Who has not seen the hole cannot go on; who has can.
  expect(db.consumers().map(({ name, state }) => `${name} ${state}`)).toEqual([
    'fast active',
    'slow lost',
  ])
  expect((await db.verify()).problems).toEqual([])
  // The hole stays where it is, whatever becomes of the log around it.
  expect(await db.put('more', '1', { sync: true })).toBe(51)
  const crashed = image.crash('lost')
  await db.checkpoint('/copy')
  await db.close()
  for (const at of [LOCATION, '/copy']) {
    const fs = at === LOCATION ? crashed : image
    const again = await Varve.open(at, { environment: { fs }, history: 'all' })
    expect((await again.verify()).problems).toEqual([])
    expect(await again.keys().all()).toHaveLength(50)
    const events = await collect(again.scanSinceSeqno(hole!.from + 1))
    expect(events).toHaveLength(51 - hole!.from)
    await again.flush()
    await again.compact()
    expect((await again.verify()).problems).toEqual([])
    expect(await collect(again.scanSinceSeqno(hole!.from + 1))).toEqual(events)
    await again.close()
  }
  db = await open()
  expect(await db.keys().all()).toHaveLength(50)
  await db.close()
  expect(await repair(image)).toMatchObject({ filesSetAside: [], seqnosLost: [] })
})

test('a log whose durable end is damaged is known to have lost it', async () => {
  const made = fixture()
  const db = await made.open()
  for (let i = 0; i < 5; i++) await db.put(`key${i}`, `value ${i}`)
  await db.close()
  const { fs } = made
  const [log] = filesOf(fs, '.wal')
  flip(fs, log!, fs.files().get(log!)!.length - 3)
  const report = await repair(fs)
  expect(report).toMatchObject({ seqnosLost: [{ from: 5, to: 5 }], floor: 5, eventsKept: 0 })
  const again = await made.open()
  expect(await again.keys().all()).toHaveLength(4)
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})

test('a log that an open which died had copied, acks among it, is repaired once', async () => {
  const made = fixture()
  const db = await made.open()
  const consumer = await db.consumer('reader')
  for (let i = 0; i < 20; i++) await db.put(`key${i}`, `value ${i}`)
  await consumer.ack(20)
  await db.put('last', '1', { sync: true })
  const image = made.fs.crash('kept')
  await db.close()
  const [log] = filesOf(image, '.wal')
  let copied = 0
  for (let operation = 1, hasDied = true; hasDied; operation++) {
    const dying = image.crash('kept')
    dying.dieAtOperation(operation)
    hasDied = (await codeOf(() => fixture({}, dying).open())) !== 'no error'
    const fs = dying.crash('kept')
    if (!hasDied || !fs.files().has(log!)) continue
    if (filesOf(fs, '.wal').length > 1) copied++
    flip(fs, log!, 300)
    await repair(fs)
    const repaired = await fixture({}, fs).open()
    expect(repaired.history().latest).toBe(21)
    expect((await repaired.verify()).problems).toEqual([])
    await repaired.close()
  }
  expect(copied).toBeGreaterThan(0)
})

test('an older manifest, read instead of a damaged one, leaves out nothing of newer logs', async () => {
  const made = fixture()
  const first = await made.open()
  for (let i = 0; i < 5; i++) await first.put(`key${i}`, `value ${i}`)
  await first.close()
  const db = await made.open()
  await db.put('after', 'the open')
  await db.sync()
  // The directory was not synced since: what the open had removed is there again.
  const fs = made.fs.crash('lost')
  await db.close()
  const [old, manifest] = filesOf(fs, 'MANIFEST')
  expect(old).toBeDefined()
  flip(fs, manifest!, 100)
  expect(await repair(fs)).toMatchObject({ seqnosLost: [], eventsKept: 6 })
  const again = await fixture({}, fs).open()
  expect((await again.get('after'))?.toString()).toBe('the open')
  expect(await again.keys().all()).toHaveLength(6)
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})

test('what is lost of the state alone is reported with the seqnos that its segment spans', async () => {
  const made = fixture({ history: 'none' })
  const db = await made.open()
  for (let i = 0; i < 100; i++) await db.put(`key${i}`, 'value')
  await db.flush()
  await db.compact()
  await db.put('later', '1')
  await db.close()
  const { fs } = made
  const [segment] = filesOf(fs, '.seg')
  fs.remove(segment!)
  const report = await repair(fs)
  expect(report).toMatchObject({ seqnosLost: [{ from: 1, to: 100 }], floor: 101, eventsKept: 1 })
  const again = await made.open()
  expect((await again.keys().all()).map(String)).toEqual(['later'])
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})

/** Offset of each record of a manifest. */
function recordsOf(bytes: Uint8Array): number[] {
  const offsets: number[] = []
  const view = Buffer.from(bytes)
  for (let at = 0; at < view.length; at += view.readUInt32LE(at + 4)) offsets.push(at)
  return offsets
}

/** 100 keys, every fiftieth a blob, written four times, compacted once, and one more in the log: 401 events. */
async function filledInFourRounds() {
  const made = fixture({ blobThresholdBytes: 500, blockBytes: 512 })
  const db = await made.open({}, APART)
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 100; i++)
      await db.put(`key${i}`, `${round} `.repeat(i % 50 === 0 ? 400 : 3))
    await db.flush()
    if (round === 1) await db.compact()
  }
  await db.put('last', 'in the log')
  await db.close()
  return made
}

async function expectFourRoundsRepaired(fs: MemoryFileSystem, where: string): Promise<void> {
  const report = await repair(fs)
  expect(report, where).toMatchObject({ seqnosLost: [], floor: 1, eventsKept: 401 })
  const again = await fixture({}, fs).open({ blobThresholdBytes: 500 }, APART)
  expect((await again.verify()).problems).toEqual([])
  expect(await collect(again.scanSinceSeqno(1))).toHaveLength(401)
  const entries = await again.entries().all()
  expect(entries.length).toBe(101)
  expect(
    entries.every(([key, value]) => String(value).startsWith('3 ') || String(key) === 'last'),
  ).toBe(true)
  await again.close()
}

test('whichever edit of a manifest is damaged, its segments are taken in from what they say of themselves', async () => {
  const made = await filledInFourRounds()
  const [manifest] = filesOf(made.fs, 'MANIFEST')
  const edits = recordsOf(made.fs.files().get(manifest!)!).slice(2)
  expect(edits.length).toBeGreaterThan(10)
  for (const offset of edits) {
    const fs = made.fs.crash('kept')
    flip(fs, manifest!, offset + 30)
    await expectFourRoundsRepaired(fs, `at ${offset}`)
  }
})

/** Leaves its first `bytes` bytes of a file. */
function cutFile(fs: MemoryFileSystem, path: string, bytes: number): void {
  const content = fs.files().get(path)!
  fs.remove(path)
  const file = fs.create(path)
  file.append(content, 0, bytes)
  file.close()
}

test('wherever the end of a manifest is lost, segments that only it had named are taken in', async () => {
  const made = await filledInFourRounds()
  const [manifest] = filesOf(made.fs, 'MANIFEST')
  const bytes = made.fs.files().get(manifest!)!
  const edits = recordsOf(bytes).slice(2)
  for (const offset of edits.flatMap((record) => [record, record + 5, record + 30])) {
    const fs = made.fs.crash('kept')
    cutFile(fs, manifest!, Math.min(offset, bytes.length))
    await expectFourRoundsRepaired(fs, `cut at ${offset}`)
  }
})

/** Six rounds over two keyspaces, in levels whose seqnos lie between each other's; a third keyspace was dropped. */
async function layered() {
  const made = fixture({ blobThresholdBytes: 500, blockBytes: 512, segmentBytes: 16_384 })
  const db = await made.open({}, APART)
  const other = await db.keyspace('other')
  const dropped = await db.keyspace('dropped')
  for (let round = 0; round < 6; round++) {
    for (let i = round % 2; i < 300; i += 1 + (round % 3)) {
      await db.put(`key${i}`, `value ${round} ${i}`.repeat(i % 50 === 0 ? 100 : 3))
      if (i % 7 === round) await db.delete(`key${i + 1}`)
      if (i % 10 === 0) await other.put(`other${i}`, `round ${round}`)
      if (round < 2) await dropped.put(`dropped${i % 10}`, `round ${round}`)
    }
    if (round === 2) await db.dropKeyspace('dropped')
    if (round === 3) await db.deleteRange('key20', 'key25')
    await db.flush()
    if (round === 1) await db.compact()
    if (round === 4) await db.compact({ start: 'key1', end: 'key2' })
  }
  await db.consumer('index', { from: 10 })
  await db.put('last', 'in the log')
  const entries = await db.entries().all()
  const others = await other.entries().all()
  const events = await collect(db.scanSinceSeqno(1))
  const { storeId, latest } = db.history()
  const { token } = db.scanSinceSeqno(1)
  await db.close()
  return { ...made, entries, others, events, storeId, latest, token }
}

test('without any manifest the segments and logs tell what is there', async () => {
  for (const damage of ['removed', 'zeros'] as const) {
    const { open, fs, entries, others, events, storeId, latest, token } = await layered()
    const [manifest] = filesOf(fs, 'MANIFEST')
    if (damage === 'removed') for (const path of [manifest!, `${LOCATION}/CURRENT`]) fs.remove(path)
    else fs.corrupt(manifest!, 0, new Uint8Array(fs.files().get(manifest!)!.length))
    expect(await codeOf(() => open())).toBe('VARVE_CORRUPTION')

    expect(await repair(fs)).toMatchObject({
      filesSetAside: damage === 'removed' ? [] : [expect.stringContaining('MANIFEST')],
      eventsKept: latest,
      seqnosLost: [],
      floor: 1,
    })
    const db = await open({}, APART)
    expect(db.keyspaces()).toEqual(['default', 'recovered-2'])
    expect(await db.entries().all()).toEqual(entries)
    expect(await (await db.keyspace('recovered-2')).entries().all()).toEqual(others)
    const names = { default: 'default', other: 'recovered-2', dropped: 'recovered-3' }
    const renamed = events.map((event) => ({
      ...event,
      keyspace: names[event.keyspace as keyof typeof names],
    }))
    expect(await collect(db.scanSinceSeqno(1))).toEqual(renamed)
    expect(db.history()).toMatchObject({ epoch: 2, latest })
    expect(db.history().storeId).not.toBe(storeId)
    expect(await codeOf(() => db.scanSinceSeqno(token).nextBatch())).toBe('VARVE_WRONG_STORE')
    expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
    expect(await db.put('again', '1')).toBe(latest + 1)
    await db.close()
    expect(await repair(fs)).toMatchObject({ filesSetAside: [], seqnosLost: [] })
  }
})

test('without any manifest, values of a blob file that is gone are lost, and nothing else', async () => {
  const { open, fs } = await filled()
  const [blob] = filesOf(fs, '.blob')
  for (const path of [filesOf(fs, 'MANIFEST')[0]!, `${LOCATION}/CURRENT`, blob!]) fs.remove(path)
  const report = await repair(fs)
  const db = await open({}, APART)
  const keys = await db.keys().all()
  const lost = report.seqnosLost.reduce((sum, { from, to }) => sum + to - from + 1, 0)
  expect(lost).toBeGreaterThan(0)
  expect(keys).toHaveLength(901 - lost)
  expect(report.floor).toBe(report.seqnosLost.at(-1)!.to + 1)
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
})

test('wherever a manifest is damaged at its beginning, names, consumers and the id of the store survive', async () => {
  const made = await layered()
  const [manifest] = filesOf(made.fs, 'MANIFEST')
  const bytes = made.fs.files().get(manifest!)!
  // The header, the state, the state once more.
  for (const record of recordsOf(bytes).slice(0, 3)) {
    const fs = made.fs.crash('kept')
    flip(fs, manifest!, record + 30)
    expect(await repair(fs)).toMatchObject({ eventsKept: made.latest, seqnosLost: [], floor: 1 })
    const db = await made.open({ environment: { fs } }, APART)
    expect(db.keyspaces()).toEqual(['default', 'other'])
    expect(await db.entries().all()).toEqual(made.entries)
    expect(await (await db.keyspace('other')).entries().all()).toEqual(made.others)
    expect(await collect(db.scanSinceSeqno(made.token))).toEqual(made.events)
    expect(db.consumers()).toMatchObject([{ name: 'index', position: 10, state: 'active' }])
    expect(db.history()).toMatchObject({ storeId: made.storeId, epoch: 2, latest: made.latest })
    expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
    await db.put('again', '1')
    await db.compact()
    expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
    await db.close()
  }
})

test.each([
  ['damaged', (fs: MemoryFileSystem, path: string, record: number) => flip(fs, path, record + 12)],
  ['the first that is lost', cutFile],
])('whichever edit is %s, every entry of a layered store is kept', async (_, damage) => {
  const made = await layered()
  const [manifest] = filesOf(made.fs, 'MANIFEST')
  const records = recordsOf(made.fs.files().get(manifest!)!)
  const values = (entries: readonly (readonly [Buffer, Buffer])[]): string[] =>
    entries.map(([key, value]) => `${String(key)}=${String(value)}`)
  for (const record of records.slice(3)) {
    const fs = made.fs.crash('kept')
    damage(fs, manifest!, record)
    const report = await repair(fs)
    expect(report).toMatchObject({ eventsKept: made.latest, seqnosLost: [], floor: 1 })
    const db = await made.open({ environment: { fs } }, APART)
    const names = db.keyspaces()
    expect(values(await db.entries().all())).toEqual(values(made.entries))
    const other = await db.keyspace(names.includes('other') ? 'other' : 'recovered-2')
    expect(values(await other.entries().all())).toEqual(values(made.others))
    expect((await collect(db.scanSinceSeqno(1))).map(({ seqno }) => seqno)).toEqual(
      made.events.map(({ seqno }) => seqno),
    )
    expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
    await db.close()
  }
})
