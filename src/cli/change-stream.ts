/**
 * Prints the change stream of a store that is open for reading, and follows it beside its writer.
 *
 * ```
 * scan from token to what is there ─> lines ─> position line ─> files changed? refresh ─> scan from token ...
 * ```
 *
 * Scans, not a tail: each goes on from a token, so that a writer that lost what we saw, and gave the seqnos out anew, is found
 * out at once rather than followed.
 */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type { ChangeFilter, ChangeScan, ScanOptions } from '../cdc/streams.ts'
import type { Varve } from '../db/varve.ts'
import { encodeEvent, type LineEncodings, type PositionLine } from './change-line.ts'
import { sourceLineOf } from './source-line.ts'
import type { Terminal } from './terminal.ts'

export interface StreamOptions {
  readonly from: number | ResumeToken
  /** Inclusive; undefined: to the latest, or for ever. */
  readonly upTo: number | undefined
  readonly filter: ChangeFilter
  readonly follow: boolean
  readonly hasControls: boolean
  readonly encodings: LineEncodings
  readonly heartbeatMs: number
  readonly pollMs: number
  readonly signal: AbortSignal
  /** Ends after the first whole commit with which so many events were printed. */
  readonly limit: number | undefined
}

const BATCH_EVENTS = 1_000

export async function printChanges(
  location: string,
  store: Varve,
  options: StreamOptions,
  terminal: Terminal,
): Promise<void> {
  const { follow, upTo, signal } = options
  const printer = new ChangePrinter(location, store, options, terminal)
  const watch = new DirectoryWatch(location)
  let from = options.from
  // Arguments that are wrong are told of before anything is printed.
  await printer.openScan(from).close()
  for (;;) {
    watch.look()
    await printer.printSource()
    const token = await printer.printUpToLatest(from)
    from = token
    if (!follow || signal.aborted || printer.isDone || printer.next > (upTo ?? Infinity)) {
      return printer.printUntold(token)
    }
    // The writer is busy, and nothing of it passes the filter.
    if (printer.isSilent) await printer.printUntold(token)
    let quietSince = Date.now()
    while (!watch.hasChanged()) {
      if (!(await waited(options.pollMs, signal))) return printer.printUntold(token)
      if (options.heartbeatMs === 0 || Date.now() - quietSince < options.heartbeatMs) continue
      await printer.printPosition(token)
      quietSince = Date.now()
    }
    watch.look()
    await store.refresh()
  }
}

class ChangePrinter {
  next = 0
  /** As many events as were asked for. */
  isDone = false
  readonly #location: string
  readonly #store: Varve
  readonly #options: StreamOptions
  readonly #terminal: Terminal
  #sourceText = ''
  /** `next` of the last position line, and when it was printed. */
  #told = 0
  #toldAtMs = Date.now()
  #printed = 0

  constructor(location: string, store: Varve, options: StreamOptions, terminal: Terminal) {
    this.#location = location
    this.#store = store
    this.#options = options
    this.#terminal = terminal
  }

  openScan(from: number | ResumeToken): ChangeScan {
    const { filter, upTo, limit } = this.#options
    const options: ScanOptions = { ...filter }
    if (upTo !== undefined) options.upTo = upTo
    if (limit !== undefined) options.limit = limit - this.#printed
    return this.#store.scanSinceSeqno(from, options)
  }

  async printUpToLatest(from: number | ResumeToken): Promise<ResumeToken> {
    const { limit, encodings, signal } = this.#options
    const scan = this.openScan(from)
    try {
      while (!signal.aborted) {
        const events = await scan.nextBatch(BATCH_EVENTS)
        for (const event of events) await this.#terminal.line(encodeEvent(event, encodings))
        this.#printed += events.length
        this.next = scan.position
        if (events.length > 0) await this.printPosition(scan.token)
        else break
      }
      this.next = scan.position
      this.isDone = limit !== undefined && this.#printed >= limit
      await this.#terminal.flush()
      return scan.token
    } finally {
      await scan.close()
    }
  }

  /** There was no position line for as long as a heartbeat. */
  get isSilent(): boolean {
    const { heartbeatMs } = this.#options
    return heartbeatMs > 0 && Date.now() - this.#toldAtMs >= heartbeatMs
  }

  /** Where the last position line said less: at the end, and where a filter let nothing through, the position moves on too. */
  async printUntold(token: ResumeToken): Promise<void> {
    if (this.next !== this.#told) await this.printPosition(token)
  }

  async printPosition(token: ResumeToken): Promise<void> {
    this.#told = this.next
    this.#toldAtMs = Date.now()
    if (!this.#options.hasControls) return
    const line: PositionLine = { control: 'position', next: this.next, token }
    await this.#terminal.line(JSON.stringify(line))
    await this.#terminal.flush()
  }

  async printSource(): Promise<void> {
    if (!this.#options.hasControls) return
    const line = await sourceLineOf(this.#location, this.#store)
    const text = JSON.stringify(line)
    if (text === this.#sourceText) return
    this.#sourceText = text
    await this.#terminal.line(text)
  }
}

/** Tells from names, sizes and times whether a writer did anything: a look costs far less than a refresh. */
export class DirectoryWatch {
  readonly #directory: string
  #seen = ''

  constructor(directory: string) {
    this.#directory = directory
  }

  look(): void {
    this.#seen = this.#signature()
  }

  hasChanged(): boolean {
    return this.#signature() !== this.#seen
  }

  #signature(): string {
    const parts: string[] = []
    for (const name of fs.readdirSync(this.#directory).sort()) {
      const stat = fs.statSync(path.join(this.#directory, name), { throwIfNoEntry: false })
      if (stat !== undefined) parts.push(`${name} ${stat.size} ${stat.mtimeMs}`)
    }
    return parts.join('\n')
  }
}

/** The longest wait of a timer, 25 days: what is longer would end after a millisecond. */
const WAIT_MS_MAX = 2 ** 31 - 1

/** False when `signal` ended it. */
export async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(Math.min(ms, WAIT_MS_MAX), undefined, { signal })
    return true
  } catch {
    return false
  }
}
