/** changes, apply and replicate, through the built command. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtPackage, ended, linesOf, parseLines, Workplace } from './built-package.ts'

type Package = typeof import('../../src/index.ts')

async function importPackage(): Promise<Package> {
  return (await import(path.join(builtPackage(), 'dist', 'index.js'))) as Package
}

let place: Workplace
beforeAll(() => {
  place = new Workplace()
  place.ok(['put', 's', 'a', '1', '--create'])
  place.ok([
    'merge',
    's',
    'n',
    '5',
    '-k',
    'v',
    '--operator',
    'counter',
    '--value-encoding',
    'counter',
    '--create',
  ])
  place.ok(['delete', 's', '00ff', '-e', 'hex'])
  place.ok(['delete', 's', '--gte', 'b', '--yes'])
})
afterAll(() => place.remove())

describe('changes', () => {
  test('prints every event in the documented form, between control lines', () => {
    const lines = parseLines(place.ok(['changes', 's']))
    expect(lines[0]).toMatchObject({
      control: 'source',
      format: 'varve-changes',
      version: 1,
      keyspaces: { default: {}, v: { mergeOperator: 'counter' } },
    })
    const time = expect.any(Number) as number
    expect(lines.slice(1, -1)).toEqual([
      {
        type: 'Insert',
        keyspace: 'default',
        key: 'a',
        value: '1',
        seqno: 1,
        commitSeqno: 1,
        commitLast: 1,
        timestamp: time,
      },
      {
        type: 'MergeOperand',
        keyspace: 'v',
        key: 'n',
        operand: '\u0005\0\0\0\0\0\0\0',
        seqno: 2,
        commitSeqno: 2,
        commitLast: 2,
        timestamp: time,
      },
      {
        type: 'PointTombstone',
        keyspace: 'default',
        key: { base64: 'AP8=' },
        seqno: 3,
        commitSeqno: 3,
        commitLast: 3,
        timestamp: time,
      },
      {
        type: 'RangeTombstone',
        keyspace: 'default',
        startKey: 'b',
        endKey: null,
        seqno: 4,
        commitSeqno: 4,
        commitLast: 4,
        timestamp: time,
      },
    ])
    expect(lines.at(-1)).toMatchObject({ control: 'position', next: 5 })
  })

  const seqnos = (...args: string[]): unknown[] =>
    parseLines(place.ok(['changes', 's', '--events-only', ...args])).map(({ seqno }) => seqno)

  test('begins and ends where it is told', () => {
    expect(seqnos('--from', '2', '--to', '3')).toEqual([2, 3])
    expect(seqnos('--from', 'now')).toEqual([])
    expect(seqnos('--from', '0')).toEqual([1, 2, 3, 4])
    expect(seqnos('--limit', '2')).toEqual([1, 2])
    expect(seqnos('--since', '2001-01-01')).toEqual([1, 2, 3, 4])
    expect(place.run(['changes', 's', '--since', '2001-01-01', '--from', '3']).code).toBe(2)
  })

  test('goes on from a token', () => {
    const [position] = parseLines(place.ok(['changes', 's', '--to', '2'])).slice(-1)
    expect(seqnos('--from', position!['token'] as string)).toEqual([3, 4])
  })

  test('says at the end how far it has come, also where nothing is new or nothing passes', () => {
    const last = (args: readonly string[]): unknown =>
      parseLines(place.ok(['changes', 's', ...args])).at(-1)
    const end = last([]) as { token: string }
    expect(end).toMatchObject({ control: 'position', next: 5 })
    for (const args of [
      ['--from', end.token],
      ['--from', 'now'],
      ['-k', 'nowhere'],
      ['--type', 'MergeOperand'],
    ]) {
      expect(last(args)).toEqual(end)
    }
    expect(last(['--from', '2', '--to', '1'])).toMatchObject({ control: 'position', next: 2 })
    expect(last(['--to', '3', '-k', 'v'])).toMatchObject({ control: 'position', next: 4 })
    expect(last(['--type', 'MergeOperand', '-n', '1'])).toMatchObject({ next: 3 })
  })

  test('filters by keyspace, type and key', () => {
    expect(seqnos('-k', 'v')).toEqual([2])
    expect(seqnos('--type', 'PointTombstone', 'RangeTombstone')).toEqual([3, 4])
    expect(seqnos('--prefix', 'a')).toEqual([1])
  })

  test('ends with 6 where history was truncated, 1 where it is not written yet, 2 for no place at all', async () => {
    const { Varve } = await importPackage()
    const store = await Varve.open(place.path('short'))
    await store.put('a', '1')
    await store.put('b', '2')
    await store.truncateHistory(2)
    await store.close()
    expect(place.run(['changes', 'short', '--from', '1'])).toMatchObject({ code: 6 })
    expect(place.run(['changes', 'short', '--from', '9'])).toMatchObject({ code: 1 })
    for (const wrong of [
      ['--from', 'yesterday'],
      ['--limit', '0'],
    ]) {
      expect(place.run(['changes', 'short', ...wrong])).toMatchObject({ code: 2, stdout: '' })
    }
    expect(place.run(['changes', 'short', '--type', 'Update']).code).toBe(2)
    expect(place.run(['changes', 'nowhere']).code).toBe(3)
  })

  test('ends with 6 for a token of a copy that has gone on by itself', () => {
    place.ok(['put', 'trunk', 'a', '1', '--create'])
    place.ok(['checkpoint', 'trunk', 'branch'])
    for (const store of ['trunk', 'branch']) place.ok(['put', store, 'b', store])
    const position = parseLines(place.ok(['changes', 'branch'])).at(-1)!
    const outcome = place.run(['changes', 'trunk', '--from', position['token'] as string])
    expect(outcome.code).toBe(6)
    expect(outcome.stdout).not.toContain('"seqno"')
    expect(outcome.stderr).toContain('VARVE_HISTORY_DIVERGED')
  })

  test('tells while it follows that it is quiet, and of keyspaces that are new', async () => {
    place.ok(['put', 'q', 'a', '1', '--create'])
    const following = place.start(['changes', 'q', '--follow', '--poll', '20', '--heartbeat', '1'])
    const [source, , position, heartbeat] = parseLines(await linesOf(following, 4))
    expect(source).toMatchObject({ control: 'source', keyspaces: { default: {} } })
    expect(position).toMatchObject({ control: 'position', next: 2 })
    expect(heartbeat).toEqual(position)
    const more = new Promise<Record<string, unknown>[]>((resolve) => {
      let text = ''
      following.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
        if (text.includes('"Insert"') && text.endsWith('\n')) resolve(parseLines(text))
      })
    })
    place.ok(['put', 'q', 'b', '2', '-k', 'new', '--create'])
    const lines = await more
    const told = lines.findIndex(({ control }) => control === 'source')
    expect(lines[told]).toMatchObject({ keyspaces: { default: {}, new: {} } })
    expect(lines.findIndex(({ type }) => type === 'Insert')).toBeGreaterThan(told)
    following.kill('SIGINT')
    expect(await ended(following)).toBe(0)
  })

  test.each([
    ['--to', '2'],
    ['--limit', '2'],
  ])('follows only so far: %s %s', async (...choice) => {
    const store = `far${choice[0]}`
    place.ok(['put', store, 'a', '1', '--create'])
    const args = ['changes', store, '--follow', '--poll', '500', '--events-only']
    const following = place.start([...args, ...choice])
    let text = ''
    following.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
    await linesOf(following, 1)
    // In commits of their own, all there when it looks again.
    place.ok(
      ['import', store, '--batch', '1'],
      '{"key":"b","value":"2"}\n{"key":"c","value":"3"}\n',
    )
    expect(await ended(following)).toBe(0)
    expect(parseLines(text).map(({ seqno }) => seqno)).toEqual([1, 2])
  })

  test('follows beside a writer until it is interrupted', async () => {
    const follower = place.start(['changes', 'f', '--follow', '--from', 'oldest', '--poll', '20'])
    expect(await ended(follower)).toBe(3)
    place.ok(['put', 'f', 'a', '1', '--create'])
    const following = place.start(['changes', 'f', '--follow', '--poll', '20', '--events-only'])
    const one = await linesOf(following, 1)
    const two = linesOf(following, 1)
    place.ok(['put', 'f', 'b', '2'])
    const seen = parseLines(one + (await two)).map(({ key }) => key)
    expect(seen).toEqual(['a', 'b'])
    following.kill('SIGINT')
    expect(await ended(following)).toBe(0)
  })
})

/** More than its pipe takes while nobody reads. */
function fillLong(): void {
  const line = (key: number): string => `{"key":"${key}","value":"${'v'.repeat(1_000)}"}\n`
  place.ok(
    ['import', 'long', '--batch', '100'],
    Array.from({ length: 4_000 }, (_, i) => line(i)).join(''),
  )
}

/** Loaded before the command: sends it the signal when it writes its first event. */
const INTERRUPTS_ITSELF = `
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = (text) => {
  if (String(text).includes('"Insert"')) {
    process.stdout.write = write
    process.kill(process.pid, 'SIGINT')
  }
  return write(text)
}
`

describe('a signal', () => {
  beforeAll(fillLong)

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends what comes to an end by itself, and that shows',
    async (signal) => {
      const printing = place.start(['changes', 'long'])
      await once(printing.stdout, 'readable')
      printing.kill(signal)
      expect(await once(printing, 'exit')).toEqual([null, signal])
      printing.stdout.destroy()
    },
  )

  test('reaches a command that follows while it writes to a file', async () => {
    const file = fs.openSync(place.path('out.ndjson'), 'w')
    const command = path.join(builtPackage(), 'dist', 'cli', 'varve.js')
    place.write('interrupt.mjs', INTERRUPTS_ITSELF)
    const args = ['--import', './interrupt.mjs', command, 'changes', 'long', '--follow']
    const following = spawn(process.execPath, args, {
      cwd: place.directory,
      stdio: ['ignore', file, 'inherit'],
    })
    try {
      expect(await once(following, 'exit')).toEqual([0, null])
      const last = parseLines(fs.readFileSync(place.path('out.ndjson'), 'utf8')).at(-1)
      expect(last).toMatchObject({ control: 'position' })
      expect(last?.['next']).toBeLessThan(4_001)
    } finally {
      fs.closeSync(file)
    }
  })
})

describe('apply', () => {
  test('makes a replica with the very same stream, and does nothing when it is done again', () => {
    const stream = place.ok(['changes', 's'])
    expect(place.run(['apply', 'r'], stream)).toMatchObject({ code: 0, stdout: '' })
    expect(place.ok(['changes', 'r'])).toBe(stream)
    place.ok(['apply', 'r'], stream)
    expect(place.ok(['changes', 'r'])).toBe(stream)
    expect(place.ok(['get', 'r', 'n', '-k', 'v', '--value-encoding', 'counter'])).toBe('5\n')
    expect(JSON.parse(place.ok(['history', 'r', '--json']))).toMatchObject({
      role: 'replica',
      latest: 4,
    })
    expect(place.run(['put', 'r', 'a', 'b'])).toMatchObject({ code: 1 })
    expect(place.ok(['history', 'r'])).toMatch(/^source +\S+$/m)
  })

  test('applies what has come, whether or not more follows', async () => {
    const applying = place.start(['apply', 'waiting'])
    const stream = place.ok(['changes', 's'])
    applying.stdin.write(stream)
    const applied = (): string => place.run(['changes', 'waiting']).stdout
    await expect.poll(applied, { timeout: 30_000 }).toBe(stream)
    applying.stdin.end()
    expect(await ended(applying)).toBe(0)
  })

  test('passes over control lines that it does not know, and refuses a later format', () => {
    const stream = place.ok(['changes', 's'])
    place.ok(['apply', 'passed'], `${stream}{"control":"later","what":1}\n`)
    expect(place.ok(['changes', 'passed'])).toBe(stream)
    const outcome = place.run(['apply', 'newer'], stream.replace('"version":1', '"version":2'))
    expect(outcome).toMatchObject({ code: 1, stdout: '' })
    expect(outcome.stderr).toContain('Line 1 is in format varve-changes 2')
    expect(fs.existsSync(place.path('newer'))).toBe(false)
  })

  test('leaves a store alone that is no copy of the source', () => {
    place.ok(['put', 'own', 'a', '1', '--create'])
    const stream = place.ok(['changes', 's'])
    expect(place.run(['apply', 'own'], stream)).toMatchObject({ code: 2, stdout: '' })
    expect(place.run(['apply', 'own'], place.ok(['changes', 's', '--events-only'])).code).toBe(2)
    expect(place.ok(['changes', 'own', '--events-only'])).toContain('"seqno":1,')
    place.ok(['put', 'own', 'b', '2'])
    place.ok(['checkpoint', 's', 'base'])
    place.ok(['apply', 'base'], stream)
    expect(JSON.parse(place.ok(['history', 'base', '--json']))).toMatchObject({ role: 'replica' })
  })

  test('refuses a hole, a stream of another store, and lines that are no events', () => {
    const late = place.ok(['changes', 's', '--from', '3'])
    expect(place.run(['apply', 'hole'], late).stderr).toContain('VARVE_SEQNO_GAP')
    place.ok(['put', 'other', 'a', '1', '--create'])
    for (let i = 0; i < 4; i++) place.ok(['put', 'other', `b${i}`, '1'])
    place.ok(['apply', 'mixed'], place.ok(['changes', 's']))
    expect(place.run(['apply', 'mixed'], place.ok(['changes', 'other'])).code).not.toBe(0)
    expect(place.run(['apply', 'bad'], 'not json\n')).toMatchObject({ code: 1 })
    expect(place.run(['apply', 'bad'], '{"type":"Update"}\n').stderr).toContain('Line 1')
    expect(place.run(['apply', 'bad', 'missing.ndjson']).code).toBe(3)
  })

  test('applies commits whole, and says where the stream broke off', () => {
    place.write('two.ndjson', '{"key":"x","value":"1"}\n{"key":"y","value":"2"}\n')
    place.ok(['import', 'two', 'two.ndjson'])
    const half = place.ok(['changes', 'two']).split('\n').slice(0, 2).join('\n')
    const outcome = place.run(['apply', 'half'], `${half}\n`)
    expect(outcome).toMatchObject({ code: 1 })
    expect(outcome.stderr).toContain('seqnos 1 to 2')
    expect(place.ok(['count', 'half'])).toBe('0\n')
    place.ok(['apply', 'half'], place.ok(['changes', 'two']))
    expect(place.ok(['count', 'half'])).toBe('2\n')
  })

  test('follows keyspaces that are dropped and made again', () => {
    const counter = ['--value-encoding', 'counter', '--operator', 'counter', '--create', '-k', 'c']
    place.ok(['merge', 'd', 'n', '1', ...counter])
    place.ok(['apply', 'dr'], place.ok(['changes', 'd']))
    place.ok(['delete', 'd', '-k', 'c', '--drop-keyspace', '--yes'])
    place.ok(['merge', 'd', 'n', 'x', '-k', 'c', '--operator', 'append', '--create'])
    place.ok(['apply', 'dr'], place.ok(['changes', 'd']))
    expect(place.ok(['get', 'dr', 'n', '-k', 'c'])).toBe('x\n')
  })

  test('keeps the token also where events and position are not applied together', () => {
    place.ok(['put', 'e', 'n', '1', '--create', '-k', 'c'])
    place.ok(['delete', 'e', '-k', 'c', '--drop-keyspace', '--yes'])
    const stream = place.ok(['changes', 'e'])
    place.ok(['apply', 'er'], stream)
    expect(place.ok(['changes', 'er'])).toBe(stream)
    place.ok(['apply', 'later'], place.ok(['changes', 'e', '--events-only']))
    expect(place.ok(['changes', 'later'])).not.toBe(stream)
    place.ok(['apply', 'later'], stream)
    expect(place.ok(['changes', 'later'])).toBe(stream)
  })
})

describe('replicate', () => {
  test('catches up, and again only with what is new', () => {
    place.ok(['replicate', 's', 'copy'])
    expect(place.ok(['changes', 'copy'])).toBe(place.ok(['changes', 's']))
    place.ok(['put', 's', 'z', '9'])
    expect(place.run(['replicate', 's', 'copy']).stderr).toContain('seqno 5')
    expect(place.ok(['changes', 'copy'])).toBe(place.ok(['changes', 's']))
  })

  test('makes nothing where history begins too late, and goes on from a checkpoint', async () => {
    place.ok(['put', 'cut', 'a', '1', '--create'])
    place.ok(['put', 'cut', 'a', '2'])
    const { Varve } = await importPackage()
    const db = await Varve.open(place.path('cut'))
    await db.truncateHistory(2)
    await db.close()
    const outcome = place.run(['replicate', 'cut', 'new'])
    expect(outcome).toMatchObject({ code: 6, stdout: '' })
    expect(outcome.stderr).toContain('varve checkpoint cut new')
    expect(fs.existsSync(place.path('new'))).toBe(false)
    place.ok(['checkpoint', 'cut', 'new'])
    place.ok(['put', 'cut', 'a', '3'])
    expect(place.run(['replicate', 'cut', 'new']).stderr).toContain('seqno 3')
  })

  test('refuses a primary as its target, and a source that is not there', () => {
    place.ok(['put', 'p', 'a', '1', '--create'])
    expect(place.run(['replicate', 's', 'p'])).toMatchObject({ code: 2, stdout: '' })
    expect(place.run(['replicate', 's', 's'])).toMatchObject({ code: 2, stdout: '' })
    // Neither has become a replica by that.
    place.ok(['put', 'p', 'b', '2'])
    place.ok(['put', 's', 'b', '2'])
    expect(place.run(['replicate', 'nowhere', 'x']).code).toBe(3)
    expect(fs.existsSync(place.path('x'))).toBe(false)
  })

  test('takes a checkpoint for its base, unless that has gone on by itself', () => {
    place.ok(['checkpoint', 's', 'first'])
    place.ok(['checkpoint', 's', 'second'])
    place.ok(['put', 's', 'c', '3'])
    expect(place.run(['replicate', 'first', 's'])).toMatchObject({ code: 6, stdout: '' })
    // The same directory, by a name that the file system does not know.
    expect(place.run(['replicate', 'first', 'missing/../s'])).toMatchObject({ code: 6 })
    place.ok(['put', 's', 'd', '4'])
    place.ok(['replicate', 's', 'first'])
    expect(place.ok(['changes', 'first'])).toBe(place.ok(['changes', 's']))
    place.ok(['put', 'second', 'x', 'y'])
    expect(place.run(['replicate', 's', 'second'])).toMatchObject({ code: 6, stdout: '' })
    place.ok(['put', 'second', 'x', 'z'])
  })

  test('follows until it is interrupted', async () => {
    place.ok(['put', 'rs', 'a', '1', '--create'])
    const replicating = place.start(['replicate', 'rs', 'rr', '--follow', '--poll', '20'])
    const watching = place.start(['changes', 'rs', '--follow', '--events-only'])
    await linesOf(watching, 1)
    place.ok(['put', 'rs', 'b', '2'])
    await expect.poll(() => place.run(['get', 'rr', 'b']).code, { timeout: 30_000 }).toBe(0)
    replicating.kill('SIGTERM')
    watching.kill('SIGTERM')
    expect([await ended(replicating), await ended(watching)]).toEqual([0, 0])
    expect(place.ok(['changes', 'rr'])).toBe(place.ok(['changes', 'rs']))
  })
})
