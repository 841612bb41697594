/**
 * Stores with damage of any kind, repaired: they open, verify, and hold a part of what was written; what is not reported as
 * lost is there.
 */
import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { openStore } from '../../src/db/open.ts'
import { DIRECTORY, optionsOf, TUNING } from '../crash/life.ts'
import { LogicalTimers } from '../crash/logical-timers.ts'
import { collect, SILENT } from '../model/driver.ts'
import { eventLine } from '../model/model.ts'
import { randomOf } from '../record/record-samples.ts'
import { entriesOf, type Sample, sampleStore } from './damaged-store.ts'

const NEW_NAME = /^recovered-\d+$/
const ROUNDS = Number(process.env['VARVE_REPAIRS'] ?? 120)

for (const { how, isClean, seed } of [
  { how: 'closed cleanly', isClean: true, seed: 5 },
  { how: 'that crashed', isClean: false, seed: 9 },
  { how: 'with all history', isClean: false, seed: 12 },
]) {
  test(`a damaged store ${how} opens after a repair, and lacks nothing but what was reported`, {
    timeout: 600_000,
  }, async () => {
    const sample = await sampleStore(seed, isClean)
    const random = randomOf(seed * 3)
    let repaired = 0
    for (let round = 0; round < ROUNDS; round++) {
      const fs = sample.disk.crash('kept')
      const what = await damage(fs, random)
      try {
        if (await checkRepair(sample, fs)) repaired++
      } catch (error) {
        throw new Error(`round ${round}, ${what}: ${String(error)}`, { cause: error })
      }
    }
    expect(repaired).toBeGreaterThan(ROUNDS / 3)
  })
}

/** Answers whether anything was repaired. */
async function checkRepair(sample: Sample, fs: MemoryFileSystem): Promise<boolean> {
  const environment = { fs, now: (): number => 2_000_000, logger: SILENT }
  const before = fs.operationCount
  const report = await Varve.repair(DIRECTORY, { environment })
  expect(fs.openFileCount).toBe(0)
  const store = await openStore(
    DIRECTORY,
    { ...optionsOf(sample.optionsSeed), createIfMissing: false, environment },
    { ...TUNING, timers: new LogicalTimers() },
  )
  const { floor, latest } = store.history()
  expect(floor).toBe(report.floor)
  // Names of keyspaces stand in the manifest alone.
  const hasNewNames = store.keyspaces().some((name) => NEW_NAME.test(name))
  const found = (await collect(store.scanSinceSeqno(floor))).map(eventLine)
  const expected = sample.lines.slice(floor - 1, latest)
  const nameless = (line: string): string => line.replace(/(\S+ \S+ \S+ \S+ \S+) \S+/, '$1')
  if (hasNewNames) expect(found.map(nameless)).toEqual(expected.map(nameless))
  else expect(found).toEqual(expected)
  expect(report.eventsKept).toBe(found.length)
  const lost = report.seqnosLost
  expect(lost.every(({ from, to }) => from <= to)).toBe(true)
  expect(Math.max(...lost.map(({ to }) => to), 0)).toBeLessThanOrEqual(
    Math.max(floor - 1, latest + 1),
  )
  for (const { keyspace, key } of await wrongEntries(sample, store)) {
    // The end of a log that no sync covered may go without a word, as a torn tail does.
    const isTold = lost.length > 0 || latest < sample.lines.length || hasNewNames
    expect(isTold, `${key} of ${keyspace} is not as it was, and nothing was reported`).toBe(true)
  }
  expect((await store.verify()).problems).toEqual([])
  await store.compact()
  expect((await store.verify()).problems).toEqual([])
  await store.close()
  expect(fs.openFileCount).toBe(0)
  expect(await Varve.repair(DIRECTORY, { environment })).toMatchObject({ seqnosLost: [] })
  return fs.operationCount > before && report.epoch > 1
}

async function wrongEntries(
  sample: Sample,
  store: Varve,
): Promise<{ keyspace: string; key: string }[]> {
  const wrong: { keyspace: string; key: string }[] = []
  for (const [keyspace, entries] of sample.entries) {
    const found = store.keyspaces().includes(keyspace) ? await entriesOf(store, keyspace) : []
    const expected = new Set(entries)
    const there = new Set(found)
    for (const entry of [...entries, ...found]) {
      if (!expected.has(entry) || !there.has(entry)) wrong.push({ keyspace, key: entry })
    }
  }
  return wrong
}

/** Flips, cuts or removes in one to three files. */
async function damage(fs: MemoryFileSystem, random: () => number): Promise<string> {
  const done: string[] = []
  for (let count = random() < 0.7 ? 1 : 3; count > 0; count--) {
    const files = [...fs.files()].filter(
      ([path, { length }]) => length > 0 && !path.endsWith('LOCK'),
    )
    const [path, bytes] = files[Math.floor(random() * files.length)]!
    const offset = Math.floor(random() * bytes.length)
    const roll = random()
    if (roll < 0.6) fs.corrupt(path, offset, Uint8Array.of(bytes[offset]! ^ (1 << (offset & 7))))
    else if (roll < 0.75)
      fs.corrupt(path, offset, new Uint8Array(Math.min(700, bytes.length - offset)))
    else {
      fs.remove(path)
      if (roll < 0.9) await rewrite(fs, path, bytes.subarray(0, offset))
    }
    done.push(`${path} at ${offset} of ${bytes.length}, ${roll.toFixed(2)}`)
  }
  return done.join('; ')
}

async function rewrite(fs: MemoryFileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const file = fs.create(path)
  if (bytes.length > 0) file.append(bytes, 0, bytes.length)
  await file.sync()
  file.close()
}
