/** A bar where someone watches; nothing in a log file. */
import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  readonly update: (done: number) => void
  readonly stop: () => void
}

export function startProgress(label: string, total: number): Progress {
  if (!process.stdout.isTTY) return { update: () => undefined, stop: () => undefined }
  const format = `${label} {bar} {percentage} % | {value} of {total} | {eta_formatted} left`
  const bar = new SingleBar({ format, clearOnComplete: true }, Presets.shades_classic)
  bar.start(total, 0)
  return { update: (done) => bar.update(done), stop: () => bar.stop() }
}
