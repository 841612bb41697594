/**
 * Random writes, flushes, compactions as the picker wants them, snapshots that come and go, a floor that rises: after every
 * step every snapshot reads what the log says, and every event at or above the floor stands exactly once.
 */
import { expect, test } from 'vitest'
import { pickCompaction } from '../../src/compaction/picker.ts'
import { merge, put, remove, removeRange, type TestOperation } from '../memtable/commits.ts'
import { TinyTree } from './tiny-tree.ts'

function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function randomOperation(random: (below: number) => number, keyspaces: number): TestOperation {
  const keyspaceId = 1 + random(keyspaces)
  const key = (): string => `key${String(random(60)).padStart(2, '0')}${random(4) === 0 ? 'x' : ''}`
  const value = random(8) === 0 ? 'L'.repeat(100 + random(400)) : `v${random(1000)}`
  switch (random(12)) {
    case 0:
    case 1:
      return remove(key(), keyspaceId)
    case 2: {
      const [a, b] = [key(), key()].sort()
      return random(6) === 0
        ? removeRange(b!, undefined, keyspaceId)
        : removeRange(a!, `${b}~`, keyspaceId)
    }
    case 3:
    case 4:
    case 5:
    case 6:
      // Keyspace 2 has no merge operator.
      return keyspaceId === 2 ? put(key(), value, 2) : merge(key(), `m${random(10)}`, keyspaceId)
    default:
      return put(key(), value, keyspaceId)
  }
}

async function live(seed: number, steps: number): Promise<TinyTree> {
  const random = randomFrom(seed)
  const tree = new TinyTree(
    [
      { mergeOperator: 'append', blobThresholdBytes: 120 },
      { compression: random(2) === 0 ? 'none' : 'lz4' },
      { mergeOperator: 'tail', blobThresholdBytes: 80 },
    ],
    16 * 1024,
  )
  // Not associative, and throws now and then: whatever was folded must not matter.
  tree.operators.set('tail', {
    name: 'tail',
    merge: (_key, base, operands) => Buffer.concat([base ?? Buffer.from('-'), ...operands]),
  })
  for (let step = 0; step < steps; step++) {
    switch (random(8)) {
      case 0:
        if (tree.snapshots.length < 4 && tree.latest > 0) {
          tree.snapshots = [...new Set([...tree.snapshots, tree.latest])]
        }
        break
      case 1:
        tree.snapshots = tree.snapshots.filter(() => random(3) !== 0)
        break
      case 2:
        if (random(3) === 0) tree.dropFloor = Math.max(tree.dropFloor, random(tree.latest + 2))
        tree.expire()
        break
      case 3: {
        const every = 40 + random(100)
        tree.bands = Array.from(
          { length: Math.floor(tree.latest / every) },
          (_, i) => (i + 1) * every,
        )
        break
      }
    }
    const commits = 1 + random(30)
    for (let c = 0; c < commits; c++) {
      const operations = Array.from({ length: 1 + random(4) }, () => randomOperation(random, 3))
      tree.write(operations, random(10) === 0 ? 'meta' : undefined)
    }
    await tree.flush()
    for (let n = random(4); n > 0; n--) {
      const pick = pickCompaction(tree.pickerInput())
      if (pick !== undefined) await tree.carryOut(pick)
    }
    if (random(6) === 0) await compactToLevel(tree, 1 + random(3), random)
    await tree.check()
  }
  return tree
}

/** Level 0 to the first level in use, or one above it, so that several levels come to be. */
async function compactToLevel(
  tree: TinyTree,
  keyspaceId: number,
  random: (below: number) => number,
): Promise<void> {
  const { levels } = tree.files(keyspaceId)
  if (levels[0]!.length === 0) return
  let level = levels.findIndex((segments, i) => i > 0 && segments.length > 0)
  if (level < 0) level = 6
  if (random(2) === 0) level = Math.max(1, level - 1)
  const pick = {
    type: 'compact',
    keyspaceId,
    level: 0,
    outputLevel: level,
    reason: 'manual',
  } as const
  await tree.carryOut({ ...pick, upper: levels[0]!, lower: levels[level]! })
}

const seeds = Array.from({ length: 12 }, (_, i) => 1 + i)
for (const seed of seeds) {
  test(`nothing is lost and nothing reads differently, seed ${seed}`, async () => {
    const tree = await live(seed, 14)
    expect(tree.latest).toBeGreaterThan(0)
    // In the end, everything down: one level, no tombstones, no held versions.
    tree.snapshots = []
    await tree.flush().catch(() => undefined)
    for (const id of [1, 2, 3]) {
      for (;;) {
        const { levels } = tree.files(id)
        const level = levels.findIndex((segments, i) => i < 6 && segments.length > 0)
        if (level < 0) break
        const next = levels.findIndex((segments, i) => i > level && segments.length > 0)
        const outputLevel = next < 0 ? 6 : next
        const pick = {
          type: 'compact',
          keyspaceId: id,
          level,
          outputLevel,
          reason: 'manual',
        } as const
        await tree.carryOut({ ...pick, upper: levels[level]!, lower: levels[outputLevel]! })
      }
    }
    await tree.check()
  })
}
