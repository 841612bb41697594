/** What a repair says that it read, set aside and lost, and what a rewritten segment still says of itself. */
import { expect, test } from 'vitest'
import { replicate, Varve } from '../../src/index.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import type { SegmentFooter } from '../../src/segment/segment-footer.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { damageable } from './damageable.ts'
import { APART, codeOf, fixture, LOCATION } from './open.ts'

const repair = (fs: MemoryFileSystem) => Varve.repair(LOCATION, { environment: { fs } })

/** Segments, logs, blob files and manifests. */
function storeFiles(fs: MemoryFileSystem): string[] {
  return [...fs.files().keys()].filter((path) => /(\.(seg|wal|blob)|MANIFEST-\d+)$/.test(path))
}

function segmentsOf(fs: MemoryFileSystem): string[] {
  return storeFiles(fs).filter((path) => path.endsWith('.seg'))
}

function footerOf(fs: MemoryFileSystem, path: string): SegmentFooter {
  const file = fs.openRead(path)
  try {
    return readSegmentFooter(file)
  } finally {
    file.close()
  }
}

function flip(fs: MemoryFileSystem, path: string, offset: number): void {
  const bytes = fs.files().get(path)!
  fs.corrupt(path, offset, Uint8Array.of(bytes[offset]! ^ 0x40))
}

/** Offset of each record of a manifest. */
function recordsOf(bytes: Uint8Array): number[] {
  const offsets: number[] = []
  const view = Buffer.from(bytes)
  for (let at = 0; at < view.length; at += view.readUInt32LE(at + 4)) offsets.push(at)
  return offsets
}

/** Damages the last edit, which a close left, with the record in front of its mark. */
function flipLastEdit(fs: MemoryFileSystem): void {
  const [path, bytes] = [...fs.files()].find(([name]) => name.includes('MANIFEST'))!
  flip(fs, path, recordsOf(bytes).at(-2)! + 12)
}

/** Three segments and as many blob files, and a log. */
const filled = () => damageable({ segments: 3, keys: 60, largeEvery: 20 })

test('every file is counted once, whatever is damaged', async () => {
  const { fs } = await filled()
  const files = storeFiles(fs)
  expect(files).toHaveLength(8)
  expect(await repair(fs)).toMatchObject({ filesRead: files.length })
  // Behind the edit that is damaged here, a segment is known by its footer alone.
  const [path, bytes] = [...fs.files()].find(([name]) => name.includes('MANIFEST'))!
  const edits = recordsOf(bytes)
  expect(edits.length).toBeGreaterThan(8)
  for (const edit of edits.slice(2)) {
    const image = fs.crash('kept')
    flip(image, path, edit + 12)
    expect(await repair(image), `at ${edit}`).toMatchObject({
      filesRead: files.length,
      seqnosLost: [],
      eventsKept: 181,
    })
  }
})

test('a segment that nobody knows and nobody can use is set aside', async () => {
  const { fs, open } = await filled()
  const stray = fs.create(`${LOCATION}/000999.seg`)
  stray.append(Buffer.alloc(100, 'x'), 0, 100)
  stray.close()
  flipLastEdit(fs)
  const { filesSetAside, seqnosLost } = await repair(fs)
  expect(seqnosLost).toEqual([])
  expect(filesSetAside).toContain('lost/000999.seg')
  expect(fs.stat(`${LOCATION}/lost/000999.seg`)).toBeDefined()
  const db = await open({}, APART)
  expect(await db.verify()).toMatchObject({ ok: true })
  await db.close()
})

test('the state that a segment held is lost with it also where the manifest is damaged', async () => {
  const { fs, open } = fixture({ history: 'none' })
  const db = await open()
  for (let i = 0; i < 100; i++) await db.put(`key${i}`, 'value')
  await db.flush()
  await db.compact()
  await db.put('later', '1')
  await db.close()
  fs.remove(segmentsOf(fs)[0]!)
  flipLastEdit(fs)
  expect(await repair(fs)).toMatchObject({ seqnosLost: [{ from: 1, to: 100 }], floor: 101 })
})

test('a replica that is repaired stays in the epochs of its source, and goes on', async () => {
  const source = await fixture().open()
  const { fs, open } = fixture({ role: 'replica', blockBytes: 512 })
  let replica = await open({}, APART)
  for (let i = 0; i < 100; i++) await source.put(`key${i}`, `value ${i}`)
  await replicate(source, replica, { stopAtLatest: true })
  await replica.flush()
  await source.put('more', '1')
  await replicate(source, replica, { stopAtLatest: true })
  await replica.close()
  flip(fs, segmentsOf(fs)[0]!, 300)
  const { epoch, seqnosLost } = await repair(fs)
  expect(seqnosLost.length).toBeGreaterThan(0)
  expect(epoch).toBe(source.history().epoch)
  replica = await open({}, APART)
  expect(replica.history().epochs).toEqual(source.history().epochs)
  await source.put('and more', '1')
  await replicate(source, replica, { stopAtLatest: true })
  expect(String(await replica.get('and more'))).toBe('1')
  await replica.close()
  await source.close()
})

test('a signal ends it before the next file is read', async () => {
  const { fs } = await filled()
  flip(fs, segmentsOf(fs)[0]!, 300)
  const before = fs.files()
  for (const ending of ['.seg', '.blob']) {
    const controller = new AbortController()
    const opened: string[] = []
    const openRead = fs.openRead.bind(fs)
    fs.openRead = (path) => {
      if (path.endsWith('.seg') || path.endsWith('.blob')) opened.push(path)
      if (path.endsWith(ending)) controller.abort()
      return openRead(path)
    }
    const options = { environment: { fs }, signal: controller.signal }
    expect(await codeOf(() => Varve.repair(LOCATION, options))).toBe('VARVE_ABORTED')
    fs.openRead = openRead
    expect(opened.filter((path) => path.endsWith(ending))).toHaveLength(1)
    expect(fs.openFileCount).toBe(0)
  }
  for (const [path, bytes] of before) expect(fs.files().get(path), path).toEqual(bytes)
})

test('a rewritten segment keeps its range deletes', async () => {
  const { fs, open } = fixture({ history: 'none', blockBytes: 512 })
  let db = await open({}, APART)
  for (let i = 0; i < 100; i++) await db.put(`key${i}`, 'deep')
  await db.flush()
  await db.compact()
  await db.deleteRange('key2', 'key5')
  for (let i = 0; i < 100; i++) await db.put(`new${i}`, 'value')
  await db.flush()
  await db.close()
  const upper = segmentsOf(fs).find((path) => footerOf(fs, path).meta.rangeFragments > 0)!
  flip(fs, upper, 300)
  expect((await repair(fs)).filesSetAside).toHaveLength(1)
  db = await open({}, APART)
  expect(await db.keys({ gte: 'key2', lt: 'key5' }).all()).toEqual([])
  expect(await db.get('key7')).toBeDefined()
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
})

test('range deletes that are lost are told of by the seqnos that their segment spans', async () => {
  const { fs, open } = fixture({ history: 'none', blockBytes: 512 })
  const db = await open({}, APART)
  for (let i = 0; i < 50; i++) await db.put(`key${i}`, 'deep')
  await db.flush()
  await db.compact()
  await db.put('a', '1')
  await db.deleteRange('key2', 'key5')
  await db.put('z', '1')
  await db.flush()
  await db.truncateHistory(db.history().latest + 1)
  await db.close()
  const upper = segmentsOf(fs).find((path) => footerOf(fs, path).meta.rangeFragments > 0)!
  const { parts, meta } = footerOf(fs, upper)
  flip(fs, upper, parts.dataBytes + parts.changeBytes + parts.directoryBytes + 1)
  expect(meta).toMatchObject({ minSeqno: 51, maxSeqno: 53 })
  expect(await repair(fs)).toMatchObject({ seqnosLost: [{ from: 51, to: 53 }], floor: 54 })
})

test('where the change index is lost too, nobody can tell which entries are', async () => {
  const { fs, open } = fixture({ blockBytes: 512 })
  const db = await open({}, APART)
  for (let i = 0; i < 200; i++) await db.put(`key${String(i).padStart(3, '0')}`, 'value '.repeat(5))
  await db.flush()
  await db.truncateHistory(151)
  await db.close()
  const [path] = segmentsOf(fs)
  const { parts, meta } = footerOf(fs, path!)
  expect(meta.minSeqno).toBe(1)
  flip(fs, path!, 300)
  flip(fs, path!, parts.dataBytes + parts.changeBytes + 1)
  expect(await repair(fs)).toMatchObject({ seqnosLost: [{ from: 1, to: 200 }], floor: 201 })
})

test('an event at the floor counts as there', async () => {
  const { fs, open } = fixture({ blockBytes: 512 })
  const db = await open({}, APART)
  for (const round of [0, 1]) {
    for (let i = 0; i < 50; i++) await db.put(`key${round}-${i}`, 'value')
    await db.flush()
  }
  await db.truncateHistory(50)
  await db.close()
  const upper = segmentsOf(fs).find((path) => footerOf(fs, path).meta.minSeqno === 51)!
  flip(fs, upper, 100)
  const { seqnosLost } = await repair(fs)
  expect(seqnosLost.length).toBeGreaterThan(0)
  expect(seqnosLost[0]!.from).toBeGreaterThan(50)
})

/** Three versions of each key, the first two in history. */
async function compactedTwice() {
  const { fs, open } = fixture({ blockBytes: 512 })
  const db = await open({}, APART)
  const fill = async (round: number): Promise<void> => {
    for (let i = 0; i < 50; i++) await db.put(`key${i}`, `value ${round}`)
    await db.flush()
  }
  await fill(0)
  await fill(1)
  const before = fs.crash('kept')
  await db.compact()
  await fill(2)
  await db.compact()
  return { db, fs, open, before }
}

test('of lost history only what could still be read counts as lost', async () => {
  const { db, fs, open } = await compactedTwice()
  await db.truncateHistory(41)
  await db.put('last', '1')
  await db.close()
  const spanning = segmentsOf(fs).find((path) => {
    const { meta, origin } = footerOf(fs, path)
    const isHistory = meta.order === 'seqno' || origin?.isHistory === true
    return isHistory && meta.minSeqno < 41 && meta.maxSeqno > 41
  })!
  const { maxSeqno } = footerOf(fs, spanning).meta
  fs.remove(spanning)
  expect(await repair(fs)).toMatchObject({
    seqnosLost: [{ from: 41, to: maxSeqno }],
    floor: maxSeqno + 1,
  })
  const again = await open({}, APART)
  expect(await again.keys().all()).toHaveLength(51)
  await again.close()
})

test('whichever edit is damaged, nothing is told to be lost that is there, and nothing stands twice', async () => {
  const { db, fs, before } = await compactedTwice()
  await db.close()
  const [manifest, bytes] = [...fs.files()].find(([path]) => path.includes('MANIFEST'))!
  const floors = new Set<number>()
  // With the files that compactions had removed, as a power cut may bring them back, and without.
  for (const old of [new Map<string, Uint8Array>(), before.files()]) {
    for (const record of recordsOf(bytes).slice(2)) {
      const image = fs.crash('kept')
      for (const [path, content] of old) {
        if (!path.endsWith('.seg') || image.stat(path) !== undefined) continue
        const file = image.create(path)
        file.append(content, 0, content.length)
        file.close()
      }
      flip(image, manifest, record + 12)
      const report = await repair(image)
      expect(report, `at ${record}`).toMatchObject({ seqnosLost: [] })
      if (old.size === 0)
        expect(report, `at ${record}`).toMatchObject({ floor: 1, eventsKept: 150 })
      floors.add(report.floor)
      const again = await fixture({}, image).open({}, APART)
      expect(await again.verify(), `at ${record}`).toMatchObject({ ok: true, problems: [] })
      expect(new Set((await again.values().all()).map(String))).toEqual(new Set(['value 2']))
      await again.close()
    }
  }
  // Inputs and outputs of the job whose edit is lost are both there: the floor stands above them.
  expect([...floors].toSorted((a, b) => a - b)).toEqual([1, 101])
})

test('a keyspace of which only logs know gets a name, and one that nobody has', async () => {
  const { fs, open } = fixture()
  let db = await open()
  await db.put('a', '1')
  const taken = await db.keyspace('recovered-3')
  await taken.put('mine', '1')
  await db.flush()
  const before = fs.crash('kept')
  await (await db.keyspace('third')).put('in the log', '3')
  await db.close()
  // The manifest of before knows two of them.
  const [old] = [...before.files()].filter(([path]) => path.includes('MANIFEST'))
  const bare = fs.crash('kept')
  for (const path of bare.files().keys()) if (/MANIFEST|CURRENT/.test(path)) bare.remove(path)
  const known = bare.crash('kept')
  const manifest = known.create(old![0])
  manifest.append(old![1], 0, old![1].length)
  manifest.close()
  for (const [image, names] of [
    [bare, ['default', 'recovered-2', 'recovered-3']],
    [known, ['default', 'recovered-3', 'recovered-3-']],
  ] as const) {
    expect(await repair(image)).toMatchObject({ seqnosLost: [] })
    db = await fixture({}, image).open()
    expect(db.keyspaces().toSorted()).toEqual(names)
    const third = await db.keyspace(names[2])
    expect((await third.entries().all()).flat().map(String)).toEqual(['in the log', '3'])
    expect(await db.verify()).toMatchObject({ ok: true })
    await db.close()
  }
})
