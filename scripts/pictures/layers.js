import { MARGIN, WIDTH, arrow, band, box, heightOf, picture } from './drawing.js'

const GAP = 12
/** Between two groups, for an arrow. */
const APART = 30
const LEFT = MARGIN + GAP
const INNER = WIDTH - 2 * LEFT
const HALF = (INNER - GAP) / 2

/** What a program is written against, and what is beneath it. */
export function layers(theme) {
  const program = 58
  const top = program + heightOf(0) + APART
  const model = top + 34 + heightOf(3) + GAP
  const core = model + heightOf(2) + GAP + APART
  const kernel = core + 34 + heightOf(2) + GAP + APART
  const across = (y) => arrow(theme, `M${WIDTH / 2} ${y - APART}V${y - 1}`)
  const layer = (x, y, width, title, lines) => box(theme, { x, y, width, title, lines, isOurs: true })
  const all = { x: MARGIN, width: WIDTH - 2 * MARGIN }
  return picture(
    theme,
    { title: 'The four layers', subtitle: 'A program may use all of them at once.', height: kernel + heightOf(0) + 12 },
    [
      box(theme, { ...all, y: program, title: 'your program' }),
      across(top),
      band(theme, { y: top, height: core - APART - top, names: [[LEFT, 'TypeScript']] }),
      layer(LEFT, top + 34, HALF, '1 handlers', ['listen, connect:', 'servers and clients;', 'begin here']),
      layer(LEFT + HALF + GAP, top + 34, HALF, '2 m-socket/net', [
        'the API of node:net:',
        'drivers, frameworks,',
        'HTTP, TLS',
      ]),
      layer(LEFT, model, INNER, '3 model', ['Socket, Listener, Multiplexer:', 'you decide when each call is made']),
      across(core),
      band(theme, {
        y: core,
        height: kernel - APART - core,
        names: [[LEFT, 'Rust core: readiness, queues, one batch per wait']],
      }),
      layer(LEFT, core + 34, INNER, '4 relay, sendFile', [
        'proxies, tunnels, file servers:',
        'the bytes never enter JavaScript',
      ]),
      across(kernel),
      box(theme, { ...all, y: kernel, title: 'Linux: TCP, Unix sockets, epoll' }),
    ],
  )
}
