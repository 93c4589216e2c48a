import { connect, type Connection, listen, Listener, Multiplexer, type SendStatus, Socket, SocketError } from 'm-socket'
import net, { type AddressInfo, createServer, Socket as Stream } from 'm-socket/net'

const server = listen<{ seen: number }>({
  port: 0,
  data: { seen: 0 },
  socket: { data: (connection: Connection<{ seen: number }>, chunk: Buffer) => void connection.write(chunk) },
})
const port: number | undefined = server.port
const client: Promise<Connection<unknown>> = connect({ hostname: 'localhost', port: 1, socket: {} })
const status: SendStatus = Socket.connect({ host: '127.0.0.1', port: 1 }).send('x')
const multiplexer = new Multiplexer(Listener.bind({ port: 0 }))
const stream: net.Socket = net.connect({ port: 1, sendQueueLimit: 1 })
const bound: AddressInfo | string | null = createServer().listen({ port: 0, reusePort: true }).address()
class Own extends Stream {}
export { bound, Own, stream, client, multiplexer, port, SocketError, status }
