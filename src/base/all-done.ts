/**
 * Waits for all of them, also when one fails, and throws what failed first in the list. For syncs: a file must not be closed,
 * nor anything be concluded, under a sync that still runs.
 */
export async function allDone(pending: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(pending)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
