import type { Command } from 'commander'
import { settled } from '../../base/settled.ts'
import { replicate } from '../../db/replicate.ts'
import type { Varve } from '../../db/varve.ts'
import { DirectoryWatch, waited } from '../change-stream.ts'
import { examples } from '../examples.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { untilInterrupted } from '../interrupts.ts'
import { checkReplicaTarget, checkTwoStores } from '../replica-target.ts'
import { addOperatorsOption, type StoreChoice, wholeNumber } from '../shared-options.ts'
import { hasStoreAt, withReader, withWriter } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { countText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly follow?: boolean
  readonly poll: number
}

export function addReplicate(program: Command, terminal: Terminal): void {
  const command = program
    .command('replicate <from> <to>')
    .description('Bring a replica up to date with its source: the same events, seqnos and bytes.')
    .option('-f, --follow', 'go on as the writer of the source goes on, until Ctrl-C')
    .option('--poll <ms>', 'with --follow: how often to look for news', wholeNumber, 100)
  addOperatorsOption(command)
    .addHelpText(
      'after',
      examples(
        ['varve replicate ./store ./replica', 'made where it is missing; again: only what is new'],
        ['varve replicate ./store ./replica --follow', 'beside the running writer of ./store'],
      ) +
        '\nWhere the history of the source no longer reaches back to the end of the replica (exit code 6),' +
        '\nbegin with a copy: varve checkpoint <from> <to>.',
    )
    .action((from: string, to: string, choice: Choice) =>
      untilInterrupted(choice.follow === true, (signal) =>
        withReader(from, choice, async (source) => {
          checkTwoStores(from, to)
          await checkReplicaTarget(to, choice, source.history())
          checkReach(from, to, source)
          await withWriter(to, { ...choice, create: true, role: 'replica' }, async (replica) => {
            const latest = await run({ from, source, replica, choice, signal }, terminal)
            terminal.note(`${to} holds everything up to seqno ${countText(latest)}`)
          })
        }),
      ),
    )
}

/** Before anything is made in `to`: a checkpoint, which is then the way, needs an empty directory. */
function checkReach(from: string, to: string, source: Varve): void {
  const { floor } = source.history()
  if (floor === 1 || hasStoreAt(to)) return
  throw new CommandError(
    `The history of ${from} begins at seqno ${countText(floor)}, too late for a new replica. Begin with a copy: varve checkpoint ${from} ${to}`,
    EXIT.historyTruncated,
  )
}

interface Replication {
  readonly from: string
  readonly source: Varve
  readonly replica: Varve
  readonly choice: Choice
  readonly signal: AbortSignal
}

async function run(replication: Replication, terminal: Terminal): Promise<number> {
  const { from, source, replica, choice, signal } = replication
  const isFollowing = choice.follow === true
  const bar = terminal.progress('replicate', source.history().latest)
  const stop = new AbortController()
  const end = AbortSignal.any([signal, stop.signal])
  const running = replicate(source, replica, {
    signal: end,
    stopAtLatest: !isFollowing,
    onProgress: ({ latest, sourceLatest }) => {
      bar.update(latest)
      if (latest === sourceLatest) bar.stop()
    },
  })
  try {
    if (!isFollowing) return (await running).latest
    const looking = lookForNews(from, source, choice.poll, end)
    // Whichever fails first ends the other.
    const ended = await Promise.race([running, looking.then(() => running)])
    stop.abort()
    await looking
    return ended.latest
  } finally {
    stop.abort()
    bar.stop()
    // Its failure was thrown above, unless another one came first.
    await settled(running)
  }
}

/** The source is open readOnly: it sees what its writer did only when told to look. */
async function lookForNews(
  from: string,
  source: Varve,
  pollMs: number,
  signal: AbortSignal,
): Promise<void> {
  const watch = new DirectoryWatch(from)
  watch.look()
  await source.refresh()
  while (await waited(Math.max(pollMs, 1), signal)) {
    if (!watch.hasChanged()) continue
    watch.look()
    await source.refresh()
  }
}
