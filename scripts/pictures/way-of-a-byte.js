import { WIDTH, arrow, band, box, heightOf, picture } from './drawing.js'

const COLUMN = 200
const IN = 24
const OUT = WIDTH - 24 - COLUMN
const inMiddle = IN + COLUMN / 2
const outMiddle = OUT + COLUMN / 2
const STEP = 26

/** From the peer's write up to the handler on the left, and down to the peer on the right. */
export function wayOfAByte(theme) {
  const js = 58
  const handler = js + 30
  const core = handler + heightOf(1) + 14 + 12
  const cork = core + 30
  const queue = cork + heightOf(2) + STEP
  const kernel = queue + heightOf(2) + 14 + 12
  const epoll = kernel + 30
  const buffer = epoll + heightOf(1) + STEP
  const peer = buffer + heightOf(2) + 14 + 12
  const last = peer + 30
  const inwards = (y, title, lines, more) => box(theme, { x: IN, y, width: COLUMN, title, lines, ...more })
  const outwards = (y, title, lines, more) => box(theme, { x: OUT, y, width: COLUMN, title, lines, ...more })
  const ours = { isOurs: true }
  return picture(
    theme,
    { title: 'The way of a byte', subtitle: 'In on the left, out on the right.', height: last + heightOf(0) + 14 + 12 },
    [
      band(theme, { y: js, height: core - 12 - js, names: [[IN, 'JavaScript']] }),
      band(theme, { y: core, height: kernel - 12 - core, names: [[IN, 'Rust core']] }),
      band(theme, { y: kernel, height: peer - 12 - kernel, names: [[IN, 'kernel']] }),
      band(theme, { y: peer, height: 30 + heightOf(0) + 14, names: [[IN, 'peer']] }),
      inwards(last, '1 it writes', []),
      inwards(buffer, '2 receive buffer', ['holds the byte until', 'it is received']),
      inwards(epoll, '3 epoll', ['the socket is readable']),
      inwards(cork, '4 batch', ['one epoll_wait for all,', 'one recv for each', 'socket that is ready'], {
        ...ours,
        height: queue + heightOf(2) - cork,
      }),
      inwards(handler, '5 handler', ['data(connection, chunk)'], ours),
      outwards(handler, '6 write', ['connection.write(data)'], ours),
      outwards(cork, '7 cork', ['small writes wait for', 'the end of the batch'], ours),
      outwards(queue, '8 send queue', ['one send per socket;', 'bounded: the rest waits'], ours),
      outwards(epoll, '9 send buffer', ['holds the byte until', 'the peer’s kernel has', 'acknowledged it'], {
        height: buffer + heightOf(2) - epoll,
      }),
      outwards(last, '10 it reads', []),
      arrow(theme, `M${inMiddle} ${last}V${buffer + heightOf(2) + 1}`),
      arrow(theme, `M${inMiddle} ${buffer}V${epoll + heightOf(1) + 1}`),
      arrow(theme, `M${inMiddle} ${epoll}V${queue + heightOf(2) + 1}`),
      arrow(theme, `M${inMiddle} ${cork}V${handler + heightOf(1) + 1}`),
      arrow(theme, `M${IN + COLUMN} ${handler + heightOf(1) / 2}H${OUT - 1}`),
      arrow(theme, `M${outMiddle} ${handler + heightOf(1)}V${cork - 1}`),
      arrow(theme, `M${outMiddle} ${cork + heightOf(2)}V${queue - 1}`),
      arrow(theme, `M${outMiddle} ${queue + heightOf(2)}V${epoll - 1}`),
      arrow(theme, `M${outMiddle} ${buffer + heightOf(2)}V${last - 1}`),
    ],
  )
}
