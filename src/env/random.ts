/** The one source of randomness that is not seeded: for ids that must differ between machines and runs. */
import { randomBytes as cryptoRandomBytes } from 'node:crypto'

/** `count` unpredictable bytes. */
export function randomBytes(count: number): Buffer {
  return cryptoRandomBytes(count)
}
