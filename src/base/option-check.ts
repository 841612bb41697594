/**
 * Checks option objects: unknown names, wrong types, values out of range. All problems are reported at once.
 *
 * A wrong *type* is a TypeError (ERR_INVALID_ARG_TYPE), everything else VARVE_INVALID_ARGUMENT with details.problems.
 */
import { isBytes } from './bytes.ts'
import { closestName } from './closest-name.ts'
import { kindOf, VarveError, wrongType } from './errors.ts'

export interface Problem {
  readonly option: string
  readonly message: string
  /** The value has the wrong type, so the error is a TypeError. */
  readonly isType?: boolean
}

/** Looks at one given (not undefined) value; returns what is wrong with it. */
export type Check = (value: unknown) => { message: string; isType?: boolean } | undefined

export type Checks = Readonly<Record<string, Check>>

/** Problems of an options object; `prefix` (`range.`) names it in messages where it is part of another one. */
export function problemsOf(options: unknown, checks: Checks, prefix = ''): Problem[] {
  if (options === undefined) return []
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const message = `must be an object, got ${kindOf(options)}`
    return [{ option: prefix.slice(0, -1) || 'options', message, isType: true }]
  }
  const problems: Problem[] = []
  for (const name of Object.keys(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      problems.push({
        option: prefix + name,
        message: unknown(name, Object.keys(checks)),
      })
      continue
    }
    const problem = problemOf(options, name, check)
    if (problem !== undefined) problems.push({ ...problem, option: prefix + name })
  }
  const heritage: unknown = Object.getPrototypeOf(options)
  if (heritage === Object.prototype || heritage === null) return problems
  // Made by `Object.create(defaults)` or of a class with getters: what is inherited is read, too.
  for (const [name, check] of Object.entries(checks)) {
    if (Object.prototype.propertyIsEnumerable.call(options, name)) continue
    const problem = problemOf(options, name, check)
    if (problem !== undefined) problems.push({ ...problem, option: prefix + name })
  }
  return problems
}

function problemOf(
  options: object,
  name: string,
  check: Check,
): Omit<Problem, 'option'> | undefined {
  const value: unknown = Reflect.get(options, name)
  if (value === undefined) return undefined
  const problem = check(value)
  if (problem === undefined) return undefined
  const got = problem.isType === true ? `, got ${kindOf(value)}` : ''
  return { ...problem, message: problem.message + got }
}

function unknown(name: string, known: readonly string[]): string {
  const meant = closestName(name, known)
  return meant === undefined
    ? `is unknown; known: ${known.join(', ')}`
    : `is unknown; did you mean ${meant}?`
}

export function throwProblems(problems: readonly Problem[]): void {
  if (problems.length === 0) return
  const text = problems.map(({ option, message }) => `${option} ${message}`).join('; ')
  if (problems.some(({ isType }) => isType === true)) {
    throw Object.assign(new TypeError(text), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  throw new VarveError('VARVE_INVALID_ARGUMENT', text, {
    problems: problems.map(({ option, message }) => ({ option, message })),
  })
}

export function checkOptions(options: unknown, checks: Checks): void {
  if (options === undefined) return
  throwProblems(problemsOf(options, checks))
}

export const isBoolean: Check = (value) =>
  typeof value === 'boolean' ? undefined : { message: 'must be a boolean', isType: true }

export const isObject: Check = (value) =>
  typeof value === 'object' && value !== null
    ? undefined
    : { message: 'must be an object', isType: true }

export const isSignal: Check = (value) =>
  value instanceof AbortSignal ? undefined : { message: 'must be an AbortSignal', isType: true }

export function isInteger(min: number, max: number = Number.MAX_SAFE_INTEGER): Check {
  return (value) => {
    if (typeof value !== 'number') return { message: 'must be a number', isType: true }
    if (Number.isInteger(value) && value >= min && value <= max) return undefined
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    return { message: `must be an integer ${range}, got ${value}` }
  }
}

/** An integer in the range, or Infinity. */
export function isAmount(min: number): Check {
  const integer = isInteger(min)
  return (value) => (value === Number.POSITIVE_INFINITY ? undefined : integer(value))
}

export function isOneOf(...allowed: readonly (string | boolean)[]): Check {
  return (value) => {
    if (allowed.includes(value as string)) return undefined
    const message = `must be one of ${allowed.join(', ')}`
    const isType = !allowed.some((one) => typeof one === typeof value)
    return isType ? { message, isType } : { message: `${message}, got ${textOf(value)}` }
  }
}

/** As much of a text or a truth value as a message should hold. */
function textOf(value: unknown): string {
  const text = String(value)
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

export const isBytesLike: Check = (value) =>
  typeof value === 'string' || isBytes(value)
    ? undefined
    : { message: 'must be a Uint8Array or a string', isType: true }

/** An array of strings. */
export const isTexts: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')
    ? undefined
    : { message: 'must be an array of strings', isType: true }

/** Throws a TypeError unless the value is a function. */
export function requireFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(name, 'a function', value)
}
