import { createHash } from 'node:crypto'

import type { ExecutionContext } from 'ava'
import {
  type Connection,
  type Handlers,
  type InetSocketOptions,
  type ListenerOptions,
  type RelayOptions,
  type RelayTotals,
  type ServerOptions,
  type Socket,
  relay,
} from 'm-socket'

import { type Family, connectedPair, freeAddress } from './pair.js'
import { connectedSocket, testServer, withResolvers } from './server.js'

/** What `relay` is given: a socket, or a connection of a server. */
export type Kind = 'socket' | 'connection'

export const KINDS: readonly Kind[] = ['socket', 'connection']

/** One side of a relay, and the socket at its other end. */
export interface Side {
  readonly peer: Socket
  readonly relayed: Socket | Connection
}

export interface SideOptions {
  readonly family?: Family
  readonly kind?: Kind
  /** Of both ends. */
  readonly socket?: Partial<InetSocketOptions>
  /** Of a connection. */
  readonly handlers?: Handlers<undefined>
  readonly server?: ServerOptions<undefined>
}

/** A connection, one end of which is to be relayed; reset at the end of the test. */
export async function relaySide(
  t: ExecutionContext,
  { family = 'IPv4', kind = 'socket', socket = {}, handlers = {}, server = {} }: SideOptions = {},
): Promise<Side> {
  if (kind === 'socket') {
    const { client, server } = await connectedPair(t, family, { client: socket, listener: socket as ListenerOptions })
    return { peer: client, relayed: server }
  }
  const accepted = withResolvers<Connection>()
  const listening = testServer<undefined>(t, {
    ...freeAddress(t, family),
    ...socket,
    ...server,
    socket: {
      ...handlers,
      open(connection: Connection) {
        accepted.resolve(connection)
        return handlers.open?.(connection)
      },
    },
  } as never)
  return { peer: await connectedSocket(t, listening, socket), relayed: await accepted.promise }
}

/** Two sides, alike unless the second differs. */
export async function relaySides(
  t: ExecutionContext,
  a: SideOptions = {},
  b: SideOptions = a,
): Promise<{ a: Side; b: Side }> {
  return { a: await relaySide(t, a), b: await relaySide(t, b) }
}

/** As `relay`. Its failure may be awaited late: until then it is no unhandled rejection. */
export function startRelay<A, B>(
  a: Socket | Connection<A>,
  b: Socket | Connection<B>,
  options?: RelayOptions,
): Promise<RelayTotals> {
  const relayed = relay(a, b, options)
  relayed.catch(() => {})
  return relayed
}

/** The socket beneath a connection, or the socket itself. */
export function socketOf({ relayed }: Side): Socket {
  return 'socket' in relayed ? relayed.socket! : relayed
}

/** Bytes that repeat in no power of two, so that no piece can be taken for another one. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let index = 0; index < length; index++)
    bytes[index] = (index * 31 + (index >> 8) * 7 + (index >> 16) + seed) & 255
  return bytes
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex')
}
