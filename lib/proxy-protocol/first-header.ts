import type { Address } from '../model/address.js'
import type { Socket } from '../model/socket.js'
import { checkObject } from '../validate.js'
import { writeHeader } from './header.js'
import type { ProxyHeader } from './types.js'

const NAME = 'options.proxyProtocol'
/** Any of the kind, to check a header before there is a connection. */
const SOME_PATH = { path: '' }
const SOME_ADDRESS = { address: '::', family: 'IPv6', port: 0 } as const

/**
 * Checks the option `proxyProtocol` of a client that connects to a path, or to a host.
 *
 * @returns a copy
 * @throws TypeError, RangeError as `proxyHeader`
 */
export function firstHeader(header: ProxyHeader | undefined, isPath: boolean): ProxyHeader | undefined {
  if (header === undefined) return undefined
  checkObject(header, NAME)
  const own = isPath ? SOME_PATH : SOME_ADDRESS
  writeHeader(complete(header, own, own), NAME)
  return { ...header }
}

/** The bytes that a client sends first, with the addresses of the connection where it has given none. */
export function bytesOfFirst(header: ProxyHeader, socket: Socket): Buffer {
  return writeHeader(complete(header, socket.localAddress, socket.remoteAddress), NAME)
}

/** Paths cannot be written in version 1: UNKNOWN is, where none was given. */
function complete(header: ProxyHeader, local: Address | undefined, remote: Address | undefined): ProxyHeader {
  const { version, command, source = local, destination = remote } = header
  if (command === 'LOCAL') return header
  const isUnknown =
    version === 1 && source === local && destination === remote && local !== undefined && 'path' in local
  return isUnknown ? header : { ...header, source, destination }
}
