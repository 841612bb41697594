import { expect, test } from 'vitest'
import { closestName } from '../../src/base/closest-name.ts'

const KNOWN = ['memtableBytes', 'blockCacheBytes', 'sync', 'syncIntervalMs', 'gt', 'gte', 'limit']

test.each([
  ['memTableBytes', 'memtableBytes'],
  ['memtableByte', 'memtableBytes'],
  ['blockCacheSize', undefined],
  ['blokCacheByts', 'blockCacheBytes'],
  ['synk', 'sync'],
  ['syncIntervalMS', 'syncIntervalMs'],
  ['gtt', 'gt'],
  ['limits', 'limit'],
  ['colour', undefined],
  ['', undefined],
  ['x'.repeat(1_000_000), undefined],
])('%s may have meant %s', (name, meant) => {
  expect(closestName(name, KNOWN)).toBe(meant)
})
