import { expect, test } from 'vitest'
import { codeOf, fixture } from './open.ts'

test('a refresh that is refused keeps no file open, and none that its writer has removed', async () => {
  const { open, fs } = fixture({ history: 'none' })
  const own = { name: 'own', merge: () => Buffer.from('merged') }
  const writer = await open({ mergeOperators: [own] })
  await writer.put('a', '0')
  await writer.flush()
  const reader = await open({ readOnly: true })
  await writer.keyspace('k', { mergeOperator: 'own' })
  const before = fs.openFileCount
  const rewritten = async (value: string): Promise<void> => {
    await writer.put('a', value)
    await writer.flush()
    await writer.compact()
  }
  for (let i = 1; i <= 3; i++) {
    await rewritten(String(i))
    expect(await codeOf(() => reader.refresh())).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
    expect(fs.openFileCount, `refresh ${i}`).toBe(before)
    expect(reader.getSync('a')?.toString()).toBe('0')
  }
  await writer.dropKeyspace('k')
  expect(await reader.refresh()).toBe(5)
  expect(reader.getSync('a')?.toString()).toBe('3')
  expect(fs.openFileCount).toBe(before)
  await reader.close()
  await writer.close()
})
