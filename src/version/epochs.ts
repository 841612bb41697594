/**
 * Epochs: after a power cut the lost tail's seqnos are given out again, so a seqno means one thing only within its epoch.
 * Every open as a primary that does not follow a clean close of these very files starts one, at latest + 1.
 */
import type { FileStat } from '../env/file-system.ts'
import { ByteReader, ByteWriter, VARINT_BYTES_MAX } from '../base/varint.ts'
import type { FieldSource } from '../record/tagged-fields.ts'
import type { Epoch, StoreState } from './store-state.ts'

/** Smallest encoding of an epoch: bounds their count before anything is allocated. */
const EPOCH_BYTES_MIN = 3

/** The epochs of `state` with a new one behind `latest`. `id` must be random. */
export function startEpoch(
  state: Pick<StoreState, 'epochs'>,
  latest: number,
  id: string,
): readonly Epoch[] {
  const epoch = (state.epochs.at(-1)?.epoch ?? 0) + 1
  return [...state.epochs, { epoch, id, first: latest + 1 }]
}

/** The epoch that `seqno` was given out in: of those that begin at or below it, the newest. */
export function epochOf(state: Pick<StoreState, 'epochs'>, seqno: number): Epoch | undefined {
  return state.epochs.findLast(({ first }) => first <= seqno)
}

/**
 * Which of two lists holds after a recovery: the manifest's, or the one that a replica's log ends with. A list in the log only
 * adds to what the manifest had then; so where the manifest has all of it, the manifest's is the newer one.
 */
export function newerEpochs(
  stored: readonly Epoch[],
  logged: readonly Epoch[] | undefined,
): readonly Epoch[] {
  const isStored = ({ id }: Epoch): boolean => stored.some((epoch) => epoch.id === id)
  return logged === undefined || logged.every(isStored) ? stored : logged
}

/** Last seqno of the epoch with this id: Infinity for the current one, undefined for an unknown one. */
export function epochEnd(state: Pick<StoreState, 'epochs'>, id: string): number | undefined {
  const index = state.epochs.findIndex((epoch) => epoch.id === id)
  if (index < 0) return undefined
  // Not only the next one: an epoch that lost everything begins where one before it began.
  let end = Infinity
  for (let i = index + 1; i < state.epochs.length; i++) {
    end = Math.min(end, state.epochs[i]!.first - 1)
  }
  return end
}

/** Whether the store was closed cleanly and is still those very files: `stat` is of the manifest it was read from. */
export function isCleanClose(
  state: Pick<StoreState, 'cleanClose'>,
  stat: Pick<FileStat, 'inode' | 'birthTimeMs'>,
): boolean {
  const { cleanClose } = state
  return (
    cleanClose !== undefined &&
    cleanClose.manifestInode === stat.inode &&
    cleanClose.manifestBirthTimeMs === stat.birthTimeMs
  )
}

/** `varint count`, then for each `varint epoch | varint length, id | varint first`: in the manifest and in WAL commits. */
export function encodeEpochs(epochs: readonly Epoch[]): Buffer {
  let capacity = VARINT_BYTES_MAX
  for (const { id } of epochs) capacity += 3 * VARINT_BYTES_MAX + 3 * id.length
  const writer = new ByteWriter(capacity).varint(epochs.length)
  for (const { epoch, id, first } of epochs) writer.varint(epoch).text(id).varint(first)
  return writer.bytes()
}

export function decodeEpochs(bytes: Uint8Array, source: FieldSource): Epoch[] {
  return readEpochs(new ByteReader(bytes, 0, bytes.length, source.fail))
}

export function readEpochs(reader: ByteReader): Epoch[] {
  const count = reader.bounded(reader.remaining / EPOCH_BYTES_MIN, 'count of epochs')
  const epochs: Epoch[] = []
  for (let i = 0; i < count; i++) {
    epochs.push({ epoch: reader.varint(), id: reader.text(), first: reader.varint() })
  }
  return epochs
}
