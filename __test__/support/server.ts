import type { ExecutionContext } from 'ava'
import {
  type InetSocketOptions,
  type ListenOptions,
  type Server,
  Socket,
  type SocketConnectOptions,
  listen,
} from 'm-socket'

import { addressOf, resetAtEnd } from './pair.js'
import { connectOutcome } from './waiting.js'

/** A server, by default on the loopback; stopped with all its connections at the end of the test. */
export function testServer<D = undefined>(t: ExecutionContext, options = {} as ListenOptions<D>): Server<D> {
  const address =
    options.unix === undefined && options.path === undefined && options.fd === undefined ? { host: '127.0.0.1' } : {}
  const server = listen<D>({ ...address, ...options })
  t.teardown(() => server.stop(true))
  return server
}

/** A socket that connects to a server; reset at the end of the test. Over a Unix socket it is connected at once. */
export function connectSocket<D>(
  t: ExecutionContext,
  server: Server<D>,
  options: Partial<InetSocketOptions> = {},
): Socket {
  return resetAtEnd(t, Socket.connect({ ...addressOf(server), ...options } as SocketConnectOptions))
}

/** A socket that is connected to a server but maybe not accepted yet; reset at the end of the test. */
export async function connectedSocket<D>(
  t: ExecutionContext,
  server: Server<D>,
  options: Partial<InetSocketOptions> = {},
): Promise<Socket> {
  const socket = connectSocket(t, server, options)
  if ((await connectOutcome(socket)) !== 'open') throw new Error('the socket did not connect')
  return socket
}

/** Promise.withResolvers, which Node 20 lacks. */
export function withResolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((resolvePromise) => (resolve = resolvePromise))
  return { promise, resolve }
}
