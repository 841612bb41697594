/**
 * Opens the store and commits the planned history until it is killed. On its output, line by line: `opening`, `open <latest>
 * <epoch>`, and `ack <last>` for each commit once it was acknowledged.
 */
import { addPlanned, commitLength, isSynced } from '../planned.ts'
import { engine } from './engine.ts'

/** Commits that are under way at a time. */
const DEPTH = 8

const say = (text: string): boolean => process.stdout.write(`${text}\n`)
say('opening')
const store = await engine.Varve.open(process.argv[2]!, {
  memtableBytes: 48 * 1024,
  segmentBytes: 64 * 1024,
  history: { maxBytes: 1024 * 1024 },
  syncIntervalMs: 20,
})
const { latest, epoch } = store.history()
say(`open ${latest} ${epoch}`)
let next = latest + 1
for (;;) {
  const writes: Promise<void>[] = []
  for (let count = 0; count < DEPTH; count++) {
    const first = next
    next += commitLength(first)
    const batch = store.batch()
    for (let seqno = first; seqno < next; seqno++) addPlanned(batch, seqno)
    const written = store.write(batch, { sync: isSynced(first) })
    writes.push(written.then(({ last }) => void say(`ack ${last}`)))
  }
  await Promise.all(writes)
}
