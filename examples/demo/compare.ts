/** Are two stores the same? Every keyspace is read in order and summed up in a digest. */
import { createHash } from 'node:crypto'
import Table from 'cli-table3'
import { decodeCounter, type Keyspace } from '../../src/index.ts'
import { type Atlas, keyspacesOf } from './stores.ts'

export interface Digest {
  readonly entries: number
  readonly bytes: number
  readonly sha256: string
}

export interface Comparison {
  readonly keyspace: string
  readonly source: Digest
  readonly target: Digest
  readonly isSame: boolean
}

export async function compareStores(source: Atlas, target: Atlas): Promise<Comparison[]> {
  const targets = keyspacesOf(target)
  const comparisons: Comparison[] = []
  for (const [i, keyspace] of keyspacesOf(source).entries()) {
    const left = await digestOf(keyspace)
    const right = await digestOf(targets[i] as Keyspace)
    const isSame = left.sha256 === right.sha256 && left.entries === right.entries
    comparisons.push({ keyspace: keyspace.name, source: left, target: right, isSame })
  }
  return comparisons
}

export function printComparisons(comparisons: readonly Comparison[]): void {
  const table = new Table({
    head: ['keyspace', 'entries', 'bytes', 'digest', 'digest of the replay', ''],
    style: process.stdout.isTTY ? {} : { head: [], border: [] },
  })
  for (const { keyspace, source, target, isSame } of comparisons) {
    table.push([
      keyspace,
      source.entries.toLocaleString('en'),
      source.bytes.toLocaleString('en'),
      source.sha256.slice(0, 16),
      target.sha256.slice(0, 16),
      isSame ? 'same' : 'DIFFERENT',
    ])
  }
  console.log(table.toString())
}

/** The counters of all countries together must be the number of cities that are left. */
export async function countsAddUp({ cities, counts }: Atlas): Promise<boolean> {
  const [left, counters] = await Promise.all([
    digestOf(cities),
    counts.values({ prefix: 'country/' }).all(),
  ])
  const sum = counters.reduce((total, value) => total + decodeCounter(value), 0n)
  return sum === BigInt(left.entries)
}

async function digestOf(keyspace: Keyspace): Promise<Digest> {
  const hash = createHash('sha256')
  const lengths = Buffer.alloc(8)
  await using cursor = keyspace.entries()
  let entries = 0
  let bytes = 0
  for (;;) {
    const batch = await cursor.nextBatch()
    if (batch.length === 0) return { entries, bytes, sha256: hash.digest('hex') }
    for (const [key, value] of batch) {
      // Lengths keep ('ab', 'c') and ('a', 'bc') apart.
      lengths.writeUInt32LE(key.length, 0)
      lengths.writeUInt32LE(value.length, 4)
      hash.update(lengths).update(key).update(value)
      bytes += key.length + value.length
    }
    entries += batch.length
  }
}
