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
import { isIgnorableRecordType } from '../record/record-frame.ts'
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
import { EMPTY_STATE } from './snapshot-edits.ts'
import type { VersionParts } from './version.ts'
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

/**
 * Reads one manifest. 'salvage': damage behind a good snapshot ends it and is returned; what stands before it is what is
 * known.
 */
export async function loadManifestFile(
  fs: FileSystem,
  path: string,
  number: number,
  lifetimes: FileLifetimes,
  mode: 'strict' | 'salvage',
): Promise<LoadedManifest & { readonly damage: VarveError | undefined }> {
  const stat = fs.stat(path)
  if (stat === undefined)
    throw corruption('the manifest that CURRENT names is missing', { file: path })
  const file = fs.openRead(path)
  try {
    const load = new ManifestLoad(file, number, lifetimes)
    let damage: VarveError | undefined
    try {
      await load.run()
    } catch (error) {
      if (mode === 'strict' || !load.hasSnapshot || !hasCode(error, 'VARVE_CORRUPTION')) throw error
      damage = error
    }
    return {
      damage,
      parts: load.parts,
      versionId: load.versionId,
      number,
      path,
      bytes: file.size,
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
  #snapshotEditsLeft = 0
  #hasHeader = false

  /** Header and snapshot were read whole. */
  get hasSnapshot(): boolean {
    return this.#hasHeader && this.#snapshotEditsLeft === 0
  }

  constructor(file: ReadableFile, number: number, lifetimes: FileLifetimes) {
    const reader = new RecordReader(file, { fileNumber: number, seed: MANIFEST_SEED })
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
    while (await reader.next()) this.#take()
    const damage = await reader.damage()
    if (this.#snapshotEditsLeft > 0) {
      throw reader.corruption(reader.position, 'the snapshot in the manifest is damaged')
    }
    if (damage?.isRot === true) {
      throw reader.corruption(damage.offset, `manifest: ${damage.reason}`)
    }
    if (damage !== undefined) this.torn = { offset: damage.offset, reason: damage.reason }
  }

  #take(): void {
    const { bytes, start, end, type } = this.#reader
    if (type === RECORD_SYNC_MARK || isIgnorableRecordType(type)) return
    if (type !== RECORD_VERSION_EDIT) {
      throw unsupportedFormat('a manifest record', {
        file: this.#source.file,
        found: `type ${type}`,
        supported: `format ${MANIFEST_FORMAT_VERSION}`,
      })
    }
    this.#apply(decodeEdit(bytes, start + RECORD_HEADER_BYTES, end, this.#source))
    if (this.#snapshotEditsLeft > 0) this.#snapshotEditsLeft--
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
    installEdit(this.#lifetimes, applied, this.versionId + 1)
    this.#lifetimes.end(this.versionId)
    this.versionId++
    this.parts = applied.parts
  }
}
