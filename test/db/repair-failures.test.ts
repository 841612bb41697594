/** Repairs that the disk ends, wherever they are: they give back what they hold, and can be done again. */
import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import type { FaultOperation, MemoryFileSystem } from '../../src/testing/index.ts'
import { damageable } from './damageable.ts'
import { APART, codeOf, fixture, LOCATION } from './open.ts'

/** Two segments, values in blob files among them, and a log. */
const filled = async () => (await damageable({ segments: 2, keys: 40, largeEvery: 10 })).fs

function flip(fs: MemoryFileSystem, suffix: string, offset: number): void {
  const [path, bytes] = [...fs.files()].find(([name]) => name.includes(suffix))!
  const at = offset < 0 ? bytes.length + offset : offset
  fs.corrupt(path, at, Uint8Array.of(bytes[at]! ^ 0x40))
}

const DAMAGES: readonly (readonly [what: string, damage: (fs: MemoryFileSystem) => void])[] = [
  ['a segment', (fs) => flip(fs, '.seg', 700)],
  ['a blob file', (fs) => flip(fs, '.blob', 200)],
  ['a log', (fs) => flip(fs, '.wal', -3)],
  ['a manifest', (fs) => flip(fs, 'MANIFEST', 300)],
  [
    'no manifest at all',
    (fs) => {
      for (const path of fs.files().keys()) if (/MANIFEST|CURRENT/.test(path)) fs.remove(path)
    },
  ],
]

const OPERATIONS: readonly FaultOperation[] = [
  'create',
  'read',
  'write',
  'sync',
  'rename',
  'remove',
  'syncDirectory',
]

const repair = (fs: MemoryFileSystem) => Varve.repair(LOCATION, { environment: { fs } })

async function contentOf(fs: MemoryFileSystem): Promise<string[]> {
  const db = await fixture({}, fs).open({}, APART)
  expect((await db.verify()).problems).toEqual([])
  const entries = await db.entries().all()
  await db.close()
  return entries.map(([key, value]) => `${String(key)}=${String(value)}`)
}

test.each(DAMAGES)(
  'with %s, wherever a repair fails, it gives every descriptor and the lock back, and can be done again',
  async (_what, damage) => {
    const damaged = await filled()
    damage(damaged)
    const whole = damaged.crash('kept')
    await repair(whole)
    const expected = await contentOf(whole)
    expect(expected.length).toBeGreaterThan(60)
    let failures = 0
    for (const operation of OPERATIONS) {
      // Reads are many, and much alike.
      for (let after = 0; ; after += operation === 'read' ? 7 : 1) {
        const fs = damaged.crash('kept')
        fs.inject({ operation, after, effect: 'EIO' })
        const code = await codeOf(() => repair(fs))
        const where = `${operation} ${after}`
        expect(fs.openFileCount, where).toBe(0)
        if (code === 'no error') break
        expect(code, where).toBe('VARVE_IO')
        failures++
        fs.clearFaults()
        await repair(fs)
        expect(fs.openFileCount, where).toBe(0)
        expect(await contentOf(fs), where).toEqual(expected)
      }
    }
    expect(failures).toBeGreaterThan(20)
  },
)
