/** What the options of a store and the files that it has come to in bytes on the disk: see compaction/space-budget.ts. */
import { liveBytes, type SpaceBudget, spaceBudget } from '../compaction/space-budget.ts'
import type { Version } from '../version/version.ts'
import type { ResolvedOptions } from './options.ts'

/** `version` undefined: of a store without files. */
export function spaceOf(
  { history, memtableBytes }: Pick<ResolvedOptions, 'history' | 'memtableBytes'>,
  version: Version | undefined,
): SpaceBudget {
  return spaceBudget({
    keepsHistory: history !== 'none',
    historyBytes: typeof history === 'string' ? undefined : history.maxBytes,
    memtableBytes,
    liveBytes: version === undefined ? 0 : liveBytes(version),
  })
}
