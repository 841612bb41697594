import { describe, expect, it } from 'vitest'
import { ArenaWeight } from '../../src/memtable/arena-weight.ts'

const LARGE = 4 * 1024 * 1024

describe('arena weight', () => {
  it('is there as soon as the arena is large where nobody will say when it is let go', () => {
    const weight = new ArenaWeight()
    weight.grow(64 * 1024)
    expect(weight.array).toBeUndefined()
    weight.grow(LARGE)
    expect(weight.array?.byteLength).toBe(LARGE)
  })

  it('comes when the owner lets go', () => {
    const weight = new ArenaWeight()
    weight.own()
    weight.grow(LARGE)
    expect(weight.array).toBeUndefined()
    weight.letGo()
    expect(weight.array?.byteLength).toBe(LARGE)
  })

  it('never comes for a small arena', () => {
    const weight = new ArenaWeight()
    weight.own()
    weight.grow(64 * 1024)
    weight.letGo()
    expect(weight.array).toBeUndefined()
  })

  it('is done without where there is no memory for it', () => {
    const weight = new ArenaWeight()
    weight.own()
    weight.grow(2 ** 60)
    weight.letGo()
    expect(weight.array).toBeUndefined()
  })
})
