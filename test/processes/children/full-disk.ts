/**
 * Runs in a mount namespace of its own, on a small tmpfs that it lets fill up and then grow. Writes the planned history; prints
 * what came of each part.
 */
import { execFileSync } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { PlannedState, plannedAt, valueAt } from '../planned.ts'
import { engine } from './engine.ts'

const mount = process.argv[2]!
/** A refused write is answered so soon; writes go on so soon after there is room. */
const PROMPT_MS = 5_000
const ROUNDS = 3

execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', mount])
const store = await engine.Varve.open(`${mount}/store`, {
  memtableBytes: 128 * 1024,
  segmentBytes: 64 * 1024,
  history: 'all',
  syncIntervalMs: 20,
})
/** Refused writes take no seqno, so the plan is followed by what was acknowledged. */
let acknowledged = 0
let refusals = 0
let slowestMs = 0
const codes = new Set<string>()

async function writeUntil(isEnough: (error: unknown) => boolean): Promise<void> {
  for (;;) {
    const startedAt = performance.now()
    const error: unknown = await writeNext().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    slowestMs = Math.max(slowestMs, performance.now() - startedAt)
    if (error !== undefined) {
      refusals++
      codes.add(String(Reflect.get(Object(error), 'code')))
    }
    if (isEnough(error)) return
    // Nobody sleeps here: the store's own timers need the event loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function writeNext(): Promise<void> {
  const operation = plannedAt(acknowledged + 1)
  if (operation.type === 'put') await store.put(operation.key, operation.value)
  else if (operation.type === 'delete') await store.delete(operation.key)
  else await store.deleteRange(operation.start, operation.end)
  acknowledged++
}

async function check(reader: typeof store, what: string): Promise<void> {
  const { latest } = reader.history()
  if (latest !== acknowledged) throw new Error(`${what}: ${latest} instead of ${acknowledged}`)
  const state = new PlannedState()
  state.advance(latest)
  const found = await reader.entries().all()
  if (found.length !== state.entries.size) throw new Error(`${what}: ${found.length} keys`)
  for (const [key, value] of found) {
    const seqno = state.entries.get(key.toString())
    if (seqno === undefined || !value.equals(valueAt(seqno)))
      throw new Error(`${what}: ${String(key)}`)
  }
  let next = 1
  for await (const { seqno } of reader.scanSinceSeqno(1)) {
    if (seqno !== next++) throw new Error(`${what}: event ${seqno} instead of ${next - 1}`)
  }
  if (next !== latest + 1) throw new Error(`${what}: the stream ends at ${next - 1}`)
}

let resumedMs = 0
for (let round = 1; round <= ROUNDS; round++) {
  // More than once in a row: a full disk stays full for a while.
  let inARow = 0
  await writeUntil((error) => (inARow = error === undefined ? 0 : inARow + 1) >= 200)
  if (store.status !== 'open') throw new Error(`a full disk made the store ${store.status}`)
  await check(store, `full for the ${round}. time`)
  execFileSync('mount', ['-o', `remount,size=${4 + round * 4}m`, mount])
  const startedAt = performance.now()
  const target = acknowledged + 200
  await writeUntil((error) => error === undefined && acknowledged >= target)
  resumedMs = Math.max(resumedMs, performance.now() - startedAt)
}
await store.flush()
await store.compact()
await check(store, 'at the end')
await store.close()
const again = await engine.Varve.open(`${mount}/store`)
await check(again, 'reopened')
const { ok, problems } = await again.verify()
await again.close()
console.log(
  JSON.stringify({
    codes: [...codes],
    isPrompt: slowestMs < PROMPT_MS,
    resumesSoon: resumedMs < PROMPT_MS,
    ok,
    problems,
    refusals,
    acknowledged,
    slowestMs,
    resumedMs,
  }),
)
