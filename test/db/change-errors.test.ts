/**
 * Every code that change capture, consumers and replicas fail with, as a store gives it, with the details that it promises.
 *
 * One row a code and cause: what is done, the code, the details. A row that lists no details for a code that has some fails.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  encodeCounter,
  replicate,
  type ResumeToken,
  type Varve,
  VarveError,
} from '../../src/index.ts'
import { type Fixture, fixture, LOCATION } from './open.ts'

/** A store with five events, the floor at 3, a token from before a power cut that lost its events, and a lost consumer. */
interface Stage {
  readonly place: Fixture
  readonly db: Varve
  readonly other: Varve
  readonly replica: Varve
  /** Of this store, ahead of what survived in its epoch. */
  readonly lostToken: ResumeToken
  /** Of a copy that went on apart. */
  readonly apartToken: ResumeToken
  readonly epochs: ReturnType<Varve['history']>['epochs']
}

const FLOOR = 3
const LATEST = 5

async function build(): Promise<Stage> {
  const before = fixture()
  let db = await before.open()
  await db.put('a', '1')
  await db.sync()
  await db.put('a', 'will be lost')
  const lostToken = db.scanSinceSeqno(3).token
  const image = before.fs.crash('lost')
  await db.close()

  const copied = await fixture({}, image.crash('kept')).open()
  await copied.put('a', 'elsewhere')
  const apartToken = copied.scanSinceSeqno(3).token
  await copied.close()

  const place = fixture({}, image)
  db = await place.open()
  const consumer = await db.consumer('lost')
  for (let i = 2; i <= LATEST; i++) await db.put('a', String(i))
  await db.truncateHistory(FLOOR)
  expect(consumer.state).toBe('lost')
  await db.consumer('known')

  const other = await fixture({ mergeOperator: 'counter' }).open()
  await other.merge('n', encodeCounter(1))
  await other.merge('n', encodeCounter(1))
  const replica = await fixture({ role: 'replica' }).open()
  const { epochs } = db.history()
  return { place, db, other, replica, lostToken, apartToken, epochs }
}

let stage: Stage
beforeEach(async () => {
  stage = await build()
})
afterEach(async () => {
  for (const store of [stage.db, stage.other, stage.replica]) await store.close()
})

interface Row {
  readonly code: string
  readonly when: string
  readonly run: (stage: Stage) => unknown
  readonly details?: (stage: Stage) => Record<string, unknown>
}

async function read(scan: {
  nextBatch(): Promise<unknown>
  close(): Promise<void>
}): Promise<unknown> {
  try {
    return await scan.nextBatch()
  } finally {
    await scan.close()
  }
}

const aborted = AbortSignal.abort(new Error('enough'))
const someText = expect.any(String) as unknown

const rows: readonly Row[] = [
  // ------------------------------------------------------------------------- start over from a snapshot
  {
    code: 'VARVE_HISTORY_TRUNCATED',
    when: 'a scan begins below the floor',
    run: ({ db }) => read(db.scanSinceSeqno(2)),
    details: () => ({ requested: 2, floor: FLOOR }),
  },
  {
    code: 'VARVE_HISTORY_TRUNCATED',
    when: 'a scan from the very beginning finds it gone',
    run: ({ db }) => read(db.scanSinceSeqno(0)),
    details: () => ({ requested: 1, floor: FLOOR }),
  },
  {
    code: 'VARVE_HISTORY_TRUNCATED',
    when: 'the floor overtakes a tail',
    run: async ({ db }) => {
      const tail = db.tail({ from: 3 })
      await db.truncateHistory(5)
      return tail.next()
    },
    details: () => ({ requested: 3, floor: 5 }),
  },
  {
    code: 'VARVE_HISTORY_TRUNCATED',
    when: 'a consumer is to begin below the floor',
    run: ({ db }) => db.consumer('new', { from: 1 }),
    details: () => ({ requested: 1, floor: FLOOR }),
  },
  {
    code: 'VARVE_HISTORY_TRUNCATED',
    when: 'a replica is behind what its source keeps',
    run: ({ db, replica }) => replicate(db, replica, { stopAtLatest: true }),
    details: () => ({ requested: 1, floor: FLOOR }),
  },
  {
    code: 'VARVE_CURSOR_AHEAD',
    when: 'a scan begins beyond the next seqno',
    run: ({ db }) => read(db.scanSinceSeqno(LATEST + 2)),
    details: () => ({ requested: LATEST + 2, latest: LATEST }),
  },
  {
    code: 'VARVE_CURSOR_AHEAD',
    when: 'a tail does',
    run: ({ db }) => db.tail({ from: LATEST + 2 }).next(),
    details: () => ({ requested: LATEST + 2, latest: LATEST }),
  },
  {
    code: 'VARVE_CURSOR_AHEAD',
    when: 'a consumer is to',
    run: ({ db }) => db.consumer('new', { from: LATEST + 2 }),
    details: () => ({ requested: LATEST + 2, latest: LATEST }),
  },
  {
    code: 'VARVE_CURSOR_AHEAD',
    when: 'a token is ahead of a replica that is only behind',
    run: async ({ other, replica }) => {
      await replica.keyspace('default', { mergeOperator: 'counter' })
      const [first] = await other.scanSinceSeqno(1).nextBatch()
      const { token } = other.scanSinceSeqno(2)
      await replica.applyChanges([first!], { token, epochs: other.history().epochs })
      return read(replica.scanSinceSeqno(other.scanSinceSeqno(3).token))
    },
    details: () => ({ requested: 3, latest: 1 }),
  },
  {
    code: 'VARVE_HISTORY_DIVERGED',
    when: 'a token has seen what a power cut took back',
    run: ({ db, lostToken }) => read(db.scanSinceSeqno(lostToken)),
    details: ({ epochs }) => ({ requested: 3, epochId: epochs[0]!.id, epochEnd: 1 }),
  },
  {
    code: 'VARVE_HISTORY_DIVERGED',
    when: 'a tail is given one',
    run: ({ db, lostToken }) => db.tail({ from: lostToken }).next(),
    details: ({ epochs }) => ({ requested: 3, epochId: epochs[0]!.id, epochEnd: 1 }),
  },
  {
    code: 'VARVE_HISTORY_DIVERGED',
    when: 'a token is of a copy that went on apart',
    run: ({ db, apartToken }) => read(db.scanSinceSeqno(apartToken)),
    details: () => ({ requested: 3, epochId: someText }),
  },
  {
    code: 'VARVE_HISTORY_DIVERGED',
    when: 'a replica has what its source lost',
    run: async ({ db, replica, epochs }) => {
      const [event] = await db.scanSinceSeqno(3).nextBatch(1)
      const old = { ...event!, seqno: 1, commitSeqno: 1, commitLast: 1 }
      const lost = { ...event!, seqno: 2, commitSeqno: 2, commitLast: 2 }
      await replica.applyChanges([old, lost], { epochs: epochs.slice(0, 1) })
      return replica.applyChanges(await db.scanSinceSeqno(3).nextBatch(), { epochs })
    },
    details: ({ epochs }) => ({ latest: 2, epochId: epochs[1]!.id, epochFirst: 2 }),
  },
  {
    code: 'VARVE_WRONG_STORE',
    when: 'a token is of another store',
    run: ({ db, other }) => read(db.scanSinceSeqno(other.scanSinceSeqno(1).token)),
    details: wrongStore,
  },
  {
    code: 'VARVE_WRONG_STORE',
    when: 'a tail is given one',
    run: ({ db, other }) => db.tail({ from: other.scanSinceSeqno(1).token }).next(),
    details: wrongStore,
  },
  {
    code: 'VARVE_WRONG_STORE',
    when: 'a replica is given one',
    run: async ({ db, other, replica, epochs }) => {
      await replica.applyChanges([], { epochs, token: db.scanSinceSeqno(3).token }).catch(ignoreGap)
      await replica.applyChanges([], { epochs })
      return replica.applyChanges([], { token: other.scanSinceSeqno(1).token })
    },
    details: ({ other }) => ({ expected: someText, found: other.history().storeId }),
  },
  {
    code: 'VARVE_SEQNO_GAP',
    when: 'events for a replica begin behind the next one',
    run: async ({ db, replica }) =>
      replica.applyChanges(await db.scanSinceSeqno(FLOOR).nextBatch()),
    details: () => ({ expected: 1, found: FLOOR }),
  },
  {
    code: 'VARVE_SEQNO_GAP',
    when: 'one is missing between them',
    run: async ({ other, replica }) => {
      await other.put('n', encodeCounter(5))
      const [first, , third] = await other.scanSinceSeqno(1).nextBatch()
      return replica.applyChanges([first!, third!])
    },
    details: () => ({ expected: 2, found: 3 }),
  },
  {
    code: 'VARVE_CONSUMER_LOST',
    when: 'a lost consumer acks',
    run: async ({ db }) => (await db.consumer('lost')).ack(4),
    details: () => ({ consumer: 'lost', position: 1, floor: FLOOR }),
  },
  {
    code: 'VARVE_CONSUMER_LOST',
    when: 'a lost consumer reads',
    run: async ({ db }) => (await db.consumer('lost')).batches().next(),
    details: () => ({ consumer: 'lost', position: 1, floor: FLOOR }),
  },
  {
    code: 'VARVE_CONSUMER_LOST',
    when: 'a batch acks for it',
    run: ({ db }) => db.write(db.batch().put('a', 'b').ack('lost', 4)),
    details: () => ({ consumer: 'lost', position: 1, floor: FLOOR }),
  },
  // --------------------------------------------------------------------------------------- fix the call
  {
    code: 'VARVE_NOT_FOUND',
    when: 'an unknown consumer is dropped',
    run: ({ db }) => db.dropConsumer('nobody'),
    details: () => ({ consumer: 'nobody' }),
  },
  {
    code: 'VARVE_NOT_FOUND',
    when: 'a batch acks for an unknown one',
    run: ({ db }) => db.write(db.batch().put('a', 'b').ack('nobody', 4)),
    details: () => ({ consumer: 'nobody' }),
  },
  {
    code: 'VARVE_NOT_FOUND',
    when: 'a dropped consumer acks',
    run: async ({ db }) => {
      const consumer = await db.consumer('known')
      await db.dropConsumer('known')
      return consumer.ack(4)
    },
    details: () => ({ consumer: 'known' }),
  },
  {
    code: 'VARVE_NOT_FOUND',
    when: 'a dropped consumer reads',
    run: async ({ db }) => {
      const consumer = await db.consumer('known')
      await db.dropConsumer('known')
      return consumer.batches().next()
    },
    details: () => ({ consumer: 'known' }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'an ack goes backwards',
    run: async ({ db }) => {
      const consumer = await db.consumer('known')
      await consumer.ack(5)
      return consumer.ack(4)
    },
    details: () => ({ consumer: 'known', next: 4, position: 5, latest: LATEST }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'an ack is beyond the next seqno',
    run: async ({ db }) => (await db.consumer('known')).ack(LATEST + 2),
    details: () => ({ consumer: 'known', next: LATEST + 2, position: FLOOR, latest: LATEST }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'a batch acks beyond its own end',
    run: ({ db }) =>
      db.write(
        db
          .batch()
          .put('a', 'b')
          .ack('known', LATEST + 3),
      ),
    details: () => ({ consumer: 'known', next: LATEST + 3 }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'a token is damaged',
    run: ({ db }) => db.scanSinceSeqno('no token' as ResumeToken),
    details: () => ({ argument: 'from', reason: someText }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'history is to be truncated beyond the next seqno',
    run: ({ db }) => db.truncateHistory(LATEST + 2),
    details: () => ({ floor: LATEST + 2, latest: LATEST }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'options of a scan are wrong: all of them are named',
    run: ({ db }) => db.scanSinceSeqno(3, { limit: 0, memoryBudgetBytes: -1 }),
    details: () => ({
      problems: [
        { option: 'limit', message: someText },
        { option: 'memoryBudgetBytes', message: someText },
      ],
    }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'changes are applied to a primary',
    run: ({ db }) => db.applyChanges([]),
    details: () => ({ role: 'primary' }),
  },
  {
    code: 'VARVE_INVALID_ARGUMENT',
    when: 'a primary is promoted',
    run: ({ db }) => db.promote(),
    details: () => ({ role: 'primary' }),
  },
  {
    code: 'VARVE_NO_MERGE_OPERATOR',
    when: 'a replica is given operands without their operator',
    run: async ({ other, replica }) =>
      replica.applyChanges(await other.scanSinceSeqno(1).nextBatch()),
    details: () => ({ keyspace: 'default' }),
  },
  {
    code: 'VARVE_READ_ONLY',
    when: 'a replica is written to',
    run: ({ replica }) => replica.put('a', '1'),
    details: () => ({ reason: 'replica' }),
  },
  {
    code: 'VARVE_READ_ONLY',
    when: 'a readOnly store is asked for a consumer',
    run: async ({ place }) => {
      const reader = await place.open({ readOnly: true })
      try {
        return await reader.consumer('mine')
      } finally {
        await reader.close()
      }
    },
    details: () => ({ reason: 'readOnly' }),
  },
  {
    code: 'VARVE_ABORTED',
    when: 'a scan is aborted',
    run: ({ db }) => read(db.scanSinceSeqno(3, { signal: aborted })),
  },
  {
    code: 'VARVE_ABORTED',
    when: 'a tail is',
    run: ({ db }) => db.tail({ from: 3, signal: aborted }).next(),
  },
  {
    code: 'VARVE_ABORTED',
    when: 'the batches of a consumer are',
    run: async ({ db }) => (await db.consumer('known')).batches({ signal: aborted }).next(),
  },
  {
    code: 'VARVE_CLOSED',
    when: 'the store of a scan is closed',
    run: async ({ db }) => {
      const scan = db.scanSinceSeqno(3)
      await db.close()
      return read(scan)
    },
  },
  {
    code: 'VARVE_CLOSED',
    when: 'a consumer acks after the store was closed',
    run: async ({ db }) => {
      const consumer = await db.consumer('known')
      await db.close()
      return consumer.ack(4)
    },
  },
  // ----------------------------------------------------------------------------------- stop and restore
  {
    code: 'VARVE_CORRUPTION',
    when: 'a block that a scan needs has rotted',
    run: async ({ db, place }) => {
      await db.flush()
      await db.close()
      const name = place.fs.list(LOCATION).find((one) => one.endsWith('.seg'))!
      place.fs.corrupt(`${LOCATION}/${name}`, 30, Buffer.from([0xff, 0xff]))
      const again = await place.open()
      try {
        return await read(again.scanSinceSeqno(3))
      } finally {
        await again.close()
      }
    },
    details: () => ({ file: expect.stringMatching(/\.seg$/), offset: expect.any(Number) }),
  },
]

function wrongStore({ db, other }: Stage): Record<string, unknown> {
  return { expected: db.history().storeId, found: other.history().storeId }
}

/** The token is further than the events: nothing was applied, but for the identity of the source. */
function ignoreGap(error: unknown): void {
  expect(error).toMatchObject({ code: 'VARVE_SEQNO_GAP' })
}

test.each(rows.map((row) => [row.code, row.when, row] as const))(
  '%s when %s',
  async (_code, _when, row) => {
    let error: unknown
    try {
      await row.run(stage)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(VarveError)
    const { code, details, message } = error as VarveError
    expect(code).toBe(row.code)
    const expected = row.details?.(stage)
    expect(details).toEqual(expected === undefined ? {} : expect.objectContaining(expected))
    expect(message.length).toBeGreaterThan(10)
  },
)

test('every code of this part is in the table', () => {
  const codes = new Set(rows.map(({ code }) => code))
  for (const code of [
    'VARVE_HISTORY_TRUNCATED',
    'VARVE_CURSOR_AHEAD',
    'VARVE_HISTORY_DIVERGED',
    'VARVE_WRONG_STORE',
    'VARVE_SEQNO_GAP',
    'VARVE_CONSUMER_LOST',
  ]) {
    expect(codes).toContain(code)
  }
})
