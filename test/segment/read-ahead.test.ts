import { expect, test } from 'vitest'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { makeSegment, writeSegment } from './segment-model.ts'

test('a walk over lent chunks reads each block about once, forward and in reverse', () => {
  const model = makeSegment(1, { entries: 8000, keys: 8000, valueBytesMax: 100 })
  const written = writeSegment(model)
  const opened = written.fs.openRead(written.path)
  let bytesRead = 0
  const readSync: typeof opened.readSync = (target, offset, length, position) => {
    bytesRead += length
    return opened.readSync(target, offset, length, position)
  }
  const file = new Proxy(opened, {
    get: (of, name) => (name === 'readSync' ? readSync : Reflect.get(of, name, of)),
  })
  const reader = new SegmentReader(file, written.meta, undefined)
  reader.openSync()
  for (const isForward of [true, false]) {
    bytesRead = 0
    let seen = 0
    const iterator = reader.iterator({ mayRead: true, lent: new WeakSet() })
    if (isForward) iterator.seekToFirst()
    else iterator.seekToLast()
    while (iterator.valid) {
      seen++
      if (isForward) iterator.next()
      else iterator.prev()
    }
    iterator.close()
    expect(seen).toBe(model.entries.length)
    expect(bytesRead).toBeLessThan(1.1 * written.bytes.length)
  }
})
