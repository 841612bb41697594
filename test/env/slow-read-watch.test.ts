import { expect, test } from 'vitest'
import { SlowReadWatch } from '../../src/env/slow-read-watch.ts'

function newWatch(): { watch: SlowReadWatch; move: (ms: number) => void } {
  let nowMs = 1_000
  return { watch: new SlowReadWatch(() => nowMs), move: (ms) => (nowMs += ms) }
}

function noteMany(watch: SlowReadWatch, count: number, ms: number): void {
  for (let i = 0; i < count; i++) watch.note(4_096, ms)
}

test('one late read among fast ones changes nothing', () => {
  const { watch } = newWatch()
  for (let i = 0; i < 20; i++) {
    noteMany(watch, 15, 0.002)
    noteMany(watch, 1, 5)
  }
  expect(watch.isFast).toBe(true)
})

test('several slow reads turn the disk slow, until the verdict expires', () => {
  const { watch, move } = newWatch()
  noteMany(watch, 4, 2)
  expect(watch.isFast).toBe(false)
  move(249)
  expect(watch.isFast).toBe(false)
  move(1)
  expect(watch.isFast).toBe(true)
})

test('a verdict that has to be given again at once lasts twice as long', () => {
  const { watch, move } = newWatch()
  noteMany(watch, 4, 2)
  move(250)
  noteMany(watch, 4, 2)
  move(499)
  expect(watch.isFast).toBe(false)
  move(1)
  expect(watch.isFast).toBe(true)
  move(60_000)
  noteMany(watch, 4, 2)
  move(250)
  expect(watch.isFast).toBe(true)
})

test('a large read may take longer', () => {
  const { watch } = newWatch()
  for (let i = 0; i < 20; i++) watch.note(1 << 20, 0.9)
  expect(watch.isFast).toBe(true)
  for (let i = 0; i < 20; i++) watch.note(1 << 20, 9)
  expect(watch.isFast).toBe(false)
})

test('all reads are timed after a slow one, else every fourth', () => {
  const { watch } = newWatch()
  const due = (): number => Array.from({ length: 16 }, () => watch.isDue()).filter(Boolean).length
  expect(due()).toBe(4)
  noteMany(watch, 1, 5)
  expect(due()).toBe(16)
  noteMany(watch, 16, 0.002)
  expect(due()).toBe(4)
})
