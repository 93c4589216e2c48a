// What the servers here have in common: where they listen, what they say first, and how they end.

import process from 'node:process'
import { parseArgs } from 'node:util'

import type { Server } from 'm-socket'

/** How long a graceful end may take, in milliseconds. */
const GRACE = 900

export interface Place {
  readonly hostname: string
  readonly port: number
}

/** Listens where --host and --port or HOST and PORT say, and ends on Ctrl-C: what is on its way gets a moment to go out. */
export function serve<D>(name: string, port: number, open: (place: Place) => Server<D>): Server<D> {
  const server = orExit(name, () => {
    const { values } = parseArgs({ options: { host: { type: 'string' }, port: { type: 'string' } } })
    return open(placeFrom(values, { hostname: '0.0.0.0', port }))
  })
  console.log(`Listening on ${server.hostname} port ${server.port}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.close({ timeout: GRACE }))
  return server
}

export function placeFrom({ host, port }: { host?: string; port?: string }, fallback: Place): Place {
  return {
    hostname: host ?? process.env['HOST'] ?? fallback.hostname,
    port: Number(port ?? process.env['PORT'] ?? fallback.port),
  }
}

/** What cannot begin says why in one line. */
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
