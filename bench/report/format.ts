/** Figures as people read them. */

/** 1, 10 k, 1 M: marks of an axis. */
export function formatTick(value: number): string {
  return formatCount(value).replace(/\.0+(?= |$)/, '')
}

/** 1.31 M, 375 k, 12.3: three digits. */
export function formatCount(value: number): string {
  if (value >= 1e9) return `${threeDigits(value / 1e9)} G`
  if (value >= 1e6) return `${threeDigits(value / 1e6)} M`
  if (value >= 1e3) return `${threeDigits(value / 1e3)} k`
  return Number.isInteger(value) ? String(value) : threeDigits(value)
}

export function formatBytes(value: number): string {
  if (value >= 2 ** 30) return `${threeDigits(value / 2 ** 30)} GiB`
  if (value >= 2 ** 20) return `${threeDigits(value / 2 ** 20)} MiB`
  if (value >= 2 ** 10) return `${threeDigits(value / 2 ** 10)} KiB`
  return `${Math.round(value)} B`
}

/** By the unit at the end of the metric's name. */
export function formatMetric(name: string, value: number): string {
  if (/bytes$/i.test(name)) return formatBytes(value)
  if (/ms$/i.test(name)) return `${threeDigits(value)} ms`
  if (/seconds$/i.test(name)) return `${threeDigits(value)} s`
  if (/(ratio|amplification)$/i.test(name)) return `${threeDigits(value)}x`
  return formatCount(value)
}

function threeDigits(value: number): string {
  if (value >= 100 || value === 0) return String(Math.round(value))
  if (value >= 10) return value.toFixed(1)
  if (value >= 1) return value.toFixed(2)
  return String(Number(value.toPrecision(2)))
}
