import { describe, expect, test } from 'vitest'
import { Operation } from '../../src/memtable/operation.ts'
import { OperationLog } from '../../src/memtable/operation-log.ts'
import { RadixNodes } from '../../src/memtable/radix-nodes.ts'
import { RadixPath } from '../../src/memtable/radix-path.ts'
import { RadixTree } from '../../src/memtable/radix-tree.ts'
import { encodeCommit, put, randomOf } from './commits.ts'

interface TreeOverLog {
  readonly log: OperationLog
  readonly nodes: RadixNodes
  readonly tree: RadixTree
}

function newTree(): TreeOverLog {
  const log = new OperationLog({ firstSeqno: 1, capacityBytes: 1 << 24, shared: false })
  const nodes = new RadixNodes(false, 0)
  return { log, nodes, tree: new RadixTree(log, nodes) }
}

function insert({ log, tree }: TreeOverLog, root: number, ordinal: number): void {
  const operation = new Operation()
  operation.read(log.arena, log.offsetOf(ordinal))
  tree.insert(root, ordinal, operation.keyStart, operation.keyEnd)
}

/** Adds a key of two bytes. */
function adderOf(over: TreeOverLog, root: number): (first: number, second: number) => void {
  const { log } = over
  return (first, second) => {
    const record = encodeCommit(log.lastSeqno + 1, [put(Buffer.from([first, second]), '')])
    const offset = log.append(record, 0, record.length)
    log.accept(offset, log.decode(offset))
    insert(over, root, log.count - 1)
  }
}

describe('room that was made before a commit went to the log', () => {
  test.each(Array.from({ length: 12 }, (_, i) => i + 1))(
    'is enough for every insertion; seed %i',
    (seed) => {
      const random = randomOf(seed)
      const over = newTree()
      const { log, nodes } = over
      const roots = new Map<number, number>()
      const letters = [256, 3, 49, 17][seed % 4]!
      for (let step = 0; step < 60; step++) {
        const operations = Array.from({ length: 1 + random(seed % 2 === 0 ? 4 : 300) }, () => {
          const key = Buffer.alloc(1 + random(4))
          for (let i = 0; i < key.length; i++) key[i] = random(letters)
          return put(key, '', random(5))
        })
        const record = encodeCommit(log.lastSeqno + 1, operations)
        const offset = log.append(record, 0, record.length)
        nodes.reserve(log.pending)
        const { words } = nodes
        const { links, arena } = log
        const from = log.count
        log.accept(offset, log.decode(offset))
        operations.forEach(({ keyspaceId }, i) => {
          if (!roots.has(keyspaceId)) roots.set(keyspaceId, nodes.addRoot())
          insert(over, roots.get(keyspaceId)!, from + i)
        })
        expect(nodes.words).toBe(words)
        expect(log.links).toBe(links)
        expect(log.arena).toBe(arena)
      }
    },
  )
})

describe('room for numbers in ascending order, whose nodes begin larger', () => {
  test.each([2, 3, 5, 7, 10, 16, 17, 50, 256])('each node with %i of them', (base) => {
    const over = newTree()
    const { log, nodes } = over
    const root = nodes.addRoot()
    for (let step = 0; step < 40; step++) {
      const operations = Array.from({ length: 1 + (step % 7) * 40 }, (_, i) => {
        let number = log.count + i
        const key = Buffer.alloc(16)
        for (let at = 15; at >= 0; at--) {
          key[at] = number % base
          number = Math.floor(number / base)
        }
        return put(key, '')
      })
      const record = encodeCommit(log.lastSeqno + 1, operations)
      const offset = log.append(record, 0, record.length)
      nodes.reserve(log.pending)
      const { words } = nodes
      const from = log.count
      log.accept(offset, log.decode(offset))
      for (let i = 0; i < operations.length; i++) insert(over, root, from + i)
      expect(nodes.words).toBe(words)
    }
    const path = new RadixPath(over.tree)
    let expected = 0
    for (path.toFirst(root); path.ordinal >= 0; path.advance()) {
      expect(path.ordinal).toBe(expected++)
    }
    expect(expected).toBe(log.count)
  })
})

describe('nodes', () => {
  test('grow through all sizes and are used again', () => {
    const over = newTree()
    const { nodes, tree } = over
    const root = nodes.addRoot()
    const add = adderOf(over, root)
    for (let second = 0; second < 256; second++) add(1, (second * 37) % 256)
    const used = nodes.bytesUsed
    expect(used).toBeGreaterThanOrEqual(260 * 4)
    expect(used).toBeLessThan(300 * 4)
    for (let second = 0; second < 256; second++) add(2, (second * 91) % 256)
    // What the first node grew out of serves the second; only the one of 256 children and the one above both are new.
    expect(nodes.bytesUsed).toBeLessThan(used + 300 * 4)
    const path = new RadixPath(tree)
    let count = 0
    for (path.toFirst(root); path.ordinal >= 0; path.advance()) count++
    for (path.toLast(root); path.ordinal >= 0; path.retreat()) count++
    expect(count).toBe(1_024)
  })

  test('take about twenty bytes for a random key', () => {
    const random = randomOf(7)
    const over = newTree()
    const { log, nodes } = over
    const root = nodes.addRoot()
    const keys = Array.from({ length: 20_000 }, () => {
      const key = Buffer.alloc(16)
      for (let i = 0; i < 16; i++) key[i] = random(256)
      return put(key, '')
    })
    const record = encodeCommit(1, keys)
    const offset = log.append(record, 0, record.length)
    log.accept(offset, log.decode(offset))
    for (let ordinal = 0; ordinal < keys.length; ordinal++) insert(over, root, ordinal)
    expect(nodes.bytesUsed / keys.length).toBeLessThan(24)
  })

  test('begin small again where the ones before came to have few children', () => {
    const over = newTree()
    const { nodes } = over
    const root = nodes.addRoot()
    const add = adderOf(over, root)
    for (let first = 0; first < 100; first++) {
      for (let second = 0; second < 5; second++) add(first, second)
    }
    const large = nodes.bytesUsed
    expect(large / 500).toBeLessThan(24)
    for (let first = 100; first < 200; first++) {
      for (let second = 0; second < 2; second++) add(first, second)
    }
    // All but the first of these have room for four, and one that was left behind serves another.
    expect((nodes.bytesUsed - large) / 100).toBeLessThan(40)
  })
})
