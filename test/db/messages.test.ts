/** What the store says to the mistakes that users make most: what is wrong, where, and what to do. */
import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import { fixture, LOCATION } from './open.ts'

type Mistake = [name: string, call: (db: Varve) => unknown, message: string]

const as = <T>(value: unknown): T => value as T

const MISTAKES: Mistake[] = [
  [
    'a misspelt option',
    (db) => db.put('a', 'b', as({ synk: true })),
    'synk is unknown; did you mean sync?',
  ],
  [
    'an option of another function',
    (db) => db.keyspace('a', as({ role: 'primary' })),
    'role is unknown; known: mergeOperator, blobThresholdBytes, compression, bloomBitsPerKey, blockBytes',
  ],
  [
    'an option of the wrong type',
    (db) => db.put('a', 'b', as({ sync: 'yes' })),
    'sync must be a boolean, got string',
  ],
  [
    'one of a list that is not in it',
    (db) => db.keyspace('a', as({ compression: 'zstd' })),
    'compression must be one of none, deflate, lz4, got "zstd"',
  ],
  [
    'an object for a value',
    (db) => db.put('a', as({ x: 1 })),
    'value must be a Uint8Array or a string, got an object',
  ],
  [
    'a promise for a value',
    (db) => db.put('a', as(Promise.resolve('b'))),
    'value must be a Uint8Array or a string, got an instance of Promise',
  ],
  [
    'a merge without an operator',
    (db) => db.merge('a', 'b'),
    'keyspace "default" has no merge operator: open it with { mergeOperator }',
  ],
  [
    'an operator of an unknown name',
    (db) => db.keyspace('sums', { mergeOperator: 'sum' }),
    'keyspace "sums" has merge operator "sum", which is none of those given in mergeOperators or built in: counter, append, max, min, jsonMergePatch',
  ],
  [
    'a word that a tail does not know',
    (db) => db.tail({ from: as('latest') }),
    "from must be 'now', 'oldest', a seqno or a resume token; what it is now is a malformed token: not canonical",
  ],
  [
    'a text that is no token',
    (db) => db.scanSinceSeqno(as('seqno 5')),
    'from must be a seqno or a resume token; what it is now is a malformed token: not base64url',
  ],
  [
    'an ack of what is not there yet',
    async (db) => (await db.consumer('mailer')).ack(10),
    'Ack 10 of consumer mailer is beyond the next seqno, 1',
  ],
  [
    'events for a primary',
    (db) => db.applyChanges([]),
    'the store is a primary, and applyChanges is for replicas',
  ],
  [
    'a primary that is promoted',
    (db) => db.promote(),
    'the store is a primary, and promote is for replicas',
  ],
  [
    'a checkpoint to nowhere',
    (db) => db.checkpoint(as(undefined)),
    'directory must be a string, got undefined',
  ],
  [
    'new',
    () => new (as<new (location: string) => Varve>(Varve))('./store'),
    'use await Varve.open',
  ],
]

test.each(MISTAKES)('%s', async (_name, call, message) => {
  const db = await fixture().open()
  const said = async (): Promise<unknown> => call(db)
  await expect(said()).rejects.toThrow(message)
  await db.close()
})

test('a merge operator that throws is quoted', async () => {
  const merge = (): never => {
    throw new Error('no such unit: furlong')
  }
  const { open } = fixture()
  const db = await open({ mergeOperators: [{ name: 'sum', merge }], mergeOperator: 'sum' })
  await db.merge('a', '1 furlong')
  await expect(db.get('a')).rejects.toThrow("merge operator 'sum' threw: no such unit: furlong")
  await db.close()
})

test('a file in the place of the directory is named', async () => {
  const { fs, open } = fixture()
  fs.makeDirectory('/data')
  fs.create(LOCATION).close()
  await expect(open()).rejects.toThrow(`${LOCATION} is a file, not a directory`)
})
