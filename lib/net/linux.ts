import '../../loadable.js'

import nodeNet from 'node:net'

import { Server, createServer } from './server.js'
import { Socket, type SocketConstructorOptions } from './socket.js'
import { normalizeArguments } from './arguments.js'
import { serveChildProcess } from './child-process.js'

/** `net.connect` and `net.createConnection`. */
function connect(...args: unknown[]): Socket {
  const normalized = normalizeArguments(args)
  const options = normalized[0] as SocketConstructorOptions & { readonly timeout?: number }
  const socket = new Socket(options)
  if (options.timeout) socket.setTimeout(options.timeout)
  return socket.connect(normalized)
}

serveChildProcess()

/** The module `m-socket/net` on Linux. */
export const net = {
  ...nodeNet,
  Socket,
  Stream: Socket,
  connect,
  createConnection: connect,
  Server,
  createServer,
} as unknown as typeof nodeNet
