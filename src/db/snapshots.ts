/**
 * Public snapshots: a seqno that the store keeps readable until it is closed.
 */
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import type { ReadView } from '../read/read-view.ts'
import type { LeakWatch, OpenPin } from './leak-watch.ts'

/** Where open snapshots are counted; see version/snapshot-registry.ts. */
export interface SnapshotPort {
  acquire(seqno: number): void
  release(seqno: number): void
}

/** A view of every keyspace at one seqno. Until closed it keeps what it sees from being collected. */
export interface Snapshot {
  /** The last one that it sees. */
  readonly seqno: number
  /** Idempotent. */
  close(): void
  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void
}

export class OpenSnapshot implements Snapshot {
  readonly seqno: number
  readonly #owner: Snapshots
  /** On a readOnly store: what it reads from, as nothing keeps the writer from collecting what it sees. */
  readonly #view: ReadView | undefined
  #isClosed = false

  constructor(seqno: number, owner: Snapshots, view: ReadView | undefined) {
    this.seqno = seqno
    this.#owner = owner
    this.#view = view
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#owner.released(this)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Undefined: the store as it is. */
  static viewOf(snapshot: Snapshot | undefined): ReadView | undefined {
    return snapshot !== undefined && #isClosed in snapshot && !snapshot.#isClosed
      ? snapshot.#view
      : undefined
  }

  /** The seqno to read at; throws for a snapshot of another store or a closed one. */
  static seqnoOf(snapshot: Snapshot, owner: Snapshots): number {
    if (!(#isClosed in snapshot)) {
      throw wrongType('snapshot', 'a snapshot made by snapshot()', snapshot)
    }
    if (snapshot.#owner !== owner) throw invalidArgument('the snapshot belongs to another store')
    if (snapshot.#isClosed) throw new VarveError('VARVE_CLOSED', 'the snapshot is closed')
    return snapshot.seqno
  }
}

interface OpenEntry {
  readonly seqno: number
  readonly pin: OpenPin
  readonly view: ReadView | undefined
}

export class Snapshots {
  readonly #port: SnapshotPort
  readonly #now: () => number
  /** By a number of each snapshot's own: the registry of abandoned ones must not refer to them. */
  readonly #open = new Map<number, OpenEntry>()
  #nextId = 0
  readonly #ids = new WeakMap<Snapshot, number>()
  readonly #abandoned: FinalizationRegistry<number>
  readonly #leaks: LeakWatch

  constructor(port: SnapshotPort, now: () => number, leaks: LeakWatch) {
    this.#port = port
    this.#now = now
    this.#leaks = leaks
    this.#abandoned = new FinalizationRegistry((id) => {
      if (!this.#open.has(id)) return
      leaks.abandoned('snapshot')
      this.#release(id)
    })
  }

  get count(): number {
    return this.#open.size
  }

  oldestAgeMs(): number {
    let oldest: number | undefined
    for (const { pin } of this.#open.values()) {
      oldest = Math.min(oldest ?? pin.openedAt, pin.openedAt)
    }
    return oldest === undefined ? 0 : Math.max(0, this.#now() - oldest)
  }

  /** `view`: pinned until it is closed. */
  open(seqno: number, view?: ReadView): Snapshot {
    const snapshot = new OpenSnapshot(seqno, this, view)
    view?.version.acquire()
    const id = this.#nextId++
    this.#ids.set(snapshot, id)
    const pin = this.#leaks.opened('snapshot')
    this.#open.set(id, { seqno, pin, view })
    this.#port.acquire(seqno)
    this.#abandoned.register(snapshot, id, snapshot)
    return snapshot
  }

  /** From Snapshot.close. */
  released(snapshot: Snapshot): void {
    this.#abandoned.unregister(snapshot)
    const id = this.#ids.get(snapshot)
    if (id !== undefined) this.#release(id)
  }

  #release(id: number): void {
    const entry = this.#open.get(id)
    if (entry === undefined) return
    this.#open.delete(id)
    this.#leaks.closed(entry.pin)
    this.#port.release(entry.seqno)
    entry.view?.version.release()
  }
}
