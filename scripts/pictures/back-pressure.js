import { MARGIN, WIDTH, arrow, band, box, heightOf, level, picture, text } from './drawing.js'

const COLUMN = 196
const FROM = 24
const TO = WIDTH - 24 - COLUMN
const HEIGHT = heightOf(2)
/** Between two boxes of a column, for the arrows. */
const APART = 32
/** Where the two arrows of a column are: beside the name of the kernel. */
const INNER = 126
const OUTER = 166

const CAPTION = [
  'Solid: the bytes. Dashed: how the wait comes back.',
  'When the reader goes on, so does all else, in order: the',
  'window opens, buffers and queue are sent, drain is called.',
]

/** How a reader that stops makes the writer wait. */
export function backPressure(theme) {
  const write = 58 + 32
  const queue = write + HEIGHT + APART
  const kernels = queue + HEIGHT + 14 + 12
  const buffers = kernels + 32
  const window = buffers + HEIGHT + 36
  const end = window + 18
  const names = (writer, reader) => [
    [FROM, writer],
    [TO, reader],
  ]
  const column = (x, y, title, lines, isOurs = false) =>
    box(theme, { x, y, width: COLUMN, height: HEIGHT, title, lines, isOurs })
  const full = (x, y, title, line, isOurs) => [
    ...column(x, y, title, [line, ''], isOurs),
    ...level(theme, { x: x + 20, y: y + 52, width: COLUMN - 40, share: 1 }),
  ]
  return picture(
    theme,
    { title: 'Back-pressure', subtitle: 'A reader stops, and the writer learns of it.', height: end + 76 },
    [
      band(theme, { y: 58, height: kernels - 12 - 58, names: names('writer', 'reader') }),
      band(theme, { y: kernels, height: end - kernels, names: names('writer’s kernel', 'reader’s kernel') }),
      column(TO, write, '1 it does not read', ['pause(), or its loop', 'does not ask for more']),
      full(TO, buffers, '2 receive buffer', 'is full'),
      full(FROM, buffers, '4 send buffer', 'is full'),
      full(FROM, queue, '5 send queue', 'is full: 64 KiB', true),
      column(FROM, write, '6 write', ['accepts fewer bytes:', 'wait for drain'], true),
      bytes(theme, write, queue, buffers),
      waits(theme, write, queue, buffers, window),
      text(
        { x: (FROM + OUTER + TO + INNER) / 2, y: window - 8, fill: theme.text, anchor: 'middle', within: TO - FROM },
        '3 TCP: window 0',
      ),
      ...CAPTION.map((line, at) => text({ x: MARGIN, y: end + 26 + at * 20, fill: theme.faint }, line)),
    ],
  )
}

/** Down on the left, across, and up on the right. */
function bytes(theme, write, queue, buffers) {
  const [from, to] = [FROM + INNER, TO + OUTER]
  return [
    arrow(theme, `M${from} ${write + HEIGHT}V${queue - 1}`),
    arrow(theme, `M${from} ${queue + HEIGHT}V${buffers - 1}`),
    arrow(theme, `M${FROM + COLUMN} ${buffers + HEIGHT / 2}H${TO - 1}`),
    arrow(theme, `M${to} ${buffers}V${write + HEIGHT + 1}`),
  ]
}

/** The other way. */
function waits(theme, write, queue, buffers, window) {
  const [from, to] = [FROM + OUTER, TO + INNER]
  return [
    arrow(theme, `M${to} ${write + HEIGHT}V${buffers - 1}`, 'wait'),
    arrow(theme, `M${to} ${buffers + HEIGHT}V${window}H${from}V${buffers + HEIGHT + 1}`, 'wait'),
    arrow(theme, `M${from} ${buffers}V${queue + HEIGHT + 1}`, 'wait'),
    arrow(theme, `M${from} ${queue}V${write + HEIGHT + 1}`, 'wait'),
  ]
}
