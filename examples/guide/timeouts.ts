import { connect, listen } from 'm-socket'

const server = listen({
  host: '127.0.0.1',
  idleTimeout: 500,
  socket: {
    data: (connection) => void connection.write('wait …'), // half an answer, and no more
    timeout: () => console.log('server: nothing was sent or received for half a second'),
    close() {
      server.stop()
    },
  },
})

const connection = await connect({ host: '127.0.0.1', port: server.port, connectTimeout: 2000 })
connection.write('a question\n')
try {
  await connection.readUntil('\n', { limit: 1000, signal: AbortSignal.timeout(200) })
} catch (error) {
  console.log(`client: ${(error as Error).message}`)
}
// What came is not lost.
for await (const chunk of connection) console.log(`client: ${chunk}`)
