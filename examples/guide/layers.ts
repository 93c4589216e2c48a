import { Multiplexer, Socket, connect, listen, relay } from 'm-socket'
import net from 'm-socket/net'

const host = '127.0.0.1'

// 1 Handlers: a server.
const greeter = listen({ host, socket: { open: (connection) => void connection.end('hello') } })

// 4 Relay: a proxy in front of it.
const proxy = listen({
  host,
  socket: {
    async open(client) {
      await relay(client, await connect({ host, port: greeter.port }))
    },
  },
})

// 2 m-socket/net: a client that is a stream of Node's.
const stream = net.connect({ host, port: proxy.port! })
for await (const chunk of stream) console.log(`stream: ${chunk}`)

// 3 The model: a client that waits by itself, and makes each call by itself.
const socket = Socket.connect({ host, port: proxy.port! })
const multiplexer = new Multiplexer(socket)
const buffer = Buffer.alloc(1024)
for (let count: number | null = null; count !== 0; count = socket.receive(buffer)) {
  if (count === null) await multiplexer.wait()
  else console.log(`socket: ${buffer.toString('utf8', 0, count)}`)
}
socket.close()
multiplexer.close()

await Promise.all([greeter.close(), proxy.close()])
console.log(`proxy: ${proxy.stats().bytesWritten} bytes to its clients`)
