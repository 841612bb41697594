/**
 * CSV as RFC 4180 has it: fields in quotes may hold commas, line ends and doubled quotes. Read from lines: a record that goes
 * on in the next line is told apart by its quotes, which are even in number where it ends.
 */
import { CommandError } from './exit-codes.ts'
import type { Line } from './line-reader.ts'

export interface CsvRecord {
  readonly fields: readonly string[]
  /** Of its last line. */
  readonly end: number
  /** Of its first line. */
  readonly number: number
  readonly lastNumber: number
}

const RECORD_CHARACTERS_MAX = 2 ** 26

/** A record of which not all lines are there yet. */
interface OpenRecord {
  readonly parts: string[]
  readonly number: number
  characters: number
}

export class CsvReader {
  readonly #separator: string
  #open: OpenRecord | undefined

  constructor(separator: string) {
    this.#separator = separator
  }

  /** The record that ends with this line; undefined when it goes on, or the line is empty. */
  take(line: Line): CsvRecord | undefined {
    const open = this.#open
    // Only the new line is looked at: quotes that are never closed make one record of the whole rest of the file.
    const goesOn = hasOddQuotes(line.text) !== (open !== undefined)
    if (goesOn) {
      this.#open = opened(open, line)
      return undefined
    }
    this.#open = undefined
    const text = open === undefined ? line.text : [...open.parts, line.text].join('')
    if (text === '') return undefined
    const number = open?.number ?? line.number
    const fields = splitRecord(text, this.#separator, number)
    return { fields, end: line.end, number, lastNumber: line.number }
  }

  finish(): void {
    if (this.#open === undefined) return
    throw new CommandError(`The quotes that open in line ${this.#open.number} are never closed.`)
  }
}

/** With this line too, and its end as it stands in the file: it is part of the field. */
function opened(open: OpenRecord | undefined, line: Line): OpenRecord {
  const record = open ?? { parts: [], number: line.number, characters: 0 }
  const part = `${line.text}${line.hasReturn ? '\r\n' : '\n'}`
  record.parts.push(part)
  record.characters += part.length
  if (record.characters > RECORD_CHARACTERS_MAX) {
    throw new CommandError(`The quotes that open in line ${record.number} are never closed.`)
  }
  return record
}

function hasOddQuotes(text: string): boolean {
  let isOdd = false
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) isOdd = !isOdd
  return isOdd
}

function splitRecord(text: string, separator: string, number: number): string[] {
  const fields: string[] = []
  let at = 0
  for (;;) {
    let field = ''
    if (text[at] === '"') {
      const closed = closingQuote(text, at + 1)
      field = text.slice(at + 1, closed).replaceAll('""', '"')
      at = closed + 1
      if (at < text.length && text[at] !== separator) {
        throw new CommandError(`Line ${number}: something stands behind the quotes of a field.`)
      }
    } else {
      const end = text.indexOf(separator, at)
      const stop = end < 0 ? text.length : end
      field = text.slice(at, stop)
      at = stop
    }
    fields.push(field)
    if (at >= text.length) return fields
    at++
  }
}

/** Quotes are even in number here, so there is one. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from)
  while (text[at + 1] === '"') at = text.indexOf('"', at + 2)
  return at
}
