/**
 * The one way in which anything is written: a queue of encoded commits, drained when the running code has come to its end (a
 * microtask), now and then only in the next turn of the event loop: who awaits one put after the other would else never let it turn.
 *
 * ```
 * put, write ──encode──> queue ──drain─> arena (seqno, time, frame) ──one write──> WAL ──publish──> visible ──> resolved
 *                                                                                     └─fdatasync (durability.ts)──> resolved
 * ```
 *
 * Invariants: a commit takes its seqnos when it is copied into the arena and nothing before it can still fail on its own
 * account, so seqnos are dense and a refused commit takes none (I1). A commit becomes visible only when the log has it whole
 * (change capture never shows what the death of the process could take back). After a short or refused write nothing more is
 * written until the log was cut back to its last acknowledged record and synced (I8).
 */
import { assert } from '../base/assert.ts'
import { writeU48 } from '../base/bytes.ts'
import { VarveError } from '../base/errors.ts'
import { settled } from '../base/settled.ts'
import { commitTimeMs } from '../batch/commit-decoder.ts'
import { COMMIT_FIRST_SEQNO_AT, COMMIT_TIME_AT } from '../batch/commit-record.ts'
import { acknowledge, publishedCommits } from './acknowledgement.ts'
import { inDoubt, seqnoGap } from './commit-errors.ts'
import type { Durability } from './durability.ts'
import type { MemtableSet } from './memtable-set.ts'
import type { PendingCommit } from './pending-commit.ts'
import type { PipelineHooks } from './pipeline-hooks.ts'

/** Above this many waiting bytes further writes are refused with VARVE_BUSY. */
const WAITING_BYTES_MAX: number = 2 ** 30
/** One write to the log is cut near this size, so that a huge turn does not block the loop in one call. */
const GROUP_BYTES = 8 * 1024 * 1024
/** So much is written between two turns of the event loop, about 1 to 10 ms of work; a drain counts as its bytes and DRAIN_COST. */
const TURN_COST_MAX = 1024 * 1024
const DRAIN_COST = 4096
const SOON = Promise.resolve()
const NONE: readonly PendingCommit[] = []

export class CommitPipeline {
  #queue: PendingCommit[] = []
  #head = 0
  #waitingBytes = 0
  #scheduled = false
  #pausedUntilResume = false
  #cuttingBack = false
  #delayed = false
  /** What was written since the last turn that was waited for. */
  #turnCost = 0
  #closed = false
  #ended = false
  #failure: VarveError | undefined
  #lastTimeMs: number
  #drained: (() => void)[] = []
  readonly #memtables: MemtableSet
  readonly #durability: Durability
  readonly #hooks: PipelineHooks
  /** Taken off the queue by the group that is being written, and not told yet what became of them. */
  #inHand: PendingCommit | readonly PendingCommit[] = NONE
  readonly #drain = (): void => {
    this.#scheduled = false
    try {
      this.#run()
    } catch (cause) {
      this.#broke(cause)
    }
  }

  constructor(
    memtables: MemtableSet,
    durability: Durability,
    hooks: PipelineHooks,
    lastTimeMs: number,
  ) {
    this.#memtables = memtables
    this.#durability = durability
    this.#hooks = hooks
    this.#lastTimeMs = lastTimeMs
  }

  /** Nothing waits: staging buffers may be used again. */
  get isEmpty(): boolean {
    return this.#head === this.#queue.length
  }

  get lastTimeMs(): number {
    return this.#lastTimeMs
  }

  /** Throws what a new write must be refused with: poisoned, closed, or too much is waiting already. */
  ensureOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closed) throw new VarveError('VARVE_CLOSED', 'the store is closed')
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      throw new VarveError('VARVE_BUSY', 'more than 1 GiB of writes is waiting already', {
        waitingBytes: this.#waitingBytes,
        max: WAITING_BYTES_MAX,
      })
    }
  }

  /** The same for the ack of a consumer, which a store that closes takes for longer. */
  ensureTakesAcks(): void {
    if (!this.#closed) return this.ensureOpen()
    if (this.#failure !== undefined) throw this.#failure
    if (this.#ended) throw new VarveError('VARVE_CLOSED', 'the store is closed')
  }

  /** Queues an encoded commit. `ensureOpen` was called in the same turn. */
  submit(commit: PendingCommit): void {
    this.#queue.push(commit)
    this.#waitingBytes += commit.end - commit.start
    this.#schedule()
  }

  /** What admission was waiting for has happened. */
  resume(): void {
    this.#pausedUntilResume = false
    if (!this.isEmpty) this.#schedule()
  }

  /** Refuses what waits; what comes later is looked at anew. */
  refuseWaiting(error: VarveError): void {
    this.#pausedUntilResume = false
    this.#refuseAll(error)
  }

  /** Resolves when nothing waits any more (everything was written or refused), and no log is being cut back. */
  drained(): Promise<void> {
    if (this.isEmpty && !this.#cuttingBack) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** Refuses new commits, but for acks; those that wait are still written. */
  close(): void {
    this.#closed = true
  }

  /** Refuses acks, too. */
  end(): void {
    this.#ended = true
  }

  /** Refuses everything from now on, also what waits. */
  fail(error: VarveError): void {
    this.#failure ??= error
    this.#refuseAll(this.#failure)
  }

  #schedule(): void {
    if (this.#scheduled || this.#pausedUntilResume || this.#cuttingBack || this.#delayed) return
    this.#scheduled = true
    if (this.#turnCost < TURN_COST_MAX) {
      // Not queueMicrotask: Node makes an object and two closures for each, several times what the reaction of a promise costs.
      void SOON.then(this.#drain)
      return
    }
    this.#turnCost = 0
    this.#hooks.nextTurn(this.#drain)
  }

  #run(): void {
    while (!this.isEmpty) {
      if (this.#failure !== undefined) return this.#refuseAll(this.#failure)
      if (this.#cuttingBack || this.#delayed) return
      if (this.#memtables.active.wal.isBroken) {
        // The disk was too full even to cut off what it had refused; perhaps it is no longer.
        return this.#cutBack(ignore, ignore)
      }
      const next = this.#queue[this.#head]!
      if (next.aborted !== undefined) {
        this.#take()
        continue
      }
      const needsRoom = !this.#memtables.active.memtable.hasRoom(next.end - next.start)
      const admission = this.#hooks.admit(needsRoom)
      if (admission.type === 'wait') {
        this.#pausedUntilResume = true
        return
      }
      if (admission.type === 'refuse') return this.#refuseAll(admission.error)
      if (needsRoom && !this.#rotate()) return
      const written = this.#writeGroup()
      this.#turnCost += written + DRAIN_COST
      if (admission.type === 'slow' && written > 0) {
        this.#delayed = true
        this.#hooks.after((written / admission.bytesPerSecond) * 1000, () => {
          this.#delayed = false
          this.#schedule()
        })
      }
    }
    this.#finishDrain()
  }

  #rotate(): boolean {
    try {
      this.#memtables.rotate()
      this.#hooks.onSealed()
      return true
    } catch (cause) {
      // Creating a log changes nothing that exists: whatever went wrong is this turn's problem only.
      this.#refuseAll(this.#hooks.translate(cause, 'create log'))
      return false
    }
  }

  /** Writes as many waiting commits as fit together; returns their bytes. */
  #writeGroup(): number {
    const { memtable, wal } = this.#memtables.active
    const start = memtable.arenaEnd
    const firstSeqno = memtable.lastSeqno + 1
    const lastTimeMs = this.#lastTimeMs
    const now = this.#hooks.now()
    let seqno = firstSeqno
    let userBytes = 0
    let needsSync = false
    let group: PendingCommit[] | undefined
    let offsets: number[] | undefined
    let single: PendingCommit | undefined
    let singleOffset = 0
    while (!this.isEmpty) {
      const commit = this.#queue[this.#head]!
      const bytes = commit.end - commit.start
      if (commit.aborted !== undefined) {
        this.#take()
        continue
      }
      if (!memtable.hasRoom(bytes)) break
      if (commit.expectedFirst !== undefined && commit.expectedFirst !== seqno) {
        this.#take()
        commit.reject(seqnoGap(seqno, commit.expectedFirst))
        continue
      }
      if (commit.check !== undefined) {
        // The check looks at the state after all earlier commits, so those must be visible first.
        if (single !== undefined) break
        try {
          commit.check(seqno)
        } catch (error) {
          this.#take()
          commit.reject(error)
          continue
        }
      }
      const timeMs = commit.timeMs ?? Math.max(this.#lastTimeMs, now)
      // A record without operations is no event: on a replica its time, from the clock here, may be ahead of the source's.
      if (commit.operations > 0) this.#lastTimeMs = timeMs
      const offset = memtable.append(commit.bytes, commit.start, commit.end)
      writeU48(memtable.arena, offset + COMMIT_FIRST_SEQNO_AT, seqno)
      writeU48(memtable.arena, offset + COMMIT_TIME_AT, timeMs)
      wal.seal(memtable.arena, offset)
      seqno += commit.operations
      userBytes += commit.userBytes
      if (commit.sync) needsSync = true
      this.#take()
      if (single === undefined) {
        this.#inHand = single = commit
        singleOffset = offset
      } else {
        this.#inHand = group ??= [single]
        offsets ??= [singleOffset]
        group.push(commit)
        offsets.push(offset)
      }
      if (memtable.arenaEnd - start >= GROUP_BYTES || commit.published !== undefined) break
    }
    if (single === undefined) return 0
    const bytes = memtable.arenaEnd - start
    try {
      wal.write(memtable.arena, start, memtable.arenaEnd)
    } catch (cause) {
      memtable.truncate(start)
      this.#lastTimeMs = lastTimeMs
      this.#inHand = NONE
      this.#writeFailed(group ?? [single], cause)
      return 0
    }
    // Where more is to be written at once, all of it shares a sync that begins later.
    const syncing = needsSync && this.isEmpty ? this.#durability.syncWritten(seqno - 1) : undefined
    try {
      if (group === undefined) {
        this.#publish(single, singleOffset)
      } else {
        for (let i = 0; i < group.length; i++) this.#publish(group[i]!, offsets![i]!)
      }
      assert(
        memtable.lastSeqno === seqno - 1,
        'a commit takes exactly one seqno for each operation',
      )
      this.#hooks.onPublished(memtable.lastSeqno, { logBytes: bytes, userBytes })
      if (this.#hooks.wantsCommits()) {
        const commits = publishedCommits(memtable.arena, {
          commits: group ?? [single],
          offsets: offsets ?? [singleOffset],
          firstSeqno,
        })
        for (const commit of commits) this.#hooks.onCommit(commit)
      }
    } catch (cause) {
      if (syncing !== undefined) void settled(syncing)
      throw cause
    }
    this.#inHand = NONE
    if (group === undefined && !single.sync) single.resolve(firstSeqno)
    else acknowledge(group ?? [single], firstSeqno, syncing ?? this.#durability)
    return bytes
  }

  /**
   * A fault of our own: what the memtable holds may be less than the log. The store is poisoned, as after a failed sync. Thrown on
   * it would be a rejection that nobody handles, which ends the program around the store.
   */
  #broke(cause: unknown): void {
    const commits = [this.#inHand].flat()
    this.#inHand = NONE
    const error = this.#hooks.translate(cause, 'commit')
    this.#hooks.onPoisoned(error)
    this.fail(error)
    for (const commit of commits) commit.reject(this.#failure)
  }

  #publish(commit: PendingCommit, offset: number): void {
    const { memtable } = this.#memtables.active
    const first = memtable.lastSeqno + 1
    memtable.publish(offset)
    commit.published?.(first, commitTimeMs(memtable.arena, offset))
  }

  #writeFailed(commits: readonly PendingCommit[], cause: unknown): void {
    const error = this.#hooks.translate(cause, 'write')
    const refuse = (): void => {
      for (const commit of commits) commit.reject(error)
    }
    if (error.code !== 'VARVE_NO_SPACE') {
      refuse()
      this.#hooks.onPoisoned(error)
      return
    }
    this.#cutBack(refuse, (final) => {
      for (const commit of commits) commit.reject(inDoubt(final))
    })
  }

  /** A write beside the pipeline failed for want of space: nothing is written until the log is cut back. */
  repairLog(): void {
    this.#cutBack(ignore, ignore)
  }

  /** Resolves when nothing waits and the log is whole, so that another may follow it; rejects with what it wants for. */
  async mended(): Promise<void> {
    await this.drained()
    // Another that waited beside this one may have begun.
    while (this.#cuttingBack) await this.drained()
    if (!this.#memtables.active.wal.isBroken) {
      // Behind a fault the memtable may hold less than the log: it cannot be sealed.
      if (this.#failure !== undefined) throw this.#failure
      return
    }
    await new Promise<void>((resolve, reject) => this.#cutBack(resolve, reject))
  }

  #cutBack(onDone: () => void, onFailed: (error: VarveError) => void): void {
    this.#cuttingBack = true
    this.#memtables.active.wal.cutBack().then(
      () => {
        this.#cuttingBack = false
        // Only now: until the cut is durable, a power cut could bring back what was rejected.
        onDone()
        if (!this.isEmpty) this.#schedule()
        else this.#finishDrain()
      },
      (failure: unknown) => {
        this.#cuttingBack = false
        const error = this.#hooks.translate(failure, 'cut back log')
        onFailed(error)
        const isFinal = this.#memtables.active.wal.failure !== undefined
        if (error.code === 'VARVE_NO_SPACE' && !isFinal) return this.#refuseAll(error)
        this.#hooks.onPoisoned(error)
        // Where something else has poisoned the store meanwhile, that has refused what waited, and nobody does it again.
        this.#finishDrain()
      },
    )
  }

  /** Takes the first commit off the queue: from here on it can no longer be aborted. */
  #take(): void {
    const commit = this.#queue[this.#head]!
    this.#head++
    this.#waitingBytes -= commit.end - commit.start
    commit.unwatch?.()
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  #refuseAll(error: VarveError): void {
    while (!this.isEmpty) {
      const commit = this.#queue[this.#head]!
      this.#take()
      if (commit.aborted === undefined) commit.reject(error)
    }
    this.#finishDrain()
  }

  #finishDrain(): void {
    if (!this.isEmpty || this.#cuttingBack) return
    // The length of an array is set in the engine's own code, a put in a hundred; one commit is the rule.
    if (this.#queue.length === 1) this.#queue.pop()
    else this.#queue.length = 0
    this.#head = 0
    const drained = this.#drained
    if (drained.length === 0) return
    this.#drained = []
    for (const resolve of drained) resolve()
  }
}

function ignore(): void {}
