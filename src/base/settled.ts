/**
 * Resolves when `promise` has ended, whichever way. For whoever only waits for its turn or its end: what it failed with is told to
 * those who were given the promise itself, and would be an unhandled rejection a second time here.
 */
export async function settled(promise: Promise<unknown>): Promise<void> {
  await Promise.allSettled([promise])
}
