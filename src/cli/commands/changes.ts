import { type Command, Option } from 'commander'
import type { ChangeEvent } from '../../cdc/change-event.ts'
import type { ResumeToken } from '../../cdc/resume-token.ts'
import type { ChangeFilter } from '../../cdc/streams.ts'
import type { Varve } from '../../db/varve.ts'
import { printChanges } from '../change-stream.ts'
import { examples } from '../examples.ts'
import { usageError } from '../exit-codes.ts'
import { untilInterrupted } from '../interrupts.ts'
import {
  addEncodingOptions,
  addOperatorsOption,
  addRangeOptions,
  hasBounds,
  keyEncodingOf,
  type RangeChoice,
  rangeOf,
  severalTimes,
  type StoreChoice,
  valueEncodingOf,
  wholeNumber,
} from '../shared-options.ts'
import { withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'

interface Choice extends StoreChoice, RangeChoice {
  readonly from: string
  readonly since?: string
  readonly to?: number
  readonly follow?: boolean
  readonly keyspace?: readonly string[]
  readonly type?: readonly string[]
  readonly eventsOnly?: boolean
  readonly heartbeat: number
  readonly poll: number
}

const TYPES = ['Insert', 'MergeOperand', 'PointTombstone', 'RangeTombstone'] as const

export function addChanges(program: Command, terminal: Terminal): void {
  const command = program
    .command('changes <dir>')
    .description('Print the change stream as NDJSON, one line an event (docs/ndjson.md).')
    .option('--from <place>', 'a seqno, a token, "oldest" or "now"', 'oldest')
    .addOption(
      new Option(
        '--since <time>',
        'from what was committed at or after this time, ISO 8601',
      ).conflicts('from'),
    )
    .option('--to <seqno>', 'the last event', wholeNumber)
    .option('-f, --follow', 'go on as the writer goes on, until Ctrl-C')
    .option('-n, --limit <count>', 'about so many events, in whole commits', wholeNumber)
    .option('-k, --keyspace <name>', 'only this keyspace; may be given again', severalTimes)
    .addOption(new Option('--type <type...>', 'only events of these types').choices(TYPES))
    .option('--events-only', 'no control lines, for jq and the like')
    .option(
      '--heartbeat <seconds>',
      'with --follow: a position line when it is quiet; 0: none',
      wholeNumber,
      10,
    )
    .option('--poll <ms>', 'with --follow: how often to look for news', wholeNumber, 100)
  addOperatorsOption(addEncodingOptions(addRangeOptions(command)))
    .addHelpText(
      'after',
      examples(
        ['varve changes ./store --events-only | jq -r .key', 'every key that was ever changed'],
        ['varve changes ./store --follow | varve apply ./replica', 'a replica, kept up to date'],
        ['varve changes ./store --from 1000 --to 2000', 'a part of the stream'],
        ['varve changes ./store --follow --from now -k users', 'what is new in one keyspace'],
      ),
    )
    .action(async (location: string, choice: Choice) => {
      await untilInterrupted(choice.follow === true, (signal) =>
        withReader(location, choice, async (store) =>
          printChanges(
            location,
            store,
            {
              from: await startOf(store, choice),
              upTo: choice.to,
              filter: filterOf(choice),
              follow: choice.follow === true,
              hasControls: choice.eventsOnly !== true,
              encodings: { keys: keyEncodingOf(choice), values: valueEncodingOf(choice) },
              heartbeatMs: choice.heartbeat * 1000,
              pollMs: Math.max(choice.poll, 1),
              limit: choice.limit,
              signal,
            },
            terminal,
          ),
        ),
      )
    })
}

async function startOf(store: Varve, choice: Choice): Promise<number | ResumeToken> {
  const { from, since } = choice
  if (since !== undefined) {
    const time = Date.parse(since)
    if (Number.isNaN(time)) throw usageError(`--since is no time: ${since}`)
    return store.seqnoAt(time)
  }
  const { floor, latest } = store.history()
  if (from === 'oldest') return floor
  if (from === 'now') return latest + 1
  return /^\d+$/.test(from) ? Number(from) : (from as ResumeToken)
}

function filterOf(choice: Choice): ChangeFilter {
  const filter: ChangeFilter = {}
  if (choice.keyspace !== undefined) filter.keyspaces = choice.keyspace
  if (choice.type !== undefined) filter.types = choice.type as ChangeEvent['type'][]
  if (hasBounds(choice)) {
    const { limit: _, ...range } = rangeOf(choice)
    filter.range = range
  }
  return filter
}
