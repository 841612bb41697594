/**
 * `scanSinceSeqno`: the events of a window that is fixed and held at the call, each exactly once, in seqno order.
 *
 * What a scan promises rests on its hold: from the call on, no job drops an event at or above it. The hold follows the position
 * and is released at the end, by `close`, on abort, on failure, and when an abandoned scan is collected as garbage.
 */
import { onAbort } from '../base/abort-listeners.ts'
import { historyTruncated, aborted, cursorAhead } from './read-errors.ts'
import type { ChangeEvent } from './change-event.ts'
import { ChangeFilter } from './change-filter.ts'
import {
  checkScanOptions,
  parseFrom,
  parseMax,
  type From,
  type ScanOptions,
} from './change-options.ts'
import { ChangeReader } from './change-reader.ts'
import type { ChangeSource, ScanEnd, ScanHold } from './change-source.ts'
import { positionOfToken, type ResumeToken, tokenAt } from './resume-token.ts'
import { ScanTally, type ScanStats } from './scan-tally.ts'

const MEMORY_BUDGET_DEFAULT = 32 * 2 ** 20
const BATCH_EVENTS_DEFAULT = 1000
/** Events that are made ahead of a caller who takes them one by one. */
const AHEAD_EVENTS = 256

/** Throws for wrong arguments; everything else rejects the first read. */
export function scanSinceSeqno(source: ChangeSource, from: unknown, options?: unknown): ChangeScan {
  const checked = checkScanOptions(options)
  return new ChangeScan(source, parseFrom(from), checked)
}

export class ChangeScan implements AsyncIterableIterator<ChangeEvent> {
  readonly upTo: number
  #position: number
  readonly #source: ChangeSource
  readonly #limit: number
  readonly #signal: AbortSignal | undefined
  readonly #tally = new ScanTally()
  #reader: ChangeReader | undefined
  #hold: ScanHold | undefined
  #unwatch: (() => void) | undefined
  #failure: Error | undefined
  #isClosed = false
  /** Made, not yet delivered. */
  #ready: readonly ChangeEvent[] = []
  #head = 0
  #produced = 0
  /** Nothing more will be made, */
  #hasEnded = false
  /** and this is where to go on afterwards, */
  #end = 0
  /** because `limit` was reached. */
  #isAtLimit = false
  #isFinished = false
  /** Whoever wants to know how it ended, until it has. */
  #tell: ((end: ScanEnd) => void) | undefined
  /** Calls take their turns: the last one, and how many are running or waiting. */
  #turn: Promise<unknown> | undefined
  #turns = 0

  constructor(source: ChangeSource, from: From, options: ScanOptions) {
    this.#source = source
    this.#limit = options.limit ?? Infinity
    this.#signal = options.signal
    this.#position = 'seqno' in from ? from.seqno : 'token' in from ? from.token.next : 1
    const visible = options.visibility === 'durable' ? source.durable : source.latest
    this.upTo = Math.min(options.upTo ?? visible, visible)
    this.#tell = source.scanBegan?.(this.#position)
    try {
      this.#start(from, options)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #start(from: From, options: ScanOptions): void {
    const source = this.#source
    if (source.status === 'closed') throw source.closedError()
    if ('token' in from) positionOfToken(source, from.token)
    const { latest, floor } = source
    const position = this.#position
    if (position > latest + 1) throw cursorAhead(position, latest)
    if (position < floor) throw historyTruncated(position, floor)
    this.#countSegments(options.skip ?? true)
    if (this.upTo < position) {
      this.#hasEnded = true
      this.#end = position
      return
    }
    const hold = source.hold(position)
    this.#hold = hold
    source.releaseWhenAbandoned(this, hold)
    const { signal } = options
    if (signal !== undefined) {
      // The listener knows the hold, not the scan: a long-lived signal must not keep an abandoned scan alive.
      this.#unwatch = onAbort(signal, () => hold.release())
    }
    this.#reader = new ChangeReader({
      source,
      filter: new ChangeFilter(options, (id) => source.keyspaceName(id)),
      position,
      memoryBudgetBytes: options.memoryBudgetBytes ?? MEMORY_BUDGET_DEFAULT,
      expectedEvents: Math.min(this.#limit, this.upTo - position + 1),
      skip: options.skip ?? true,
      tally: this.#tally,
      guard: scanGuard(source, hold, signal),
    })
  }

  #countSegments(skip: boolean): void {
    const view = this.#source.view()
    try {
      this.#tally.begin(view.listSegments(), skip ? this.#position : 0)
    } finally {
      view.release()
    }
  }

  // -------------------------------------------------------------------------------------------- reading

  next(): Promise<IteratorResult<ChangeEvent, undefined>> {
    if (this.#turns === 0 && this.#head < this.#ready.length && !this.#isStopped()) {
      return Promise.resolve({ done: false, value: this.#take() })
    }
    return this.#inTurn(() => this.#nextSlow())
  }

  /** Whole commits, at most `max` events unless one commit alone has more; [] at the end and after close. */
  nextBatch(max: number = BATCH_EVENTS_DEFAULT): Promise<ChangeEvent[]> {
    let count: number
    try {
      count = parseMax(max)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    // Asked for at the end, as a poll does that is caught up: no turn, no read.
    if (this.#isAtEnd && this.#failure === undefined && !this.#isAborted()) {
      if (!this.#isClosed) this.#finish()
      return Promise.resolve([])
    }
    return this.#inTurn(() => this.#batch(count))
  }

  /** Nothing is left to make or to hand out, and no call is running that could change that. */
  get #isAtEnd(): boolean {
    return this.#hasEnded && this.#turns === 0 && this.#head === this.#ready.length
  }

  async #nextSlow(): Promise<IteratorResult<ChangeEvent, undefined>> {
    this.#check()
    // Its hold is gone: what it would read may be gone as well.
    if (!this.#isClosed && this.#head === this.#ready.length) {
      await this.#fill({ maxEvents: AHEAD_EVENTS, wholeCommits: false })
    }
    if (this.#isClosed) return { done: true, value: undefined }
    if (this.#head < this.#ready.length) return { done: false, value: this.#take() }
    this.#finish()
    return { done: true, value: undefined }
  }

  async #batch(max: number): Promise<ChangeEvent[]> {
    this.#check()
    if (this.#isClosed) return []
    if (this.#head < this.#ready.length) return this.#drain(max)
    await this.#fill({ maxEvents: max, wholeCommits: true })
    if (this.#isClosed) return []
    const events = this.#ready as ChangeEvent[]
    this.#ready = []
    this.#head = 0
    if (events.length === 0) this.#finish()
    else this.#deliver(events)
    return events
  }

  /** A batch from what `next` had made ahead: whole commits of it, the last one completed where it was cut. */
  async #drain(max: number): Promise<ChangeEvent[]> {
    const ready = this.#ready
    let end = this.#head
    while (end < ready.length) {
      const commit = ready[end]!.commitSeqno
      let commitEnd = end + 1
      while (commitEnd < ready.length && ready[commitEnd]!.commitSeqno === commit) commitEnd++
      if (end > this.#head && commitEnd - this.#head > max) break
      end = commitEnd
    }
    let events = ready.slice(this.#head, end)
    if (end < ready.length) {
      this.#head = end
    } else {
      await this.#fill({ maxEvents: Infinity, wholeCommits: true, onlyOpenCommit: true })
      if (this.#isClosed) return []
      events = events.concat(this.#ready)
      // With the rest of its last commit the batch may have become too large: that commit is left for the next one.
      const last = events.findIndex(({ commitSeqno }) => commitSeqno === events.at(-1)!.commitSeqno)
      const kept = events.length > max && last > 0 ? last : events.length
      this.#ready = events.splice(kept)
      this.#head = 0
    }
    this.#deliver(events)
    return events
  }

  /** Replaces `#ready` by the next events; leaves it empty at the end. */
  async #fill(limits: {
    maxEvents: number
    wholeCommits: boolean
    onlyOpenCommit?: boolean
  }): Promise<void> {
    const reader = this.#reader
    this.#ready = []
    this.#head = 0
    if (reader === undefined || this.#hasEnded) return
    try {
      const batch = await reader.read({
        ...limits,
        upTo: this.upTo,
        maxBytes: reader.batchBytes,
        endAfter: this.#limit - this.#produced,
      })
      if (this.#isClosed) {
        // Closed while it was reading: nothing more is delivered.
        reader.release()
        return
      }
      if (this.#isAborted()) throw aborted(this.#signal!)
      const end = batch.endsAt ?? this.upTo
      if (reader.position > end) {
        this.#hasEnded = true
        this.#end = end + 1
        this.#isAtLimit = batch.endsAt !== undefined
      }
      this.#ready = batch.events
      this.#produced += batch.events.length
    } catch (error) {
      this.#fail(this.#source.status === 'closed' ? this.#source.closedError() : (error as Error))
      throw this.#failure!
    }
    // The buffered events are copies: what is held is only what must still be read.
    if (!this.#hasEnded) this.#hold?.advance(reader.position)
    else this.#letGo()
  }

  #take(): ChangeEvent {
    const event = this.#ready[this.#head]!
    this.#head++
    this.#delivered(event, 1)
    return event
  }

  #deliver(events: readonly ChangeEvent[]): void {
    this.#delivered(events.at(-1)!, events.length)
  }

  /** `last` and what went before it. What a filter left out of the commit that reached `limit` is behind the caller too. */
  #delivered(last: ChangeEvent, count: number): void {
    const isOver = this.#isAtLimit && this.#head === this.#ready.length
    this.#position = isOver ? this.#end : last.seqno + 1
    this.#tally.eventsDelivered += count
  }

  #isAborted(): boolean {
    return this.#signal !== undefined && this.#signal.aborted && !this.#isFinished
  }

  /** What was made ahead is not delivered any more. */
  #isStopped(): boolean {
    return this.#source.isClosed || this.#isAborted()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosed) return
    if (this.#isAborted()) this.#fail(aborted(this.#signal!))
    else if (this.#head < this.#ready.length && this.#source.isClosed) {
      this.#fail(this.#source.closedError())
    } else return
    throw this.#failure!
  }

  /** The end was reached and told. */
  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#position = Math.max(this.#position, this.#end)
    this.#letGo()
    this.#isOver('ended')
  }

  #fail(error: Error): void {
    this.#failure = error
    this.#ready = []
    this.#head = 0
    this.#letGo()
    this.#isOver('failed', error)
  }

  #isOver(outcome: ScanEnd['outcome'], error?: Error): void {
    const tell = this.#tell
    if (tell === undefined) return
    this.#tell = undefined
    const code = error === undefined ? undefined : String(Reflect.get(error, 'code'))
    tell({ outcome, code, upTo: this.upTo, position: this.#position, stats: this.stats })
  }

  #letGo(): void {
    this.#hold?.release()
    this.#hold = undefined
    this.#reader?.release()
    this.#unwatch?.()
    this.#unwatch = undefined
  }

  /** One call after the other, in the order in which they came. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn === undefined ? run() : this.#turn.then(run, run)
    this.#turn = result
    this.#turns++
    // Registered before the caller can await: by the time it asks again, the turn is over.
    const end = (): void => {
      this.#turns--
      if (this.#turns === 0) this.#turn = undefined
    }
    result.then(end, end)
    return result
  }

  // ------------------------------------------------------------------------------------------ the rest

  get position(): number {
    return this.#position
  }

  get token(): ResumeToken {
    return tokenAt(this.#source, this.#position)
  }

  get stats(): ScanStats {
    return this.#tally.stats()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#ready = []
    this.#head = 0
    // The call that is running still reads what is held. Whoever made it hears of its failure.
    if (this.#turn !== undefined) await this.#turn.catch(ignore)
    this.#letGo()
    this.#isOver('closed')
  }

  async return(): Promise<IteratorResult<ChangeEvent, undefined>> {
    await this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Made outside of the scan, so that nothing but the reader refers to it. */
function scanGuard(
  source: ChangeSource,
  hold: ScanHold,
  signal: AbortSignal | undefined,
): (position: number) => void {
  return (position) => {
    if (signal?.aborted === true) throw aborted(signal)
    if (source.status === 'closed') throw source.closedError()
    if (hold.isCutOff) throw historyTruncated(position, source.floor)
  }
}

function ignore(): void {}
