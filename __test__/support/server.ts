import type { ExecutionContext } from 'ava'
import {
  type InetSocketOptions,
  type ListenOptions,
  type Server,
  Socket,
  type SocketConnectOptions,
  listen,
} from 'm-socket'

import { resetting } from './pair.js'
import { connectOutcome } from './waiting.js'

/** A server that is stopped, with all its connections, at the end of the test; on the loopback, unless told otherwise. */
export function serving<D = undefined>(t: ExecutionContext, options = {} as ListenOptions<D>): Server<D> {
  const place =
    options.unix === undefined && options.path === undefined && options.fd === undefined
      ? { hostname: '127.0.0.1' }
      : {}
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
export function dial<D>(t: ExecutionContext, server: Server<D>, options: Partial<InetSocketOptions> = {}): Socket {
  return resetting(t, Socket.connect({ ...placeOf(server), ...options } as SocketConnectOptions))
}

/** A socket that is connected to a server, though perhaps not accepted yet; reset at the end of the test. */
export async function dialled<D>(
  t: ExecutionContext,
  server: Server<D>,
  options: Partial<InetSocketOptions> = {},
): Promise<Socket> {
  const socket = dial(t, server, options)
  if ((await connectOutcome(socket)) !== 'open') throw new Error('the socket did not connect')
  return socket
}

/** Promise.withResolvers, which Node 20 has not. */
export function resolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => (resolve = settle))
  return { promise, resolve }
}
