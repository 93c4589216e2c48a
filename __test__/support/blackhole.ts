import type { ExecutionContext } from 'ava'
import { Listener, Socket } from 'm-socket'

import { addressOf, closeAtEnd, resetAtEnd } from './pair.js'

/** Milliseconds after which who is still connecting is taken to wait for room in the backlog. */
const SETTLED = 150

/**
 * A listener whose backlog is full: tcp(7) drops the SYNs of all who come next, which then wait without an answer.
 * Accepting makes room; the kernel answers the next SYN that is sent again, after a second.
 */
export async function blackhole(t: ExecutionContext, host: string, port = 0): Promise<Listener> {
  const listener = closeAtEnd(t, Listener.bind({ host, port, backlog: 0 }))
  for (;;) {
    const socket = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
    const end = performance.now() + SETTLED
    while (socket.state === 'connecting' && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 10))
    if (socket.state === 'connecting') {
      socket.reset()
      return listener
    }
  }
}
