import type { ExecutionContext } from 'ava'
import { type ConnectOptions, type Connection, type ListenOptions, type Server, connect } from 'm-socket'

import type { Family } from './pair.js'
import { testServer, withResolvers } from './server.js'
import { freePath } from './unix.js'

/** Two connections that are the ends of one, and the server that accepted its end. */
export interface ConnectionPair<D = undefined> {
  readonly connection: Connection<D>
  readonly accepted: Connection<D>
  readonly server: Server<D>
}

/** What a server and a client are told besides where. */
export interface ConnectionPairOptions<D = undefined> {
  readonly family?: Family
  readonly server?: ListenOptions<D>
  readonly client?: ConnectOptions<D>
}

/** A server and a connection to it, terminated at the end of the test. */
export async function connectionPair<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server = {}, client = {} }: ConnectionPairOptions<D> = {},
): Promise<ConnectionPair<D>> {
  const accepted = withResolvers<Connection<D>>()
  const place = family === 'unix' ? { unix: freePath(t) } : { hostname: family === 'IPv4' ? '127.0.0.1' : '::1' }
  const listening = testServer<D>(t, {
    ...place,
    ...server,
    socket: {
      ...server.socket,
      open(connection) {
        accepted.resolve(connection)
        return server.socket?.open?.(connection)
      },
    },
  })
  const connection = await connect<D>({ ...connectOptions(listening), ...client })
  t.teardown(() => connection.terminate())
  return { connection, accepted: await accepted.promise, server: listening }
}

/** As {@link linked}, with kernel buffers so small that the queue comes into use after some kilobytes. */
export async function smallBufferConnectionPair<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server, client }: ConnectionPairOptions<D> = {},
): Promise<ConnectionPair<D>> {
  const small = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  return connectionPair<D>(t, { family, server: { ...small, ...server }, client: { ...small, ...client } })
}

/** Where `connect` reaches a server. */
export function connectOptions<D>({
  unix,
  hostname,
  port,
}: Server<D>): { unix: string } | { hostname: string; port: number } {
  return unix === undefined ? { hostname: hostname!, port: port! } : { unix }
}
