// Boxes, arrows and text of the pictures, as SVG, in the colours of the charts (benchmark/chart.ts). A picture is narrow
// and its letters are large, so that it can still be read at the width of a phone.

export const WIDTH = 480
export const MARGIN = 12
const TITLE = 16
const DETAIL = 14
const LINE = 20

/** Widths vary with the font that a reader has: this is wide for a letter, as a share of the font's size. */
const LETTER = 0.56

/** `ours` marks what the library does; `fill` is what a box is filled with, and `band` what is behind a group of them. */
export const THEMES = {
  light: {
    text: '#1f2328',
    faint: '#59636e',
    ours: { fill: '#ddf4ff', line: '#0969da' },
    others: { fill: '#ffffff', line: '#8c959f' },
    level: '#0969da',
    band: '#e4e8ed',
  },
  dark: {
    text: '#f0f6fc',
    faint: '#9198a1',
    ours: { fill: '#12315c', line: '#4493f8' },
    others: { fill: '#21262d', line: '#656c76' },
    level: '#4493f8',
    band: '#161b22',
  },
}

/** A whole picture: the title, a line beneath it, and what `parts` draws. */
export function picture(theme, { title, subtitle, height }, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="${DETAIL}">`,
    `<title>${escaped(title)}</title>`,
    `<defs>${tip('bytes', theme.level)}${tip('wait', theme.text)}</defs>`,
    text({ x: MARGIN, y: 22, size: TITLE, fill: theme.text, isBold: true }, title),
    text({ x: MARGIN, y: 43, fill: theme.faint }, subtitle),
    ...parts.flat(),
    '</svg>\n',
  ].join('\n')
}

/** A line of text; `within` is the width that it must fit into. */
export function text({ x, y, size = DETAIL, fill, anchor = 'start', isBold = false, within = WIDTH - x }, words) {
  const estimate = words.length * size * LETTER
  if (estimate > within) throw new RangeError(`"${words}" needs ${Math.ceil(estimate)} px, and there are ${within}`)
  const attributes = [
    `x="${x}" y="${y}" fill="${fill}"`,
    ...(size === DETAIL ? [] : [`font-size="${size}"`]),
    ...(anchor === 'start' ? [] : [`text-anchor="${anchor}"`]),
    ...(isBold ? ['font-weight="bold"'] : []),
  ]
  return `<text ${attributes.join(' ')}>${escaped(words)}</text>`
}

/** The height of a box with so many lines below its title. */
export function heightOf(lines) {
  return 34 + lines * LINE
}

/** A box with a title and lines below it; `isOurs` for what the library does. */
export function box(theme, { x, y, width, height, title, lines = [], isOurs = false }) {
  const { fill, line } = isOurs ? theme.ours : theme.others
  const middle = x + width / 2
  const top = y + (height ?? heightOf(lines.length)) / 2 - heightOf(lines.length) / 2
  const within = width - 16
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height ?? heightOf(lines.length)}" rx="6" fill="${fill}" stroke="${line}" stroke-width="1.5"/>`,
    text({ x: middle, y: top + 23, size: TITLE, fill: theme.text, anchor: 'middle', isBold: true, within }, title),
    ...lines.map((line, at) =>
      text({ x: middle, y: top + 43 + at * LINE, fill: theme.text, anchor: 'middle', within }, line),
    ),
  ]
}

/** What is behind a group of boxes, with its name in the corner, or a name above each column: `[x, name]`. */
export function band(theme, { y, height, names }) {
  return [
    `<rect x="${MARGIN}" y="${y}" width="${WIDTH - 2 * MARGIN}" height="${height}" rx="8" fill="${theme.band}"/>`,
    ...names.map(([x, name]) => text({ x, y: y + 21, fill: theme.faint }, name)),
  ]
}

/** An arrow along a path of SVG: `bytes` that flow, or a `wait` that goes the other way. */
export function arrow(theme, path, kind = 'bytes') {
  const line =
    kind === 'bytes'
      ? `stroke="${theme.level}" stroke-width="2"`
      : `stroke="${theme.text}" stroke-width="1.5" stroke-dasharray="5 4"`
  return `<path d="${path}" fill="none" ${line} marker-end="url(#${kind})"/>`
}

/** A bar that shows how full something is, from 0 to 1. */
export function level(theme, { x, y, width, share }) {
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="12" rx="3" fill="${theme.band}" stroke="${theme.others.line}"/>`,
    `<rect x="${x}" y="${y}" width="${Math.round(width * share)}" height="12" rx="3" fill="${theme.level}"/>`,
  ]
}

function tip(name, fill) {
  return `<marker id="${name}" viewBox="0 0 10 10" refX="8" refY="5" markerUnits="userSpaceOnUse" markerWidth="11" markerHeight="11" orient="auto"><path d="M0 0L10 5L0 10z" fill="${fill}"/></marker>`
}

function escaped(words) {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
