/**
 * Node's diagnostics channels: named places in a process where a library tells what it does and anybody may listen.
 */
import { channel } from 'node:diagnostics_channel'

export interface DiagnosticsChannel<T extends object> {
  /** Ask before making a message: while nobody listens, nothing is to be paid for. */
  readonly hasSubscribers: boolean
  /** A subscriber that throws becomes an uncaught exception of its own later; it does not disturb who publishes. */
  publish(message: T): void
}

/** The process has one channel for each name. */
export function diagnosticsChannel<T extends object>(name: string): DiagnosticsChannel<T> {
  return channel(name)
}
