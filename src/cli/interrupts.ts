import fs from 'node:fs'
import path from 'node:path'

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

/**
 * Runs something in a folder of its own in `parent`, whose name begins with `prefix`, and removes it then, also when a signal ends the
 * process meanwhile. `keep`: it stays.
 */
export async function inTemporaryFolder(
  { parent, prefix, keep }: { parent: string; prefix: string; keep: boolean },
  run: (directory: string) => Promise<void>,
): Promise<void> {
  let directory: string | undefined
  const remove = (): void => {
    if (keep || directory === undefined) return
    // Background workers may be writing to it until the process is gone.
    fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 10 })
  }
  const release = (): void => {
    for (const signal of ENDING_SIGNALS) process.off(signal, stop)
  }
  const stop = (signal: NodeJS.Signals): void => {
    release()
    try {
      remove()
    } finally {
      process.kill(process.pid, signal)
    }
  }
  // Before there is a folder: no signal comes between the two.
  for (const signal of ENDING_SIGNALS) process.on(signal, stop)
  try {
    directory = fs.mkdtempSync(path.join(parent, prefix))
    await run(directory)
  } finally {
    release()
    remove()
  }
}

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
