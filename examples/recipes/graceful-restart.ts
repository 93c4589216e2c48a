// A server that is replaced while it serves: start it again, and the new process gets the listener of the old one, which
// ends when its connections have. Try, twice: node graceful-restart.ts 5000 /tmp/echo.control

import process from 'node:process'

import { Listener, Multiplexer, Socket, type SocketError, listen } from 'm-socket'

/** Milliseconds until the connections that the old process still has are closed. */
const GRACE = 30_000
const [port = '5000', path = '/tmp/echo.control'] = process.argv.slice(2)

const old = Socket.connect({ path })
const [listener, control] = (await receiveListeners()) ?? [
  Listener.bind({ host: '127.0.0.1', port }),
  Listener.bind({ path, mode: 0o600, unlink: 'stale' }),
]
const server = listen({
  listener,
  idleTimeout: 300_000,
  socket: {
    data(connection, chunk) {
      if (connection.write(chunk) < chunk.length) connection.terminate() // the peer does not read
    },
  },
})
const successors = listen({
  listener: control,
  socket: {
    open: (successor) => void successor.socket!.sendDescriptors([listener, control], 'listeners'),
    data: drain, // it says that it serves
  },
})
if (old.state === 'open') old.send('ready')
old.close()
console.log(`Process ${process.pid} serves port ${server.port}`)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, drain)

/** Those of the process that serves now; undefined if there is none. */
async function receiveListeners(): Promise<[Listener, Listener] | undefined> {
  const multiplexer = new Multiplexer(old)
  const into = Buffer.alloc(64)
  try {
    let received = old.receiveDescriptors(into)
    for (; !received; received = old.receiveDescriptors(into)) await multiplexer.wait()
    if (received.length === 0) throw new Error('the old process has ended meanwhile: start again')
    return received.descriptors.map((fd) => Listener.bind({ fd })) as [Listener, Listener]
  } catch (error) {
    if (!['ENOENT', 'ECONNREFUSED'].includes((error as SocketError).code)) throw error
    return undefined
  } finally {
    multiplexer.close()
  }
}

async function drain(): Promise<void> {
  successors.stop()
  await server.close({ timeout: GRACE })
  console.log(`Process ${process.pid} has ended its last connection`)
}
