/** Makes known which files an applied edit brought and took. The version it made lives from here on. */
import type { AppliedEdit } from './apply-edit.ts'
import type { FileLifetimes } from './file-lifetimes.ts'

export function installEdit(
  lifetimes: FileLifetimes,
  applied: AppliedEdit,
  versionId: number,
): void {
  for (const { meta, level } of applied.added) lifetimes.addSegment(meta, level, versionId)
  for (const blob of applied.blobsAdded) lifetimes.addBlob(blob, versionId)
  for (const { number, level } of applied.moved) lifetimes.segment(number)!.place = level
  lifetimes.begin(versionId)
  if (applied.removed.length + applied.blobsRemoved.length === 0) return
  const segments = applied.removed.map(({ number }) => number)
  lifetimes.remove({ segments, blobs: applied.blobsRemoved }, versionId)
}
