// An echo server, the example of the original m-socket: on port 5000, or where HOST and PORT, or --host and --port,
// say; or on what systemd has passed: systemd-socket-activate -l 5000 -l /tmp/echo node … examples/echo.ts

import process from 'node:process'
import { parseArgs } from 'node:util'

import { type Address, Listener, Multiplexer, type ReadyEvent, Socket, SocketError, listenFds } from 'm-socket'

/** How long a graceful end may take, in milliseconds. */
const GRACE = 900

const totals = { connections: 0, received: 0, sent: 0 }
const buffer = Buffer.allocUnsafe(65536)
const sockets = new Set<Socket>()
let shown = 0
const listeners = open()
const multiplexer = new Multiplexer()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => multiplexer.close())
for (const listener of listeners) {
  multiplexer.add(listener, 'r')
  console.log(`Listening on ${describe(listener.address!)}`)
}

/** On a terminal, one line that is updated each second. */
const meter = process.stdout.isTTY ? setInterval(show, 1000) : undefined

for await (const events of multiplexer) {
  for (const event of events) {
    if (event.target instanceof Listener) acceptAll(event.target)
    else echo(event as ReadyEvent<Socket>)
  }
}
await end()

function open(): Listener[] {
  try {
    const passed = Object.values(listenFds()).flat()
    if (passed.length > 0) return passed
    const { values } = parseArgs({ options: { host: { type: 'string' }, port: { type: 'string' } } })
    const host = values.host ?? process.env['HOST'] ?? '0.0.0.0'
    const port = values.port ?? process.env['PORT'] ?? 5000
    return [Listener.bind({ host, port, noDelay: true })]
  } catch (error) {
    console.error(`echo: ${(error as Error).message}`)
    process.exit(1)
  }
}

function describe(at: Address): string {
  if ('path' in at) return `${at.path}. Try: nc -U ${at.path}`
  const { address, port } = at
  return `${address} port ${port}. Try: nc ${address === '0.0.0.0' ? '127.0.0.1' : address} ${port}`
}

function acceptAll(listener: Listener): void {
  for (let socket = accept(listener); socket; socket = accept(listener)) {
    sockets.add(socket)
    totals.connections++
    multiplexer.add(socket, 'r')
  }
}

/** Without descriptors left, connections stay in the backlog: the multiplexer reports the listener again. */
function accept(listener: Listener): Socket | null {
  try {
    return listener.accept()
  } catch (error) {
    if (error instanceof SocketError) return null
    throw error
  }
}

/** One receive per event: a peer that sends much does not delay the others, and its socket is reported again. */
function echo({ target: socket, readable, writable }: ReadyEvent<Socket>): void {
  try {
    if (writable) multiplexer.modify(socket, 'r')
    if (!readable) return
    const count = socket.receive(buffer)
    if (count === null) return
    if (count === 0) return close(socket)
    totals.received += count
    // What the kernel does not take is queued; until the queue is empty, this peer is not read from.
    if (socket.send(buffer, 0, count) !== 'sent') multiplexer.modify(socket, 'w')
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
    close(socket)
  }
}

function close(socket: Socket): void {
  socket.close()
  totals.sent += socket.bytesSent + socket.queued
  sockets.delete(socket)
}

async function end(): Promise<void> {
  clearInterval(meter)
  for (const listener of listeners) listener.close()
  const closing = [...sockets]
  for (const socket of closing) close(socket)
  const deadline = performance.now() + GRACE
  while (closing.some(({ state }) => state === 'closing') && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  for (const socket of closing) socket.reset()
  console.log(`\n${totals.connections} connections, ${totals.received} bytes in, ${totals.sent} bytes out`)
}

function show(): void {
  process.stdout.write(`\r\x1b[K${sockets.size} connections, ${totals.received - shown} bytes/s`)
  shown = totals.received
}
