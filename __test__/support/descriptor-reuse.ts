import { setTimeout as sleep } from 'node:timers/promises'

import type { Socket } from 'm-socket'

/** Something else in the process took the expected descriptor number. */
class DescriptorTaken extends Error {}

/** Opens sockets until one gets the descriptor that was just closed: the kernel gives the lowest free number. */
export function openWithDescriptor(fd: number, open: () => Socket): Socket {
  for (;;) {
    const socket = open()
    if (socket.fd === fd) return socket
    if (socket.fd > fd) throw new DescriptorTaken(`something else has descriptor ${fd}`)
  }
}

/**
 * Runs a test body that uses `openWithDescriptor`, again if another thread of the runtime, or a worker, took the
 * number.
 */
export async function retryUntilReused(run: () => Promise<void>): Promise<void> {
  for (let left = 50; ; left--) {
    try {
      return await run()
    } catch (error) {
      if (left === 0 || !(error instanceof DescriptorTaken)) throw error
      await sleep(100)
    }
  }
}
