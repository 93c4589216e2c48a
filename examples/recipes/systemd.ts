// An echo service that systemd starts at the first connection, on sockets that systemd has opened, and that ends when it
// had no connection for a while. Try: systemd-socket-activate -l 5000 --fdname=echo node systemd.ts

import process from 'node:process'

import { type Connection, Listener, type Server, listen, listenFds } from 'm-socket'

/** Milliseconds until the connections that are left at the end are closed; less than TimeoutStopSec= of the unit. */
const GRACE = 10_000
/** Seconds without a connection after which the service ends; 0: never. */
const [patience = '600'] = process.argv.slice(2)

const passed = Object.entries(listenFds())
if (passed.length === 0) passed.push(['no systemd', [Listener.bind({ host: '127.0.0.1', port: 5000 })]])
const servers = passed.flatMap(([name, listeners]) => listeners.map((listener) => start(name, listener)))
let idle: NodeJS.Timeout | undefined
rest()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end(signal))

function start(name: string, listener: Listener): Server {
  console.log(`Listening on ${name}: ${JSON.stringify(listener.address)}`)
  return listen({
    listener,
    maxConnections: 1000,
    idleTimeout: 60_000,
    socket: { open: echo, close: rest, error: (_, error) => console.error(error.message) },
  })
}

async function echo(connection: Connection): Promise<void> {
  clearTimeout(idle)
  for await (const chunk of connection) await connection.writeAll(chunk)
}

/** Begins with the end of the last connection. */
function rest(): void {
  clearTimeout(idle)
  if (patience === '0' || servers.some(({ connections }) => connections > 0)) return
  idle = setTimeout(() => void end(`${patience} seconds without a connection`), Number(patience) * 1000)
}

/** The sockets stay open in systemd: a client that comes from now on waits for the next process. */
async function end(reason: string): Promise<void> {
  console.log(`Ending: ${reason}`)
  clearTimeout(idle)
  await Promise.all(servers.map((server) => server.close({ end: true, timeout: GRACE })))
}
