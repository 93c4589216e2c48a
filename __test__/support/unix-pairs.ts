import type { ExecutionContext } from 'ava'
import { Listener, Socket } from 'm-socket'

import type { Pair } from './pair.js'
import { freePath } from './unix.js'

/** Many connected pairs over Unix sockets, all reset at the end of the test. */
export function unixPairs(t: ExecutionContext, size: number): Pair[] {
  using listener = Listener.bind({ path: freePath(t) })
  const to = listener.address as { path: string }
  const pairs: Pair[] = []
  t.teardown(() => {
    for (const { client, server } of pairs) {
      client.reset()
      server.reset()
    }
  })
  for (let count = 0; count < size; count++) {
    const client = Socket.connect(to)
    pairs.push({ client, server: listener.accept()! })
    // A look asks the kernel for the outcome, which a Unix socket has at once.
    if (client.state === 'closed') throw new Error('a member of the crowd did not connect')
  }
  return pairs
}
