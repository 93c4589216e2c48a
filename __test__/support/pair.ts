import type { ExecutionContext } from 'ava'
import { type InetSocketOptions, Listener, type ListenerOptions, Socket, type SocketConnectOptions } from 'm-socket'

import { freePath } from './unix.js'
import { acceptNext, connectOutcome } from './waiting.js'

export type Family = 'IPv4' | 'IPv6' | 'unix'

export const FAMILIES: readonly Family[] = ['IPv4', 'IPv6', 'unix']

/** Both ends of a connection. */
export interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** A free place to listen: port 0 of the loopback, or an unused path. */
export function freeAddress(t: ExecutionContext, family: Family): { host: string } | { path: string } {
  return family === 'unix' ? { path: freePath(t) } : { host: family === 'IPv4' ? '127.0.0.1' : '::1' }
}

/** A listener on a free port of the loopback, or on a free path; closed at the end of the test. */
export function testListener(t: ExecutionContext, family: Family = 'IPv4', options: ListenerOptions = {}): Listener {
  return closeAtEnd(t, Listener.bind({ ...freeAddress(t, family), ...options } as ListenerOptions))
}

/** The address of a listener or server, as options of `Socket.connect`. */
export function addressOf({ address }: Pick<Listener, 'address'>): { path: string } | { host: string; port: number } {
  if (!address) throw new Error('it is closed')
  return 'path' in address ? { path: address.path } : { host: address.address, port: address.port }
}

/** As {@link addressOf}, of a listener on an Internet address. */
export function inetAddressOf(listener: Listener): { host: string; port: number } {
  return addressOf(listener) as { host: string; port: number }
}

/** Two connected sockets that are in no multiplexer; reset at the end of the test. */
export async function connectedPair(
  t: ExecutionContext,
  family: Family = 'IPv4',
  options: { client?: Partial<InetSocketOptions>; listener?: ListenerOptions } = {},
): Promise<Pair> {
  const listener = testListener(t, family, options.listener)
  const client = resetAtEnd(t, Socket.connect({ ...addressOf(listener), ...options.client } as SocketConnectOptions))
  const server = resetAtEnd(t, await acceptNext(listener))
  listener.close()
  if ((await connectOutcome(client)) !== 'open') throw new Error('the client did not connect')
  return { client, server }
}

/** A pair with kernel buffers so small that a few kilobytes fill them and the send queue is used. */
export async function smallBufferPair(t: ExecutionContext, family: Family = 'IPv4'): Promise<Pair> {
  const small = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  return connectedPair(t, family, { client: small, listener: small })
}

/** Sends until the kernel's buffers are full and something is queued; returns the number of accepted bytes. */
export function fillSendQueue(socket: Socket, piece: Uint8Array = new Uint8Array(4096)): number {
  let accepted = 0
  while (socket.queued === 0) {
    const status = socket.send(piece)
    if (status === 'not-sent' || status === 'closed') throw new Error(`send: ${status}`)
    accepted += piece.length
  }
  return accepted
}

/** Closes something at the end of the test; returns it. */
export function closeAtEnd<T extends { close(): void }>(t: ExecutionContext, opened: T): T {
  t.teardown(() => opened.close())
  return opened
}

/** Resets a socket at the end of the test, even with queued output; returns it. */
export function resetAtEnd(t: ExecutionContext, socket: Socket): Socket {
  t.teardown(() => socket.reset())
  return socket
}
