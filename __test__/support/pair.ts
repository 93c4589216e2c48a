import type { ExecutionContext } from 'ava'
import { Listener, type ListenerOptions, Socket, type SocketConnectOptions } from 'm-socket'

import { freePath } from './unix.js'
import { acceptNext, connectOutcome } from './waiting.js'

export type Family = 'IPv4' | 'IPv6' | 'unix'

export const FAMILIES: readonly Family[] = ['IPv4', 'IPv6', 'unix']

/** Two ends of one connection. */
export interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** A listener on the loopback's own port or in a directory of its own, closed at the end of the test. */
export function testListener(t: ExecutionContext, family: Family = 'IPv4', options: ListenerOptions = {}): Listener {
  const place = family === 'unix' ? { path: freePath(t) } : { host: family === 'IPv4' ? '127.0.0.1' : '::1' }
  return closeAtEnd(t, Listener.bind({ ...place, ...options }))
}

/** Where to connect to, to reach a listener. */
export function addressOf({ address }: Listener): { path: string } | { host: string; port: number } {
  if (!address) throw new Error('the listener is closed')
  return 'path' in address ? { path: address.path } : { host: address.address, port: address.port }
}

/** Two connected sockets in no multiplexer, both reset at the end of the test. */
export async function connectedPair(
  t: ExecutionContext,
  family: Family = 'IPv4',
  options: { client?: SocketConnectOptions; listener?: ListenerOptions } = {},
): Promise<Pair> {
  const listener = testListener(t, family, options.listener)
  const client = resetAtEnd(t, Socket.connect({ ...addressOf(listener), ...options.client }))
  const server = resetAtEnd(t, await acceptNext(listener))
  listener.close()
  if ((await connectOutcome(client)) !== 'open') throw new Error('the client did not connect')
  return { client, server }
}

/** A pair whose kernel buffers are small, so that a send queue comes into use after some kilobytes. */
export async function smallBufferPair(t: ExecutionContext, family: Family = 'IPv4'): Promise<Pair> {
  const small = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  return connectedPair(t, family, { client: small, listener: small })
}

/** Fills the kernel and then the queue, until something is queued; returns how many bytes that took in all. */
export function fillSendQueue(socket: Socket, piece: Uint8Array = new Uint8Array(4096)): number {
  let taken = 0
  while (socket.queued === 0) {
    const status = socket.send(piece)
    if (status === 'not-sent' || status === 'closed') throw new Error(`send: ${status}`)
    taken += piece.length
  }
  return taken
}

/** Has the test close something at its end. */
export function closeAtEnd<T extends { close(): void }>(t: ExecutionContext, opened: T): T {
  t.teardown(() => opened.close())
  return opened
}

/** Has the test reset a socket at its end, whatever is queued. */
export function resetAtEnd(t: ExecutionContext, socket: Socket): Socket {
  t.teardown(() => socket.reset())
  return socket
}
