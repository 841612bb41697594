/** stats, history, consumers, verify, repair, compact, checkpoint, dump and bench, through the built command. */
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtPackage, parseLines, Workplace } from './built-package.ts'

type Package = typeof import('../../src/index.ts')

let place: Workplace
let varve: Package
beforeAll(async () => {
  place = new Workplace()
  varve = (await import(path.join(builtPackage(), 'dist', 'index.js'))) as Package
  const store = await varve.Varve.open(place.path('s'))
  await store.keyspace('v', { mergeOperator: 'counter' })
  for (let round = 0; round < 2; round++) {
    const batch = store.batch()
    for (let i = 0; i < 500; i++) batch.put(`key:${String(i).padStart(4, '0')}`, `value ${round}`)
    await store.write(batch, { meta: `round ${round}` })
    await store.put('large', Buffer.alloc(10_000, 'x'))
    await store.flush()
  }
  await store.deleteRange('key:0100', 'key:0200')
  await store.consumer('index', { from: 'oldest' })
  await store.close()
})
afterAll(() => place.remove())

describe('stats', () => {
  test('draws the layers over their seqnos', () => {
    const text = place.ok(['stats', 's'])
    expect(text).toContain('keyspace v, merge operator counter')
    expect(text).toMatch(/^ {2}L0 .*░/m)
    // Nobody is there to see it: no styles.
    expect(text).not.toContain('\u001b')
  })

  test('prints JSON', () => {
    const stats = JSON.parse(place.ok(['stats', 's', '--json'])) as Record<string, unknown>
    expect(stats).toMatchObject({ role: 'primary', latestSeqno: 1003, location: 's' })
    expect(Object.keys(stats['keyspaces'] as object)).toEqual(['default', 'v'])
    const logs = place.files('s', '.wal').map((name) => fs.statSync(place.path('s', name)).size)
    const bytes = logs.reduce((sum, size) => sum + size, 0)
    expect(stats['wal']).toEqual({ files: logs.length, bytes })
    expect(bytes).toBeGreaterThan(0)
  })

  test('ends with 3 where there is no store', () => {
    expect(place.run(['stats', 'nowhere'])).toMatchObject({ code: 3, stdout: '' })
  })
})

test('history tells floor and epochs', () => {
  expect(JSON.parse(place.ok(['history', 's', '--json']))).toMatchObject({
    floor: 1,
    latest: 1003,
    epoch: 1,
  })
  const text = place.ok(['history', 's'])
  expect(text).toMatch(/^floor +1, 1,003 events/m)
  expect(text).toMatch(/^since +\d{4}-\d\d-\d\dT/m)
  expect(text).toMatch(/^epoch 1 +from 1, \w+$/m)
  expect(text).not.toMatch(/^source /m)
  expect(place.run(['history', 'nowhere']).code).toBe(3)
})

test('consumers are listed and dropped', () => {
  expect(place.ok(['consumers', 'ls', 's'])).toMatch(/^index +1 +active/m)
  expect(JSON.parse(place.ok(['consumers', 'ls', 's', '--json']))).toMatchObject([
    { name: 'index', position: 1 },
  ])
  expect(place.run(['consumers', 'drop', 's', 'index']).code).toBe(2)
  expect(place.run(['consumers', 'drop', 's', 'nobody', '--yes']).code).toBe(3)
  fs.cpSync(place.path('s'), place.path('consumed'), { recursive: true })
  place.ok(['consumers', 'drop', 'consumed', 'index', '--yes'])
  expect(place.run(['consumers', 'ls', 'consumed'])).toMatchObject({ code: 0, stdout: '' })
})

test('no name does anything to a terminal', async () => {
  const name = 'a\u001b[2J\u0007\n'
  const store = await varve.Varve.open(place.path('names'))
  await (await store.keyspace(name)).put('k', 'v')
  await store.consumer(name, { from: 1 })
  await store.close()
  for (const args of [
    ['stats', 'names'],
    ['consumers', 'ls', 'names'],
    ['get', 'names', 'k', '-k', 'nope'],
  ]) {
    const { stdout, stderr } = place.run(args)
    const command = args[0]
    expect(stdout + stderr, command).toContain('a\\x1b[2J\\x07')
    expect(stdout + stderr, command).not.toMatch(/[^\n -~\u00a0-\uffff]/)
  }
})

test('consumers are listed with their lag and their last ack', async () => {
  const store = await varve.Varve.open(place.path('acked'))
  for (const key of ['a', 'b', 'c']) await store.put(key, '1')
  await store.consumer('idle')
  await (await store.consumer('busy')).ack(3)
  await store.close()
  const text = place.ok(['consumers', 'ls', 'acked'])
  expect(text).toMatch(/^busy +3 +active +1 event +\d+ B +\d{4}-\d\d-\d\dT[\d:.]+Z *$/m)
  expect(text).toMatch(/^idle +1 +active +3 events +\d+ B +never/m)
})

test('commands that write leave the history as it is, however old, and start no epoch', async () => {
  const longAgo = { now: () => Date.now() - 30 * 24 * 3_600_000 }
  const store = await varve.Varve.open(place.path('old'), { history: 'all', environment: longAgo })
  await store.put('a', '1')
  await store.put('a', '2')
  await store.flush()
  await store.close()
  place.ok(['put', 'old', 'a', '3'])
  place.ok(['compact', 'old'])
  place.ok(['put', 'old', 'a', '4'])
  place.ok(['compact', 'old'])
  expect(JSON.parse(place.ok(['history', 'old', '--json']))).toMatchObject({
    floor: 1,
    latest: 4,
    epoch: 1,
  })
  expect(parseLines(place.ok(['changes', 'old', '--events-only']))).toHaveLength(4)
})

test('a format of a later version ends with 5', () => {
  fs.cpSync(place.path('s'), place.path('later'), { recursive: true })
  place.write('later/CURRENT', 'varve 9\n')
  for (const command of [['stats'], ['put', 'a', '1'], ['verify'], ['repair', '--yes']]) {
    const [name, ...rest] = command
    const outcome = place.run([name!, 'later', ...rest])
    expect(outcome, name).toMatchObject({ code: 5, stdout: '' })
    expect(outcome.stderr, name).toContain('VARVE_UNSUPPORTED_FORMAT')
  }
})

describe('beside a writer', () => {
  test('commands that read work, and those that write end with 4', async () => {
    const store = await varve.Varve.open(place.path('busy'))
    await store.put('a', '1')
    try {
      expect(place.ok(['get', 'busy', 'a'])).toBe('1\n')
      expect(place.ok(['stats', 'busy'])).toContain('latest 1')
      expect(place.ok(['verify', 'busy'])).toMatch(/^ok: /)
      expect(place.run(['put', 'busy', 'a', '2'])).toMatchObject({ code: 4 })
      expect(place.run(['compact', 'busy'])).toMatchObject({ code: 4 })
      expect(place.run(['repair', 'busy', '--yes'])).toMatchObject({ code: 4 })
    } finally {
      await store.close()
    }
  })
})

describe('a flipped byte', () => {
  beforeAll(() => {
    fs.cpSync(place.path('s'), place.path('damaged'), { recursive: true })
    const file = place.path('damaged', largest('damaged', '.seg'))
    const bytes = fs.readFileSync(file)
    bytes[100]! ^= 1
    fs.writeFileSync(file, bytes)
  })

  test('is found by verify, with its place', () => {
    expect(place.ok(['verify', 's'])).toMatch(/^ok: \d+ files, /)
    const found = place.run(['verify', 'damaged'])
    expect(found.code).toBe(5)
    expect(found.stdout).toContain('.seg')
    const report = JSON.parse(place.run(['verify', 'damaged', '--json']).stdout) as { ok: boolean }
    expect(report).toMatchObject({ ok: false, problems: [{ code: 'VARVE_CORRUPTION' }] })
  })

  test('ends reading commands with 5', () => {
    expect(place.run(['scan', 'damaged']).code).toBe(5)
  })

  test('is repaired, after a question', () => {
    expect(place.run(['repair', 'damaged'])).toMatchObject({ code: 2, stdout: '' })
    const report = JSON.parse(place.ok(['repair', 'damaged', '--yes', '--json'])) as {
      epoch: number
    }
    expect(report.epoch).toBeGreaterThan(1)
    expect(place.ok(['verify', 'damaged'])).toMatch(/^ok: /)
    expect(place.run(['repair', 'nowhere', '--yes']).code).toBe(3)
  })

  test('is told of in words: what was read, kept, set aside and lost', () => {
    for (const name of ['told', 'said']) {
      fs.cpSync(place.path('s'), place.path(name), { recursive: true })
      const file = place.path(name, largest(name, '.seg'))
      const bytes = fs.readFileSync(file)
      bytes[100]! ^= 1
      fs.writeFileSync(file, bytes)
    }
    const report = JSON.parse(place.ok(['repair', 'told', '--yes', '--json'])) as Awaited<
      ReturnType<Package['Varve']['repair']>
    >
    expect(report.seqnosLost.some(({ from, to }) => from < to)).toBe(true)
    expect(report.filesSetAside).toHaveLength(1)
    expect(place.ok(['repair', 'said', '--yes']).split('\n')).toEqual([
      `read      ${report.filesRead} files`,
      `events    ${report.eventsKept} kept`,
      ...report.filesSetAside.map((file) => `aside     ${file}`),
      ...report.seqnosLost.map(({ from, to }) => `lost      seqnos ${from} to ${to}`),
      `floor     ${report.floor}, epoch 2`,
      '',
    ])
  })
})

test('compact leaves state and stream as they were', () => {
  fs.cpSync(place.path('s'), place.path('compacted'), { recursive: true })
  const events = place.ok(['changes', 's', '--events-only'])
  expect(place.run(['compact', 'compacted'])).toMatchObject({ code: 0, stdout: '' })
  expect(place.ok(['changes', 'compacted', '--events-only'])).toBe(events)
  expect(place.ok(['scan', 'compacted'])).toBe(place.ok(['scan', 's']))
  expect(place.run(['compact', 'compacted', '-k', 'nowhere']).code).toBe(3)
  expect(place.run(['compact', 'nowhere']).code).toBe(3)
})

test('compact keeps to the range and the keyspace that it is given', () => {
  fs.cpSync(place.path('s'), place.path('ranged'), { recursive: true })
  const nothing = { code: 0, stdout: '', stderr: 'read 0 B, wrote 0 B\n' }
  for (const choice of [
    ['--start', 'zz'],
    ['--start', '7a7a', '-e', 'hex'],
    ['--end', 'a'],
    ['-k', 'v'],
  ]) {
    expect(place.run(['compact', 'ranged', ...choice]), choice.join(' ')).toEqual(nothing)
  }
  const { stderr } = place.run(['compact', 'ranged', '--start', 'key:0300', '--end', 'key:0301'])
  expect(stderr).toMatch(/^read [\d.]+ KiB, wrote /)
})

test('checkpoint copies into an empty directory only', () => {
  expect(place.run(['checkpoint', 's', 'backup'])).toEqual({
    code: 0,
    stdout: '',
    stderr: 'backup holds everything up to seqno 1,003\n',
  })
  expect(place.ok(['scan', 'backup'])).toBe(place.ok(['scan', 's']))
  expect(place.run(['checkpoint', 's', 'backup']).code).toBe(2)
  expect(place.run(['checkpoint', 'nowhere', 'backup2']).code).toBe(3)
})

describe('dump', () => {
  const dump = (file: string, ...args: string[]): Record<string, Record<string, unknown>>[] =>
    parseLines(place.ok(['dump', path.join('s', file), '--ndjson', ...args]))

  test('shows a segment: properties, entries, change index', () => {
    const file = place.files('s', '.seg').toSorted()[0]!
    const lines = dump(file, '--entries', '--changes', '-n', '3')
    expect(lines[0]).toMatchObject({ properties: { type: 'segment', events: 501 } })
    expect(lines[1]).toMatchObject({ entry: { ordinal: 0, kind: 'insert', key: 'key:0000' } })
    const changes = lines.filter((line) => 'change' in line)
    expect(changes).toHaveLength(3)
    expect(changes[0]).toMatchObject({
      change: { seqno: 1, commitSeqno: 1, commitLast: 500, commitMeta: 'round 0' },
    })
    expect(place.ok(['dump', path.join('s', file)])).toMatch(/^ {2}order +key$/m)
  })

  test('shows a log, a manifest and a blob file', () => {
    const logs = place.files('s', '.wal').map((file) => dump(file, '--entries'))
    expect(logs.flat().some((line) => line['operation']?.['kind'] === 'range-delete')).toBe(true)
    const [manifest] = fs.readdirSync(place.path('s')).filter((name) => name.startsWith('MANIFEST'))
    const edits = dump(manifest!, '--entries')
    expect(edits.at(-1)).toMatchObject({ properties: { type: 'manifest', end: 'whole' } })
    expect(edits.some((line) => 'edit' in line)).toBe(true)
    const blob = dump(place.files('s', '.blob')[0]!, '--entries')
    expect(blob[0]).toMatchObject({ frame: { bytes: 10_000 } })
    expect(blob.at(-1)).toMatchObject({ properties: { type: 'blob file', frames: 1 } })
  })

  test('shows no more of each than is asked for, and counts all', () => {
    place.ok(
      ['import', 'rows', '--batch', '2'],
      '{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n',
    )
    const [log] = place.files('rows', '.wal')
    const dumped = (...args: string[]): unknown[] =>
      parseLines(place.ok(['dump', `rows/${log}`, '--ndjson', '--entries', ...args]))
    const properties = { type: 'log', commits: 1, operations: 2, firstSeqno: 1, lastSeqno: 2 }
    expect(dumped()).toMatchObject([
      { commit: { first: 1, operations: 2 } },
      { operation: { seqno: 1, kind: 'insert', key: 'a', value: '1' } },
      { operation: { seqno: 2, kind: 'insert', key: 'b', value: '2' } },
      { properties: { ...properties, end: 'whole' } },
    ])
    expect(dumped('-n', '0')).toMatchObject([{ properties }])
    const blob = place.files('s', '.blob')[0]!
    expect(dump(blob, '--entries', '-n', '0')).toMatchObject([{ properties: { frames: 1 } }])
    const [manifest] = fs.readdirSync(place.path('s')).filter((name) => name.startsWith('MANIFEST'))
    expect(dump(manifest!, '--entries', '-n', '1').filter((line) => 'edit' in line)).toHaveLength(1)
    const segment = place.files('s', '.seg').toSorted()[0]!
    const entries = dump(segment, '--entries', '-n', '2').filter((line) => 'entry' in line)
    expect(entries).toHaveLength(2)
  })

  test('ends with 3 for no file, 2 for a file of another kind, 5 for a damaged one', () => {
    expect(place.run(['dump', '000099.seg']).code).toBe(3)
    expect(place.run(['dump', 's/CURRENT']).code).toBe(2)
    place.write('000001.seg', 'no segment at all, but long enough to have a footer')
    expect(place.run(['dump', '000001.seg']).code).toBe(5)
    place.write('000002.wal', 'neither a log')
    expect(place.run(['dump', '000002.wal']).code).toBe(5)
    place.write('MANIFEST-000003', '')
    expect(place.run(['dump', 'MANIFEST-000003']).code).toBe(5)
    place.write('000004.blob', 'x')
    expect(place.run(['dump', '000004.blob']).code).toBe(5)
  })
})

test('demo shows layers and skipping, and a replica that is the same', () => {
  const demo = ['demo', '-n', '3000', '--directory', '.']
  const text = place.ok(demo)
  expect(text).toMatch(/^ {2}L0 .*░/m)
  expect(text).toMatch(/^ +1 +6,002 +\d+ +0 /m)
  expect(text).toMatch(/ {2}same$/m)
  expect(JSON.parse(place.ok([...demo, '--json']))).toMatchObject({ events: 6002, isSame: true })
  const made = (): string[] =>
    fs.readdirSync(place.directory).filter((name) => name.startsWith('varve-demo-'))
  expect(made()).toEqual([])
  expect(place.run([...demo, '--keep']).stderr).toContain('varve-demo-')
  expect(place.ok(['verify', `${made()[0]!}/replica`])).toMatch(/^ok: /)
  expect(place.run(['demo', '-n', '0']).code).toBe(2)
  expect(place.run(['demo', '--directory', 'nowhere']).code).toBe(3)
})

test.each([
  ['demo', 'SIGINT'],
  ['bench', 'SIGTERM'],
] as const)('%s leaves nothing behind where %s ends it', async (command, signal) => {
  const parent = place.path(`interrupted-${command}`)
  fs.mkdirSync(parent)
  const watcher = fs.watch(parent)
  const running = place.start([command, '-n', '100000000', '--directory', parent])
  await once(watcher, 'change')
  watcher.close()
  running.kill(signal)
  expect(await once(running, 'exit')).toEqual([null, signal])
  expect(fs.readdirSync(parent)).toEqual([])
})

test('bench measures and leaves nothing behind', () => {
  const results = JSON.parse(place.ok(['bench', '-n', '2000', '--directory', '.', '--json'])) as {
    what: string
  }[]
  expect(results.map(({ what }) => what)).toContain('changes, from the first')
  expect(fs.readdirSync(place.directory).filter((name) => name.startsWith('varve-bench-'))).toEqual(
    [],
  )
  expect(place.run(['bench', '-n', '0']).code).toBe(2)
  expect(place.run(['bench', '--directory', 'nowhere']).code).toBe(3)
  expect(place.ok(['bench', '-n', '100', '--directory', '.'])).toMatch(/^get, random +100 /m)
})

function largest(store: string, ending: string): string {
  const size = (name: string): number => fs.statSync(place.path(store, name)).size
  return place.files(store, ending).toSorted((a, b) => size(b) - size(a))[0]!
}
