/**
 * Repair without any manifest, of stores in which a compaction took inputs over whole: its copies are history although they look
 * like live segments, and what it made counts together or not at all.
 */
import { expect, test } from 'vitest'
import { parseFileName } from '../../src/env/file-names.ts'
import { writeFully } from '../../src/env/file-system.ts'
import { Varve } from '../../src/index.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import type { SegmentFooter } from '../../src/segment/segment-footer.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { collect } from '../model/driver.ts'
import { APART, fixture, LOCATION } from './open.ts'

/** Small segments are enough to be taken over where those of the store are small. */
const OPENED = { mergeOperator: 'append', segmentBytes: 16 * 1024 }
const OPTIONS = { blockBytes: 512, compression: 'none', ...OPENED } as const
const ROUNDS = 4
const KEYS = 70

/** Made once: whoever changes a disk takes a copy of it. */
let once: ReturnType<typeof compact> | undefined
const compacted = (): ReturnType<typeof compact> => (once ??= compact())

/** Four segments of level 0 with the same keys; the last deletes some, and each has keys, operands and tombstones of its own. */
async function compact() {
  const made = fixture(OPTIONS)
  const db = await made.open({}, APART)
  await db.put('gone', 'deleted by what nothing supersedes')
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < KEYS; i++) {
      const key = `key${String(i).padStart(3, '0')}`
      if (round === ROUNDS - 1 && i % 10 === 0) await db.delete(key)
      else await db.put(key, `value ${round} `.repeat(4))
    }
    await db.put(`only ${round}`, 'once')
    await db.merge('sum', `${round}`)
    if (round === 1) await db.delete('gone')
    await db.flush()
  }
  const before = made.fs.crash('kept')
  await db.compact()
  await db.put('last', 'in the log')
  const entries = await db.entries().all()
  const events = await collect(db.scanSinceSeqno(1))
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
  const inputs = [...segmentsOf(before)].filter(([path]) => !made.fs.files().has(path))
  const outputs = [...segmentsOf(made.fs)].filter(([path]) => !before.files().has(path))
  return { ...made, before, entries, events, inputs, outputs }
}

type Found = [path: string, footer: SegmentFooter]

function segmentsOf(fs: MemoryFileSystem): Map<string, SegmentFooter> {
  const found = new Map<string, SegmentFooter>()
  for (const path of fs.files().keys()) {
    if (parseFileName(path.slice(LOCATION.length + 1))?.type !== 'segment') continue
    const file = fs.openRead(path)
    try {
      found.set(path, readSegmentFooter(file))
    } catch {
      // Not written to its end.
    } finally {
      file.close()
    }
  }
  return found
}

function copyTo(target: MemoryFileSystem, source: MemoryFileSystem, path: string): void {
  write(target, path, source.files().get(path)!)
}

function write(fs: MemoryFileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.create(path)
  writeFully(file, bytes, 0, bytes.length)
  file.close()
}

function loseManifest(fs: MemoryFileSystem): void {
  for (const path of fs.files().keys()) {
    if (path.includes('MANIFEST') || path.endsWith('CURRENT')) fs.remove(path)
  }
}

async function expectWhole(
  made: Awaited<ReturnType<typeof compacted>>,
  fs: MemoryFileSystem,
): Promise<void> {
  const report = await Varve.repair(LOCATION, { environment: { fs } })
  expect(report).toMatchObject({ seqnosLost: [], floor: 1, eventsKept: made.events.length })
  const db = await fixture(OPENED, fs).open({}, APART)
  expect(await db.entries().all()).toEqual(made.entries)
  expect(await collect(db.scanSinceSeqno(1))).toEqual(made.events)
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.compact()
  expect(await db.entries().all()).toEqual(made.entries)
  expect(await collect(db.scanSinceSeqno(1))).toEqual(made.events)
  await db.close()
}

test('the store has what is to be repaired: copies, spent tombstones in history, keys that only copies have', async () => {
  const { inputs, outputs, entries } = await compacted()
  expect(inputs).toHaveLength(ROUNDS)
  expect(outputs.filter(([, { origin }]) => origin?.isHistory === true)).toHaveLength(ROUNDS - 1)
  const live = outputs.filter(([, { meta, origin }]) => meta.order === 'key' && !origin!.isHistory)
  expect(live).toHaveLength(1)
  expect(live[0]![1].meta.derivedEntries).toBeGreaterThan(0)
  expect(live[0]![1].meta.pointTombstones).toBe(0)
  expect(outputs.some(([, { meta }]) => meta.order === 'seqno' && meta.pointTombstones > 0)).toBe(
    true,
  )
  expect(entries.map(([key]) => key.toString())).not.toContain('gone')
})

test('copies are history, also where no manifest says so', async () => {
  const made = await compacted()
  const fs = made.fs.crash('kept')
  loseManifest(fs)
  await expectWhole(made, fs)
})

test('inputs that were not removed yet do not count', async () => {
  const made = await compacted()
  const some: Found[][] = [made.inputs, ...made.inputs.map((one) => [one])]
  for (const left of [...some, made.inputs.slice(1)]) {
    const fs = made.fs.crash('kept')
    for (const [path] of left) copyTo(fs, made.before, path)
    loseManifest(fs)
    await expectWhole(made, fs)
  }
})

test('what a job had made that did not come to its end does not count', async () => {
  const made = await compacted()
  const { closing } = made.outputs[0]![1].origin!
  const others = made.outputs.filter(([, { meta }]) => meta.number !== closing)
  expect(others).toHaveLength(made.outputs.length - 1)
  const isCopy = ([, { origin }]: Found): boolean => origin!.isHistory
  const left = [others, others.filter(isCopy), others.filter((one) => !isCopy(one)), []]
  for (const kept of left) {
    const fs = made.fs.crash('kept')
    for (const [path] of made.outputs) fs.remove(path)
    for (const [path] of kept) copyTo(fs, made.fs, path)
    for (const [path] of made.inputs) copyTo(fs, made.before, path)
    // Cut off, so that the file that closes the job has no footer; or with one, and without a sector that never came to the disk.
    const [path] = made.outputs.find(([, { meta }]) => meta.number === closing)!
    const bytes = Buffer.from(made.fs.files().get(path)!)
    const isCut = kept.length === 0
    write(fs, path, isCut ? bytes.subarray(0, 1000) : bytes.fill(0, 1024, 1536))
    loseManifest(fs)
    await expectWhole(made, fs)
  }
})

test('a power cut where such a job ends, whatever of it gets lost: it counts as a whole or not at all', async () => {
  const made = await compacted()
  let end = 0
  const compactUntil = async (operation: number): Promise<MemoryFileSystem> => {
    const disk = made.before.crash('kept')
    const db = await fixture(OPTIONS, disk).open({}, APART)
    const from = disk.operationCount
    disk.dieAtOperation(from + operation)
    await db.compact().catch(() => undefined)
    end = disk.operationCount - from
    return disk
  }
  const isEnded = (fs: MemoryFileSystem): boolean =>
    [...segmentsOf(fs).values()].some(({ meta, origin }) => origin?.closing === meta.number)
  await compactUntil(1_000_000)
  let ended = end
  while (isEnded((await compactUntil(ended - 1)).crash('lost'))) ended--
  // The file that closes the job is whole, but not known to be on the disk.
  const disk = await compactUntil(ended - 1)
  for (let seed = 0; seed < 16; seed++) {
    const fs = disk.crash({ seed })
    loseManifest(fs)
    await Varve.repair(LOCATION, { environment: { fs } })
    const db = await fixture(OPTIONS, fs).open({}, APART)
    const entries = made.entries.filter(([key]) => key.toString() !== 'last')
    expect(await db.entries().all()).toEqual(entries)
    expect(await collect(db.scanSinceSeqno(1))).toEqual(made.events.slice(0, -1))
    await db.close()
  }
})

test('a damaged edit that installed such a job: its outputs are taken in, or all is told by the segments', async () => {
  const made = await compacted()
  const manifest = [...made.fs.files().keys()].find((path) => path.includes('MANIFEST'))!
  const bytes = made.fs.files().get(manifest)!
  for (let at = 100; at < bytes.length; at += 97) {
    for (const left of [[], [made.inputs[0]!], made.inputs]) {
      const fs = made.fs.crash('kept')
      fs.corrupt(manifest, at, Uint8Array.of(bytes[at]! ^ 0x10))
      for (const [path] of left) copyTo(fs, made.before, path)
      const report = await Varve.repair(LOCATION, { environment: { fs } })
      const db = await fixture(OPENED, fs).open({}, APART)
      const entries = await db.entries().all()
      if (report.seqnosLost.length === 0) {
        expect(entries).toEqual(made.entries)
        expect(await collect(db.scanSinceSeqno(1))).toEqual(made.events)
      }
      expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
      await db.close()
    }
  }
})

test('a damaged copy stays history when it is written anew', async () => {
  const made = await compacted()
  const fs = made.fs.crash('kept')
  const [path] = made.outputs.find(([, { origin }]) => origin?.isHistory === true)!
  fs.corrupt(path, 100, Uint8Array.of(fs.files().get(path)![100]! ^ 1))
  const report = await Varve.repair(LOCATION, { environment: { fs } })
  expect(report.seqnosLost.length).toBeGreaterThan(0)
  loseManifest(fs)
  await Varve.repair(LOCATION, { environment: { fs } })
  const db = await fixture(OPENED, fs).open({}, APART)
  expect(await db.entries().all()).toEqual(made.entries)
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
})
