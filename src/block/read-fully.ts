/**
 * Reading exactly so many bytes: a file that ends early is damaged. And the one way to write a decoder that runs both
 * synchronously and asynchronously: as a generator that asks for bytes.
 */
import { corruption } from '../base/errors.ts'

/** The part of a readable file that is needed here. */
export interface ByteSource {
  readonly path: string
  readSync(target: Uint8Array, offset: number, length: number, position: number): number
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<number>
}

/** Fills target[offset, offset + length) from `position`. */
export function readFullySync(
  file: ByteSource,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): void {
  let done = 0
  while (done < length) {
    const taken = file.readSync(target, offset + done, length - done, position + done)
    if (taken <= 0) throw endsEarly(file, position, length, done)
    done += taken
  }
}

/** The same without blocking the thread. */
export async function readFully(
  file: ByteSource,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<void> {
  let done = 0
  while (done < length) {
    const taken = await file.read(target, offset + done, length - done, position + done)
    if (taken <= 0) throw endsEarly(file, position, length, done)
    done += taken
  }
}

/** Asks for `length` bytes at `position` of the file. */
export interface ReadRequest {
  readonly position: number
  readonly length: number
}

/** A decoder that yields what it wants to read and gets the bytes, freshly allocated, back. */
export type ReadSteps<T> = Generator<ReadRequest, T, Buffer>

export function runReadsSync<T>(file: ByteSource, steps: ReadSteps<T>): T {
  let step = steps.next()
  while (!step.done) {
    step = steps.next(readRequestedSync(file, step.value))
  }
  return step.value
}

/** The same as steps of their own, one a read, for those who share the thread. */
export function* runReadsInSteps<T>(
  file: ByteSource,
  steps: ReadSteps<T>,
): Generator<undefined, T, undefined> {
  let step = steps.next()
  while (!step.done) {
    step = steps.next(readRequestedSync(file, step.value))
    yield undefined
  }
  return step.value
}

export async function runReads<T>(file: ByteSource, steps: ReadSteps<T>): Promise<T> {
  let step = steps.next()
  while (!step.done) {
    const { position, length } = step.value
    const bytes = Buffer.allocUnsafeSlow(length)
    await readFully(file, bytes, 0, length, position)
    step = steps.next(bytes)
  }
  return step.value
}

function readRequestedSync(file: ByteSource, { position, length }: ReadRequest): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length)
  readFullySync(file, bytes, 0, length, position)
  return bytes
}

function endsEarly(file: ByteSource, position: number, length: number, done: number): Error {
  return corruption(`the file ends after ${done} of ${length} bytes`, {
    file: file.path,
    offset: position,
  })
}
