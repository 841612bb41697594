/**
 * A bounded number of waits at a time.
 */

/**
 * Calls `work` for 0 to count - 1, in that order, with at most `width` of the returned promises pending. After a failure no
 * further call is made; it rejects with the first failure once nothing is pending any more, so that what the work was using
 * can be let go of.
 */
export async function inParallel(
  { count, width }: { readonly count: number; readonly width: number },
  work: (index: number) => Promise<void> | undefined,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      try {
        const pending = work(next++)
        if (pending !== undefined) await pending
      } catch (error) {
        next = count
        throw error
      }
    }
  }
  const lanes: Promise<void>[] = []
  // What is answered at once is answered by the first lane, before a second one is begun.
  while (lanes.length < width && next < count) lanes.push(lane())
  const outcomes = await Promise.allSettled(lanes)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
