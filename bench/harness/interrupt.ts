/** What a run that is interrupted gives back: by default the process would end and leave its stores, gigabytes of them. */
import { constants } from 'node:os'
import { killChildren } from './child-process.ts'

/** Ends what is being measured, cleans up and ends the process, when somebody interrupts it. */
export function onInterrupt(cleanUp: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killChildren()
      cleanUp()
      process.exit(128 + constants.signals[signal])
    })
  }
}
