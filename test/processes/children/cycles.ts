/**
 * Opens, uses and closes a store again and again (with --expose-gc), and says what that left in the process: descriptors,
 * memory, files. Every so many times everything is left open that a user may forget to close.
 */
import fs from 'node:fs'
import { engine } from './engine.ts'

const directory = process.argv[2]!
const cycles = Number(process.argv[3])
/** Before the first look: code is compiled, pools have grown. Measured: the heap stands still after some 2,000 cycles. */
const WARM = Math.min(2_500, Math.ceil(cycles / 4))
const FLUSH_EVERY = 20
const FORGET_EVERY = 50

interface Look {
  readonly descriptors: number
  readonly heapBytes: number
  readonly bufferBytes: number
}

async function look(): Promise<Look> {
  // What has been given back is not always gone in the same turn: sockets of locks, handles of workers.
  for (let turn = 0; turn < 20; turn++) {
    globalThis.gc!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return {
    descriptors: fs.readdirSync('/proc/self/fd').length,
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
  }
}

async function cycle(index: number): Promise<void> {
  const store = await engine.Varve.open(directory, {
    history: { maxBytes: 64 * 1024 },
    memtableBytes: 64 * 1024,
    blockCacheBytes: 1024 * 1024,
  })
  const key = `key-${index % 50}`
  await store.put(key, Buffer.alloc(200, index & 0xff))
  await store.get(key)
  if (index % FLUSH_EVERY === 0) await store.flush()
  const cursor = store.entries()
  await cursor.nextBatch(5)
  const scan = store.scanSinceSeqno(store.history().floor)
  await scan.nextBatch(5)
  if (index % FORGET_EVERY === 0) {
    store.snapshot()
    store.entriesSync().next()
    await store.tail({ from: 'oldest' }).next()
  } else {
    await cursor.close()
    await scan.close()
  }
  await store.close()
}

for (let index = 0; index < WARM; index++) await cycle(index)
const before = await look()
for (let index = WARM; index < cycles; index++) await cycle(index)
let after = await look()
// A worker thread that has just ended gives its descriptors back when it comes to it; a leak never does.
for (let again = 0; again < 100 && after.descriptors > before.descriptors; again++) {
  after = await look()
}
const files = fs.readdirSync(directory).length
console.log(JSON.stringify({ cycles, before, after, files }))
