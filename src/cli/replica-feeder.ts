/**
 * Puts a change stream that comes as lines into a replica: whole commits, with the source's token and epochs in the same
 * atomic commit as the events that they follow.
 */
import type { ChangeEvent } from '../cdc/change-event.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type { Varve } from '../db/varve.ts'
import { parseLine, type PositionLine, type SourceLine } from './change-line.ts'
import { CommandError } from './exit-codes.ts'
import type { Line } from './line-reader.ts'

const BATCH_EVENTS = 4_096
const BATCH_BYTES = 16 * 2 ** 20
/** Worth a call of its own when a token comes with them. */
const TOKEN_EVENTS = 1_000

export class ReplicaFeeder {
  applied = 0
  readonly #replica: Varve
  #events: ChangeEvent[] = []
  #bytes = 0
  #position: PositionLine | undefined
  #source: SourceLine | undefined
  /** Keyspaces that were made or checked since the last source line. */
  readonly #ready = new Set<string>()
  /** What the replica had when this began. */
  readonly #held: number

  constructor(replica: Varve) {
    this.#replica = replica
    this.#held = replica.history().latest
  }

  async take(line: Line): Promise<void> {
    if (line.text.trim() === '') return
    const parsed = parseLine(line.text, `Line ${line.number}`)
    if (parsed.kind === 'source') {
      await this.applyWhole()
      this.#source = parsed.source
      this.#ready.clear()
    } else if (parsed.kind === 'position') {
      this.#position = parsed.position
      if (this.#events.length >= TOKEN_EVENTS) await this.applyWhole()
    }
    if (parsed.kind === 'event') await this.#takeEvent(parsed.event, line)
  }

  async #takeEvent(event: ChangeEvent, line: Line): Promise<void> {
    // A stream may begin before the replica's end; keyspaces of long ago must not be made again for it.
    if (event.commitLast <= this.#held) return
    const isDrop = event.type === 'RangeTombstone' && event.dropsKeyspace === true
    // The keyspace must be there, with its operator, before the first event of it; and again after it was dropped.
    if (!isDrop && !this.#ready.has(event.keyspace))
      await this.#prepare(event.keyspace, event.seqno)
    this.#events.push(event)
    this.#bytes += line.text.length
    this.#position = undefined
    if (isDrop) this.#ready.delete(event.keyspace)
    const isFull = this.#events.length >= BATCH_EVENTS || this.#bytes >= BATCH_BYTES
    if ((isFull || isDrop) && event.seqno === event.commitLast) await this.applyWhole()
  }

  async #prepare(name: string, seqno: number): Promise<void> {
    await this.applyWhole()
    const operator = this.#operatorAt(name, seqno)
    await this.#replica.keyspace(name, operator === undefined ? {} : { mergeOperator: operator })
    this.#ready.add(name)
  }

  /** Of the keyspace that had this name then: a later one under the same name may have another. */
  #operatorAt(name: string, seqno: number): string | undefined {
    const { keyspaces = {}, dropped = [] } = this.#source ?? {}
    const then = dropped.find((one) => one.keyspace === name && one.droppedAt >= seqno)
    if (then !== undefined) return then.mergeOperator
    return Object.hasOwn(keyspaces, name) ? keyspaces[name]?.mergeOperator : undefined
  }

  /** Applies the commits that have arrived whole, and a position that comes alone: what is before it was applied without. */
  async applyWhole(): Promise<void> {
    const events = this.#events
    const cut = events.findLastIndex(({ seqno, commitLast }) => seqno === commitLast) + 1
    if (cut === 0 && (events.length > 0 || this.#position === undefined)) return
    const whole = events.slice(0, cut)
    this.#events = events.slice(cut)
    this.#bytes = 0
    const source = this.#source
    const token = this.#events.length === 0 ? this.#position?.token : undefined
    const result = await this.#replica.applyChanges(whole, {
      ...(source === undefined ? {} : { epochs: source.epochs }),
      ...(token === undefined ? {} : { token: token as ResumeToken }),
    })
    this.applied += result.applied
    if (token !== undefined) this.#position = undefined
  }

  async finish(): Promise<void> {
    await this.applyWhole()
    const open = this.#events[0]
    if (open === undefined) return
    throw new CommandError(
      `The stream ends inside the commit of seqnos ${open.commitSeqno} to ${open.commitLast}; what is before it was applied.`,
    )
  }
}
