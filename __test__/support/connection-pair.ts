import type { ExecutionContext } from 'ava'
import {
  type ClientOptions,
  type ConnectOptions,
  type Connection,
  type ListenOptions,
  type Server,
  type ServerOptions,
  connect,
} from 'm-socket'

import type { Family } from './pair.js'
import { resolvers, serving } from './server.js'
import { freePath } from './unix.js'

/** Two connections that are the ends of one, and the server that accepted its end. */
export interface Linked<D = undefined> {
  readonly connection: Connection<D>
  readonly accepted: Connection<D>
  readonly server: Server<D>
}

/** What a server and a client are told besides where. */
export interface LinkedOptions<D = undefined> {
  readonly family?: Family
  readonly server?: ServerOptions<D> & { readonly data?: D }
  readonly client?: ClientOptions<D> & { readonly data?: D }
}

/** A server and a connection to it, terminated at the end of the test. */
export async function linked<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server = {}, client = {} }: LinkedOptions<D> = {},
): Promise<Linked<D>> {
  const accepted = resolvers<Connection<D>>()
  const place = family === 'unix' ? { unix: freePath(t) } : { hostname: family === 'IPv4' ? '127.0.0.1' : '::1' }
  const listening = serving<D>(t, {
    ...place,
    ...server,
    socket: {
      ...server.socket,
      open(connection) {
        accepted.resolve(connection)
        return server.socket?.open?.(connection)
      },
    },
  } as ListenOptions<D>)
  const connection = await connect<D>({ ...reachOf(listening), ...client } as ConnectOptions<D>)
  t.teardown(() => connection.terminate())
  return { connection, accepted: await accepted.promise, server: listening }
}

/** As {@link linked}, with kernel buffers so small that the queue comes into use after some kilobytes. */
export async function narrowlyLinked<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server, client }: LinkedOptions<D> = {},
): Promise<Linked<D>> {
  const small = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  return linked<D>(t, { family, server: { ...small, ...server }, client: { ...small, ...client } })
}

/** Where `connect` reaches a server. */
export function reachOf<D>({ unix, hostname, port }: Server<D>): { unix: string } | { hostname: string; port: number } {
  return unix === undefined ? { hostname: hostname!, port: port! } : { unix }
}
