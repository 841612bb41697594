/**
 * A whole store as the first version left it, after a compaction that took segments over as history: log, manifest and segments
 * are read together, and what the footers say of the takeover (property 23) still tells repair what is live.
 *
 * The fixture was made by this file: `VARVE_WRITE_FIXTURES=1 npx vitest run test/compat/store-format.test.ts`. Its ids are random,
 * so it is not made anew to be compared.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseFileName } from '../../src/env/file-names.ts'
import { writeFully } from '../../src/env/file-system.ts'
import { type ChangeEvent, Varve } from '../../src/index.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import type { SegmentOrigin } from '../../src/segment/segment-footer.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { APART, fixture, LOCATION } from '../db/open.ts'
import { collect } from '../model/driver.ts'

const FIXTURE = new URL('./fixtures/store-1-takeover/', import.meta.url)
const OPTIONS = {
  blockBytes: 512,
  compression: 'none',
  mergeOperator: 'append',
  segmentBytes: 16 * 1024,
} as const
const ROUNDS = 3

/** Level 0 has a segment a round, nearly all of each superseded by the next one. */
async function write(db: Varve, advance: (ms: number) => void): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const batch = db.batch()
    for (let i = 0; i < 60; i++) {
      const key = `key${String(i).padStart(2, '0')}`
      if (round === ROUNDS - 1 && i % 10 === 0) batch.delete(key)
      else batch.put(key, `value ${round} `.repeat(4))
    }
    batch.put(`only ${round}`, 'once').merge('sum', `${round}`)
    await db.write(batch, { meta: `round ${round}` })
    advance(1000)
    await db.flush()
  }
}

async function stateOf(db: Varve): Promise<{ entries: unknown; events: ChangeEvent[] }> {
  return { entries: await db.entries().all(), events: await collect(db.scanSinceSeqno(1)) }
}

/** What the same writes make of a store today, not compacted, and what they make of its files when it is. */
async function made(): Promise<Awaited<ReturnType<typeof stateOf>> & { fs: MemoryFileSystem }> {
  const { fs, clock, open } = fixture(OPTIONS)
  const db = await open({}, APART)
  await write(db, (ms) => clock.advance(ms))
  await db.put('last', 'in the log')
  const state = await stateOf(db)
  await db.compact()
  await db.put('last', 'in the log, again')
  await db.close()
  return { ...state, fs }
}

function placed(): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(LOCATION)
  for (const name of readdirSync(FIXTURE)) {
    const bytes = readFileSync(new URL(name, FIXTURE))
    const file = fs.create(`${LOCATION}/${name}`)
    writeFully(file, bytes, 0, bytes.length)
    file.close()
  }
  return fs
}

function origins(fs: MemoryFileSystem): SegmentOrigin[] {
  return [...fs.files().keys()]
    .filter((path) => parseFileName(path.slice(LOCATION.length + 1))?.type === 'segment')
    .map((path) => {
      const file = fs.openRead(path)
      try {
        return readSegmentFooter(file).origin
      } finally {
        file.close()
      }
    })
    .filter((origin) => origin !== undefined)
}

if (process.env['VARVE_WRITE_FIXTURES'] === '1') {
  rmSync(FIXTURE, { recursive: true, force: true })
  mkdirSync(FIXTURE, { recursive: true })
  for (const [path, bytes] of (await made()).fs.files()) {
    const name = path.slice(LOCATION.length + 1)
    if (name !== 'LOCK') writeFileSync(new URL(name, FIXTURE), bytes)
  }
}

test('the fixture has what a takeover leaves, and today leaves the same', async () => {
  const kinds = origins(placed()).map(({ isHistory, inputs }) => ({ isHistory, inputs }))
  expect(kinds.filter(({ isHistory }) => isHistory)).toHaveLength(ROUNDS - 1)
  expect(kinds.some(({ isHistory }) => !isHistory)).toBe(true)
  expect(
    origins((await made()).fs).map(({ isHistory, inputs }) => ({ isHistory, inputs })),
  ).toEqual(kinds)
})

async function expectRead(fs: MemoryFileSystem): Promise<void> {
  const { entries, events } = await made()
  const db = await fixture({ mergeOperator: 'append' }, fs).open()
  const { latest } = db.history()
  expect(latest).toBe(events.length + 1)
  expect(String(await db.get('last'))).toBe('in the log, again')
  await db.put('last', 'in the log')
  const now = await stateOf(db)
  expect(now.entries).toEqual(entries)
  expect(now.events.slice(0, events.length)).toEqual(events)
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.compact()
  expect((await stateOf(db)).entries).toEqual(entries)
  await db.close()
}

test('it is read: entries, events, log', async () => {
  await expectRead(placed())
})

test('it is read where no manifest says which segments are copies', async () => {
  const fs = placed()
  for (const path of fs.files().keys()) {
    if (path.includes('MANIFEST') || path.endsWith('CURRENT')) fs.remove(path)
  }
  const report = await Varve.repair(LOCATION, { environment: { fs } })
  expect(report).toMatchObject({ seqnosLost: [], floor: 1 })
  await expectRead(fs)
})
