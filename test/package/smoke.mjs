// One round through the package on whatever runtime runs this file: `node smoke.mjs <location>` beside a node_modules with
// varve in it. Prints one line of JSON; fails with an exception. Plain JavaScript, so that every runtime can run it.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { decodeCounter, encodeCounter, hasCode, replicate, Varve } from 'varve'

const [, , location] = process.argv
const source = path.join(location, 'source')
const warnings = []
const logger = { debug() {}, info() {}, warn: (message) => warnings.push(message), error: fail }
const environment = { logger }

function fail(message) {
  throw new Error(message)
}

async function fill(db) {
  const visits = await db.keyspace('visits', { mergeOperator: 'counter' })
  const packed = await db.keyspace('packed', { compression: 'deflate' })
  for (let round = 0; round < 3; round++) {
    const batch = db.batch()
    for (let i = 0; i < 300; i++) {
      const key = `key ${String(i).padStart(4, '0')}`
      batch.put(key, `value ${i} of round ${round}`)
      batch.merge(key, encodeCounter(1), visits)
      batch.put(key, 'packed '.repeat(20), packed)
    }
    await db.write(batch, { sync: round === 1, meta: `round ${round}` })
    await db.put('large', Buffer.alloc(20_000, round))
    await db.flush()
  }
  await db.deleteRange('key 0100', 'key 0200')
  await db.delete('key 0000')
  await db.compact()
  return { visits, packed }
}

async function check(db) {
  const visits = await db.keyspace('visits')
  const packed = await db.keyspace('packed')
  assert.equal(String(await db.get('key 0299')), 'value 299 of round 2')
  assert.equal(await db.get('key 0100'), undefined)
  assert.equal(db.getSync('large')?.length, 20_000)
  assert.equal(decodeCounter(await visits.get('key 0100')), 3n)
  assert.equal(String(packed.getSync('key 0007')), 'packed '.repeat(20))
  assert.equal((await db.entries().all()).length, 200)
  assert.equal([...db.entriesSync({ reverse: true, limit: 3 })].length, 3)
}

/** Every event in a form that can be compared. */
async function stream(db) {
  const events = []
  for await (const event of db.scanSinceSeqno(1)) events.push(JSON.stringify(event))
  return events
}

let db = await Varve.open(source, { history: 'all', environment })
const { visits } = await fill(db)
await check(db)
const events = await stream(db)
assert.equal(events.length, db.history().latest)

const snapshot = db.snapshot()
await db.put('key 0299', 'changed')
assert.equal(String(await db.get('key 0299', { snapshot })), 'value 299 of round 2')
snapshot.close()
await db.put('key 0299', 'value 299 of round 2')

const consumer = await db.consumer('reader', { from: events.length + 1 })
for await (const { events: batch, next } of consumer.batches({ stopAtLatest: true })) {
  assert.deepEqual(
    batch.map(({ type }) => type),
    ['Insert', 'Insert'],
  )
  await consumer.ack(next)
}

const stop = new AbortController()
const tail = db.tail({ from: 'now', signal: stop.signal })
const seen = tail.next()
await visits.merge('key 0299', encodeCounter(0))
assert.equal((await seen).value.events[0].type, 'MergeOperand')
stop.abort()
await assert.rejects(tail.next(), (error) => hasCode(error, 'VARVE_ABORTED'))

await assert.rejects(Varve.open(source), (error) => hasCode(error, 'VARVE_LOCKED'))
const beside = await Varve.open(source, { readOnly: true })
await check(beside)
await beside.close()

const replica = await Varve.open(path.join(location, 'replica'), { role: 'replica', environment })
await replicate(db, replica, { stopAtLatest: true })
await check(replica)
assert.deepEqual(await stream(replica), await stream(db))
await replica.close()

await db.checkpoint(path.join(location, 'backup'))
const backup = await Varve.open(path.join(location, 'backup'))
await check(backup)
await backup.close()

await db.close()
db = await Varve.open(source, { environment })
await check(db)
assert.equal(db.history().epoch, 1)
const report = await db.verify()
assert.deepEqual(report.problems, [])
await db.close()

const required = createRequire(import.meta.url)('varve')
assert.equal(required.Varve, Varve)

console.log(JSON.stringify({ events: events.length, warnings }))
