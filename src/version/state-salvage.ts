/**
 * What manifests that cannot be read as a whole still tell of the store's state: every good record of them, wherever it stands.
 * For repair only. A manifest holds the state at its beginning twice, so that no single damage takes both.
 */
import { hasCode } from '../base/errors.ts'
import { joinPath, manifestFileName } from '../env/file-names.ts'
import type { FileSystem, ReadableFile } from '../env/file-system.ts'
import { recordPrevious } from '../record/record-frame.ts'
import {
  RECORD_HEADER_BYTES,
  RECORD_STATE_COPY,
  RECORD_VERSION_EDIT,
} from '../record/record-header.ts'
import { RecordReader } from '../record/record-reader.ts'
import type { FieldSource } from '../record/tagged-fields.ts'
import { applyEdit } from './apply-edit.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { MANIFEST_SEED } from './manifest-header.ts'
import { EMPTY_STATE } from './snapshot-edits.ts'
import type { StoreState } from './store-state.ts'
import { decodeEdit } from './version-edit-codec.ts'

/** The newest state of the first of these manifests that tells one. */
export async function salvageState(
  fs: FileSystem,
  directory: string,
  manifests: readonly number[],
): Promise<StoreState | undefined> {
  for (const number of manifests) {
    const file = fs.openRead(joinPath(directory, manifestFileName(number)))
    try {
      const state = await stateIn(file, number)
      if (state !== undefined) return state
    } finally {
      file.close()
    }
  }
  return undefined
}

async function stateIn(file: ReadableFile, number: number): Promise<StoreState | undefined> {
  const reader = new RecordReader(file, { fileNumber: number, seed: MANIFEST_SEED })
  const header = new Uint8Array(RECORD_HEADER_BYTES)
  let state: StoreState | undefined
  for (;;) {
    while (await reader.next()) state = after(state, reader, file.path)
    const behind = await reader.findBehind()
    if (behind === undefined) return state
    await file.read(header, 0, header.length, behind.first)
    reader.resume(behind.first, recordPrevious(header, 0))
  }
}

/** The state after the current record; as it was where the record says nothing that fits. */
function after(
  state: StoreState | undefined,
  reader: RecordReader,
  path: string,
): StoreState | undefined {
  const { bytes, start, end, type } = reader
  const isCopy = type === RECORD_STATE_COPY
  if (!isCopy && type !== RECORD_VERSION_EDIT) return state
  const fail = (reason: string): never => {
    throw reader.corruption(reader.offset, `manifest: ${reason}`)
  }
  const source: FieldSource = { file: path, fail }
  try {
    const change = decodeEdit(bytes, start + RECORD_HEADER_BYTES, end, source).state
    const isWhole = change?.storeId !== undefined && change.logId !== undefined
    if (change === undefined || (state === undefined && !isWhole)) return state
    const parts = { keyspaces: new Map(), blobs: new Map(), blobLiveBytes: new Map() }
    const lifetimes = new FileLifetimes(() => undefined)
    return applyEdit(
      { ...parts, state: isCopy ? EMPTY_STATE : (state ?? EMPTY_STATE) },
      { state: change },
      { lifetimes, isStored: true, fail },
    ).parts.state
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return state
  }
}
