/**
 * JSON merge patch, RFC 7396, on JSON text.
 *
 * A merge patch looks only at objects: scalars and arrays are replaced whole. So objects are taken apart one level at a time,
 * and everything else stays the text that was written: numbers keep all their digits, arrays their layout, and parts of a
 * document that no patch touches are not even parsed. Members live in a Map, so that `__proto__` is a name like any other and
 * names that look like numbers keep their place.
 *
 * The same operands give the same bytes, however they are grouped: members keep their place, new ones come last. `compose`
 * gives up where it could not promise that.
 */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Patches nested deeper than this are refused: taking them apart is recursive. Documents may be as deep as they like. */
const PATCH_DEPTH_MAX = 1_000

type Members = Map<string, string>

/** The text of `bytes`, which must be one JSON value in UTF-8; throws a SyntaxError or TypeError otherwise. */
export function jsonText(bytes: Uint8Array): string {
  const text = UTF8.decode(bytes)
  JSON.parse(text)
  return text.trim()
}

/** Throws where `bytes` cannot be used as a patch. */
export function checkPatch(bytes: Uint8Array): void {
  const text = jsonText(bytes)
  if (depthOf(text) > PATCH_DEPTH_MAX) {
    throw new RangeError(`a merge patch may be nested ${PATCH_DEPTH_MAX} deep`)
  }
}

/** RFC 7396's MergePatch(target, patch), on texts of `jsonText`; `target` undefined: no value. */
export function applyPatch(target: string | undefined, patch: string): string {
  if (!isObject(patch)) return patch
  const members = target !== undefined && isObject(target) ? membersOf(target) : new Map()
  for (const [name, value] of membersOf(patch)) {
    if (value === 'null') members.delete(name)
    else members.set(name, applyPatch(members.get(name), value))
  }
  return textOf(members)
}

/**
 * One patch that does what `first` and then `second` do, to any target, byte for byte; undefined when there is none: a merge
 * patch cannot say "an object in the place of whatever is there", nor "remove and add again at the end".
 */
export function composePatches(first: string, second: string): string | undefined {
  if (!isObject(second)) return second
  if (!isObject(first)) return undefined
  const members = membersOf(first)
  for (const [name, value] of membersOf(second)) {
    const before = members.get(name)
    if (before === undefined || value === 'null') {
      members.set(name, value)
    } else if (before === 'null') {
      return undefined
    } else {
      const both = composePatches(before, value)
      if (both === undefined) return undefined
      members.set(name, both)
    }
  }
  return textOf(members)
}

function isObject(text: string): boolean {
  return text.charCodeAt(0) === OPEN_BRACE
}

function textOf(members: Members): string {
  let text = '{'
  for (const [name, value] of members) {
    if (text.length > 1) text += ','
    text += `${JSON.stringify(name)}:${value}`
  }
  return `${text}}`
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** Names and value texts of an object; of a name that stands twice, the last value. `text` must be valid JSON. */
function membersOf(text: string): Members {
  const members: Members = new Map()
  let at = skipSpace(text, 1)
  while (text.charCodeAt(at) !== CLOSE_BRACE) {
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
    const nameEnd = stringEnd(text, at)
    const name = JSON.parse(text.slice(at, nameEnd)) as string
    // Behind the name: space, a colon, space.
    const valueStart = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const valueEnd = endOfValue(text, valueStart)
    members.set(name, text.slice(valueStart, valueEnd))
    at = skipSpace(text, valueEnd)
  }
  return members
}

function skipSpace(text: string, from: number): number {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

/** Position behind the string that begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at + 1
    at += code === BACKSLASH ? 2 : 1
  }
}

/** Position behind the value that begins at `from`. */
function endOfValue(text: string, from: number): number {
  const first = text.charCodeAt(from)
  if (first === QUOTE) return stringEnd(text, from)
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    let at = from
    while (at < text.length && !endsScalar(text.charCodeAt(at))) at++
    return at
  }
  let depth = 0
  let at = from
  do {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = stringEnd(text, at)
      continue
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--
    at++
  } while (depth > 0)
  return at
}

function endsScalar(code: number): boolean {
  return code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || code <= 0x20
}

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = stringEnd(text, at)
      continue
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) deepest = Math.max(deepest, ++depth)
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--
    at++
  }
  return deepest
}
