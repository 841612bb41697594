/**
 * Options that several commands take, each declared once, and how they are read.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { RangeOptions } from '../db/reader.ts'
import { type Encoding, KEY_ENCODINGS, parseKey, VALUE_ENCODINGS } from './encoding.ts'

export interface StoreChoice {
  readonly operators?: string
}
export interface KeyspaceChoice {
  readonly keyspace: string
}
export interface EncodingChoice {
  readonly keyEncoding?: Encoding
  readonly valueEncoding?: Encoding
  readonly encoding?: Encoding
}
export interface RangeChoice extends EncodingChoice {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
  readonly prefix?: string
  readonly reverse?: boolean
  readonly limit?: number
}
export interface WriteChoice {
  readonly sync: boolean
  readonly create?: boolean
}

export function addOperatorsOption(command: Command): Command {
  return command.option('--operators <module>', 'module that exports custom merge operators')
}

export function addKeyspaceOption(command: Command): Command {
  return command.option('-k, --keyspace <name>', 'keyspace', 'default')
}

export function addEncodingOptions(command: Command): Command {
  return command
    .addOption(encodingOption('-e, --encoding <encoding>', 'of keys and values', KEY_ENCODINGS))
    .addOption(encodingOption('--key-encoding <encoding>', 'of keys', KEY_ENCODINGS))
    .addOption(encodingOption('--value-encoding <encoding>', 'of values', VALUE_ENCODINGS))
}

export function addRangeOptions(command: Command): Command {
  return command
    .option('--gt <key>', 'after this key')
    .option('--gte <key>', 'from this key on')
    .option('--lt <key>', 'before this key')
    .option('--lte <key>', 'up to this key')
    .option('-p, --prefix <key>', 'only keys that begin so')
}

export function addWriteOptions(command: Command): Command {
  return command
    .option('--no-sync', 'do not wait until it is on disk')
    .option('--create', 'make the store or keyspace where it is missing')
}

export function addYesOption(command: Command): Command {
  return command.option('-y, --yes', 'do not ask')
}

function encodingOption(flags: string, of: string, choices: readonly Encoding[]): Option {
  return new Option(flags, of).choices(choices)
}

export function keyEncodingOf(choice: EncodingChoice): Encoding {
  return choice.keyEncoding ?? choice.encoding ?? 'utf8'
}

export function valueEncodingOf(choice: EncodingChoice): Encoding {
  return choice.valueEncoding ?? choice.encoding ?? 'utf8'
}

export function rangeOf(choice: RangeChoice): RangeOptions {
  const encoding = keyEncodingOf(choice)
  const range: RangeOptions = {}
  for (const name of ['gt', 'gte', 'lt', 'lte', 'prefix'] as const) {
    const text = choice[name]
    if (text !== undefined) range[name] = parseKey(text, encoding)
  }
  if (choice.reverse !== undefined) range.reverse = choice.reverse
  if (choice.limit !== undefined) range.limit = choice.limit
  return range
}

export function hasBounds(choice: RangeChoice): boolean {
  return [choice.gt, choice.gte, choice.lt, choice.lte, choice.prefix].some(
    (bound) => bound !== undefined,
  )
}

/** For options that count something. */
export function wholeNumber(text: string): number {
  const number = Number(text.replaceAll(/[_,]/g, ''))
  if (!/^[\d_,]+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new InvalidArgumentError('It must be a whole number.')
  }
  return number
}

/** Collects an option that may be given several times. */
export function severalTimes(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}
