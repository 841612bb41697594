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

export class CsvReader {
  readonly #separator: string
  #open: { text: string; number: number } | undefined

  constructor(separator: string) {
    this.#separator = separator
  }

  /** The record that ends with this line; undefined when it goes on, or the line is empty. */
  take(line: Line): CsvRecord | undefined {
    const open = this.#open
    const text = open === undefined ? line.text : `${open.text}\n${line.text}`
    const number = open?.number ?? line.number
    if (hasOpenQuote(text)) {
      if (text.length > RECORD_CHARACTERS_MAX) {
        throw new CommandError(`The quotes that open in line ${number} are never closed.`)
      }
      this.#open = { text, number }
      return undefined
    }
    this.#open = undefined
    if (text === '') return undefined
    const fields = splitRecord(text, this.#separator, number)
    return { fields, end: line.end, number, lastNumber: line.number }
  }

  finish(): void {
    if (this.#open === undefined) return
    throw new CommandError(`The quotes that open in line ${this.#open.number} are never closed.`)
  }
}

function hasOpenQuote(text: string): boolean {
  let isOpen = false
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) isOpen = !isOpen
  return isOpen
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
