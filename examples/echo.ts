// The original's example: what comes in goes back, on port 5000. HOST and PORT, or --host and --port, say where.

import process from 'node:process'
import { parseArgs } from 'node:util'

import { type Event, Listener, Multiplexer, Socket, SocketError } from 'm-socket'

/** How long a graceful end may take, in milliseconds. */
const GRACE = 900

const totals = { connections: 0, received: 0, sent: 0 }
const buffer = Buffer.allocUnsafe(65536)
const live = new Set<Socket>()
let shown = 0
const listener = open()
const multiplexer = new Multiplexer()
multiplexer.add(listener, 'r')

const { address, port } = listener.address as { address: string; port: number }
console.log(`Listening on ${address} port ${port}. Try: nc ${address === '0.0.0.0' ? '127.0.0.1' : address} ${port}`)

/** On a terminal, one line that is written over each second. */
const meter = process.stdout.isTTY ? setInterval(show, 1000) : undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => multiplexer.close())

for await (const events of multiplexer) {
  for (const event of events) {
    if (event.target === listener) welcome()
    else serve(event as Event<Socket>)
  }
}
await leave()

function open(): Listener {
  try {
    const { values } = parseArgs({ options: { host: { type: 'string' }, port: { type: 'string' } } })
    const host = values.host ?? process.env['HOST'] ?? '0.0.0.0'
    const port = Number(values.port ?? process.env['PORT'] ?? 5000)
    return Listener.bind({ host, port, noDelay: true })
  } catch (error) {
    console.error(`echo: ${(error as Error).message}`)
    process.exit(1)
  }
}

function welcome(): void {
  for (let socket = accept(); socket; socket = accept()) {
    live.add(socket)
    totals.connections++
    multiplexer.add(socket, 'r')
  }
}

/** Out of descriptors, the rest waits in the backlog: the multiplexer tells of the listener again. */
function accept(): Socket | null {
  try {
    return listener.accept()
  } catch (error) {
    if (error instanceof SocketError) return null
    throw error
  }
}

/** One receive an event: who sends much does not keep the others waiting, and is told of again. */
function serve({ target: socket, readable, writable }: Event<Socket>): void {
  try {
    if (writable) multiplexer.modify(socket, 'r')
    if (!readable) return
    const count = socket.receive(buffer)
    if (count === null) return
    if (count === 0) return part(socket)
    totals.received += count
    // What the kernel does not take is queued; until it has gone out, no more is read from this peer.
    if (socket.send(buffer, 0, count) !== 'sent') multiplexer.modify(socket, 'w')
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
    part(socket)
  }
}

function part(socket: Socket): void {
  socket.close()
  totals.sent += socket.bytesSent + socket.queued
  live.delete(socket)
}

async function leave(): Promise<void> {
  clearInterval(meter)
  listener.close()
  const closing = [...live]
  for (const socket of closing) part(socket)
  const deadline = performance.now() + GRACE
  while (closing.some(({ state }) => state === 'closing') && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  for (const socket of closing) socket.reset()
  console.log(`\n${totals.connections} connections, ${totals.received} bytes in, ${totals.sent} bytes out`)
}

function show(): void {
  process.stdout.write(`\r\x1b[K${live.size} connections, ${totals.received - shown} bytes/s`)
  shown = totals.received
}
