import type { ExecutionContext } from 'ava'
import { Listener, Socket } from 'm-socket'

import { addressOf, closeAtEnd, resetAtEnd } from './pair.js'

/** A connect that is pending for so many milliseconds counts as dropped because the backlog is full. */
const CONNECT_TIME = 150

/**
 * A listener with a full backlog: the kernel drops every further SYN, tcp(7), so connects stay pending. Accepting makes
 * room; the kernel answers the next retransmitted SYN, after a second.
 */
export async function blackhole(t: ExecutionContext, host: string, port = 0): Promise<Listener> {
  const listener = closeAtEnd(t, Listener.bind({ host, port, backlog: 0 }))
  for (;;) {
    const socket = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
    const end = performance.now() + CONNECT_TIME
    while (socket.state === 'connecting' && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 10))
    if (socket.state === 'connecting') {
      socket.reset()
      return listener
    }
  }
}
