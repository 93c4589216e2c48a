// Forwards the connections of a port to another host: node port-forwarder.ts [HOST:]PORT HOST:PORT

import process from 'node:process'

import { type Connection, connect, listen, relay } from 'm-socket'

/** Milliseconds to connect, without a byte in either direction, and for what is open when the program is stopped. */
const [CONNECT, IDLE, GRACE] = [5000, 3_600_000, 10_000]
/** Each takes two descriptors, and up to four of pipes while much is sent: see `ulimit -n`. */
const MOST = 5000

const [from, to] = process.argv.slice(2, 4).map(parse)
if (!from || !to?.host) throw new RangeError('port-forwarder [HOST:]PORT HOST:PORT')
const totals = { relayed: 0, failed: 0, there: 0, back: 0 }

// Half-open: a client may have ended its half before there is a connection to pass that on to.
const server = listen({ ...from, allowHalfOpen: true, maxConnections: MOST, socket: { open: forward } })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
console.log(`Listening on ${server.host} port ${server.port}`)

async function forward(client: Connection): Promise<void> {
  const name = `${client.remoteAddress} port ${client.remotePort}`
  let upstream: Connection | undefined
  try {
    upstream = await connect({ host: to!.host!, port: to!.port, connectTimeout: CONNECT })
    const { aToB, bToA } = await relay(client, upstream, { idleTimeout: IDLE })
    totals.relayed++
    count(aToB, bToA)
    console.log(`${name}: ${aToB} bytes there, ${bToA} bytes back`)
  } catch (error) {
    const { message, aToB = 0, bToA = 0 } = error as Error & { aToB?: number; bToA?: number }
    totals.failed++
    count(aToB, bToA)
    console.error(`${name}: ${message}`)
    // A relay that fails has closed both; one that could not begin, neither.
    client.terminate()
    upstream?.terminate()
  }
}

function count(there: number, back: number): void {
  totals.there += there
  totals.back += back
}

async function stop(): Promise<void> {
  await server.close({ timeout: GRACE })
  const { relayed, failed, there, back } = totals
  console.log(`${relayed} relayed, ${failed} failed, ${there} bytes there, ${back} bytes back`)
}

function parse(address: string): { host?: string; port: string } {
  const [, host, port] = /^(?:\[?(.+?)\]?:)?(\d+)$/.exec(address) ?? []
  if (port === undefined) throw new RangeError(`an address is HOST:PORT or [IPv6]:PORT, not ${address}`)
  return host === undefined ? { port } : { host, port }
}
