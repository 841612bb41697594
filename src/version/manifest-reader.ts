/**
 * Reads CURRENT and the manifest it names, and applies its edits.
 *
 * A damaged record ends the manifest only where it can be an edit that was never synced: nothing was promised that hung on it,
 * and the files it may have named are orphans. Header and snapshot were synced before CURRENT named the manifest, and behind
 * each edit that was synced stands a record that says so, so damage anywhere else is VARVE_CORRUPTION.
 */
import { corruption, hasCode, type VarveError } from '../base/errors.ts'
import { joinPath, manifestFileName } from '../env/file-names.ts'
import type { FileStat, FileSystem, ReadableFile } from '../env/file-system.ts'
import { isIgnorableRecordType, recordPrevious } from '../record/record-frame.ts'
import {
  RECORD_HEADER_BYTES,
  RECORD_MANIFEST_HEADER,
  RECORD_SYNC_MARK,
  RECORD_VERSION_EDIT,
} from '../record/record-header.ts'
import { RecordReader } from '../record/record-reader.ts'
import { type FieldSource, unsupportedFormat } from '../record/tagged-fields.ts'
import { applyEdit } from './apply-edit.ts'
import { readCurrent } from './current-file.ts'
import type { FileLifetimes } from './file-lifetimes.ts'
import { installEdit } from './install-edit.ts'
import { decodeManifestHeader, MANIFEST_FORMAT_VERSION, MANIFEST_SEED } from './manifest-header.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { EMPTY_STATE } from './snapshot-edits.ts'
import type { VersionParts } from './version.ts'
import type { Place, SegmentAddition } from './version-edit.ts'
import { decodeEdit, type StoredEdit } from './version-edit-codec.ts'

export interface LoadedManifest {
  readonly parts: VersionParts
  /** Id of the version that its last edit made; live in the lifetimes that were handed in. */
  readonly versionId: number
  readonly number: number
  readonly path: string
  readonly bytes: number
  /** Of the manifest file: see isCleanClose. */
  readonly stat: FileStat
  /** Where an edit was left out that a power cut, or a full disk, had kept from being written whole. */
  readonly torn: { readonly offset: number; readonly reason: string } | undefined
}

/** Undefined where there is no CURRENT. Changes nothing on disk. */
export async function loadManifest(
  fs: FileSystem,
  directory: string,
  lifetimes: FileLifetimes,
): Promise<LoadedManifest | undefined> {
  const number = readCurrent(fs, directory)
  if (number === undefined) return undefined
  const path = joinPath(directory, manifestFileName(number))
  return loadManifestFile(fs, path, number, lifetimes, 'strict')
}

/** What the disk says where edits are lost. */
export interface SalvageSource {
  readonly isThere: (segment: number) => boolean
  readonly isLogThere: (log: number) => boolean
  /** Of a blob file that a good edit refers to and a lost one had added. */
  readonly blob: (number: number) => Promise<BlobFileMeta>
}

/** What repair reads of a damaged manifest. */
export interface SalvagedEdits {
  readonly damage: VarveError | undefined
  /**
   * What it names last is gone, although all that stands in it is good: its end is lost. A power cut takes no such end, as files go
   * only when the edit that does without them is on the disk.
   */
  readonly isCutOff: boolean
  /** Segments that the edits before the damage name and that are gone: mostly an edit that is lost had removed them. */
  readonly vanished: readonly SegmentAddition[]
  /** Numbers of all segments that any good edit speaks of. */
  readonly named: ReadonlySet<number>
}

/**
 * Reads one manifest. 'salvage': damage behind a good snapshot is returned, and edits that stand behind it count as far as
 * they fit what is known.
 */
export async function loadManifestFile(
  fs: FileSystem,
  path: string,
  number: number,
  lifetimes: FileLifetimes,
  mode: 'strict' | SalvageSource,
): Promise<LoadedManifest & SalvagedEdits> {
  const stat = fs.stat(path)
  if (stat === undefined)
    throw corruption('the manifest that CURRENT names is missing', { file: path })
  const file = fs.openRead(path)
  try {
    const load = new ManifestLoad(file, number, stat.size, lifetimes)
    let damage: VarveError | undefined
    let isCutOff = false
    try {
      await load.run()
      if (mode !== 'strict') isCutOff = load.leaveOutWhatIsGone(mode)
    } catch (error) {
      if (mode === 'strict' || !load.hasSnapshot || !hasCode(error, 'VARVE_CORRUPTION')) throw error
      damage = error
      await load.readBehind(file, mode)
    }
    return {
      damage,
      isCutOff,
      vanished: load.vanished(),
      named: load.named,
      parts: load.parts,
      versionId: load.versionId,
      number,
      path,
      bytes: stat.size,
      stat,
      torn: load.torn,
    }
  } finally {
    file.close()
  }
}

class ManifestLoad {
  parts: VersionParts = {
    state: EMPTY_STATE,
    keyspaces: new Map(),
    blobs: new Map(),
    blobLiveBytes: new Map(),
  }
  versionId = 0
  torn: LoadedManifest['torn']
  readonly #reader: RecordReader
  readonly #lifetimes: FileLifetimes
  readonly #source: FieldSource
  readonly named = new Set<number>()
  #vanished = new Map<number, SegmentAddition>()
  #snapshotEditsLeft = 0
  #hasHeader = false

  /** Header and snapshot were read whole. */
  get hasSnapshot(): boolean {
    return this.#hasHeader && this.#snapshotEditsLeft === 0
  }

  constructor(file: ReadableFile, number: number, end: number, lifetimes: FileLifetimes) {
    const reader = new RecordReader(file, { fileNumber: number, seed: MANIFEST_SEED, end })
    this.#reader = reader
    this.#lifetimes = lifetimes
    lifetimes.begin(0)
    this.#source = {
      file: file.path,
      fail: (reason, position) => {
        const offset = reader.offset + position - reader.start
        throw reader.corruption(offset, `manifest: ${reason}`)
      },
    }
  }

  async run(): Promise<void> {
    const reader = this.#reader
    const { file } = this.#source
    if (!(await reader.next())) {
      throw reader.corruption(0, 'the header of the manifest is damaged')
    }
    if (reader.type !== RECORD_MANIFEST_HEADER) {
      throw reader.corruption(0, 'the manifest begins without header')
    }
    const start = reader.start + RECORD_HEADER_BYTES
    const header = decodeManifestHeader(reader.bytes, start, reader.end, file)
    this.#snapshotEditsLeft = header.snapshotEdits
    this.#hasHeader = true
    for (;;) {
      const next = reader.next()
      if (!(typeof next === 'boolean' ? next : await next)) break
      this.#take()
    }
    const damage = reader.isAtEnd ? undefined : await reader.damage()
    if (this.#snapshotEditsLeft > 0) {
      throw reader.corruption(reader.position, 'the snapshot in the manifest is damaged')
    }
    if (damage?.isRot === true) {
      throw reader.corruption(damage.offset, `manifest: ${damage.reason}`)
    }
    if (damage !== undefined) this.torn = { offset: damage.offset, reason: damage.reason }
  }

  vanished(): SegmentAddition[] {
    return [...this.#vanished.values()]
  }

  /** Whether anything that it names is gone from the disk; the segments among it leave. */
  leaveOutWhatIsGone({ isThere, isLogThere }: SalvageSource): boolean {
    this.#removeVanished(isThere)
    return this.#vanished.size > 0 || !isLogThere(this.parts.state.walNumber)
  }

  /**
   * Goes on behind damage, until an edit does not fit any more. What a lost edit had brought or taken is not known; so what
   * is gone from the disk leaves first, and nothing is asked of edits that take away what nobody knows.
   */
  async readBehind(file: ReadableFile, disk: SalvageSource): Promise<void> {
    const reader = this.#reader
    try {
      this.#removeVanished(disk.isThere)
      for (;;) {
        const behind = await reader.findBehind()
        if (behind === undefined) return
        const header = new Uint8Array(RECORD_HEADER_BYTES)
        await file.read(header, 0, header.length, behind.first)
        reader.resume(behind.first, recordPrevious(header, 0))
        while (await reader.next()) {
          const edit = this.#edit()
          if (edit !== undefined) this.#apply(await this.#fitting(edit, disk))
        }
      }
    } catch (error) {
      // What was taken in before it holds.
      if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    }
  }

  #removeVanished(isThere: (segment: number) => boolean): void {
    for (const [keyspaceId, { levels, history }] of this.parts.keyspaces) {
      const note = (level: Place, meta: SegmentMeta): void => {
        if (!isThere(meta.number)) this.#vanished.set(meta.number, { keyspaceId, level, meta })
      }
      for (const [level, segments] of levels.entries()) {
        for (const meta of segments) note(level, meta)
      }
      for (const meta of history) note('history', meta)
    }
    if (this.#vanished.size > 0) this.#apply({ removals: [...this.#vanished.keys()] })
  }

  /** Without what takes away files that are not known, or not any more; with blob files that only a lost edit had named. */
  async #fitting(edit: StoredEdit, disk: SalvageSource): Promise<StoredEdit> {
    const blobAdditions = [...(edit.blobAdditions ?? [])]
    for (const { meta } of edit.additions ?? []) {
      for (const { file } of meta.blobReferences) {
        const isKnown =
          this.parts.blobs.has(file) || blobAdditions.some(({ number }) => number === file)
        if (!isKnown) blobAdditions.push(await disk.blob(file))
      }
    }
    for (const number of edit.removals ?? []) this.#vanished.delete(number)
    const isLive = (number: number): boolean =>
      this.#lifetimes.segment(number)?.removedIn === Infinity
    return {
      ...edit,
      blobAdditions,
      removals: (edit.removals ?? []).filter(isLive),
      moves: (edit.moves ?? []).filter(({ number }) => isLive(number)),
      blobRemovals: (edit.blobRemovals ?? []).filter((number) => this.parts.blobs.has(number)),
    }
  }

  #take(): void {
    const edit = this.#edit()
    if (edit === undefined) return
    this.#apply(edit)
    if (this.#snapshotEditsLeft > 0) this.#snapshotEditsLeft--
  }

  /** Of the current record, if it is one. */
  #edit(): StoredEdit | undefined {
    const { bytes, start, end, type } = this.#reader
    if (type === RECORD_SYNC_MARK || isIgnorableRecordType(type)) return undefined
    if (type !== RECORD_VERSION_EDIT) {
      throw unsupportedFormat('a manifest record', {
        file: this.#source.file,
        found: `type ${type}`,
        supported: `format ${MANIFEST_FORMAT_VERSION}`,
      })
    }
    return decodeEdit(bytes, start + RECORD_HEADER_BYTES, end, this.#source)
  }

  #apply(edit: StoredEdit): void {
    const { offset } = this.#reader
    const applied = applyEdit(this.parts, edit, {
      lifetimes: this.#lifetimes,
      isStored: true,
      fail: (reason) => {
        throw this.#reader.corruption(offset, `manifest: ${reason}`)
      },
    })
    // Only now: where it does not fit, it speaks of nothing.
    for (const { meta } of edit.additions ?? []) this.named.add(meta.number)
    for (const number of edit.removals ?? []) this.named.add(number)
    installEdit(this.#lifetimes, applied, this.versionId + 1)
    this.#lifetimes.end(this.versionId)
    this.versionId++
    this.parts = applied.parts
  }
}
