// What the example programs share: the address from flags or the environment, the first line of output, and a graceful
// end.

import process from 'node:process'
import { parseArgs } from 'node:util'

import type { Server } from 'm-socket'

/** How long a graceful end may take, in milliseconds. */
const GRACE = 900

export interface HostAndPort {
  readonly host: string
  /** As a string, decimal: what is not a port is refused by `listen` and `connect`. */
  readonly port: number | string
}

/**
 * Starts a server at --host and --port, or HOST and PORT; `open` gets the other arguments, if there may be any. On Ctrl-C
 * it ends gracefully: the queues are sent first.
 */
export function serve<D>(
  name: string,
  port: number,
  open: (address: HostAndPort, others: string[]) => Server<D>,
  allowPositionals = false,
): Server<D> {
  const server = orExit(name, () => {
    const options = { host: { type: 'string' }, port: { type: 'string' } } as const
    const { values, positionals } = parseArgs({ options, allowPositionals })
    return open(addressFrom(values, { host: '0.0.0.0', port }), positionals)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => server.close({ end: true, timeout: GRACE }))
  }
  console.log(`Listening on ${server.host} port ${server.port}`)
  return server
}

export function addressFrom({ host, port }: { host?: string; port?: string }, fallback: HostAndPort): HostAndPort {
  return {
    host: host ?? process.env['HOST'] ?? fallback.host,
    port: port ?? process.env['PORT'] ?? fallback.port,
  }
}

/** Runs `begin`; if it throws, the program prints the error in one line and exits. */
export function orExit<T>(name: string, begin: () => T): T {
  try {
    return begin()
  } catch (error) {
    exit(name, error as Error)
  }
}

export function exit(name: string, error: Error): never {
  console.error(`${name}: ${error.message}`)
  process.exit(1)
}
