// A line server that bounds whatever a client can have of it: time, memory, connections.
// Try: node hostile-internet.ts 7000

import process from 'node:process'

import { type Connection, listen } from 'm-socket'

/** Milliseconds without a byte in either direction; for a whole request and its answer. */
const [port = '7000', silence = '5000', deadline = '10000'] = process.argv.slice(2)
/** Bytes of a line; connections of one network. */
const [LINE, EACH] = [1024, 20]

/** Its data ends it when a request takes too long. */
type Client = Connection<NodeJS.Timeout | undefined>
const counts = new Map<string, number>()
const server = listen<NodeJS.Timeout | undefined>({
  port,
  maxConnections: 10_000, // above it they wait in the backlog
  idleTimeout: Number(silence),
  sendQueueLimit: 16_384, // bytes of answers that wait here
  sendBufferSize: 65_536, // and in the kernel, which otherwise takes megabytes
  userTimeout: 20_000, // milliseconds until the kernel gives up a peer that acknowledges nothing
  socket: { open: admit, close: leave, error: (connection) => connection.terminate() },
})
process.once('SIGTERM', () => void server.close({ end: true, timeout: Number(deadline) }))
console.log(`Listening on port ${server.port}`)

function admit(connection: Client): unknown {
  return count(connection, 1) > EACH ? connection.terminate() : talk(connection)
}

function leave(connection: Client): void {
  count(connection, -1)
  clearTimeout(connection.data)
}

/** Adds to the connections of a network, and returns how many it has. */
function count({ remoteAddress }: Client, change: 1 | -1): number {
  const network = networkOf(remoteAddress!)
  counts.set(network, (counts.get(network) ?? 0) + change)
  if (counts.get(network) === 0) counts.delete(network)
  return counts.get(network) ?? 0
}

/** An IPv4 address, or the first 64 bits of an IPv6 address: one client has all others that begin so. */
function networkOf(address: string): string {
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1)
  const [front = [], back = []] = address.split('::').map((half) => half.split(':'))
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return [...front, ...zeros, ...back].slice(0, 4).join(':')
}

async function talk(connection: Client): Promise<void> {
  connection.data = setTimeout(() => connection.terminate(), Number(deadline))
  for await (const line of connection.lines({ limit: LINE })) {
    await connection.writeAll(`${line}\n`)
    await connection.drained() // no further line is read before the kernel has the answer
    connection.data.refresh() // the time of the next request begins
  }
}
