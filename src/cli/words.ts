/** Numbers as people read them. */
const COUNT = new Intl.NumberFormat('en-US')

export function countText(count: number): string {
  return COUNT.format(count)
}

/** "1 entry", "2,000 entries". */
export function amountText(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let amount = bytes
  let unit = -1
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024
    unit++
  }
  return `${amount.toFixed(amount < 10 ? 1 : 0)} ${units[unit]}`
}

export function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
