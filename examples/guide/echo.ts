import { listen } from 'm-socket'

const server = listen({
  port: process.argv[2] ?? 5000,
  socket: {
    data(connection, chunk) {
      const accepted = connection.write(chunk)
      if (accepted < chunk.length) connection.terminate() // the peer does not read
    },
  },
})
console.log(`Listening on port ${server.port}`)
