/** import and export, through the built command. */
import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ended, parseLines, Workplace } from './built-package.ts'

let place: Workplace
beforeAll(() => {
  place = new Workplace()
})
afterAll(() => place.remove())

describe('NDJSON', () => {
  test('documents are stored under the member that is named', () => {
    place.write('users.ndjson', '{"id": 1, "name": "Ada"}\n\n{"id": 2, "name": "Grace"}')
    expect(
      place.run(['import', 'u', 'users.ndjson', '--key', 'id', '--key-prefix', 'user:']),
    ).toEqual({
      code: 0,
      stdout: '',
      stderr: 'imported 2 entries\n',
    })
    expect(place.ok(['get', 'u', 'user:1'])).toBe('{"id": 1, "name": "Ada"}\n')
    place.ok(
      ['import', 'u', '-', '--key', 'id', '--value', 'name', '-k', 'names'],
      '{"id":"x","name":"Y"}\n',
    )
    expect(place.ok(['scan', 'u', '-k', 'names'])).toBe('x\tY\n')
  })

  test('what export wrote comes back: keyspaces, operators, bytes', () => {
    place.ok(['put', 'e', '00ff', 'ff', '-e', 'hex', '--create'])
    place.ok([
      'merge',
      'e',
      'n',
      '7',
      '-k',
      'v',
      '--operator',
      'counter',
      '--value-encoding',
      'counter',
      '--create',
    ])
    const exported = place.ok(['export', 'e'])
    expect(parseLines(exported)).toMatchObject([
      { control: 'entries', version: 1, seqno: 2, keyspaces: { v: { mergeOperator: 'counter' } } },
      { keyspace: 'default', key: { base64: 'AP8=' }, value: { base64: '/w==' } },
      { keyspace: 'v', key: 'n' },
    ])
    expect(parseLines(place.ok(['export', 'e', '-k', 'v']))).toMatchObject([
      { control: 'entries', keyspaces: { v: { mergeOperator: 'counter' } } },
      { keyspace: 'v', key: 'n' },
    ])
    expect(place.run(['export', 'e', '-k', 'w']).code).toBe(3)
    const later = exported.replace('"version":1', '"version":2')
    expect(place.run(['import', 'e1'], later)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Line 1 is in another format') as string,
    })
    place.ok(['import', 'e2'], exported)
    expect(place.ok(['export', 'e2'])).toBe(exported)
    place.ok(['merge', 'e2', 'n', '1', '-k', 'v', '--value-encoding', 'counter'])
    expect(place.ok(['get', 'e2', 'n', '-k', 'v', '--value-encoding', 'counter'])).toBe('8\n')
  })

  test('a keyspace may have the name of a member that every object has', () => {
    const counter = ['-k', '__proto__', '--value-encoding', 'counter']
    place.ok(['merge', 'p', 'n', '41', ...counter, '--operator', 'counter', '--create'])
    place.ok(['import', 'p2'], place.ok(['export', 'p']))
    place.ok(['apply', 'p3'], place.ok(['changes', 'p']))
    place.ok(['merge', 'p2', 'n', '1', ...counter])
    expect(place.ok(['get', 'p2', 'n', ...counter])).toBe('42\n')
    expect(place.ok(['get', 'p3', 'n', ...counter])).toBe('41\n')
  })

  test('bad lines are named, and what stands before them is not lost', () => {
    expect(place.run(['import', 'b'], '{"key":"a","value":"1"}\nnonsense\n')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Line 2') as string,
    })
    expect(place.ok(['scan', 'b'])).toBe('a\t1\n')
    const header = '{"control":"entries","format":"varve-entries","version":1,"seqno":1,'
    for (const line of [
      JSON.stringify({ key: 'k'.repeat(65_536), value: '' }),
      '{"keyspace":"","key":"k","value":""}',
      '{"keyspace":5,"key":"k","value":""}',
      `${header}"keyspaces":{"x":null}}`,
      `${header}"keyspaces":{"x":{"mergeOperator":5}}}`,
      `${header}"keyspaces":{"":{}}}`,
    ]) {
      const { code, stderr } = place.run(['import', 'b'], `{"key":"a","value":"2"}\n${line}\n`)
      expect([code, stderr], line).toEqual([1, expect.stringContaining('varve: Line 2')])
    }
    expect(place.ok(['scan', 'b'])).toBe('a\t2\n')
    expect(place.run(['import', 'b', '-k', ''], '{"key":"a","value":"2"}\n').code).toBe(2)
    expect(place.run(['import', 'b'], '{"id":1}\n').stderr).toContain('--key')
    expect(place.run(['import', 'b', '--key', 'id'], '{"name":1}\n').stderr).toContain('"id"')
    expect(place.run(['import', 'b', 'missing.ndjson']).code).toBe(3)
    expect(place.run(['import', 'b', '--batch', '0'], '').code).toBe(2)
    expect(place.run(['import', 'b', '--resume'], '').code).toBe(2)
  })
})

test('what cannot be told apart any more is refused, rather than made one key', () => {
  const ids = ['import', 'apart', '--key', 'id']
  const good = '{"id":9007199254740991}\n{"id":1.5}\n'
  expect(place.run(ids, `${good}{"id":12345678901234567890}\n`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Line 3: "id" is a number') as string,
  })
  expect(place.ok(['scan', 'apart', '--keys-only'])).toBe('1.5\n9007199254740991\n')
  expect(place.run(ids, '{"id":1e400}\n').stderr).toContain('Line 1: "id" is a number')
  place.ok(
    ['import', 'inner', '--key', 'id', '--value', 'v'],
    '{"id":1,"v":{"n": 12345678901234567890}}',
  )
  expect(place.ok(['get', 'inner', '1'])).toBe('{"n":12345678901234567890}\n')
  expect(place.run(ids, '{"id":"\\ud800"}\n').stderr).toContain('Line 1: "id" holds half')
  const latin1 = Buffer.from('id,name\n1,Zo\u00eb\n2,Zoe\n', 'latin1')
  expect(place.run(['import', 'latin', '--format', 'csv', '--key', 'id'], latin1)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Line 2 is not UTF-8') as string,
  })
  const last = Buffer.concat([Buffer.from('{"id":"a"}\n{"id":"b'), Buffer.from([0xff])])
  expect(place.run(['import', 'latin', '--key', 'id'], last).stderr).toContain('Line 2 is not')
  const first = Buffer.from([0xff, 0x0a])
  expect(place.run(['import', 'latin', '--key', 'id'], first).stderr).toContain('Line 1 is not')
  expect(place.ok(['scan', 'latin', '--keys-only'])).toBe('a\n')
})

describe('CSV', () => {
  test('has quotes, line ends in fields, and columns by name', () => {
    place.write('c.csv', '\uFEFFid,name,note\r\n1,"Ada ""A"" L",x\r\n2,"two\nlines",\r\n')
    place.ok(['import', 'c', 'c.csv', '--key', 'id'])
    expect(JSON.parse(place.ok(['get', 'c', '1']))).toEqual({
      id: '1',
      name: 'Ada "A" L',
      note: 'x',
    })
    expect(JSON.parse(place.ok(['get', 'c', '2']))).toMatchObject({ name: 'two\nlines', note: '' })
    place.ok(['import', 'c', 'c.csv', '--key', 'id', '--value', 'note', '-k', 'notes'])
    expect(place.ok(['get', 'c', '1', '-k', 'notes'])).toBe('x\n')
  })

  test('keeps the line ends inside of quotes as they stand', () => {
    const csv = ['import', 'ends', '--format', 'csv', '--key', 'id', '--value', 'note']
    place.ok(csv, 'id,note\r\n1,"one\r\n\r\ntwo"\r\n2,"three\nfour"\r\n3,"\r\n"\r\n')
    expect(place.ok(['get', 'ends', '1', '--raw'])).toBe('one\r\n\r\ntwo')
    expect(place.ok(['get', 'ends', '2', '--raw'])).toBe('three\nfour')
    expect(place.ok(['get', 'ends', '3', '--raw'])).toBe('\r\n')
  })

  test('quotes that are never closed are told of soon, however much stands behind them', () => {
    const lines = Array.from(
      { length: 300_000 },
      (_, i) => `${i},as long as other lines are ${i}\n`,
    )
    const csv = ['import', 'x', '--format', 'csv', '--key', 'id']
    expect(place.run(csv, `id,note\n0,5" wide\n${lines.join('')}`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('open in line 2 are never closed') as string,
    })
  })

  test('is refused where it is not one', () => {
    expect(place.run(['import', 'x', 'c.csv']).code).toBe(2)
    expect(place.run(['import', 'x', 'c.csv', '--key', 'ID'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('There are: id, name, note') as string,
    })
    const csv = ['import', 'x', '--format', 'csv', '--key', 'id']
    expect(place.run(csv, 'id,a\n1,2,3\n').stderr).toContain('Line 2 has 3 columns')
    expect(place.run(csv, 'id,a\n1,"open\n').stderr).toContain('never closed')
    expect(place.run(csv, 'id,a\n1,"b"c\n').stderr).toContain('behind the quotes')
    for (const named of [[], ['--value', 'a']]) {
      expect(place.run([...csv, ...named], 'id,a,a\n1,2,3\n')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('the column "a" twice') as string,
      })
    }
    expect(place.run([...csv, '--value', 'b'], 'id,a,a,b\n1,2,3,4\n').code).toBe(0)
  })
})

describe('resume', () => {
  const lines = 60_000

  test('an import goes on where it was killed, and writes no entry twice', async () => {
    const rows = Array.from({ length: lines }, (_, i) => `{"id":"k${i}","x":"${'y'.repeat(50)}"}\n`)
    place.write('big.ndjson', rows.join(''))
    const args = ['import', 'big', 'big.ndjson', '--key', 'id', '--resume', '--batch', '100']
    const killed = place.start(args)
    const written = (): number => {
      if (!fs.existsSync(place.path('big'))) return 0
      const logs = place
        .files('big', '.wal')
        .map((name) => fs.statSync(place.path('big', name)).size)
      return Math.max(0, ...logs)
    }
    await expect.poll(written, { timeout: 30_000, interval: 2 }).toBeGreaterThan(100_000)
    killed.kill('SIGKILL')
    await ended(killed)
    expect(place.run(args)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/behind line [1-9]/) as string,
    })
    expect(place.ok(['count', 'big'])).toBe(`${lines}\n`)
    expect(place.ok(['count', 'big', '-k', 'varve.import'])).toBe('0\n')
    const events = place.ok(['changes', 'big', '--events-only', '-k', 'default'])
    expect(events.split('\n')).toHaveLength(lines + 1)
  })

  test('a place in a file that was changed is not gone on with', () => {
    place.write('r.ndjson', '{"id":1}\n{"id":2}\nnonsense\n')
    const args = ['import', 'r', 'r.ndjson', '--key', 'id', '--resume', '--batch', '1']
    expect(place.run(args).code).toBe(1)
    place.write('r.ndjson', '{"id":1}\n{"id":2}\n{"id":3}\n{"id":4}\n')
    expect(place.run(args).stderr).toContain('was changed')
    // The place is nobody's data.
    expect(place.ok(['scan', 'r', '-k', 'varve.import', '--keys-only'])).toContain('r.ndjson')
    expect(place.ok(['export', 'r'])).not.toContain('varve.import')
    expect(place.run(args.filter((arg) => arg !== '--resume')).code).toBe(0)
    expect(place.ok(['count', 'r'])).toBe('4\n')
  })

  test('an export goes on behind its last whole line', () => {
    place.ok(['export', 'e', '-o', 'out.ndjson'])
    const whole = place.read('out.ndjson')
    expect(place.run(['export', 'e', '-o', 'out.ndjson']).code).toBe(1)
    fs.truncateSync(place.path('out.ndjson'), whole.length - 5)
    place.ok(['export', 'e', '-o', 'out.ndjson', '--resume'])
    expect(place.read('out.ndjson')).toBe(whole)
    expect(place.run(['export', 'e', '--resume']).code).toBe(2)
    expect(place.run(['export', 'nowhere']).code).toBe(3)
  })

  test('an export goes on, too, where it was cut off inside of a character, or of its first line', () => {
    place.ok(['put', 'zoe', 'a', 'Ada', '--create'])
    place.ok(['put', 'zoe', 'z', 'Zo\u00eb'])
    place.ok(['export', 'zoe', '-o', 'zoe.ndjson'])
    const whole = place.read('zoe.ndjson')
    for (const left of [Buffer.from(whole).indexOf(0xc3) + 1, 5, 0]) {
      fs.truncateSync(place.path('zoe.ndjson'), left)
      place.ok(['export', 'zoe', '-o', 'zoe.ndjson', '--resume'])
      expect(place.read('zoe.ndjson'), `${left} bytes`).toBe(whole)
    }
  })

  test('an export of a keyspace that is not there writes nothing, and of one named twice no entry twice', () => {
    const named = ['export', 'zoe', '-k', 'default', '-k', 'nowhere']
    expect(place.run(named)).toMatchObject({ code: 3, stdout: '' })
    expect(place.run([...named, '-o', 'named.ndjson']).code).toBe(3)
    expect(fs.existsSync(place.path('named.ndjson'))).toBe(false)
    const once = place.ok(['export', 'zoe', '-k', 'default'])
    expect(place.ok(['export', 'zoe', '-k', 'default', '-k', 'default'])).toBe(once)
  })
})
