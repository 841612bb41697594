/**
 * Single bits flipped and files cut, at sampled places of every kind of file: no wrong answer, no crash, no hang.
 */
import { describe, expect, test } from 'vitest'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { randomOf } from '../record/record-samples.ts'
import { type Outcome, readDamaged, type Sample, sampleStore } from './damaged-store.ts'

/** In all tests of this file together. */
const FLIPS = Number(process.env['VARVE_FLIPS'] ?? 5_000)
/** Of each file; `npm run test:corruption` makes 200. */
const CUTS_EACH = Number(process.env['VARVE_CUTS_EACH'] ?? 4)
const KINDS = ['seg', 'blob', 'wal', 'MANIFEST', 'CURRENT'] as const

type Tally = Record<Outcome, number>

describe.each([
  { how: 'closed cleanly', isClean: true, seed: 5 },
  { how: 'that crashed', isClean: false, seed: 9 },
])('a store $how', ({ isClean, seed }) => {
  for (const kind of KINDS) {
    test(`answers rightly or not at all when a bit of a ${kind} file is flipped`, {
      timeout: 600_000,
    }, async () => {
      const sample = await sampleStore(seed, isClean)
      const random = randomOf(seed)
      const tally: Tally = { refused: 0, shortened: 0, whole: 0 }
      for (let count = 0; count < FLIPS / 2 / KINDS.length; count++) {
        const { path, bytes } = pickFile(sample, kind, random)
        const offset = Math.floor(random() * bytes.length)
        const bit = Math.floor(random() * 8)
        const fs = sample.disk.crash('kept')
        fs.corrupt(path, offset, Uint8Array.of(bytes[offset]! ^ (1 << bit)))
        await named(`${path}, bit ${bit} of byte ${offset}`, async () => {
          const { outcome, verified } = await readDamaged(sample, fs)
          tally[outcome]++
          // Recovery rewrites logs and manifest, and removes what nothing needs: the rest is there to be verified.
          if ((kind === 'seg' || kind === 'blob') && fs.stat(path) !== undefined) {
            expect(outcome === 'refused' || verified === false, 'the flip is found').toBe(true)
          }
        })
      }
      expect(tally.refused).toBeGreaterThan(0)
    })
  }

  test('answers rightly or not at all when a file is cut', { timeout: 600_000 }, async () => {
    const sample = await sampleStore(seed, isClean)
    const random = randomOf(seed)
    let cuts = 0
    for (const [path, bytes] of sample.disk.files()) {
      for (let place = 0; place < CUTS_EACH; place++) {
        // One in each stretch, so that all parts of the file are met.
        const size = Math.floor(((place + random()) / CUTS_EACH) * bytes.length)
        const fs = sample.disk.crash('kept')
        await cut(fs, path, bytes.subarray(0, size))
        await named(`${path} cut to ${size} of ${bytes.length}`, () => readDamaged(sample, fs))
        cuts++
      }
    }
    expect(cuts).toBeGreaterThanOrEqual(CUTS_EACH * KINDS.length)
  })
})

function pickFile(
  sample: Sample,
  kind: (typeof KINDS)[number],
  random: () => number,
): { path: string; bytes: Uint8Array } {
  const files = [...sample.disk.files()].filter(([path]) => path.includes(kind))
  expect(files.length, kind).toBeGreaterThan(0)
  const [path, bytes] = files[Math.floor(random() * files.length)]!
  return { path, bytes }
}

async function cut(fs: MemoryFileSystem, path: string, bytes: Uint8Array): Promise<void> {
  fs.remove(path)
  const file = fs.create(path)
  file.append(bytes, 0, bytes.length)
  await file.sync()
  file.close()
}

async function named<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw new Error(`${name}: ${String(error)}`, { cause: error })
  }
}
