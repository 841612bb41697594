import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { waited } from '../../src/cli/change-stream.ts'

test('a wait that is longer than any timer is no short one', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  try {
    const controller = new AbortController()
    const wait = waited(Number.MAX_SAFE_INTEGER, controller.signal)
    controller.abort()
    expect(await wait).toBe(false)
    await turn()
    // Node tells of a timer that it sets to a millisecond instead.
    expect(warnings).toEqual([])
  } finally {
    process.off('warning', onWarning)
  }
})
