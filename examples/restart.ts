// An echo server that is restarted without a lost connection. Start it a second time: the new process gets the listeners
// of the old one, over a Unix socket, and the old one ends when its connections have. SIGHUP starts that process, too. Where
// systemd has opened the listener (see docs/restart.md), `systemctl restart` does it.
// Try: examples/restart.ts --port 5000 --control /tmp/echo.control

import { spawn } from 'node:child_process'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { type Connection, Listener, Multiplexer, Socket, listen, listenFds } from 'm-socket'

/** Milliseconds until the connections of the old process are closed. */
const GRACE = 30_000

const options = { host: { type: 'string' }, port: { type: 'string' }, control: { type: 'string' } } as const
const { host = '0.0.0.0', port = '5000', control: path = '/tmp/m-socket-restart' } = parseArgs({ options }).values

const old = Socket.connect({ path })
const [listener, control] = (await receiveListeners(old)) ?? openListeners()
const server = listen({
  listener,
  socket: {
    data(connection, chunk) {
      if (connection.write(chunk) < chunk.length) connection.terminate()
    },
  },
})
const successors = listen({ listener: control, socket: { open: handOver, data: drain } })
// The old process goes on until it reads this: if the new one fails before, nothing has happened.
if (old.state === 'open') old.send('ready')
old.close()
process.once('SIGHUP', () =>
  spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' }),
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, drain)
console.log(`Listening on ${server.host} port ${server.port} (process ${process.pid})`)

/** Undefined if no process has the control socket. */
async function receiveListeners(from: Socket): Promise<[Listener, Listener] | undefined> {
  using multiplexer = new Multiplexer(from)
  const into = Buffer.alloc(64)
  try {
    for (;;) {
      const received = from.receiveDescriptors(into)
      if (!received) await multiplexer.wait()
      else return received.descriptors.map((fd) => Listener.bind({ fd })) as [Listener, Listener]
    }
  } catch {
    return undefined
  }
}

function openListeners(): [Listener, Listener] {
  const [passed] = Object.values(listenFds()).flat()
  return [passed ?? Listener.bind({ host, port }), Listener.bind({ path, mode: 0o600, unlink: 'stale' })]
}

/** Both: the control socket never closes, so that the next process finds it. */
function handOver(successor: Connection): void {
  successor.socket!.sendDescriptors([listener, control], 'listeners')
}

function drain(): void {
  successors.stop()
  server.close({ timeout: GRACE })
}
