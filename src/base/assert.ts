/**
 * Assertions are for our own bugs; VarveError is for the world. The cheap ones are always on.
 */

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Varve assertion failed: ${message}`)
}

const PARANOID = Symbol.for('varve.paranoid')

/** Whether costly checks run. Tests turn them on for the whole process; see test/setup.ts. */
export function paranoid(): boolean {
  return Reflect.get(globalThis, PARANOID) === true
}
