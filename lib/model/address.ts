import * as native from '../native.js'
import { numericHost, unixPath, validPort } from '../validate.js'

/** An Internet address, in Node's shape. */
export interface InetAddress {
  /** Numeric, with its zone where it has one (`fe80::1%2`). */
  readonly address: string
  /** ip(7) or ipv6(7). */
  readonly family: 'IPv4' | 'IPv6'
  /** 0 to 65535. */
  readonly port: number
}

/** The address of a Unix socket. A path that begins with `\0` is abstract; an unnamed socket has an empty one. */
export interface UnixAddress {
  /** At most 107 bytes of UTF-8; an abstract name 108, its `\0` included. */
  readonly path: string
}

/** Where a socket is bound or connected to. */
export type Address = InetAddress | UnixAddress

/** @internal By names that other libraries have for the options of an address: their names here. */
export const ADDRESS_HINTS = { hostname: "'host'", unix: "'path'" }

/** @internal A checked address to connect or bind to: sockaddr(3type). */
export type SockAddr = { readonly family: 4 | 6; readonly address: string; readonly port: number } | UnixSockAddr

/** @internal A checked path to connect or bind to. */
export interface UnixSockAddr {
  readonly family: 0
  readonly path: string
}

/**
 * @internal Checks a numeric host and a port, which errors call by `names`.
 *
 * @param hint what takes a host's name instead
 */
export function inetSockAddr(
  host: unknown,
  port: unknown,
  hint: string,
  names = { host: 'host', port: 'port' },
): SockAddr {
  const family = numericHost(host, names.host, hint)
  return { family, address: host as string, port: validPort(port, names.port) }
}

/** @internal Checks the path of a Unix socket. */
export function unixSockAddr(path: unknown): UnixSockAddr {
  return { family: native.UNIX, path: unixPath(path, 'path') }
}

/** @internal bind(2): 0, or an errno negated. */
export function bind(handle: number, to: SockAddr): number {
  return to.family === native.UNIX ? native.bindPath(handle, to.path) : native.bind(handle, to.address, to.port)
}

/** @internal connect(2): 0, or an errno negated. */
export function connect(handle: number, to: SockAddr): number {
  return to.family === native.UNIX ? native.connectPath(handle, to.path) : native.connect(handle, to.address, to.port)
}

/** @internal From the native form. */
export function toAddress(found: native.NativeAddress | null): Address | undefined {
  if (!found) return undefined
  if (found.path !== undefined) return { path: found.path }
  return { address: found.address!, family: found.family === native.IPV4 ? 'IPv4' : 'IPv6', port: found.port! }
}

/** @internal The family of a socket's own address. */
export function familyOf(address: Address | undefined): native.Family {
  if (!address || 'path' in address) return native.UNIX
  return address.family === 'IPv4' ? native.IPV4 : native.IPV6
}

/** @internal A numeric address, or a path. */
export function hostOf(address: Address | undefined): string | undefined {
  return address && ('path' in address ? address.path : address.address)
}

/** @internal Undefined on a Unix socket. */
export function portOf(address: Address | undefined): number | undefined {
  return address && 'port' in address ? address.port : undefined
}

/** @internal Undefined on a Unix socket. */
export function familyNameOf(address: Address | undefined): InetAddress['family'] | undefined {
  return address && 'family' in address ? address.family : undefined
}
