import { conflictingOptions } from '../errors.js'
import * as native from '../native.js'
import * as kernel from '../options/constants.js'
import { SETTABLE_OPTION_NAMES, type SocketOptions, applyOptions } from '../options/index.js'
import { checkOptions } from '../validate.js'
import { ADDRESS_HINTS, type SockAddr, bind, connect, inetSockAddr, unixSockAddr } from './address.js'
import type { Excluding } from './excluding.js'
import { type MultipathOption, type WithoutMultipath, checkMultipath } from './multipath.js'

/** Connecting to an Internet address. */
export type InetSocketOptions = SocketOptions &
  MultipathOption &
  Excluding<'path'> & {
    /** A numeric IPv4 or IPv6 address (`fe80::1%eth0` too). **Default:** `'127.0.0.1'`. */
    readonly host?: string | undefined
    /** 0 to 65535, also as a decimal string. */
    readonly port: number | string
    /**
     * The numeric address to connect from. **Default:** the kernel's choice. Without `localPort`, connect(2) chooses the
     * port: IP_BIND_ADDRESS_NO_PORT.
     */
    readonly localAddress?: string | undefined
    /** The port to connect from. **Default:** 0, the kernel's choice. */
    readonly localPort?: number | string | undefined
  }

/** Connecting to a Unix path. */
export type UnixSocketOptions = SocketOptions &
  WithoutMultipath &
  Excluding<'host' | 'port' | 'localAddress' | 'localPort'> & {
    /** The path of a Unix socket; abstract when it begins with `\0`. */
    readonly path: string
  }

/** Where `Socket.connect` connects to, and from where: `host` and `port`, or a `path`. */
export type SocketConnectOptions = InetSocketOptions | UnixSocketOptions

/** @internal Of an option that takes a numeric address: what to do with a name. */
export const NAME_HINT = 'resolve names first, as node:dns does'
/** By family: the local address that leaves the choice to the kernel. */
const ANY_ADDRESS = { 4: '0.0.0.0', 6: '::' } as const

const ADDRESS_KEYS = ['host', 'port', 'path', 'localAddress', 'localPort']
const KEYS = [...ADDRESS_KEYS, 'mptcp', ...SETTABLE_OPTION_NAMES]

/** @internal The checked addresses of a socket that is to be connected. */
export function socketAddresses(options: SocketConnectOptions): { remote: SockAddr; local: SockAddr | undefined } {
  checkOptions(options, KEYS, { hints: ADDRESS_HINTS })
  const remote = remoteAddress(options)
  checkMultipath(options, remote.family !== native.UNIX)
  return { remote, local: localAddress(options, remote) }
}

/** @internal Sets options, binds and connects. */
export function connectHandle(
  handle: number,
  family: native.Family,
  remote: SockAddr,
  local: SockAddr | undefined,
  options: SocketConnectOptions,
): void {
  applyOptions(handle, family, options)
  if (local) bindLocally(handle, local)
  native.check(connect(handle, remote), 'connect', remote)
}

/**
 * bind(2) to a local address. Of one without a port, connect(2) chooses the port, which only has to be free to
 * that remote address: ip(7), IP_BIND_ADDRESS_NO_PORT. A kernel that lacks it chooses the port here.
 */
function bindLocally(handle: number, local: SockAddr): void {
  if ('port' in local && local.port === 0) {
    native.setOption(handle, kernel.IPPROTO_IP, kernel.IP_BIND_ADDRESS_NO_PORT, ONE)
  }
  native.check(bind(handle, local), 'bind', local)
}

/** An int. */
const ONE = new Uint8Array([1, 0, 0, 0])

function remoteAddress(options: SocketConnectOptions): SockAddr {
  if (options.path !== undefined) {
    const inet: unknown[] = [options.host, options.port, options.localAddress, options.localPort]
    if (inet.some((value) => value !== undefined)) {
      throw conflictingOptions('either path, or host and port', options, ADDRESS_KEYS)
    }
    return unixSockAddr(options.path)
  }
  const { host = '127.0.0.1', port } = options
  return inetSockAddr(host, port, NAME_HINT)
}

function localAddress({ localAddress, localPort = 0 }: SocketConnectOptions, remote: SockAddr): SockAddr | undefined {
  if (remote.family === native.UNIX || (localAddress === undefined && localPort === 0)) return undefined
  const address = localAddress === undefined ? ANY_ADDRESS[remote.family] : localAddress
  return inetSockAddr(address, localPort, NAME_HINT, { host: 'localAddress', port: 'localPort' })
}
