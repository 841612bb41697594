/**
 * Checks CURRENT and the manifest it names, while the store is open: everything in it was synced, so nothing may be torn.
 */
import type { FileSystem } from '../env/file-system.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { loadManifest } from './manifest-reader.ts'

export interface ManifestProblem {
  readonly offset?: number
  readonly message: string
}

/** What is wrong with the manifest; nothing when it is whole. Throws VARVE_CORRUPTION for damage that ends reading. */
export async function verifyManifest(
  fs: FileSystem,
  directory: string,
): Promise<ManifestProblem[]> {
  const loaded = await loadManifest(fs, directory, new FileLifetimes(() => undefined))
  if (loaded === undefined) return [{ message: 'CURRENT is missing' }]
  if (loaded.torn === undefined) return []
  return [{ offset: loaded.torn.offset, message: loaded.torn.reason }]
}
