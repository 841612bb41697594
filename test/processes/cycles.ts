/** Runs many lives of a store in one process, and holds what they leave behind against what there was. */
import type { Workshop } from './child-process.ts'

interface Look {
  readonly descriptors: number
  readonly heapBytes: number
  readonly bufferBytes: number
}

export interface Cycled {
  readonly cycles: number
  readonly before: Look
  readonly after: Look
  readonly files: number
}

/** Beyond what noise there is: a leak of 300 bytes a cycle shows in 10,000 of them. */
const HEAP_BYTES_MAX = 2 * 2 ** 20
const FILES_MAX = 40

export async function checkCycles(workshop: Workshop, cycles: number): Promise<Cycled> {
  const args = [workshop.path('cycles'), String(cycles)]
  const child = workshop.start('cycles', args, { nodeOptions: ['--expose-gc'] })
  const [found] = await child.results<Cycled>()
  const { before, after, files } = found!
  const story = JSON.stringify(found)
  if (after.descriptors > before.descriptors) throw new Error(`descriptors leak: ${story}`)
  if (after.heapBytes - before.heapBytes > HEAP_BYTES_MAX) throw new Error(`heap leaks: ${story}`)
  if (after.bufferBytes - before.bufferBytes > HEAP_BYTES_MAX) {
    throw new Error(`buffers leak: ${story}`)
  }
  if (files > FILES_MAX) throw new Error(`files leak: ${story}`)
  return found!
}
