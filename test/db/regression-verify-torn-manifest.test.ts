import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

const LOCATION = '/data/store'

async function verified(fs: MemoryFileSystem): Promise<unknown> {
  const store = await Varve.open(LOCATION, { readOnly: true, environment: { fs } })
  try {
    return (await store.verify()).problems
  } finally {
    await store.close()
  }
}

function manifestOf(fs: MemoryFileSystem): { path: string; bytes: Uint8Array } {
  const [path, bytes] = [...fs.files()].find(([name]) => name.includes('MANIFEST'))!
  return { path, bytes }
}

/** A store that lost its power behind an edit: the mark that follows it was not synced. */
async function afterPowerCut(unsynced: 'kept' | { seed: number }): Promise<MemoryFileSystem> {
  const fs = new MemoryFileSystem()
  const store = await Varve.open(LOCATION, { syncIntervalMs: 0, environment: { fs } })
  await store.put('a', '1')
  await store.flush()
  const disk = fs.crash(unsynced)
  await store.close()
  return disk
}

test('verify beside no writer takes what a power cut left of a manifest for no damage', async () => {
  const whole = manifestOf(await afterPowerCut('kept')).bytes.length
  let shortened = 0
  for (let seed = 1; seed <= 40; seed++) {
    const fs = await afterPowerCut({ seed })
    if (manifestOf(fs).bytes.length < whole) shortened++
    expect(await verified(fs), `seed ${seed}`).toEqual([])
  }
  expect(shortened, 'some of them are cut').toBeGreaterThan(0)
})

test('verify beside no writer finds a byte that changed in the last record of a manifest', async () => {
  const disk = await afterPowerCut('kept')
  const { path, bytes } = manifestOf(disk)
  // The length of a record is left out: a longer one is one that was cut off.
  for (const behind of [1, 3, 8, 12, 16]) {
    const fs = disk.crash('kept')
    const at = bytes.length - behind
    fs.corrupt(path, at, Uint8Array.of(bytes[at]! ^ 1))
    const found = await verified(fs)
    expect(found, `${behind} before the end`).toMatchObject([{ file: path }])
  }
})

test('verify takes a part of an edit, which is what a full disk took of it, for no damage', async () => {
  const fs = new MemoryFileSystem()
  const store = await Varve.open(LOCATION, { syncIntervalMs: 0, environment: { fs } })
  await store.put('a', '1')
  await store.flush()
  const whole = manifestOf(fs).bytes.length
  fs.inject({ operation: 'write', file: /MANIFEST/, effect: 'short' })
  fs.inject({ operation: 'write', file: /MANIFEST/, after: 1, times: Infinity, effect: 'ENOSPC' })
  await expect(store.keyspace('more')).rejects.toMatchObject({ code: 'VARVE_NO_SPACE' })
  const { path, bytes } = manifestOf(fs)
  expect(bytes.length).toBeGreaterThan(whole)
  expect((await store.verify()).problems).toEqual([])

  // In what stands before it nothing may be wrong.
  fs.corrupt(path, whole - 1, Uint8Array.of(bytes[whole - 1]! ^ 1))
  expect((await store.verify()).problems).toMatchObject([{ file: path, code: 'VARVE_CORRUPTION' }])
  await store.close()
})
