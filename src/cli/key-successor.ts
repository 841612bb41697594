/** The first key behind all that begin with `prefix`; undefined where none can be: the prefix is empty or all 0xff. */
export function successorOf(prefix: Buffer): Buffer | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const end = Buffer.from(prefix.subarray(0, length))
  end[length - 1]!++
  return end
}
