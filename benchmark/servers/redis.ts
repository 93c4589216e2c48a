// A small Redis with our handlers. --net: the same program with node:net.

import { type AddressInfo, createServer } from 'node:net'

import { listen } from 'm-socket'

import { announce, has } from './support/control.js'
import { Session } from './support/redis.js'

if (has('--net')) {
  const server = createServer({ noDelay: true }, (socket) => {
    const session = new Session()
    socket.on('data', (chunk) => void socket.write(session.feed(chunk as Buffer), 'latin1'))
    socket.on('error', () => socket.destroy())
  })
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => announce((server.address() as AddressInfo).port))
} else {
  const server = listen<Session | undefined>({
    host: '127.0.0.1',
    port: 0,
    backlog: 4096,
    socket: {
      open: (connection) => void (connection.data = new Session()),
      data: (connection, chunk) => void connection.write(Buffer.from(connection.data!.feed(chunk), 'latin1')),
    },
  })
  announce(server.port!)
}
