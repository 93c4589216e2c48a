import type { ExecutionContext } from 'ava'
import { Listener, Socket } from 'm-socket'

import type { Pair } from './pair.js'
import { freePath } from './unix.js'

/** Connected pairs over Unix sockets; reset at the end of the test. */
export function unixPairs(t: ExecutionContext, size: number): Pair[] {
  using listener = Listener.bind({ path: freePath(t) })
  const address = listener.address as { path: string }
  const pairs: Pair[] = []
  t.teardown(() => {
    for (const { client, server } of pairs) {
      client.reset()
      server.reset()
    }
  })
  for (let count = 0; count < size; count++) {
    const client = Socket.connect(address)
    pairs.push({ client, server: listener.accept()! })
    // Reading `state` asks the kernel for the outcome, which a Unix socket has at once.
    if (client.state === 'closed') throw new Error('a client did not connect')
  }
  return pairs
}
