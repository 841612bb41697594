/** A table of nothing but aligned columns: readable in a log, and by awk. */
import type { TableConstructorOptions } from 'cli-table3'

export const PLAIN_TABLE: TableConstructorOptions = {
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '',
  },
}
