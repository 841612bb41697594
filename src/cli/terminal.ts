/**
 * Where a command's words go: data to stdout, everything said about it to stderr, progress and questions only to a person.
 */
import { once } from 'node:events'
import readline from 'node:readline/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { Presets, SingleBar } from 'cli-progress'
import { printableMessage } from './encoding.ts'
import { CommandError, EXIT, usageError } from './exit-codes.ts'

const BUFFER_CHARACTERS = 2 ** 16

export interface Progress {
  update(done: number): void
  stop(): void
}

export class Terminal {
  #pending: string[] = []
  #pendingCharacters = 0

  /** Whether stdout may carry bold and dim. */
  readonly hasStyle: boolean =
    process.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === ''

  constructor() {
    // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EPIPE') process.exit(EXIT.ok)
        if (stream === process.stdout) this.note(`varve: ${error.message}`)
        process.exit(EXIT.failure)
      })
    }
  }

  /** Data. Buffered: await it now and then, so that a slow reader slows us down instead of filling the memory. */
  async line(text: string): Promise<void> {
    this.#pending.push(text, '\n')
    this.#pendingCharacters += text.length + 1
    if (this.#pendingCharacters >= BUFFER_CHARACTERS) await this.flush()
  }

  /** Bytes as they are. */
  async bytes(bytes: Uint8Array): Promise<void> {
    await this.flush()
    if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
  }

  async json(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value, undefined, 2))
  }

  async flush(): Promise<void> {
    if (this.#pending.length === 0) return
    const text = this.#pending.join('')
    this.#pending = []
    this.#pendingCharacters = 0
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
    // Files and terminals are written to at once; where what is printed is in memory too, nothing else would let signals in.
    else await turn()
  }

  /** Something about the data, for a person. */
  note(text: string): void {
    process.stderr.write(`${printableMessage(text)}\n`)
  }

  bold(text: string): string {
    return this.hasStyle ? `\u001b[1m${text}\u001b[22m` : text
  }

  dim(text: string): string {
    return this.hasStyle ? `\u001b[2m${text}\u001b[22m` : text
  }

  /** A bar on stderr; nothing at all where that is no terminal. */
  progress(label: string, total: number): Progress {
    if (process.stderr.isTTY !== true) return { update: () => undefined, stop: () => undefined }
    const bar = new SingleBar(
      {
        format: `${label} {bar} {percentage} % {eta_formatted}`,
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
      },
      Presets.shades_classic,
    )
    bar.start(total, 0)
    return { update: (done) => bar.update(Math.min(done, total)), stop: () => bar.stop() }
  }

  /** Asks before something that cannot be undone. Nobody there to ask: --yes is needed. */
  async confirm(question: string, isYes: boolean | undefined): Promise<void> {
    if (isYes === true) return
    if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
      throw usageError(`${question} Give --yes to go on.`)
    }
    const prompt = readline.createInterface({ input: process.stdin, output: process.stderr })
    try {
      const answer = await prompt.question(`${question} [y/N] `)
      if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError('Nothing was changed.')
    } finally {
      prompt.close()
    }
  }
}
