import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { onAbort } from '../../src/base/abort-listeners.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

test('calls that wait for one signal share a listener, and each is called once', () => {
  const controller = new AbortController()
  const { signal } = controller
  const called: number[] = []
  for (let i = 0; i < 20; i++) onAbort(signal, () => called.push(i))
  expect(listeners(signal)).toBe(1)
  controller.abort()
  expect(called).toEqual(Array.from({ length: 20 }, (_, i) => i))
  expect(listeners(signal)).toBe(0)
})

test('the listener goes with the last call that is taken back, and comes again', () => {
  const controller = new AbortController()
  const { signal } = controller
  const called: string[] = []
  const run = (): void => void called.push('same')
  const first = onAbort(signal, run)
  const second = onAbort(signal, run)
  first()
  first()
  expect(listeners(signal)).toBe(1)
  second()
  expect(listeners(signal)).toBe(0)
  const third = onAbort(signal, run)
  first()
  second()
  expect(listeners(signal)).toBe(1)
  controller.abort()
  expect(called).toEqual(['same'])
  third()
  expect(listeners(signal)).toBe(0)
})

test('a call may take others back, itself too', () => {
  const controller = new AbortController()
  const called: string[] = []
  const takeBack: (() => void)[] = []
  for (const name of ['a', 'b', 'c']) {
    takeBack.push(
      onAbort(controller.signal, () => {
        called.push(name)
        if (name === 'a') for (const back of takeBack.slice(0, 2)) back()
      }),
    )
  }
  controller.abort()
  expect(called).toEqual(['a', 'c'])
})
