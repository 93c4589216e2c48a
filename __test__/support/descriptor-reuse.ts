import { setTimeout as sleep } from 'node:timers/promises'

import type { Socket } from 'm-socket'

/** Something else of the process has the number that a scene wanted. */
class NumberTaken extends Error {}

/** Opens sockets until one has the number that was closed just now: the kernel gives the lowest that is free. */
export function openWithDescriptor(fd: number, open: () => Socket): Socket {
  for (;;) {
    const socket = open()
    if (socket.fd === fd) return socket
    if (socket.fd > fd) throw new NumberTaken(`something else has descriptor ${fd}`)
  }
}

/** Plays a scene with `openNumbered`, and plays it again when another thread of the host, or a worker, took the number. */
export async function retryUntilReused(scene: () => Promise<void>): Promise<void> {
  for (let left = 50; ; left--) {
    try {
      return await scene()
    } catch (error) {
      if (left === 0 || !(error instanceof NumberTaken)) throw error
      await sleep(100)
    }
  }
}
