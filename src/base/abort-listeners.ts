/**
 * What waits for an abort signal, with one listener for all that share it: Node takes more than ten for a leak and warns, and a
 * program may give one signal to every cursor, scan and tail that it opens.
 */

interface Waiting {
  readonly calls: Set<{ readonly run: () => void }>
  readonly stop: () => void
}

const waitingFor: WeakMap<AbortSignal, Waiting> = new WeakMap()

/**
 * Calls `run`, which must not throw, when the signal aborts; not where it has aborted already. What is returned takes that back,
 * once and for all.
 */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  const waiting = waitingFor.get(signal) ?? listenTo(signal)
  const call = { run }
  waiting.calls.add(call)
  return () => {
    if (!waiting.calls.delete(call) || waiting.calls.size > 0) return
    waitingFor.delete(signal)
    waiting.stop()
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const calls: Waiting['calls'] = new Set()
  const listener = (): void => {
    waitingFor.delete(signal)
    // Emptied one by one: a call may take others back.
    for (const call of calls) {
      calls.delete(call)
      call.run()
    }
  }
  signal.addEventListener('abort', listener, { once: true })
  const waiting = { calls, stop: () => signal.removeEventListener('abort', listener) }
  waitingFor.set(signal, waiting)
  return waiting
}
