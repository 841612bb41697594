/**
 * The write-ahead log of a store that another process writes, taken in bit by bit: each call costs what the writer has added
 * since the last one.
 *
 * ```
 * manifest's first log ──> logs that were read ... ──> the one in which reading ended ──> newer ones
 *   those before it are in segments: dropped                └─ goes on behind its last record
 * ```
 *
 * The writer has one log for each memtable and flushes memtables whole. So has the follower: what was flushed is dropped log by
 * log, and no memtable here ever holds what stands in a segment too. A reader that folds operands would count those twice.
 *
 * Where the log is not what it was (cut back after a full disk, written anew by a recovery), what was read is given up and the
 * log read from the beginning. Memtables that were handed out stay as they are, for cursors and scans that stand in them.
 */
import type { CommitFieldValues } from '../batch/commit-decoder.ts'
import { corruption } from '../base/errors.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import { joinPath, walFileName } from '../env/file-names.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { newerEpochs } from '../version/epochs.ts'
import type { CleanClose, Epoch } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { WalEnd } from '../wal/wal-header.ts'
import { replayWal, type WalCommit, type WalReplay } from '../wal/wal-reader.ts'
import {
  addRecord,
  dropsIn,
  emptyMemtable,
  LogDecoder,
  type MemtableSettings,
  mustBeKept,
  type ReplayedAck,
  type ReplayedLog,
} from './log-replay.ts'

export interface LogFollowerOptions extends MemtableSettings {
  readonly directory: string
}

/** What one log file held. */
interface FollowedLog {
  readonly number: number
  readonly memtables: Memtable[]
  readonly acks: ReplayedAck[]
  sourceToken: ResumeToken | undefined
  epochs: readonly Epoch[] | undefined
  /** Where the last record that was taken ends. */
  bytes: number
  userBytes: number
  lastTimeMs: number
}

export interface FollowedLogs extends ReplayedLog {
  readonly logs: readonly { readonly number: number; readonly bytes: number }[]
  /** Bytes of keys and values in them. */
  readonly userBytes: number
}

export class LogFollower {
  readonly #options: LogFollowerOptions
  readonly #decoder = new LogDecoder()
  #logs: FollowedLog[] = []
  #lastSeqno = 0
  /** Undefined: the next call begins with the first log. */
  #end: WalEnd | undefined

  constructor(options: LogFollowerOptions) {
    this.#options = options
  }

  /**
   * The log behind what `version` has in segments. Not to be called again before it has ended. `closedAt`: where the logs ended
   * when the store was closed; what is not there of that has no writer to wait for, and is VARVE_CORRUPTION.
   */
  async follow(version: Version, closedAt?: CleanClose): Promise<FollowedLogs> {
    const end = this.#resumable(version)
    if (end !== undefined) {
      const replay = await this.#replay(version, end)
      // What follows may have been cut back and written anew: then the bytes that were read before are not the log any more.
      if (replay.torn === undefined) return this.#followed(version, replay, closedAt)
    }
    this.#logs = []
    this.#lastSeqno = version.state.lastFlushedSeqno
    return this.#followed(version, await this.#replay(version, undefined), closedAt)
  }

  /** Drops what is in segments. Where reading goes on; undefined: at the beginning. */
  #resumable({ state }: Version): WalEnd | undefined {
    const kept = this.#logs.filter(({ number }) => number >= state.walNumber)
    const isWhole = kept.every(({ memtables }) =>
      memtables.every(({ firstSeqno }) => firstSeqno > state.lastFlushedSeqno),
    )
    if (kept[0]?.number !== state.walNumber || !isWhole) return undefined
    this.#logs = kept
    return this.#end
  }

  async #replay(version: Version, end: WalEnd | undefined): Promise<WalReplay> {
    const { state } = version
    const { fs, directory } = this.#options
    // Until it has ended well: a call that fails half-way has taken in commits that it cannot name.
    this.#end = undefined
    const replay = await replayWal(
      {
        fs,
        directory,
        logId: state.logId,
        walNumber: state.walNumber,
        lastFlushedSeqno: state.lastFlushedSeqno,
        floor: state.floor,
        resume: end === undefined ? undefined : { end, lastSeqno: this.#lastSeqno },
      },
      (commit) => this.#take(commit),
    )
    for (const number of replay.logs) this.#log(number)
    if (replay.torn === undefined) this.#end = replay.end
    return replay
  }

  #checkEnd({ end, torn }: WalReplay, { walNumber, walBytes }: CleanClose): void {
    if (end.number > walNumber || (end.number === walNumber && end.bytes >= walBytes)) return
    throw corruption(`log: ${torn?.reason ?? 'it ends'} before where the store was closed`, {
      file: joinPath(this.#options.directory, walFileName(end.number)),
      offset: end.bytes,
    })
  }

  #take(commit: WalCommit): void {
    const { bytes, start, end, offset, isFlushed } = commit
    const log = this.#log(commit.number)
    const { fields, epochs, operations, last, timeMs, userBytes } = this.#decoder.decode(commit)
    for (const { consumer, next } of fields.acks) {
      log.acks.push({ consumer, next, timeMs, commitLast: operations === 0 ? undefined : last })
    }
    log.sourceToken = fields.sourceToken ?? log.sourceToken
    log.epochs = epochs ?? log.epochs
    log.bytes = offset + end - start
    if (operations > 0) this.#lastSeqno = Math.max(this.#lastSeqno, last)
    if (isFlushed || isEmpty(operations, fields)) return
    const first = Math.max(last - operations + 1, operations > 0 ? 0 : this.#lastSeqno + 1)
    if (log.memtables.length === 0) log.memtables.push(emptyMemtable(this.#options, first))
    addRecord(log.memtables, this.#options, bytes, start, end)
    log.lastTimeMs = timeMs
    log.userBytes += userBytes
  }

  /** The newest log that was read, or the one after it. */
  #log(number: number): FollowedLog {
    const newest = this.#logs.at(-1)
    if (newest !== undefined && newest.number >= number) {
      return newest.number === number ? newest : this.#logs.find((log) => log.number === number)!
    }
    for (const memtable of newest?.memtables ?? []) memtable.seal()
    const log: FollowedLog = {
      number,
      memtables: [],
      acks: [],
      sourceToken: undefined,
      epochs: undefined,
      bytes: 0,
      userBytes: 0,
      lastTimeMs: 0,
    }
    this.#logs.push(log)
    return log
  }

  #followed({ state }: Version, replay: WalReplay, closedAt: CleanClose | undefined): FollowedLogs {
    if (closedAt !== undefined) this.#checkEnd(replay, closedAt)
    const logs = this.#logs
    let memtables = logs.flatMap((log) => log.memtables)
    if (memtables.length === 0) {
      const empty = emptyMemtable(this.#options, state.lastFlushedSeqno + 1)
      logs.at(-1)!.memtables.push(empty)
      memtables = [empty]
    }
    const epochs = logs.findLast((log) => log.epochs !== undefined)?.epochs
    return {
      memtables,
      acks: logs.flatMap(({ acks }) => acks),
      sourceToken:
        logs.findLast(({ sourceToken }) => sourceToken !== undefined)?.sourceToken ??
        state.sourceToken,
      epochs: newerEpochs(state.epochs, epochs),
      lastSeqno: memtables.at(-1)!.lastSeqno,
      lastTimeMs: Math.max(state.lastFlushedTimeMs, ...logs.map(({ lastTimeMs }) => lastTimeMs)),
      drops: dropsIn(memtables),
      logs: logs.map(({ number, bytes }) => ({ number, bytes })),
      userBytes: logs.reduce((sum, { userBytes }) => sum + userBytes, 0),
    }
  }
}

/** Whether a record says nothing that is not in an edit already. */
function isEmpty(operations: number, fields: CommitFieldValues): boolean {
  return operations === 0 && !mustBeKept(fields)
}
