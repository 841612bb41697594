/**
 * Opens what a crash left and holds it against everything that was promised: invariants I1 to I7 of docs/architecture.md.
 */
import { expect } from 'vitest'
import type { ChangeEvent, ConsumerInfo } from '../../src/index.ts'
import { openStore } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import { blobFileName, manifestFileName, segmentFileName } from '../../src/env/file-names.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { VersionSet } from '../../src/version/version-set.ts'
import { collect, SILENT } from '../model/driver.ts'
import { eventLine, keyText, modelLine } from '../model/model.ts'
import type { CrashPoint } from './crash-points.ts'
import { DIRECTORY, optionsOf, TUNING } from './life.ts'
import { LogicalTimers } from './logical-timers.ts'
import {
  type ConsumerLife,
  filesIn,
  isSameList,
  keyspaceExists,
  mayStandAt,
  modelAt,
  positionsAllowed,
  type Promised,
} from './promises.ts'

/** Background work that was left to do must be done after so many turns of the event loop. */
const TURNS_MAX = 2_000

export interface Survived {
  readonly store: Varve
  readonly latest: number
}

/** Opens the image and checks it; the caller closes the store. */
export async function openAfterCrash(point: CrashPoint, fs: MemoryFileSystem): Promise<Survived> {
  const { promised } = point
  const files = promised.exists ? filesIn(fs, DIRECTORY) : []
  const environment = { fs, now: (): number => point.nowMs, logger: SILENT }
  const store = await openStore(
    DIRECTORY,
    { ...optionsOf(point.optionsSeed), environment, createIfMissing: !promised.exists },
    { ...TUNING, timers: new LogicalTimers() },
  )
  const { latest } = store.history()
  checkSurvivors(point, store, files)
  await checkStream(point, store)
  await checkState(point, store)
  checkConsumers(promised, store, latest)
  await checkTokens(promised, store)
  expect(await store.verify()).toMatchObject({ ok: true, problems: [] })
  await checkFiles(store, fs)
  return { store, latest }
}

/** I5: a prefix of the commits, each whole; nothing that was acknowledged is missing. I6: epochs. I3: the floor. */
function checkSurvivors(
  { promised, unsynced, events }: CrashPoint,
  store: Varve,
  files: readonly string[],
): void {
  const { latest, durable, floor, epochs } = store.history()
  const kept = unsynced === 'kept' ? promised.acknowledged : promised.durable
  expect(latest, 'acknowledged commits survive').toBeGreaterThanOrEqual(kept)
  expect(latest, 'nothing is there that was never written').toBeLessThanOrEqual(promised.submitted)
  const last = events[latest - 1]
  expect(last === undefined || last.seqno === last.commitLast, 'commits survive whole').toBe(true)
  expect(durable, 'what is found is durable').toBe(latest)

  expect(floor, 'the floor does not fall').toBeGreaterThanOrEqual(promised.floor)
  expect(floor, 'the floor is not above what survived').toBeLessThanOrEqual(latest + 1)

  const known = promised.epochs.length
  expect(epochs.slice(0, known), 'epochs stay').toEqual(promised.epochs)
  if (promised.phase === 'closed') {
    expect(epochs, 'a clean close is followed by no new epoch').toHaveLength(known)
  } else if (
    promised.phase === 'open' &&
    (promised.hasShownNews || (unsynced === 'kept' && !isSameList(files, promised.filesAtClose)))
  ) {
    // Before anything new was shown, an end may leave the very files of a clean close: the next log is begun behind the open.
    expect(epochs.length, 'an unclean end is followed by a new epoch').toBeGreaterThan(known)
  }
  // A crash in the middle of an open or close may have come after the new epoch, or before the end was unclean.
  expect(epochs.length).toBeLessThanOrEqual(known + promised.unseenOpens + 1)
  if (epochs.length > known) {
    expect(epochs.at(-1)!.first, 'the new epoch begins behind the survivors').toBe(latest + 1)
  } else if (promised.hasShownNews || !['open', 'closing'].includes(promised.phase)) {
    expect(latest, 'no new epoch only where nothing is lost').toBe(promised.submitted)
  }
  expect(new Set(epochs.map(({ id }) => id)).size, 'epoch ids are unique').toBe(epochs.length)
}

/** I1, I4: from the floor to the latest every event as it was written. I3: below the floor a code, never less. */
async function checkStream({ events }: CrashPoint, store: Varve): Promise<void> {
  const { floor, latest } = store.history()
  const found = await collect(store.scanSinceSeqno(floor))
  expect(found.map(eventLine)).toEqual(events.slice(floor - 1, latest).map(modelLine))
  if (floor > 1) {
    await expect(store.scanSinceSeqno(floor - 1).nextBatch()).rejects.toMatchObject({
      code: 'VARVE_HISTORY_TRUNCATED',
      details: { requested: floor - 1 },
    })
  }
  await expect(store.scanSinceSeqno(latest + 2).nextBatch()).rejects.toMatchObject({
    code: 'VARVE_CURSOR_AHEAD',
    details: { requested: latest + 2, latest },
  })
}

async function checkState({ events, promised }: CrashPoint, store: Varve): Promise<void> {
  const { latest } = store.history()
  const model = modelAt(events, latest)
  const names = store.keyspaces()
  for (const [name, lives] of promised.keyspaces) {
    const exists = keyspaceExists(lives, latest)
    if (exists !== undefined) expect(names.includes(name), `keyspace ${name}`).toBe(exists)
    if (!names.includes(name)) continue
    const keyspace = await store.keyspace(name)
    const expected = [...(model.keyspaces.get(name) ?? [])]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value.toString('hex')}`)
    const text = ([key, value]: [Buffer, Buffer]): string =>
      `${keyText(key)}=${value.toString('hex')}`
    expect((await keyspace.entries().all()).map(text), name).toEqual(expected)
    expect((await keyspace.entries({ reverse: true }).all()).map(text).toReversed()).toEqual(
      expected,
    )
  }
}

function checkConsumers(promised: Promised, store: Varve, latest: number): void {
  const { floor } = store.history()
  const found = new Map(store.consumers().map((consumer) => [consumer.name, consumer]))
  for (const [name, promise] of promised.consumers) {
    const consumer = found.get(name)
    if (promise.status === 'active') expect(consumer, `consumer ${name} is there`).toBeDefined()
    if (promise.status === 'absent') expect(consumer, `consumer ${name} is gone`).toBeUndefined()
    if (consumer === undefined) continue
    expect(consumer.position, `${name} is not ahead of events`).toBeLessThanOrEqual(latest + 1)
    if (consumer.state === 'active') {
      expect(consumer.position, `${name} has its history`).toBeGreaterThanOrEqual(floor)
    }
    if (promise.status !== 'active') continue
    const { lowest, highest } = positionsAllowed(promise, latest)
    expect(consumer.position, `${name} keeps its acks`).toBeGreaterThanOrEqual(lowest)
    expect(consumer.position, `${name} acked no more`).toBeLessThanOrEqual(highest)
  }
  const names = [...promised.consumers.keys(), ...promised.passing.keys()]
  for (const name of found.keys()) expect(names).toContain(name)
  for (const [name, lives] of promised.passing) {
    checkPassing({ name, lives, latest, consumer: found.get(name) })
  }
}

/** Of the lives of one name that may be there it is one: neither behind what that one acked nor ahead of it or of its start. */
function checkPassing({
  name,
  lives,
  latest,
  consumer,
}: {
  readonly name: string
  readonly lives: readonly ConsumerLife[]
  readonly latest: number
  readonly consumer: ConsumerInfo | undefined
}): void {
  const last = lives.at(-1)
  if (last?.isMade === true && !last.isLeaving) {
    expect(consumer, `consumer ${name} is there`).toBeDefined()
  }
  if (consumer === undefined) return
  const { position, state } = consumer
  expect(state, `${name} is not lost`).toBe('active')
  expect(
    lives.some((life) => mayStandAt(life, position, latest)),
    `${name} at ${position}, latest ${latest}, is one of ${JSON.stringify(lives)}`,
  ).toBe(true)
}

/** I6: a token is good exactly where the history that it has seen is still this store's. */
async function checkTokens(promised: Promised, store: Varve): Promise<void> {
  const { floor, latest, epochs } = store.history()
  for (const { token, next, epochs: known } of promised.tokens) {
    const scan = store.scanSinceSeqno(token)
    let outcome = 'accepted'
    let first: ChangeEvent | undefined
    try {
      first = (await scan.nextBatch(1))[0]
    } catch (error) {
      outcome = (error as { code: string }).code
    }
    await scan.close()
    // It has seen more than what its epoch came to in the end.
    const isDiverged = epochs.slice(known).some((later) => next > later.first)
    const expected = isDiverged
      ? 'VARVE_HISTORY_DIVERGED'
      : next < floor
        ? 'VARVE_HISTORY_TRUNCATED'
        : 'accepted'
    expect(outcome, `token for ${next}, floor ${floor}, latest ${latest}`).toBe(expected)
    if (outcome === 'accepted' && next <= latest) expect(first?.seqno).toBe(next)
  }
}

/** I7: when background work is done the directory holds what the store is made of, and nothing else. */
export async function checkFiles(store: Varve, fs: MemoryFileSystem): Promise<void> {
  let expected: string[] = []
  let found: string[] = []
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    // Names of logs are the engine's own business; their number is not.
    found = fs.list(DIRECTORY).map((name) => name.replace(/^\d+\.wal$/, 'log'))
    expected = await filesNeeded(store, fs)
    if (found.toSorted().join() === expected.join()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(found.toSorted()).toEqual(expected)
}

async function filesNeeded(store: Varve, fs: MemoryFileSystem): Promise<string[]> {
  const loaded = await VersionSet.load(fs, DIRECTORY)
  if (loaded === undefined) return []
  const { version, manifest } = loaded
  const names = ['CURRENT', manifestFileName(manifest.number)]
  for (const { number } of version.segments()) names.push(segmentFileName(number))
  for (const number of version.blobs.keys()) names.push(blobFileName(number))
  for (let count = store.stats().wal.files; count > 0; count--) names.push('log')
  return names.toSorted()
}
