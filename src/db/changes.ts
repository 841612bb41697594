/**
 * Change capture of one store: what cdc/ needs of it, and the public calls that lead there.
 */
import { ChangeFeed } from '../cdc/change-feed.ts'
import type { ConsumerOptions, ScanOptions, TailOptions } from '../cdc/change-options.ts'
import type {
  ChangeSource,
  ChangeView,
  ConsumerStore,
  ScanEnd,
  ScanHold,
  SeriesPoint,
} from '../cdc/change-source.ts'
import { commitInSegments } from '../cdc/commit-lookup.ts'
import { type Consumer, type ConsumerInfo, Consumers } from '../cdc/consumers.ts'
import { ConsumerLedger } from '../cdc/consumer-ledger.ts'
import { type ChangeScan, scanSinceSeqno } from '../cdc/scan.ts'
import { seqnoAt } from '../cdc/seqno-at.ts'
import { type ChangeTail, openTail } from '../cdc/tail.ts'
import type { VarveError } from '../base/errors.ts'
import type { Timers } from '../env/timers.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type { Epoch, StoreState } from '../version/store-state.ts'
import type { FloorKeeper } from './floor-keeper.ts'
import { closedError } from './health.ts'
import type { ScanHolds } from './scan-holds.ts'

/** What the store gives to its change capture. */
export interface ChangePorts {
  storeId(): string
  isWriter(): boolean
  latest(): number
  durable(): number
  status(): 'open' | 'closing' | 'closed'
  view(): ChangeView
  keyspaceName(id: number): string
  readonly holds: ScanHolds
  /** What a scan reads from where that is not simply the store as it is now. */
  scanSource?(store: ChangeSource): ChangeSource
  readonly floors: Pick<FloorKeeper, 'floor' | 'policyFloor' | 'scale'>
  readonly timers: Timers
  scanBegan(from: number): ((end: ScanEnd) => void) | undefined
  readonly consumers: ConsumerStore
}

export class Changes implements ChangeSource {
  readonly feed: ChangeFeed
  readonly consumerSet: Consumers
  readonly ledger: ConsumerLedger
  /** On a replica: where to resume at its source. */
  sourceToken: ResumeToken | undefined
  /** Set by the store's close. */
  isClosed = false
  /** On a replica those of its source, as of the latest commit; the manifest learns of them at a flush. */
  epochs: readonly Epoch[]
  readonly #ports: ChangePorts

  constructor(ports: ChangePorts, state: Pick<StoreState, 'consumers' | 'epochs'>) {
    this.#ports = ports
    this.epochs = state.epochs
    this.feed = new ChangeFeed(this, ports.timers)
    this.ledger = new ConsumerLedger(state.consumers)
    this.consumerSet = new Consumers({
      source: this,
      feed: this.feed,
      store: ports.consumers,
      ledger: this.ledger,
    })
  }

  // ------------------------------------------------------------------------------------------ public calls

  scan(from: number | string, options?: ScanOptions): ChangeScan {
    return scanSinceSeqno(this.#ports.scanSource?.(this) ?? this, from, options)
  }

  tail(options: TailOptions): ChangeTail {
    return openTail(this, this.feed, options)
  }

  seqnoAt(timestampMs: number): Promise<number> {
    return seqnoAt(this, timestampMs)
  }

  consumer(name: string, options?: ConsumerOptions): Promise<Consumer> {
    return this.consumerSet.open(name, options)
  }

  consumers(): ConsumerInfo[] {
    if (this.status !== 'open') throw closedError()
    const { scale, policyFloor } = this.#ports.floors
    return this.consumerSet.list(scale, policyFloor)
  }

  dropConsumer(name: string): Promise<void> {
    return this.consumerSet.drop(name)
  }

  /** When an event that is kept in segments was committed; undefined where that cannot be read. */
  async timeOf(seqno: number): Promise<number | undefined> {
    const view = this.view()
    try {
      return (await commitInSegments(view, seqno)).timeMs
    } catch {
      // Whoever reads that event is told of the damage; the floor rises all the same.
      return undefined
    } finally {
      view.release()
    }
  }

  /** When the oldest event that is kept was committed: the series has a point for it, or else for one that is near. */
  oldestTimestamp(): number | undefined {
    const { floor, latest } = this
    if (floor > latest) return undefined
    const view = this.view()
    try {
      for (const memtable of view.memtables) {
        if (floor < memtable.firstSeqno || floor > memtable.lastSeqno) continue
        return memtable.commits.timeMs[memtable.commitOf(floor - memtable.firstSeqno)]
      }
    } finally {
      view.release()
    }
    const { series } = this
    const exact = series.find(({ seqno }) => seqno === floor)
    return (exact ?? series.findLast(({ seqno }) => seqno < floor) ?? series[0])?.timeMs
  }

  // ------------------------------------------------------------------------------------------ ChangeSource

  get storeId(): string {
    return this.#ports.storeId()
  }

  get isWriter(): boolean {
    return this.#ports.isWriter()
  }

  get latest(): number {
    return this.#ports.latest()
  }

  get durable(): number {
    return this.#ports.durable()
  }

  get floor(): number {
    return this.#ports.floors.floor
  }

  get status(): 'open' | 'closing' | 'closed' {
    return this.#ports.status()
  }

  get series(): readonly SeriesPoint[] {
    return this.#ports.floors.scale.series
  }

  closedError(): VarveError {
    return closedError()
  }

  view(): ChangeView {
    return this.#ports.view()
  }

  keyspaceName(id: number): string {
    return this.#ports.keyspaceName(id)
  }

  scanBegan(from: number): ((end: ScanEnd) => void) | undefined {
    return this.#ports.scanBegan(from)
  }

  hold(position: number): ScanHold {
    return this.#ports.holds.add(position)
  }

  releaseWhenAbandoned(owner: object, hold: ScanHold): void {
    this.#ports.holds.releaseWhenAbandoned(owner, hold)
  }
}
