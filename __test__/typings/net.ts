import * as nodeNet from 'node:net'

import { Listener, type Socket as ModelSocket } from 'm-socket'
import net, {
  type AddressInfo,
  BlockList,
  type ListenOptions,
  type NetConnectOpts,
  Server,
  Socket,
  Stream,
  connect,
  createServer,
  isIP,
} from 'm-socket/net'
import * as all from 'm-socket/net'

import { same } from './equal.js'

// Where a program expects node:net, m-socket/net can be.
const asNode: typeof nodeNet = net
const asNodeToo: Omit<typeof nodeNet, 'default'> = all
// Each name is there, and none besides but the old one of Socket.
same<Exclude<keyof typeof nodeNet, keyof typeof net | 'default' | 'Stream' | 'module.exports'>, never>()
same<Exclude<keyof typeof net, keyof typeof nodeNet>, Exclude<'Stream', keyof typeof nodeNet>>()
same<Exclude<keyof typeof nodeNet, keyof typeof all | 'default' | 'module.exports'>, never>()

const socket: Socket = new Socket({ allowHalfOpen: true, sendQueueLimit: 10 })
const asNodeSocket: nodeNet.Socket = socket
const alias: net.Socket = new Stream()
same<typeof socket.socket, ModelSocket | undefined>()
socket.on('data', (chunk) => void chunk).write('text')
socket.setKeepAlive(true, 5)
// @ts-expect-error a number is not data
socket.write(1)

const server: Server = createServer((accepted) => same<typeof accepted.socket, ModelSocket | undefined>())
const asNodeServer: nodeNet.Server = server
server.listen(0, '::', 5, () => {}).close()
server.listen({ port: 0, receiveBufferSize: 20_000, ipv6Only: true })
server.listen({ path: '/tmp/socket', mode: 0o600, unlink: 'stale' })
server.listen({ handle: Listener.bind() })
const address: AddressInfo | string | null = server.address()
// @ts-expect-error the permission bits are a number; `listen` itself takes any object for a handle
const wrongMode: ListenOptions = { path: '/tmp/socket', mode: '600' }

const options: ListenOptions = { port: 0 }
const target: NetConnectOpts = { port: 1, host: '127.0.0.1', sendBufferSize: 20_000, sendQueueLimit: 1 }
const client: nodeNet.Socket = connect(target, () => {})
connect('/tmp/socket')
net.connect(1, '127.0.0.1')
// @ts-expect-error a host is text
net.connect(1, 2)

class Own extends net.Socket {
  readonly own = true
}
class OwnServer extends Server {
  readonly own = true
}
const list: BlockList = new BlockList()
void [
  asNode,
  asNodeToo,
  asNodeSocket,
  alias,
  asNodeServer,
  wrongMode,
  address,
  options,
  client,
  new Own().own,
  new OwnServer(),
  list,
]
void isIP('::')
