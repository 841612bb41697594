/**
 * Turns the commits of logs into memtables, and keeps what they say beside operations: acks, a replica's place, epochs, drops.
 */
import { FLAG_DROPS_KEYSPACE } from '../base/entry-kind.ts'
import { corruption } from '../base/errors.ts'
import {
  type CommitFieldValues,
  commitFirstSeqno,
  commitOperations,
  commitTimeMs,
  decodeCommitFields,
  OperationCursor,
} from '../batch/commit-decoder.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type { FileSystem } from '../env/file-system.ts'
import { Memtable } from '../memtable/memtable.ts'
import { decodeEpochs, newerEpochs } from '../version/epochs.ts'
import type { Epoch, StoreState } from '../version/store-state.ts'
import type { WalCommit } from '../wal/wal-reader.ts'

/** What memtables are made with. */
export interface MemtableSettings {
  readonly fs: FileSystem
  readonly memtableBytes: number
  openSnapshots(): readonly number[]
}

export interface LogReplayOptions extends MemtableSettings {
  /** Each replayed commit that is not in segments yet: its last seqno, its time, its bytes. */
  noteCommit(seqno: number, timeMs: number, userBytes: number): void
}

/** What a log held beside operations, in order. */
export interface ReplayedAck {
  readonly consumer: string
  readonly next: number
  readonly commitLast: number | undefined
  readonly timeMs: number
}

export interface ReplayedLog {
  /** Oldest first, at least one; the last one is not sealed. */
  readonly memtables: readonly Memtable[]
  readonly acks: readonly ReplayedAck[]
  readonly sourceToken: ResumeToken | undefined
  /** Those of the manifest, with what a replica learned since. */
  readonly epochs: readonly Epoch[]
  readonly lastSeqno: number
  readonly lastTimeMs: number
  /** By keyspace id: seqno of the operation that dropped it. */
  readonly drops: ReadonlyMap<number, number>
}

export class LogReplay {
  readonly #options: LogReplayOptions
  readonly #state: StoreState
  readonly #memtables: Memtable[]
  readonly #acks: ReplayedAck[] = []
  #decoder: LogDecoder | undefined
  #lastTimeMs = 0
  #sourceToken: ResumeToken | undefined
  #epochs: readonly Epoch[] | undefined

  /** `state`: what the manifest says, of which the logs are the continuation. */
  constructor(options: LogReplayOptions, state: StoreState) {
    this.#options = options
    this.#state = state
    this.#memtables = [emptyMemtable(options, state.lastFlushedSeqno + 1)]
    this.#sourceToken = state.sourceToken
  }

  /** The next commit, checked. */
  take(commit: WalCommit): void {
    const { bytes, start, end, isFlushed } = commit
    const decoder = (this.#decoder ??= new LogDecoder())
    const { fields, epochs, operations, last, timeMs, userBytes } = decoder.decode(commit)
    for (const { consumer, next } of fields.acks) {
      const commitLast = operations === 0 ? undefined : last
      this.#acks.push({ consumer, next, timeMs, commitLast })
    }
    this.#sourceToken = fields.sourceToken ?? this.#sourceToken
    this.#epochs = epochs ?? this.#epochs
    if (isFlushed || (operations === 0 && !mustBeKept(fields))) return
    addRecord(this.#memtables, this.#options, bytes, start, end)
    // As when it was written: a record without operations (an ack) is no event, and the next one need not be later.
    if (operations === 0) return
    this.#lastTimeMs = timeMs
    this.#options.noteCommit(last, timeMs, userBytes)
  }

  result(): ReplayedLog {
    const memtables = this.#memtables
    return {
      memtables,
      acks: this.#acks,
      sourceToken: this.#sourceToken,
      epochs: newerEpochs(this.#state.epochs, this.#epochs),
      lastSeqno: memtables.at(-1)!.lastSeqno,
      lastTimeMs: Math.max(this.#lastTimeMs, this.#state.lastFlushedTimeMs),
      drops: dropsIn(memtables),
    }
  }
}

/** What a record of the log says. */
interface DecodedCommit {
  readonly fields: CommitFieldValues
  readonly epochs: readonly Epoch[] | undefined
  readonly operations: number
  /** Seqno of its last operation; without any, of the one before it. */
  readonly last: number
  readonly timeMs: number
  readonly userBytes: number
}

export class LogDecoder {
  readonly #cursor = new OperationCursor()

  /** Throws VARVE_CORRUPTION with the place in the log. */
  decode({ bytes, start, file, offset, isFlushed }: WalCommit): DecodedCommit {
    const source = {
      file,
      fail: (reason: string, position: number): never => {
        throw corruption(`commit: ${reason}`, { file, offset: offset + position - start })
      },
    }
    const fields = decodeCommitFields(bytes, start, source)
    const operations = commitOperations(bytes, start)
    return {
      fields,
      epochs:
        fields.epochs === undefined
          ? undefined
          : decodeEpochs(fields.epochs, {
              file,
              fail: (reason) => source.fail(`epochs: ${reason}`, start),
            }),
      operations,
      last: commitFirstSeqno(bytes, start) + operations - 1,
      timeMs: commitTimeMs(bytes, start),
      userBytes: isFlushed ? 0 : userBytesOf(this.#cursor, bytes, start),
    }
  }
}

/** Bytes of keys and values in a checked commit. */
function userBytesOf(cursor: OperationCursor, bytes: Uint8Array, start: number): number {
  let userBytes = 0
  cursor.open(bytes, start)
  while (cursor.next()) {
    userBytes += cursor.keyEnd - cursor.keyStart + cursor.valueEnd - cursor.valueStart
  }
  return userBytes
}

export function emptyMemtable(options: MemtableSettings, firstSeqno: number): Memtable {
  return new Memtable({
    firstSeqno,
    capacityBytes: options.memtableBytes,
    shared: true,
    openSnapshots: () => options.openSnapshots(),
  })
}

/** Appends a record to the last memtable, or to a new one behind it. */
export function addRecord(
  memtables: Memtable[],
  options: MemtableSettings,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const first = commitFirstSeqno(bytes, start)
  let memtable = memtables[memtables.length - 1]!
  const { lastSeqno } = memtable
  // Seqnos are dense in a memtable. Holes are below the floor, or a repair puts the floor over them.
  if (first > lastSeqno + 1 || !memtable.hasRoom(end - start)) {
    if (memtable.arenaEnd === 0) memtables.pop()
    else memtable.seal()
    memtable = emptyMemtable(options, Math.max(first, lastSeqno + 1))
    memtables.push(memtable)
  }
  memtable.publish(memtable.append(bytes, start, end))
}

/** Whether a record without operations must go into the new log: what it says is in no edit yet. */
export function mustBeKept(fields: CommitFieldValues): boolean {
  return fields.acks.length > 0 || fields.sourceToken !== undefined || fields.epochs !== undefined
}

/** By keyspace id: seqno of the operation in these memtables that dropped it. */
export function dropsIn(memtables: readonly Memtable[]): Map<number, number> {
  const drops = new Map<number, number>()
  for (const memtable of memtables) {
    for (const id of memtable.keyspaceIds()) {
      for (const { kind, seqno } of memtable.rangeDeletes(id)) {
        if ((kind & FLAG_DROPS_KEYSPACE) !== 0) drops.set(id, seqno)
      }
    }
  }
  return drops
}
