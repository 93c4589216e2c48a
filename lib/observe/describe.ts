import { isIPv6 } from 'node:net'

import type { Address } from '../model/address.js'

// How the lines of NODE_DEBUG call addresses and errors: each in one piece without a line break.

/** The addresses of a connection. */
export interface Ends {
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  /** Undefined for a client's. */
  readonly server: unknown
}

/** `127.0.0.1:80 <- 127.0.0.1:40000`, with our end first; the arrow shows who has connected. */
export function describeEnds({ localAddress, localPort, remoteAddress, remotePort, server }: Ends): string {
  const arrow = server === undefined ? '->' : '<-'
  return `${describePlace(localAddress, localPort)} ${arrow} ${describePlace(remoteAddress, remotePort)}`
}

/** `127.0.0.1:80`, `[::1]:80`, or a path; an abstract one begins with `@`. A client of a Unix socket has no path. */
export function describePlace(host: string | undefined, port: number | string | undefined): string {
  if (host === undefined) return port === undefined ? '(no address)' : `:${port}`
  if (host === '') return '(unnamed)'
  if (port === undefined) return printable(host.replace(/^\0/, '@'))
  return isIPv6(host) ? `[${host}]:${port}` : `${printable(host)}:${port}`
}

export function describeAddress(address: Address | undefined): string {
  if (address === undefined) return describePlace(undefined, undefined)
  return 'path' in address ? describePlace(address.path, undefined) : describePlace(address.address, address.port)
}

/** `read ECONNRESET`: the message as one line. */
export function describeError(error: unknown): string {
  const { message, name } = (error ?? {}) as { message?: unknown; name?: unknown }
  return printable(typeof message === 'string' && message !== '' ? message : String(name ?? error))
}

function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}
