/**
 * Splits a stream of bytes into lines and remembers where each one ends, so that reading can go on there another time.
 */
import { isUtf8 } from 'node:buffer'
import fs from 'node:fs'
import { CommandError } from './exit-codes.ts'

export interface Line {
  readonly text: string
  /** Whether a carriage return stood before the line feed: it belongs to the text where a CSV field goes on. */
  readonly hasReturn: boolean
  /** Counted from 1. */
  readonly number: number
  /** Offset of the byte behind it. */
  readonly end: number
}

export interface LineStart {
  /** Bytes and lines that were read another time. */
  readonly offset: number
  readonly lines: number
}

const LINE_BYTES_MAX = 2 ** 28
const LINE_FEED = 0x0a

/**
 * Lines of a file, or of stdin where it is '-', as they arrive: all that a chunk completes at once. `end`: a file is read to there
 * only.
 */
export async function* readLines(
  file: string,
  start: LineStart & { readonly end?: number } = { offset: 0, lines: 0 },
): AsyncGenerator<Line[], undefined> {
  let { offset, lines } = start
  const { end: stop = Infinity } = start
  if (offset >= stop) return undefined
  // A stream's `end` is the place of its last byte.
  const part = { start: offset, end: stop - 1, highWaterMark: 2 ** 18 }
  const input = file === '-' ? process.stdin : fs.createReadStream(file, part)
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const data of input) {
    const chunk = data as Buffer
    const found: Line[] = []
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      const bytes = Buffer.concat([...rest, chunk.subarray(from, at)])
      rest = []
      restBytes = 0
      offset += bytes.length + 1
      from = at + 1
      const number = ++lines
      if (!isUtf8(bytes)) {
        // What stands before it is read all the same.
        if (found.length > 0) yield found
        throw notUtf8(number)
      }
      found.push(lineOf(bytes, { number, end: offset }))
    }
    if (from < chunk.length) {
      rest.push(chunk.subarray(from))
      restBytes += chunk.length - from
    }
    if (restBytes > LINE_BYTES_MAX) {
      throw new CommandError(`Line ${lines + 1} is longer than ${LINE_BYTES_MAX} bytes.`)
    }
    if (found.length > 0) yield found
  }
  if (restBytes > 0) {
    const bytes = Buffer.concat(rest)
    if (!isUtf8(bytes)) throw notUtf8(lines + 1)
    yield [lineOf(bytes, { number: lines + 1, end: offset + bytes.length })]
  }
  return undefined
}

/** Decoded all the same, other bytes would become the same replacement characters, and keys would fall together. */
function notUtf8(number: number): CommandError {
  return new CommandError(`Line ${number} is not UTF-8.`)
}

function lineOf(bytes: Buffer, place: { number: number; end: number }): Line {
  const hasReturn = bytes.at(-1) === 0x0d
  const text = bytes.toString('utf8', 0, hasReturn ? bytes.length - 1 : bytes.length)
  return { text, hasReturn, ...place }
}
