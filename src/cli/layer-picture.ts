/**
 * Draws the layers of a keyspace over one axis of seqnos: which stretch of history each one holds. The newest are on top and
 * to the right; a scan from a seqno opens only what reaches past it.
 *
 * ```
 *             1                                        170,000
 *   memtable  ·········································░░░░░░░  26,000 events
 *   L0        ·······························░░░▒░░░░░░·······  2 segments
 *   L1        ▒▒▒▒▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒▒▒▒░░░░░░░░··················  4 segments
 *   history   ░░░░░░░░░░░░░░░░▒▒░░░░░░░························  2 segments
 * ```
 */
export interface Layer {
  readonly name: string
  readonly segments: readonly { readonly minSeqno: number; readonly maxSeqno: number }[]
  /** What is said behind the picture. */
  readonly note: string
}

export interface Axis {
  readonly first: number
  readonly last: number
}

/** Light where one segment reaches, dark where many do. */
const SHADES = ['·', '░', '▒', '▓', '█'] as const

export function drawLayers(layers: readonly Layer[], axis: Axis, width: number): string[] {
  const nameWidth = Math.max(...layers.map(({ name }) => name.length))
  return layers.map(
    (layer) => `  ${layer.name.padEnd(nameWidth)}  ${drawBar(layer, axis, width)}  ${layer.note}`,
  )
}

function drawBar(layer: Layer, axis: Axis, width: number): string {
  const depth = new Uint32Array(width)
  const scale = width / Math.max(axis.last - axis.first + 1, 1)
  for (const { minSeqno, maxSeqno } of layer.segments) {
    const from = cell((minSeqno - axis.first) * scale, width)
    const to = cell((maxSeqno + 1 - axis.first) * scale - 1e-9, width)
    for (let at = from; at <= to; at++) depth[at]!++
  }
  let bar = ''
  for (const segments of depth) bar += shade(segments)
  return bar
}

function cell(position: number, width: number): number {
  return Math.min(Math.max(Math.floor(position), 0), width - 1)
}

function shade(segments: number): string {
  if (segments <= 2) return SHADES[segments]!
  return segments <= 4 ? SHADES[3] : SHADES[4]
}
