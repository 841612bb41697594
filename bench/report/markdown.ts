/** Tables in Markdown. */
import type { Table } from './tables.ts'

export function markdownTable(table: Table): string {
  const row = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`
  const rule = table.head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [row(table.head), `| ${rule.join(' | ')} |`, ...table.rows.map(row)].join('\n')
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', '\\|')
}
