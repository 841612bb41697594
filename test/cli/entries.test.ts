/** get, put, delete, merge, scan and count, through the built command. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseLines, Workplace } from './built-package.ts'

let place: Workplace
beforeAll(() => {
  place = new Workplace()
  place.ok(['put', 's', 'city:lisbon', 'Lisboa', '--create'])
  place.ok(['put', 's', 'city:porto'], 'Porto')
  place.ok(['put', 's', '00ff', '0102', '-e', 'hex'])
  place.ok(['put', 's', 'user:1', '{ "name": "Ada" }', '--value-encoding', 'json'])
})
afterAll(() => place.remove())

test('help names every command, and each has examples', () => {
  const { code, stdout } = place.run(['--help'])
  expect(code).toBe(0)
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) (?=[ [<])/gm)].map((match) => match[1]!)
  expect(commands).toEqual(
    expect.arrayContaining(['get', 'changes', 'apply', 'stats', 'verify', 'repair', 'dump']),
  )
  for (const command of commands.filter((name) => name !== 'help')) {
    const help = place.run([command, '--help'])
    expect(help.code, command).toBe(0)
    expect(help.stdout, command).toMatch(/Examples:\n {2}.*varve /)
  }
})

describe('get', () => {
  test('prints a value and nothing else', () => {
    expect(place.run(['get', 's', 'city:lisbon'])).toEqual({
      code: 0,
      stdout: 'Lisboa\n',
      stderr: '',
    })
  })

  test('prints bytes as they are with --raw', () => {
    expect(place.ok(['get', 's', '00ff', '--key-encoding', 'hex', '--raw'])).toBe('\u0001\u0002')
  })

  test('prints JSON where it is asked for', () => {
    expect(
      JSON.parse(place.ok(['get', 's', 'user:1', '--json', '--value-encoding', 'json'])),
    ).toEqual({ key: 'user:1', value: { json: { name: 'Ada' } } })
  })

  test('ends with 3 for a key, a keyspace or a store that is not there', () => {
    expect(place.run(['get', 's', 'city:faro'])).toMatchObject({ code: 3, stdout: '' })
    expect(place.run(['get', 's', 'a', '-k', 'cites']).stderr).toContain('There are: default')
    expect(place.run(['get', 'nowhere', 'a'])).toMatchObject({
      code: 3,
      stderr: 'varve: There is no store in nowhere.\n',
    })
  })

  test('ends with 2 for arguments that are wrong', () => {
    expect(place.run(['get', 's']).code).toBe(2)
    expect(place.run(['get', 's', 'xyz', '-e', 'hex'])).toMatchObject({
      code: 2,
      stderr: 'varve: The key is not hex: "xyz"\n',
    })
    expect(place.run(['get', 's', 'a', '-e', 'latin1']).code).toBe(2)
    expect(place.run(['get', 's', '']).code).toBe(2)
  })
})

test('what was mistyped is recognized', () => {
  expect(place.run(['chnges', 's'])).toMatchObject({ code: 2, stdout: '' })
  expect(place.run(['chnges', 's']).stderr).toContain('Did you mean changes?')
  expect(place.run(['get', 's', 'a', '--keyspce', 'x']).stderr).toContain(
    'Did you mean --keyspace?',
  )
})

test('put, merge and delete say the seqno, and print nothing', () => {
  const told = (seqno: number): object => ({ code: 0, stdout: '', stderr: `seqno ${seqno}\n` })
  expect(place.run(['put', 'said', 'a', '1', '--create'])).toEqual(told(1))
  expect(place.run(['put', 'said', 'b', '-', '--no-sync'], 'from stdin')).toEqual(told(2))
  expect(place.run(['delete', 'said', 'a'])).toEqual(told(3))
  const merge = ['merge', 'said', 'b', 'x', '-k', 'm', '--operator', 'append', '--create']
  expect(place.run(merge)).toEqual(told(4))
  expect(place.ok(['get', 'said', 'b'])).toBe('from stdin\n')
})

test('put makes neither store nor keyspace unasked', () => {
  const { code, stderr } = place.run(['put', 'new', 'a', 'b'])
  expect(code).toBe(3)
  expect(stderr).toContain('--create makes one')
  for (const args of [
    ['delete', 'new', 'a'],
    ['compact', 'new'],
    ['checkpoint', 'new', 'copy'],
  ]) {
    const outcome = { code: 3, stdout: '', stderr: 'varve: There is no store in new.\n' }
    expect(place.run(args), args[0]).toEqual(outcome)
  }
  expect(place.run(['put', 's', 'a', 'b', '-k', 'new'])).toMatchObject({ code: 3 })
})

test('put and merge read stdin in the encoding named, and without one byte by byte', () => {
  const put = (key: string, encoding: string): string[] => [
    'put',
    'piped',
    key,
    '--create',
    '--value-encoding',
    encoding,
  ]
  const hexOf = (key: string): string =>
    place.ok(['get', 'piped', key, '-e', 'utf8', '--value-encoding', 'hex'])
  place.ok(put('hex', 'hex'), '00ff\n')
  expect(hexOf('hex')).toBe('00ff\n')
  // As `base64` writes it.
  place.ok(put('base64', 'base64'), `${'AAAA'.repeat(19)}\n/w==\n`)
  expect(hexOf('base64')).toBe(`${'00'.repeat(57)}ff\n`)
  place.ok(put('json', 'json'), '{ "a" : "b c" }\n')
  expect(place.ok(['get', 'piped', 'json'])).toBe('{"a":"b c"}\n')
  place.ok(put('utf8', 'utf8'), Buffer.from([0x0a, 0xff, 0x0a]))
  expect(hexOf('utf8')).toBe('0aff0a\n')
  const merge = ['merge', 'piped', 'n', '-k', 'n', '--operator', 'counter', '--create']
  place.ok([...merge, '--value-encoding', 'counter'], '41\n')
  expect(place.ok(['get', 'piped', 'n', '-k', 'n', '--value-encoding', 'counter'])).toBe('41\n')
  for (const [encoding, text] of [
    ['json', '{'],
    ['json', Buffer.from([0x22, 0xff, 0x22])],
    ['counter', '4 2'],
    ['hex', 'a secret that no message may repeat, since it is a value'],
  ] as const) {
    const { code, stderr } = place.run(put('no', encoding), text)
    expect(code).toBe(2)
    expect(stderr).not.toContain('secret')
  }
  expect(place.run(['get', 'piped', 'no']).code).toBe(3)
})

test('json values keep their digits and names', () => {
  const json = ['--value-encoding', 'json']
  place.ok([
    'put',
    's',
    'digits',
    '{"n": 12345678901234567890, "n": 1e400,\t"s": "a \\" b"}',
    ...json,
  ])
  const stored = '{"n":12345678901234567890,"n":1e400,"s":"a \\" b"}\n'
  expect(place.ok(['get', 's', 'digits'])).toBe(stored)
  expect(place.ok(['get', 's', 'digits', ...json])).toBe(stored)
  place.ok(['delete', 's', 'digits'])
})

test('put refuses a value that is not in the encoding named', () => {
  expect(place.run(['put', 's', 'a', 'A', '--value-encoding', 'base64']).code).toBe(2)
  expect(place.run(['put', 's', '"\\ud800"', '1', '-e', 'json']).stderr).toContain('surrogate')
  expect(place.run(['put', 's', 'a', '{', '--value-encoding', 'json']).code).toBe(2)
  expect(place.run(['put', 's', 'a', 'one', '--value-encoding', 'counter']).code).toBe(2)
})

test('merge counts, in a keyspace with the operator for it', () => {
  const counter = ['-k', 'visits', '--value-encoding', 'counter']
  expect(place.run(['merge', 's', 'p', '1']).code).toBe(2)
  place.ok(['merge', 's', 'p', '40', ...counter, '--operator', 'counter', '--create'])
  place.ok(['merge', 's', 'p', '2', ...counter])
  expect(place.ok(['get', 's', 'p', ...counter])).toBe('42\n')
  expect(place.run(['merge', 's', 'p', 'x', '-k', 'visits', '--operator', 'append']).code).toBe(1)
})

describe('scan', () => {
  test('prints key, tab, value, escaped to one line each', () => {
    expect(place.ok(['scan', 's'])).toBe(
      '\\x00\\xff\t\\x01\\x02\ncity:lisbon\tLisboa\ncity:porto\tPorto\nuser:1\t{"name":"Ada"}\n',
    )
  })

  test('takes bounds, limit and direction', () => {
    expect(place.ok(['scan', 's', '-p', 'city:', '--keys-only'])).toBe('city:lisbon\ncity:porto\n')
    expect(place.ok(['scan', 's', '--gt', 'city:lisbon', '-n', '1'])).toBe('city:porto\tPorto\n')
    expect(place.ok(['scan', 's', '--reverse', '--keys-only', '--limit', '1'])).toBe('user:1\n')
  })

  test('prints NDJSON from which every byte can be told', () => {
    expect(parseLines(place.ok(['scan', 's', '--ndjson', '--lte', 'city:lisbon']))).toEqual([
      { key: { base64: 'AP8=' }, value: '\u0001\u0002' },
      { key: 'city:lisbon', value: 'Lisboa' },
    ])
  })

  test('ends with 2 for a limit that is no number', () => {
    expect(place.ok(['scan', 's', '-n', '1_000', '-p', 'user'])).toBe('user:1\t{"name":"Ada"}\n')
    for (const limit of ['many', '-1', '1.5', '']) {
      expect(place.run(['scan', 's', '-n', limit]).code, limit).toBe(2)
    }
  })
})

test('count counts', () => {
  expect(place.ok(['count', 's'])).toBe('4\n')
  expect(place.ok(['count', 's', '--prefix', 'city:'])).toBe('2\n')
  expect(place.run(['count', 'nowhere']).code).toBe(3)
  expect(place.run(['count', 's', '--prefix', 'zz', '-e', 'hex']).code).toBe(2)
  expect(place.run(['count', 's', '-k', 'none']).code).toBe(3)
})

describe('delete', () => {
  beforeAll(() => {
    for (const key of ['d:1', 'd:2', 'd:3']) place.ok(['put', 's', key, 'x'])
    place.ok(['put', 's', 'a', 'b', '-k', 'gone', '--create'])
  })

  test('takes one key', () => {
    place.ok(['delete', 's', 'd:1'])
    expect(place.run(['get', 's', 'd:1']).code).toBe(3)
  })

  test('wants --yes for a range where nobody can be asked', () => {
    expect(place.run(['delete', 's', '--prefix', 'd:'])).toMatchObject({ code: 2 })
    expect(place.ok(['count', 's', '-p', 'd:'])).toBe('2\n')
    place.ok(['delete', 's', '--prefix', 'd:', '--yes'])
    expect(place.ok(['count', 's', '-p', 'd:'])).toBe('0\n')
  })

  test('drops a keyspace', () => {
    expect(place.run(['delete', 's', '-k', 'gone', '--drop-keyspace']).code).toBe(2)
    place.ok(['delete', 's', '-k', 'gone', '--drop-keyspace', '--yes'])
    expect(place.run(['scan', 's', '-k', 'gone']).code).toBe(3)
  })

  test('wants one thing to delete', () => {
    expect(place.run(['delete', 's']).code).toBe(2)
    expect(place.run(['delete', 's', 'a', '--prefix', 'a', '--yes']).code).toBe(2)
    expect(place.run(['delete', 's', '--gte', 'b', '--lt', 'a', '--yes']).code).toBe(2)
    const before = place.ok(['count', 's'])
    expect(place.run(['delete', 's', '--prefix', 'city', '--gte', 'c', '--yes']).code).toBe(2)
    expect(place.run(['delete', 's', '--prefix', 'city', '--lt', 'd', '--yes']).code).toBe(2)
    expect(place.ok(['count', 's'])).toBe(before)
  })
})

test('loads merge operators from a module, and says where they are missing', () => {
  place.write(
    'longest.mjs',
    `export default {
      name: 'longest',
      merge: (key, base, operands) =>
        [...(base === undefined ? [] : [base]), ...operands].sort((a, b) => b.length - a.length)[0],
    }`,
  )
  const operators = ['--operators', 'longest.mjs']
  const words = ['-k', 'words']
  place.ok(['merge', 'o', 'w', 'long', ...words, '--operator', 'longest', '--create', ...operators])
  place.ok(['merge', 'o', 'w', 'a', ...words, ...operators])
  expect(place.ok(['get', 'o', 'w', ...words, ...operators])).toBe('long\n')
  expect(place.run(['get', 'o', 'w', ...words])).toMatchObject({ code: 1 })
  expect(place.run(['get', 'o', 'w', ...words]).stderr).toContain('--operators')
  place.write('none.mjs', 'export const name = 1')
  expect(place.run(['get', 's', 'city:porto', '--operators', 'none.mjs'])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: 'varve: none.mjs exports no merge operator.\n',
  })
})
