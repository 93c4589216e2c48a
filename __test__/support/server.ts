import type { ExecutionContext } from 'ava'
import { type ListenOptions, type Server, Socket, type SocketConnectOptions, listen } from 'm-socket'

import { resetAtEnd } from './pair.js'
import { connectOutcome } from './waiting.js'

/** A server that is stopped, with all its connections, at the end of the test; on the loopback, unless told otherwise. */
export function testServer<D = undefined>(t: ExecutionContext, options: ListenOptions<D> = {}): Server<D> {
  const place = options.unix === undefined && options.fd === undefined ? { hostname: '127.0.0.1' } : {}
  const server = listen<D>({ ...place, ...options })
  t.teardown(() => server.stop(true))
  return server
}

/** Where to connect to, to reach a server. */
export function placeOf({
  address,
}: {
  address: Server['address']
}): { path: string } | { host: string; port: number } {
  if (!address) throw new Error('the server is stopped')
  return 'path' in address ? { path: address.path } : { host: address.address, port: address.port }
}

/** A socket that is on its way to a server, reset at the end of the test; on a Unix socket it is there already. */
export function connectSocket<D>(t: ExecutionContext, server: Server<D>, options: SocketConnectOptions = {}): Socket {
  return resetAtEnd(t, Socket.connect({ ...placeOf(server), ...options }))
}

/** A socket that is connected to a server, though perhaps not accepted yet; reset at the end of the test. */
export async function connectedSocket<D>(
  t: ExecutionContext,
  server: Server<D>,
  options: SocketConnectOptions = {},
): Promise<Socket> {
  const socket = connectSocket(t, server, options)
  if ((await connectOutcome(socket)) !== 'open') throw new Error('the socket did not connect')
  return socket
}

/** Promise.withResolvers, which Node 20 has not. */
export function withResolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => (resolve = settle))
  return { promise, resolve }
}
