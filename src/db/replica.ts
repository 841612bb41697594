/**
 * The receiving end of replication: a source's commits become commits here, with its seqnos, bounds, times, metas and bytes.
 *
 * ```
 * applyChanges ──check, copy──> turn ──same history? no hole? keyspaces?──> one record per commit ──> pipeline
 *                                            the first one carries the source's epochs, the last one its token
 * ```
 *
 * Everything that can be refused is refused before the first commit is handed on. The calls take turns, and nothing else on a
 * replica takes seqnos; so commits can be queued together, each with the seqno it must get, and where one fails those behind
 * it are refused by the pipeline rather than written with wrong seqnos.
 */
import { EMPTY_BYTES, U48_MAX } from '../base/bytes.ts'
import { KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import { settled } from '../base/settled.ts'
import { CommitEncoder, encodeFields } from '../batch/commit-encoder.ts'
import { COMMIT_BODY_AT, FIELD_EPOCHS, FIELD_SOURCE_TOKEN } from '../batch/commit-record.ts'
import { followSource, type Lineage } from '../cdc/lineage.ts'
import { decodeToken, type ResumeToken, type TokenFields } from '../cdc/resume-token.ts'
import { encodeEpochs } from '../version/epochs.ts'
import type { Epoch } from '../version/store-state.ts'
import type { StateChange } from '../version/version-edit.ts'
import { aborted } from './arguments.ts'
import type { HistoryInfo } from './history-info.ts'
import type { KeyspaceDirectory, KeyspaceState } from './keyspace-directory.ts'
import type { KeyspaceRegistry } from './keyspace-registry.ts'
import {
  type Checks,
  checkOptions,
  isBoolean,
  isBytesLike,
  isSignal,
} from '../base/option-check.ts'
import { readEvents, type ReplicaCommit, type ReplicaCommits, seqnoGap } from './replica-events.ts'
import type { Writer, WriteOptions } from './writer.ts'

/** Options of `applyChanges`: what comes with the events, and what every write may have. */
export interface ApplyOptions extends WriteOptions {
  /**
   * The source's token after the events: kept in the same atomic commit, so that the replica resumes exactly, and so that a
   * source with another store id is refused (VARVE_WRONG_STORE).
   */
  token?: ResumeToken
  /**
   * The source's `history().epochs`: kept in the same commit. One unknown here that begins at or below latest is
   * VARVE_HISTORY_DIVERGED, nothing applied.
   */
  epochs?: HistoryInfo['epochs']
}

/** What is left out stays as it was. */
export interface SourceNews {
  readonly epochs?: readonly Epoch[]
  readonly sourceToken?: ResumeToken | undefined
}

/** What a replica needs of its store. */
export interface ReplicaPorts {
  /** Throws where nothing may be written at all: closed, poisoned, readOnly. */
  readonly ensureUsable: () => void
  readonly role: () => 'primary' | 'replica'
  readonly latest: () => number
  /** Time of the commit that holds the latest seqno; 0: none. */
  readonly latestTimeMs: () => number
  /** What is known of the source, as of the latest commit. */
  readonly lineage: () => Lineage
  readonly sourceToken: () => ResumeToken | undefined
  /** A commit with these was published, or an edit with them is durable. */
  readonly learned: (what: SourceNews) => void
  readonly writer: Pick<Writer, 'commit'>
  readonly keyspaces: KeyspaceDirectory
  readonly registry: Pick<KeyspaceRegistry, 'open'>
  /** Default of `WriteOptions.sync`. */
  readonly syncByDefault: boolean
  /** Everything that was written is durable when it resolves. */
  readonly sync: () => Promise<void>
  /** Durable when it resolves. */
  readonly changeState: (change: StateChange) => Promise<void>
  readonly randomId: () => string
}

const CHECKS: Checks = {
  sync: isBoolean,
  meta: isBytesLike,
  signal: isSignal,
  token: (value) =>
    typeof value === 'string' ? undefined : { message: 'must be a token', isType: true },
  epochs: (value) =>
    Array.isArray(value) ? undefined : { message: 'must be an array', isType: true },
}

/** Commits are queued so many, or so many bytes, at a time. */
const QUEUED_COMMITS_MAX = 512
const QUEUED_BYTES_MAX = 4 * 1024 * 1024
/** More than kind, keyspace id and lengths of an operation take, nearly always. */
const OPERATION_OVERHEAD = 12

interface Given {
  readonly token: { readonly text: ResumeToken; readonly fields: TokenFields } | undefined
  readonly epochs: readonly Epoch[] | undefined
  readonly sync: boolean
  readonly signal: AbortSignal | undefined
}

export class Replica {
  readonly #ports: ReplicaPorts
  #turn: Promise<unknown> = Promise.resolve()

  constructor(ports: ReplicaPorts) {
    this.#ports = ports
  }

  /** `isOurs`: nobody else has the events or their bytes, so they need not be copied. */
  async apply(
    events: unknown,
    options: ApplyOptions | undefined,
    isOurs = false,
  ): Promise<{ latest: number; applied: number }> {
    this.#ensureReplica('applyChanges')
    const given = this.#readOptions(options)
    const received = readEvents(events, { isOurs })
    return this.#inTurn(() => this.#apply(received, given))
  }

  promote(): Promise<void> {
    return this.#inTurn(async () => {
      this.#ensureReplica('promote')
      const ports = this.#ports
      // Else a power cut could leave the new epoch above the seqnos that are given out next.
      await ports.sync()
      const { epochs } = ports.lineage()
      const epoch = (epochs.at(-1)?.epoch ?? 0) + 1
      const grown = [...epochs, { epoch, id: ports.randomId(), first: ports.latest() + 1 }]
      await ports.changeState({ role: 'primary', epochs: grown, sourceToken: null })
      ports.learned({ epochs: grown, sourceToken: undefined })
    })
  }

  async #apply(
    received: ReplicaCommits,
    given: Given,
  ): Promise<{ latest: number; applied: number }> {
    this.#ensureReplica('applyChanges')
    if (given.signal?.aborted === true) throw aborted(given.signal)
    const ports = this.#ports
    const latest = ports.latest()
    const newest = Math.max(latest, received.commits.at(-1)?.last ?? 0)
    const own = ports.lineage()
    const claim = { token: given.token?.fields, epochs: given.epochs }
    const lineage = followSource(own, claim, { latest, newest })
    const commits = this.#selectNew(received, latest)
    const token = this.#tokenToKeep(received, given, newest)
    if (received.hasOperands) this.#checkOperators(commits)
    await this.#takeOver(own, lineage)
    const fields = {
      token,
      epochs: lineage.epochs === own.epochs ? undefined : lineage.epochs,
    }
    let applied = 0
    if (commits.length > 0) applied = await this.#write(commits, fields, given)
    else if (token !== undefined || fields.epochs !== undefined) await this.#writeFields(fields)
    if (given.sync) await ports.sync()
    return { latest: ports.latest(), applied }
  }

  // ----------------------------------------------------------------------------------------------- checks

  #readOptions(options: ApplyOptions | undefined): Given {
    checkOptions(options, CHECKS)
    const { token, epochs, sync, meta, signal } = options ?? {}
    if (meta !== undefined) {
      throw invalidArgument('a replica keeps the meta of its source: events carry it')
    }
    return {
      token: token === undefined ? undefined : { text: token, fields: decodeToken(token) },
      // A source that is itself a replica and has heard of none has none.
      epochs: epochs === undefined || epochs.length === 0 ? undefined : readEpochs(epochs),
      sync: sync ?? this.#ports.syncByDefault,
      signal,
    }
  }

  /** The commits that are not held yet; VARVE_SEQNO_GAP where they do not follow on what is. */
  #selectNew({ commits, cutOff }: ReplicaCommits, latest: number): readonly ReplicaCommit[] {
    const fresh = commits.filter(({ last }) => last > latest)
    const next = fresh[0] ?? (cutOff !== undefined && cutOff.last > latest ? cutOff : undefined)
    if (next === undefined) return fresh
    if (next.from > latest + 1) throw seqnoGap({ expected: latest + 1, found: next.from })
    if (next.first <= latest) {
      throw new VarveError(
        'VARVE_HISTORY_DIVERGED',
        `a commit ends here at ${latest}; at the source it goes on to ${next.last}`,
        { latest, commitSeqno: next.first, commitLast: next.last },
      )
    }
    const lastTimeMs = this.#ports.latestTimeMs()
    if (next.timeMs < lastTimeMs) {
      throw invalidArgument(`the commit of seqno ${next.first} is older than the one before it`, {
        timestamp: next.timeMs,
        before: lastTimeMs,
      })
    }
    return fresh
  }

  /** Left out with an incomplete commit, and where it is known or older than what is known. */
  #tokenToKeep(received: ReplicaCommits, given: Given, newest: number): ResumeToken | undefined {
    if (given.token === undefined || received.cutOff !== undefined) return undefined
    const { text, fields } = given.token
    // It says that there is nothing between our end and its position, and we cannot know that.
    if (fields.next > newest + 1) throw seqnoGap({ expected: newest + 1, found: fields.next })
    const kept = this.#ports.sourceToken()
    if (kept === undefined) return text
    return kept === text || decodeToken(kept).next > fields.next ? undefined : text
  }

  /** Refuses operands that could never be read, before anything is written. */
  #checkOperators(commits: readonly ReplicaCommit[]): void {
    const dropped = new Set<string>()
    for (const { operations, dropsKeyspace } of commits) {
      for (const { kind, keyspace } of operations) {
        if (dropsKeyspace) dropped.add(keyspace)
        if ((kind & KIND_MASK) !== KIND_MERGE) continue
        // One that is made anew here has no operator.
        const known = dropped.has(keyspace) ? undefined : this.#keyspace(keyspace)
        if (known?.operator !== undefined) continue
        throw new VarveError(
          'VARVE_NO_MERGE_OPERATOR',
          `keyspace ${JSON.stringify(keyspace)} has no merge operator`,
          { keyspace },
        )
      }
    }
  }

  #ensureReplica(call: string): void {
    this.#ports.ensureUsable()
    if (this.#ports.role() === 'replica') return
    throw invalidArgument(`the store is a primary, and ${call} is for replicas`, {
      role: 'primary',
    })
  }

  // ---------------------------------------------------------------------------------------------- writing

  /**
   * Another store id, or epochs of our own that the source never had and in which nothing was written, go by an edit of their
   * own, before the commit: a list in the log only adds.
   */
  async #takeOver(own: Lineage, lineage: Lineage): Promise<void> {
    if (lineage === own) return
    const isLost = ({ id }: Epoch): boolean => !lineage.epochs.some((epoch) => epoch.id === id)
    if (lineage.storeId === own.storeId && !own.epochs.some(isLost)) return
    await this.#ports.changeState({ storeId: lineage.storeId, epochs: lineage.epochs })
    this.#ports.learned({ epochs: lineage.epochs })
  }

  /** Returns the number of operations written. */
  async #write(
    commits: readonly ReplicaCommit[],
    fields: SourceFields,
    given: Given,
  ): Promise<number> {
    const { signal } = given
    let applied = 0
    let queued: Promise<number>[] = []
    let queuedBytes = 0
    try {
      for (const [index, commit] of commits.entries()) {
        const isLast = index === commits.length - 1
        if (!this.#hasKeyspaces(commit)) await this.#makeKeyspaces(commit)
        // Epochs go first: where only some of the commits get through, those must not count as of an older epoch.
        const carried =
          index === 0 || isLast
            ? {
                token: isLast ? fields.token : undefined,
                epochs: index === 0 ? fields.epochs : undefined,
              }
            : NO_FIELDS
        queued.push(this.#submit(commit, carried, signal))
        queuedBytes += commit.bytes
        applied += commit.operations.length
        const mayWait = queued.length < QUEUED_COMMITS_MAX && queuedBytes < QUEUED_BYTES_MAX
        if (mayWait && !isLast) continue
        await allOf(queued)
        queued = []
        queuedBytes = 0
      }
    } catch (error) {
      await Promise.allSettled(queued)
      throw error
    }
    return applied
  }

  #hasKeyspaces({ operations }: ReplicaCommit): boolean {
    return operations.every(({ keyspace }) => this.#keyspace(keyspace) !== undefined)
  }

  #keyspace(name: string): KeyspaceState | undefined {
    const known = this.#ports.keyspaces.named(name)
    return known?.isDropped === false ? known : undefined
  }

  async #makeKeyspaces({ operations }: ReplicaCommit): Promise<void> {
    for (const { keyspace } of operations) {
      if (this.#keyspace(keyspace) === undefined) await this.#ports.registry.open(keyspace)
    }
  }

  /** Its keyspaces are there. */
  #submit(
    commit: ReplicaCommit,
    fields: SourceFields,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { writer, keyspaces } = this.#ports
    const { operations, meta, first, timeMs } = commit
    const capacity = COMMIT_BODY_AT + commit.bytes + operations.length * OPERATION_OVERHEAD
    const encoder = new CommitEncoder(capacity)
    for (const { kind, keyspace, key, value } of operations) {
      encoder.add(kind, this.#keyspace(keyspace)!.id, key, value)
    }
    const dropped = commit.dropsKeyspace ? this.#keyspace(operations[0]!.keyspace) : undefined
    const hasEffects =
      dropped !== undefined || fields.token !== undefined || fields.epochs !== undefined
    const published = (): void => {
      if (dropped !== undefined) {
        dropped.droppedAt = first
        keyspaces.drop(dropped)
      }
      this.#learn(fields)
    }
    const written = writer.commit(
      encoder,
      encodeSourceFields(fields, meta),
      { sync: false, signal },
      { timeMs, expectedFirst: first, published: hasEffects ? published : undefined },
    )
    if (dropped === undefined) return written
    // From here on: a commit behind it that names the keyspace means another one.
    dropped.isDropped = true
    return written.catch((error: unknown) => {
      if (dropped.droppedAt === undefined) dropped.isDropped = false
      throw error
    })
  }

  async #writeFields(fields: SourceFields): Promise<void> {
    await this.#ports.writer.commit(
      new CommitEncoder(),
      encodeSourceFields(fields, undefined),
      { sync: false },
      { published: () => this.#learn(fields) },
    )
  }

  #learn({ token, epochs }: SourceFields): void {
    this.#ports.learned({
      ...(epochs === undefined ? {} : { epochs }),
      ...(token === undefined ? {} : { sourceToken: token }),
    })
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    // The next call waits for its end; this one's caller is told of its failure.
    this.#turn = settled(result)
    return result
  }
}

/** What the first and the last commit of a call carry. */
interface SourceFields {
  readonly token: ResumeToken | undefined
  readonly epochs: readonly Epoch[] | undefined
}

const NO_FIELDS: SourceFields = { token: undefined, epochs: undefined }

function encodeSourceFields({ token, epochs }: SourceFields, meta: Uint8Array | undefined): Buffer {
  if (token === undefined && epochs === undefined && meta === undefined) return EMPTY_BYTES
  const more: { tag: number; bytes: Uint8Array }[] = []
  if (token !== undefined) more.push({ tag: FIELD_SOURCE_TOKEN, bytes: Buffer.from(token, 'utf8') })
  if (epochs !== undefined) more.push({ tag: FIELD_EPOCHS, bytes: encodeEpochs(epochs) })
  return encodeFields({ meta, more })
}

/** Rejects with the first failure, when all have ended. */
async function allOf(writes: readonly Promise<number>[]): Promise<void> {
  const results = await Promise.allSettled(writes)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function readEpochs(given: readonly unknown[]): readonly Epoch[] {
  const epochs = given.map(readEpoch)
  if (new Set(epochs.map(({ id }) => id)).size === epochs.length) return epochs
  throw invalidArgument('epochs has one of them twice', { epochs: epochs.length })
}

function readEpoch(given: unknown): Epoch {
  if (typeof given !== 'object' || given === null) throw wrongType('epochs', 'epochs', given)
  const { epoch, id, first } = given as Partial<Epoch>
  if (typeof epoch !== 'number' || typeof id !== 'string' || typeof first !== 'number') {
    throw wrongType('epochs', 'epochs', given)
  }
  // Bounded, so that `promote` can count on from there.
  const isCount = (value: number): boolean =>
    Number.isSafeInteger(value) && value >= 1 && value <= U48_MAX
  const isId = id !== '' && id.length <= ID_LENGTH_MAX && id.isWellFormed()
  if (!isCount(epoch) || !isCount(first) || !isId) {
    throw invalidArgument('epochs holds one that no history() gives', { epoch, id, first })
  }
  return { epoch, id, first }
}

const ID_LENGTH_MAX = 256
