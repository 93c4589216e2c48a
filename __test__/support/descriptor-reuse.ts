import { setTimeout as sleep } from 'node:timers/promises'

import type { Socket } from 'm-socket'

/** Something else in the process took the expected descriptor number. */
class DescriptorTaken extends Error {}

/** Opens sockets until one gets the descriptor that was just closed: the kernel gives the lowest free number. */
export function openWithDescriptor(fd: number, open: () => Socket): Socket {
  for (;;) {
    const socket = open()
    if (socket.fd === fd) return socket
    if (socket.fd > fd) assertReused(socket.fd, fd)
  }
}

/** For `retryUntilReused`: the descriptor that was opened has the number of the one that was closed. */
export function assertReused(opened: number, closed: number): void {
  if (opened !== closed) throw new DescriptorTaken(`something else has descriptor ${closed}`)
}

/**
 * Runs a test body that uses `openWithDescriptor` or `assertReused`, again if another thread of the runtime, or a worker, took the
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
