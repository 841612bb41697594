/**
 * The memory behind a memtable: shared between threads where it is to pass to a worker free of charge, plain otherwise.
 * Fresh memory is zero, and costs nothing until it is touched.
 */

/** So many times as large what is full becomes: what is not touched costs nothing, each copy and the memory that it leaves do. */
const GROWTH = 4
/** Beyond so many bytes an array gets at once what it is likely to need: copies of shared memory are slow, and leave cold memory. */
const SMALL_BYTES = 1024 * 1024

/** The next length of an array of elements of so many bytes. `likelyBytes`: what it has in a memtable that is filled as most are. */
export function grownLength(length: number, elementBytes: number, likelyBytes: number): number {
  const next = length * GROWTH
  if (next * elementBytes <= SMALL_BYTES) return next
  return Math.max(next, Math.ceil(likelyBytes / elementBytes))
}

function allocateMemory(bytes: number, shared: boolean): ArrayBufferLike {
  return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)
}

export function allocateBytes(bytes: number, shared: boolean): Buffer {
  return Buffer.from(allocateMemory(bytes, shared))
}

function allocateInts(length: number, shared: boolean): Int32Array {
  return new Int32Array(allocateMemory(length * 4, shared))
}

/** A larger array with the same beginning. */
export function growInts(ints: Int32Array, length: number, shared: boolean): Int32Array {
  const grown = allocateInts(length, shared)
  grown.set(ints)
  return grown
}

/** As growInts. */
export function growDoubles(doubles: Float64Array, length: number, shared: boolean): Float64Array {
  const grown = new Float64Array(allocateMemory(length * 8, shared))
  grown.set(doubles)
  return grown
}

/** As growInts. */
export function growWords(words: Uint32Array, length: number, shared: boolean): Uint32Array {
  const grown = new Uint32Array(allocateMemory(length * 4, shared))
  grown.set(words)
  return grown
}
