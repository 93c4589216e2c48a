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

import { type Family, addressOf, freeAddress } from './pair.js'
import { testServer, withResolvers } from './server.js'

/** Both ends of a connection, and the server that accepted it. */
export interface ConnectionPair<D = undefined> {
  readonly connection: Connection<D>
  readonly accepted: Connection<D>
  readonly server: Server<D>
}

/** Options of the server and the client, besides the address. */
export interface ConnectionPairOptions<D = undefined> {
  readonly family?: Family
  readonly server?: ServerOptions<D> & { readonly data?: D }
  readonly client?: ClientOptions<D> & { readonly data?: D }
}

/** A server and a connection to it, terminated at the end of the test. */
export async function connectionPair<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server = {}, client = {} }: ConnectionPairOptions<D> = {},
): Promise<ConnectionPair<D>> {
  const accepted = withResolvers<Connection<D>>()
  const listeningServer = testServer<D>(t, {
    ...freeAddress(t, family),
    ...server,
    socket: {
      ...server.socket,
      open(connection) {
        accepted.resolve(connection)
        return server.socket?.open?.(connection)
      },
    },
  } as ListenOptions<D>)
  const connection = await connect<D>({ ...addressOf(listeningServer), ...client } as ConnectOptions<D>)
  t.teardown(() => connection.terminate())
  return { connection, accepted: await accepted.promise, server: listeningServer }
}

/**
 * As {@link connectionPair}, with kernel buffers so small that a few kilobytes fill them and the send queue is used.
 */
export async function smallBufferConnectionPair<D = undefined>(
  t: ExecutionContext,
  { family = 'IPv4', server, client }: ConnectionPairOptions<D> = {},
): Promise<ConnectionPair<D>> {
  const small = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  return connectionPair<D>(t, { family, server: { ...small, ...server }, client: { ...small, ...client } })
}
