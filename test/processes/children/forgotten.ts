/**
 * Forgets to close what it opened on a store (with --expose-gc), and waits until the garbage collector has let go of it.
 */
import fs from 'node:fs'
import { engine } from './engine.ts'

const directory = process.argv[2]!
const COUNT = 50
/** A collection that did not come by then does not come. */
const TURNS_MAX = 300

const warnings: string[] = []
const quiet = (): void => undefined
const logger = {
  debug: quiet,
  info: quiet,
  error: quiet,
  warn: (message: string, fields?: object): void =>
    void warnings.push(`${message} ${JSON.stringify(fields ?? {})}`),
}
const store = await engine.Varve.open(directory, {
  history: { maxBytes: 100_000 },
  memtableBytes: 64 * 1024,
  blobThresholdBytes: 1_000,
  environment: { logger },
})

async function fill(salt: number): Promise<void> {
  for (let index = 0; index < 300; index++) {
    await store.put(`key-${index}`, Buffer.alloc(index % 10 === 0 ? 2_000 : 300, salt))
  }
  await store.flush()
  await store.compact()
}

/** What nobody is going to close; the caller forgets it. */
async function begin(): Promise<unknown[]> {
  const begun: unknown[] = []
  for (let index = 0; index < COUNT; index++) {
    const entries = store.entries()
    await entries.nextBatch(3)
    const keys = store.keys({ reverse: true })
    await keys.next()
    const entriesSync = store.entriesSync()
    entriesSync.next()
    const scan = store.scanSinceSeqno(store.history().floor, { memoryBudgetBytes: 16 * 1024 })
    await scan.next()
    begun.push(entries, keys, entriesSync, scan, store.snapshot())
  }
  return begun
}

/** Files beyond those that the newest state is made of. */
function filesBeyond(): number {
  const { keyspaces, blobs, wal } = store.stats()
  let needed = blobs.files + wal.files + ['CURRENT', 'LOCK', 'MANIFEST'].length
  for (const { levels, history } of Object.values(keyspaces)) {
    needed += history.segments
    for (const { segments } of levels) needed += segments
  }
  return fs.readdirSync(directory).length - needed
}

/** Until it is so, or does not become so any more. */
async function until(isSo: () => boolean, step: () => void): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX && !isSo(); turn++) {
    step()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

await fill(1)
const begun = await begin()
await fill(2)
const filesHeld = filesBeyond()
begun.length = 0
const isForgotten = (): boolean => warnings.length >= 5 * COUNT && filesBeyond() === 0
await until(isForgotten, () => globalThis.gc!())
const result = {
  forgotten: 5 * COUNT,
  warnings: warnings.length,
  kinds: [...new Set(warnings)].toSorted(),
  openSnapshots: store.stats().openSnapshots,
  filesHeld,
  filesLeft: filesBeyond(),
}
await store.close()
console.log(JSON.stringify(result))
