/**
 * Works on a store with far more files than the process may have open. Prints what it found.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { engine } from './engine.ts'

const KEYS = 6_000
const VALUE_BYTES = 1_000

// Not before the package is loaded: Node opens the modules of a package all at once, which alone would be too many.
const limit = process.argv[3]!
execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${limit}:${limit}`])
const warnings: string[] = []
const logger = {
  debug: (): void => undefined,
  info: (): void => undefined,
  warn: (message: string): void => void warnings.push(message),
  error: (message: string): void => void warnings.push(message),
}
const store = await engine.Varve.open(process.argv[2]!, {
  memtableBytes: 512 * 1024,
  segmentBytes: 16 * 1024,
  blobThresholdBytes: 900,
  history: 'all',
  blockCacheBytes: 0,
  environment: { logger },
})
const failures: string[] = []
store.on('backgroundError', ({ error }) => failures.push(`${error.code}: ${error.message}`))
let descriptorsMax = 0
// Looking takes a descriptor of its own: the program that the store lives in needs some, too.
const look = (): void => {
  descriptorsMax = Math.max(descriptorsMax, fs.readdirSync('/proc/self/fd').length)
}
const keyOf = (index: number): string => `key-${String(index).padStart(6, '0')}`
// Some are in blob files, most in segments.
const valueOf = (index: number): Buffer =>
  Buffer.alloc(index % 8 === 0 ? VALUE_BYTES : 880, index & 0xff)
for (let index = 0; index < KEYS; index++) {
  await store.put(keyOf((index * 7919) % KEYS), valueOf((index * 7919) % KEYS))
  if (index % 100 === 0) look()
}
await store.compact()
look()
let right = 0
for (let index = 0; index < KEYS; index++) {
  const value = await store.get(keyOf((index * 4799) % KEYS))
  if (value?.equals(valueOf((index * 4799) % KEYS)) === true) right++
  if (index % 100 === 0) look()
}
// Many at once, each over all files.
const cursors = Array.from({ length: 20 }, () => store.entries())
let walked = 0
for (let left = cursors.length; left > 0; ) {
  left = 0
  for (const cursor of cursors) {
    const batch = await cursor.nextBatch(97)
    walked += batch.length
    if (batch.length > 0) left++
  }
  look()
}
let events = 0
for await (const { seqno } of store.scanSinceSeqno(1)) events += seqno > 0 ? 1 : 0
look()
const { ok } = await store.verify()
look()
const { keyspaces, blobs } = store.stats()
const files = keyspaces['default']!.levels.reduce((sum, { segments }) => sum + segments, 0)
await store.close()
console.log(
  JSON.stringify({
    segments: files + keyspaces['default']!.history.segments,
    blobs: blobs.files,
    right,
    walked,
    events,
    ok,
    failures,
    warnings,
    status: store.status,
    descriptorsMax,
    descriptorsLeft: fs.readdirSync('/proc/self/fd').length,
  }),
)
