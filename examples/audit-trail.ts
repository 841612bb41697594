/**
 * An audit trail outside the store: who changed what, and when. The writer's name travels as commit metadata, the trail is a
 * file of lines, and the consumer is acknowledged only after the lines are on disk: at least once, and what comes twice after
 * a crash is recognised by its seqno.
 *
 *   npx tsx examples/audit-trail.ts ./accounts ./audit.ndjson
 */
import { existsSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { Varve } from '../src/index.ts'

export interface AuditLine {
  seqno: number
  at: string
  by: string
  what: string
  key: string
}

export function readTrail(file: string): AuditLine[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as AuditLine)
}

/** Appends what is new to the trail. */
export async function writeTrail(db: Varve, file: string): Promise<void> {
  const consumer = await db.consumer('audit', { from: 'oldest' })
  const last = readTrail(file).at(-1)?.seqno ?? 0
  const trail = await open(file, 'a')
  try {
    // 'durable': an audit line must not tell of something that a power cut can take back.
    await db.sync()
    for await (const { events, next } of consumer.batches({
      stopAtLatest: true,
      visibility: 'durable',
    })) {
      let lines = ''
      for (const event of events) {
        if (event.seqno <= last) continue
        const line: AuditLine = {
          seqno: event.seqno,
          at: new Date(event.timestamp).toISOString(),
          by: event.commitMeta?.toString() ?? 'unknown',
          what: event.type,
          key: event.type === 'RangeTombstone' ? event.startKey.toString() : event.key.toString(),
        }
        lines += `${JSON.stringify(line)}\n`
      }
      await trail.appendFile(lines)
      await trail.sync()
      await consumer.ack(next)
    }
  } finally {
    await trail.close()
  }
}

export async function main(directory: string, file: string): Promise<AuditLine[]> {
  await using db = await Varve.open(directory)
  await db.put('account:1', '100', { meta: 'alice' })
  await db.put('account:1', '80', { meta: 'bob' })
  await writeTrail(db, file)
  await db.delete('account:1', { meta: 'alice' })
  await writeTrail(db, file)
  return readTrail(file)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await main(process.argv[2] ?? './accounts', process.argv[3] ?? './audit.ndjson'))
}
