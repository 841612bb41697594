/**
 * Runs a command that Ctrl-C ends. One that follows goes on until the user has enough: the signal ends it in an orderly way, a second
 * one at once. One that comes to an end by itself dies of the signal like any program, so that its exit code tells that it did not.
 */
export async function untilInterrupted<T>(
  isFollowing: boolean,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  if (!isFollowing) return run(controller.signal)
  const stop = (): void => controller.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    return await run(controller.signal)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
