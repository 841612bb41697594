/** The frame of a plot: an SVG that is easy to read on a light page and on a dark one. */

export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Hues that keep their contrast on both backgrounds; the first is Varve's. */
const COLORS: Readonly<Record<string, string>> = {
  varve: '#e8622c',
  'classic-level': '#5b8fd1',
  lmdb: '#2fa37c',
  'better-sqlite3': '#b07cc6',
  rocksdb: '#c59a1d',
}
const FURTHER_COLORS = ['#e8622c', '#c2476a', '#5b8fd1', '#2fa37c', '#b07cc6', '#c59a1d', '#7a8794']

export function colorOf(name: string, place: number): string {
  return COLORS[name] ?? (FURTHER_COLORS[place % FURTHER_COLORS.length] as string)
}

const STYLE = `
  .page { fill: #ffffff } .text, .title { fill: #1f2328 } .faint { fill: #59636e }
  .grid { stroke: #d1d9e0 } .axis { stroke: #818b98 }
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif }
  .title { font-size: 15px; font-weight: 600 } .small { font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text, .title { fill: #e6edf3 } .faint { fill: #9198a1 }
    .grid { stroke: #2a313c } .axis { stroke: #656c76 }
  }`

export function svgDocument(
  { width, height, title }: { width: number; height: number; title: string },
  parts: readonly string[],
): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeText(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    text(16, 26, title, { className: 'title' }),
    ...parts,
    '</svg>\n',
  ].join('\n')
}

const LEGEND_LEFT = 16

export interface TextOptions {
  readonly className?: string
  readonly anchor?: 'start' | 'middle' | 'end'
}

export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { className = 'text', anchor = 'start' } = options
  const at = `x="${round(x)}" y="${round(y)}"`
  return `<text class="${className}" ${at} text-anchor="${anchor}">${escapeText(content)}</text>`
}

export function line(x1: number, y1: number, x2: number, y2: number, className: string): string {
  return `<line class="${className}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`
}

/** Colored squares with names, side by side, on as many rows as they need. */
export function legend(names: readonly string[], width: number): string[] {
  const parts: string[] = []
  let x = LEGEND_LEFT
  let y = 48
  names.forEach((name, place) => {
    const nameWidth = 34 + name.length * 6.6
    if (x + nameWidth > width) {
      x = LEGEND_LEFT
      y += 18
    }
    parts.push(
      `<rect x="${round(x)}" y="${y - 10}" width="11" height="11" rx="2" fill="${colorOf(name, place)}"/>`,
      text(x + 16, y, name),
    )
    x += nameWidth
  })
  return parts
}

/** Position on a logarithmic axis, and the powers of ten to mark on it. */
export interface LogScale {
  at(value: number): number
  readonly ticks: readonly number[]
}

export function logScale(values: readonly number[], from: number, to: number): LogScale {
  const positive = values.filter((value) => value > 0)
  const low = Math.floor(Math.log10(Math.min(...positive)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive))))
  return {
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
  }
}

export function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
