import { readFileSync } from 'node:fs'

import { Listener } from 'm-socket'

/** What the kernel gives those who ask for any port, ip(7): below it a port is only whose program names it. */
const [FIRST_EPHEMERAL] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number) as [
  number,
]
/** The ports of servers that are well known end about here. */
const LOWEST = 12_000

/** A port that nobody has, and that nobody is given who asks for any: tests of all processes share one machine. */
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
