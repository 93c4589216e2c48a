import { readFileSync } from 'node:fs'

import { Listener } from 'm-socket'

/** The first port that the kernel gives for port 0, ip(7). Ports below it are used only by programs that name them. */
const [FIRST_EPHEMERAL] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number) as [
  number,
]
/** Above most well-known ports of servers. */
const LOWEST = 12_000

/** A free port outside the ephemeral range: the kernel gives it to no test that runs at the same time. */
export function freePort(): number {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (FIRST_EPHEMERAL - LOWEST))
    try {
      Listener.bind({ port }).close()
      return port
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}
