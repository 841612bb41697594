/**
 * Makes entries of the lines of an import: what `export` wrote, any JSON documents, or the records of a CSV.
 */
import { CsvReader, type CsvRecord } from './csv.ts'
import { memberText } from './encoding.ts'
import { type EntriesLine, parseEntryLine, parseObject } from './entry-line.ts'
import { CommandError, usageError } from './exit-codes.ts'
import type { Line } from './line-reader.ts'

export type RowFormat = 'ndjson' | 'csv'

export interface ImportRow {
  /** Undefined: the one that was asked for. */
  readonly keyspace: string | undefined
  readonly key: Buffer
  readonly value: Buffer
  /** The input up to the end of this row. */
  readonly end: number
  readonly lines: number
}
/** What keyspaces need before the rows of an export come. */
export interface ImportKeyspaces {
  readonly keyspaces: EntriesLine['keyspaces']
  readonly lines: number
}

export interface RowSource {
  take(line: Line): ImportRow | ImportKeyspaces | undefined
  /** Columns, where the first line was read another time. */
  readHead(text: string): void
  /** Throws where the input ends inside of something. */
  finish(): void
}

export interface RowChoice {
  readonly format: RowFormat
  readonly key?: string
  readonly value?: string
  readonly keyPrefix: string
  readonly separator: string
}

export function createRowSource(choice: RowChoice): RowSource {
  if (choice.format === 'csv') return new CsvRows(choice)
  if (choice.key !== undefined) return new DocumentRows(choice.key, choice)
  if (choice.value !== undefined) throw usageError('--value needs --key.')
  return new ExportedRows(choice)
}

class ExportedRows implements RowSource {
  readonly #prefix: Buffer

  constructor(choice: RowChoice) {
    this.#prefix = Buffer.from(choice.keyPrefix, 'utf8')
  }

  take(line: Line): ImportRow | ImportKeyspaces | undefined {
    if (line.text.trim() === '') return undefined
    const parsed = parseEntryLine(line.text, `Line ${line.number}`)
    if (parsed.kind === 'header') return { keyspaces: parsed.keyspaces, lines: line.number }
    const { keyspace, value } = parsed
    const key = Buffer.concat([this.#prefix, parsed.key])
    return { keyspace, key, value, end: line.end, lines: line.number }
  }

  readHead(): void {}
  finish(): void {}
}

class DocumentRows implements RowSource {
  readonly #keyName: string
  readonly #choice: RowChoice

  constructor(keyName: string, choice: RowChoice) {
    this.#keyName = keyName
    this.#choice = choice
  }

  take(line: Line): ImportRow | undefined {
    if (line.text.trim() === '') return undefined
    const where = `Line ${line.number}`
    const document = parseObject(line.text, where)
    const key = textOf(document, this.#keyName, line.text, where)
    const { value } = this.#choice
    const text = value === undefined ? line.text.trim() : textOf(document, value, line.text, where)
    return rowOf(this.#choice, { key, value: text, end: line.end, lines: line.number })
  }

  readHead(): void {}
  finish(): void {}
}

/**
 * Text as it is, objects and arrays as they stand in the line (written anew, long numbers in them would be rounded), anything else as
 * JSON. What would not come out as it stands is refused: two keys could become one.
 */
function textOf(
  document: Record<string, unknown>,
  name: string,
  line: string,
  where: string,
): string {
  const value = Object.hasOwn(document, name) ? document[name] : undefined
  if (value === undefined || value === null) {
    throw new CommandError(`${where} has no ${JSON.stringify(name)}.`)
  }
  if (typeof value === 'string') {
    if (value.isWellFormed()) return value
    throw new CommandError(`${where}: ${JSON.stringify(name)} holds half of a surrogate pair.`)
  }
  if (typeof value === 'object') return memberText(line, name)
  // Infinity too, which is what a number of more than 308 digits becomes.
  if (typeof value === 'number' && Math.trunc(value) === value && !Number.isSafeInteger(value)) {
    throw new CommandError(
      `${where}: ${JSON.stringify(name)} is a number of more digits than are told apart; put it in quotes.`,
    )
  }
  return JSON.stringify(value)
}

class CsvRows implements RowSource {
  readonly #reader: CsvReader
  readonly #choice: RowChoice
  #columns: readonly string[] | undefined
  #keyColumn = -1
  #valueColumn = -1

  constructor(choice: RowChoice) {
    this.#choice = choice
    this.#reader = new CsvReader(choice.separator)
  }

  take(line: Line): ImportRow | undefined {
    const record = this.#reader.take(line)
    if (record === undefined) return undefined
    if (this.#columns === undefined) {
      this.#setColumns(record.fields)
      return undefined
    }
    return this.#rowOf(record, this.#columns)
  }

  readHead(text: string): void {
    const record = this.#reader.take({ text, hasReturn: false, number: 1, end: 0 })
    if (record === undefined) throw new CommandError('The head of the CSV is more than one line.')
    this.#setColumns(record.fields)
  }

  finish(): void {
    this.#reader.finish()
  }

  #setColumns(fields: readonly string[]): void {
    const columns = fields.map((field, index) =>
      index === 0 ? field.replace(/^\uFEFF/, '') : field,
    )
    const { key, value } = this.#choice
    checkNamedOnce(columns, value === undefined ? columns : [key!, value])
    this.#keyColumn = columnOf(columns, key!)
    this.#valueColumn = value === undefined ? -1 : columnOf(columns, value)
    this.#columns = columns
  }

  #rowOf(record: CsvRecord, columns: readonly string[]): ImportRow {
    const { fields, number, end, lastNumber } = record
    if (fields.length !== columns.length) {
      throw new CommandError(
        `Line ${number} has ${fields.length} columns; the head has ${columns.length}.`,
      )
    }
    const key = fields[this.#keyColumn]!
    if (key === '') throw new CommandError(`Line ${number} has an empty key.`)
    const value =
      this.#valueColumn >= 0
        ? fields[this.#valueColumn]!
        : JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, fields[index]])))
    return rowOf(this.#choice, { key, value, end, lines: lastNumber })
  }
}

/** Of two columns with one name only one would come in, and nobody could say which. */
function checkNamedOnce(columns: readonly string[], wanted: readonly string[]): void {
  const twice = wanted.find((name) => columns.indexOf(name) !== columns.lastIndexOf(name))
  if (twice === undefined) return
  throw new CommandError(`Line 1 names the column ${JSON.stringify(twice)} twice.`)
}

function columnOf(columns: readonly string[], name: string): number {
  const index = columns.indexOf(name)
  if (index >= 0) return index
  throw usageError(`There is no column ${JSON.stringify(name)}. There are: ${columns.join(', ')}`)
}

function rowOf(
  choice: RowChoice,
  row: { key: string; value: string; end: number; lines: number },
): ImportRow {
  return {
    keyspace: undefined,
    key: Buffer.from(choice.keyPrefix + row.key, 'utf8'),
    value: Buffer.from(row.value, 'utf8'),
    end: row.end,
    lines: row.lines,
  }
}
