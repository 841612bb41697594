/**
 * Which of some names a misspelt one may have meant.
 */

/** Names longer than this are not compared: the work is the product of two lengths. */
const NAME_CHARACTERS_MAX = 64

/** The nearest of `known`, in any case of its letters, or undefined where none is near: one edit in four characters. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > NAME_CHARACTERS_MAX) return undefined
  let closest: string | undefined
  let fewest = Math.max(1, Math.floor(name.length / 4)) + 1
  for (const candidate of known) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase())
    if (edits >= fewest) continue
    fewest = edits
    closest = candidate
  }
  return closest
}

/** Characters to insert, remove or replace: Levenshtein's distance, a row of its table at a time. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
