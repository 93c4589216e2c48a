import { isIPv6 } from 'node:net'

import { invalidArgType } from '../errors.js'
import type { Address, SockAddr } from './address.js'

/**
 * A socket that has been given up by `detach`, until `Socket.attach`: a plain object that `postMessage` and
 * `structuredClone` copy. It is a name for what is kept in this process, and is of no use in another one.
 */
export interface DetachedSocket {
  /** Names the socket, once and in this process. */
  readonly id: string
  /** Where it is bound: getsockname(2). */
  readonly localAddress: Address | undefined
  /** Where it is connected to: getpeername(2); of a socket that connects, where to, if that is known. */
  readonly remoteAddress: Address | undefined
}

/** @internal */
export function detachedSocket(id: string, local: Address | undefined, remote: Address | undefined): DetachedSocket {
  return Object.freeze({ id, localAddress: freeze(local), remoteAddress: freeze(remote) })
}

function freeze(address: Address | undefined): Address | undefined {
  return address && Object.freeze(address)
}

/**
 * @internal The id of a detached socket, or of a copy of it.
 *
 * @throws TypeError for what is none.
 */
export function idOf(detached: unknown): string {
  const id = typeof detached === 'object' && detached !== null ? (detached as Partial<DetachedSocket>).id : undefined
  if (typeof id !== 'string') throw invalidArgType('detached', 'a DetachedSocket', detached)
  return id
}

/** @internal Where it connects to, for the error of a connect that fails; undefined of a copy that was changed. */
export function targetOf({ remoteAddress }: DetachedSocket): Address | undefined {
  const { address, port, path } = (remoteAddress ?? {}) as Record<string, unknown>
  const isKnown = typeof path === 'string' || (typeof address === 'string' && typeof port === 'number')
  return isKnown ? remoteAddress : undefined
}

/** @internal Where a socket connects to, in Node's shape. */
export function toTarget(to: Address | SockAddr | undefined): Address | undefined {
  if (!to) return undefined
  if ('path' in to) return { path: to.path }
  return { address: to.address, family: isIPv6(to.address) ? 'IPv6' : 'IPv4', port: to.port }
}
