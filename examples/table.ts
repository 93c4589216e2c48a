// A table as lines of text, sorted by one of its columns.

export interface Column<Row> {
  readonly title: string
  readonly width: number
  /** NaN where it is not known. */
  of(row: Row): number | string
  /** How a number is shown. By default as it is. */
  show?(value: number): string
}

export interface Order {
  /** The index of a column: numbers come from the largest on, text from A on. */
  by: number
  isReversed: boolean
}

/** A head, with an asterisk at the column that it is sorted by, and a line for each row. */
export function tableOf<Row>(rows: readonly Row[], columns: readonly Column<Row>[], order: Order): string[] {
  const { of } = columns[order.by]!
  const sorted = rows.toSorted((a, b) => compare(of(a), of(b)))
  if (order.isReversed) sorted.reverse()
  const titles = columns.map(({ title }, index) => (index === order.by ? `*${title}` : title))
  return [titles, ...sorted.map((row) => columns.map((column) => textOf(column, row)))].map((cells) =>
    cells.map((text, index) => aligned(text, index, columns[index]!.width)).join(' '),
  )
}

function textOf<Row>({ of, show = String }: Column<Row>, row: Row): string {
  const value = of(row)
  if (typeof value === 'string') return value
  return Number.isNaN(value) ? '-' : show(value)
}

/** The first column has names; numbers are to the right. */
function aligned(text: string, index: number, width: number): string {
  return index === 0 ? text.padEnd(width) : text.padStart(width)
}

/** What is not known comes last. */
function compare(a: number | string, b: number | string): number {
  if (typeof a === 'string' || typeof b === 'string') return String(a).localeCompare(String(b))
  return (Number.isNaN(b) ? -1 : b) - (Number.isNaN(a) ? -1 : a)
}

const UNITS = ['', 'K', 'M', 'G', 'T', 'P']

/** `1.5K`, `20M`: three digits at most, and units of 1024. */
export function short(count: number): string {
  let value = count
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1024
  return (unit > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0)) + UNITS[unit]!
}
