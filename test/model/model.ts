/**
 * What a store must look like, as simply as it can be said: a plain list of events, and maps that are its replay.
 */
import type { ChangeEvent } from '../../src/index.ts'

export type Fold = (base: Buffer | undefined, operand: Buffer) => Buffer

export type KeyspaceImage = Map<string, Buffer>

/** Keys are latin1 strings here: their order is the order of their bytes. */
export const keyText = (key: Uint8Array): string => Buffer.from(key).toString('latin1')
export const keyBytes = (text: string): Buffer => Buffer.from(text, 'latin1')

export type ModelOperation =
  | { type: 'put'; keyspace: string; key: string; value: Buffer }
  | { type: 'merge'; keyspace: string; key: string; value: Buffer }
  | { type: 'delete'; keyspace: string; key: string }
  | { type: 'deleteRange'; keyspace: string; start: string; end: string | undefined }
  | { type: 'drop'; keyspace: string }

export interface ModelEvent {
  readonly seqno: number
  readonly commitSeqno: number
  readonly commitLast: number
  readonly timestamp: number
  readonly meta: string | undefined
  readonly operation: ModelOperation
}

export class Model {
  readonly events: ModelEvent[] = []
  readonly keyspaces: Map<string, KeyspaceImage> = new Map()
  #lastTime = 0
  readonly #folds: ReadonlyMap<string, Fold>

  constructor(folds: ReadonlyMap<string, Fold>) {
    this.#folds = folds
  }

  get latest(): number {
    return this.events.length
  }

  commit(operations: readonly ModelOperation[], time: number, meta?: string): void {
    const first = this.latest + 1
    const last = this.latest + operations.length
    this.#lastTime = Math.max(this.#lastTime, time)
    for (const operation of operations) {
      this.events.push({
        seqno: this.latest + 1,
        commitSeqno: first,
        commitLast: last,
        timestamp: this.#lastTime,
        meta,
        operation,
      })
      this.#apply(operation)
    }
  }

  /** Forgets every event after `latest`, as a power cut does. */
  truncate(latest: number): void {
    const kept = this.events.slice(0, latest)
    const names = [...this.keyspaces.keys()]
    this.events.length = 0
    this.#lastTime = 0
    this.keyspaces.clear()
    for (const name of names) this.keyspaces.set(name, new Map())
    for (const event of kept) {
      this.events.push(event)
      this.#lastTime = event.timestamp
      this.#apply(event.operation)
    }
  }

  /** A copy that later commits do not change. */
  image(): Map<string, KeyspaceImage> {
    return new Map([...this.keyspaces].map(([name, image]) => [name, new Map(image)]))
  }

  #apply(operation: ModelOperation): void {
    const { keyspace } = operation
    let image = this.keyspaces.get(keyspace)
    if (image === undefined) {
      image = new Map()
      this.keyspaces.set(keyspace, image)
    }
    switch (operation.type) {
      case 'put':
        image.set(operation.key, operation.value)
        break
      case 'merge': {
        const fold = this.#folds.get(keyspace)
        if (fold === undefined) throw new Error(`no fold for ${keyspace}`)
        image.set(operation.key, fold(image.get(operation.key), operation.value))
        break
      }
      case 'delete':
        image.delete(operation.key)
        break
      case 'deleteRange':
        for (const key of image.keys()) {
          if (key >= operation.start && (operation.end === undefined || key < operation.end)) {
            image.delete(key)
          }
        }
        break
      case 'drop':
        this.keyspaces.delete(keyspace)
        break
    }
  }
}

/** One line that holds everything of an event, for comparing and for reading a failure. */
export function modelLine(event: ModelEvent): string {
  const head = `${event.seqno} [${event.commitSeqno},${event.commitLast}] @${event.timestamp} ${event.meta ?? '-'}`
  const o = event.operation
  const hex = (text: string | undefined): string =>
    text === undefined ? 'end' : keyBytes(text).toString('hex')
  switch (o.type) {
    case 'put':
      return `${head} Insert ${o.keyspace} ${hex(o.key)} ${o.value.toString('hex')}`
    case 'merge':
      return `${head} MergeOperand ${o.keyspace} ${hex(o.key)} ${o.value.toString('hex')}`
    case 'delete':
      return `${head} PointTombstone ${o.keyspace} ${hex(o.key)}`
    case 'deleteRange':
      return `${head} RangeTombstone ${o.keyspace} ${hex(o.start)} ${hex(o.end)}`
    case 'drop':
      return `${head} RangeTombstone ${o.keyspace}  end drops`
  }
}

export function eventLine(event: ChangeEvent): string {
  const meta = event.commitMeta === undefined ? '-' : event.commitMeta.toString('utf8')
  const head = `${event.seqno} [${event.commitSeqno},${event.commitLast}] @${event.timestamp} ${meta}`
  switch (event.type) {
    case 'Insert':
      return `${head} Insert ${event.keyspace} ${event.key.toString('hex')} ${event.value.toString('hex')}`
    case 'MergeOperand':
      return `${head} MergeOperand ${event.keyspace} ${event.key.toString('hex')} ${event.operand.toString('hex')}`
    case 'PointTombstone':
      return `${head} PointTombstone ${event.keyspace} ${event.key.toString('hex')}`
    case 'RangeTombstone': {
      const end = event.endKey === undefined ? 'end' : event.endKey.toString('hex')
      const drops = event.dropsKeyspace === true ? ' drops' : ''
      return `${head} RangeTombstone ${event.keyspace} ${event.startKey.toString('hex')} ${end}${drops}`
    }
  }
}
