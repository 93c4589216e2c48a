import { subscribe } from 'node:diagnostics_channel'

import { Listener, listen, listenFds } from 'm-socket'

// From systemd, if it has started this process; else a port of our own.
const [listener = Listener.bind({ port: process.argv[2] ?? 5000 })] = Object.values(listenFds()).flat()

const server = listen({
  listener,
  maxConnections: 10_000, // more wait in the kernel's backlog
  idleTimeout: 60_000, // nothing sent or received for a minute
  userTimeout: 30_000, // what we have sent is not acknowledged
  keepAlive: { idle: 20_000, interval: 10_000 }, // a peer that has vanished while nothing is sent
  socket: {
    data(connection, chunk) {
      if (connection.write(chunk) < chunk.length) connection.terminate()
    },
  },
})

const failures: Record<string, number> = {}
subscribe('m-socket.connection.close', (message) => {
  const { error } = message as { error?: NodeJS.ErrnoException }
  if (error) failures[error.code ?? error.name] = (failures[error.code ?? error.name] ?? 0) + 1
})
process.on('SIGUSR2', () => console.log(JSON.stringify({ ...server.stats(), failures })))

// Accepts no more, and gives the open connections time to end: then nothing keeps the process alive.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.close({ timeout: 5000 }))
console.log(`Listening on port ${server.port}`)
