import { constants } from 'node:os'

import { SocketError, conflictingOptions } from '../errors.js'
import * as native from '../native.js'
import {
  SETTABLE_OPTION_NAMES,
  type SocketOptions,
  applyOptions,
  changeOptions,
  checkOptionValues,
} from '../options/index.js'
import { INT_MAX, checkOptions, integer, validPort } from '../validate.js'
import {
  ADDRESS_HINTS,
  type SockAddr,
  type UnixSockAddr,
  bind,
  familyOf,
  inetSockAddr,
  toAddress,
  unixSockAddr,
} from './address.js'
import type { Excluding } from './excluding.js'
import { type MultipathOption, type WithoutMultipath, checkMultipath, openSocket } from './multipath.js'
import {
  UNIX_FILE_HINTS,
  UnixFile,
  type UnixFileOptions,
  bindError,
  checkPermission,
  checkUnixFile,
  removeNew,
  removeStale,
} from './unix-file.js'

/** How many connections may wait to be accepted. */
export interface BacklogOption {
  /**
   * How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`. **Default:** 511; of a
   * descriptor that listens already, what it has.
   */
  readonly backlog?: number | undefined
}

/** What every way to listen takes. */
export interface CommonListenerOptions extends SocketOptions, BacklogOption {}

/** Listening on an Internet address. */
export type InetListenerOptions = CommonListenerOptions &
  MultipathOption &
  Excluding<'path' | 'fd' | 'mode' | 'unlink'> & {
    /** A numeric address. **Default:** `'::'` for IPv4 and IPv6 together, `'0.0.0.0'` where there is no IPv6. */
    readonly host?: string | undefined
    /** 0 to 65535, also as a decimal string; 0 lets the kernel pick one. **Default:** 0. */
    readonly port?: number | string | undefined
  }

/** Listening on a Unix path. */
export type UnixListenerOptions = CommonListenerOptions &
  UnixFileOptions &
  WithoutMultipath &
  Excluding<'host' | 'port' | 'fd'> & {
    /** The path of a Unix socket; abstract when it begins with `\0`. */
    readonly path: string
  }

/** Listening on a descriptor that another program opened. */
export type DescriptorListenerOptions = CommonListenerOptions &
  WithoutMultipath &
  Excluding<'host' | 'port' | 'path' | 'mode' | 'unlink'> & {
    /** A bound or listening stream socket, as systemd passes them. */
    readonly fd: number
  }

/** Where `Listener.bind` listens: on `host` and `port`, on a `path`, or on an `fd`. */
export type ListenerOptions = InetListenerOptions | UnixListenerOptions | DescriptorListenerOptions

/** The options as JavaScript may give them: of any kind, in any combination. */
type Given = CommonListenerOptions &
  UnixFileOptions &
  MultipathOption & { readonly [K in 'host' | 'port' | 'path' | 'fd']?: unknown }

const ADDRESS_KEYS = ['host', 'port', 'path', 'fd']
const KEYS = [...ADDRESS_KEYS, 'mode', 'unlink', 'backlog', 'mptcp', ...SETTABLE_OPTION_NAMES]
const { EINVAL } = constants.errno
/** The default of `backlog`: Node's. */
const BACKLOG = 511
/** What to do with a host's name instead. */
const NAME_HINT = 'use Listener.bindHost for names'
const HINTS = { ...ADDRESS_HINTS, ...UNIX_FILE_HINTS }

/** @internal A listening socket, as its native handle, and the file that is to be removed when it is closed. */
export interface OpenListener {
  readonly handle: number
  readonly file?: UnixFile | undefined
}

/**
 * @internal Checks all options of `Listener.bindHost` but the name, before it is looked up.
 *
 * @throws TypeError, RangeError
 */
export function checkNamedListener(options: InetListenerOptions): void {
  checkOptions(options, KEYS, { hints: HINTS })
  const { port = 0, path, fd, mode, unlink }: Given = options
  if ([path, fd, mode, unlink].some((value) => value !== undefined)) {
    throw conflictingOptions('host and port alone', options, [...ADDRESS_KEYS, 'mode', 'unlink'])
  }
  validPort(port, 'port')
  backlogOf(options)
  checkMultipath(options, true)
  checkOptionValues(options)
}

/** @internal Binds and listens: socket(2), bind(2), listen(2). */
export function openListener(options: ListenerOptions): OpenListener {
  checkOptions(options, KEYS, { hints: HINTS })
  const given: Given = options
  const backlog = backlogOf(given)
  checkUnixFile(given)
  checkMultipath(given, given.fd === undefined && given.path === undefined)
  if (given.fd !== undefined) return { handle: adoptListener(given, backlog) }
  if (given.path !== undefined) {
    if (given.host !== undefined || given.port !== undefined) {
      throw conflictingOptions('either path, or host and port', options, ADDRESS_KEYS)
    }
    return listenOnPath(unixSockAddr(given.path), given, backlog)
  }
  const { host, port = 0 } = given
  return {
    handle: host === undefined ? listenAnywhere(port, given, backlog) : listenOn(inet(host, port), given, backlog),
  }
}

function backlogOf({ backlog }: BacklogOption): number {
  return backlog === undefined ? BACKLOG : integer(backlog, 0, INT_MAX, 'backlog')
}

function inet(host: unknown, port: unknown): SockAddr {
  return inetSockAddr(host, port, NAME_HINT)
}

function adoptListener(options: Given, backlog: number): number {
  const fd = integer(options.fd, 0, INT_MAX, 'fd')
  if (options.host !== undefined || options.port !== undefined || options.path !== undefined) {
    throw conflictingOptions('either fd, or path, or host and port', options, ADDRESS_KEYS)
  }
  // Adopting changes flags of the descriptor, which has to stay as it was when an option is wrong.
  checkOptionValues(options)
  const handle = native.checkOwned(adopt(fd, backlog, options), 'listen', fd)
  try {
    changeOptions(handle, familyOf(toAddress(native.localAddress(handle))), options)
    return handle
  } catch (error) {
    native.disown(handle)
    throw error
  }
}

/** A descriptor that listens already, such as systemd's, keeps its backlog unless another one is given. */
function adopt(fd: number, backlog: number, given: BacklogOption): number {
  const handle = given.backlog === undefined ? native.adoptListener(fd, native.OWN_BACKLOG) : -EINVAL
  return handle === -EINVAL ? native.adoptListener(fd, backlog) : handle
}

/** `::` takes IPv4 too, unless the system has no IPv6 at all. */
function listenAnywhere(port: unknown, options: Given, backlog: number): number {
  try {
    return listenOn(inet('::', port), options, backlog)
  } catch (error) {
    if (!(error instanceof SocketError) || !WITHOUT_IPV6.has(error.code) || options.ipv6Only === true) throw error
    return listenOn(inet('0.0.0.0', port), options, backlog)
  }
}

const WITHOUT_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])

function listenOn(to: SockAddr, options: Given, backlog: number): number {
  return withSocket(to, { ...options, ...defaults(to, options) }, (handle) => {
    native.check(bind(handle, to), 'bind', to)
    native.check(native.listen(handle, backlog), 'listen', to)
    return handle
  })
}

/** A new socket with its options, which is closed if `use` throws. */
function withSocket<T>(to: SockAddr, options: SocketOptions & MultipathOption, use: (handle: number) => T): T {
  const handle = openSocket(to.family, options)
  try {
    applyOptions(handle, to.family, options)
    return use(handle)
  } catch (error) {
    native.close(handle)
    throw error
  }
}

/** Whatever `net.ipv6.bindv6only` says, `::` means both unless the caller says otherwise. */
function defaults({ family }: SockAddr, { reuseAddress = true, ipv6Only = false }: Given): SocketOptions {
  return family === native.IPV6 ? { reuseAddress, ipv6Only } : { reuseAddress }
}

function listenOnPath(to: UnixSockAddr, options: Given, backlog: number): OpenListener {
  const { mode, unlink = false } = options
  return withSocket(to, options, (handle) => {
    if (mode !== undefined || unlink !== false) checkPermission(to.path)
    if (unlink !== false) removeStale(to.path)
    const status = native.bindPath(handle, to.path)
    if (status < 0) throw bindError(-status, to.path, unlink)
    try {
      const file = mode !== undefined || unlink === true ? UnixFile.at(to.path) : undefined
      // No peer can connect before listen(2).
      if (mode !== undefined) file?.chmod(mode)
      native.check(native.listen(handle, backlog), 'listen', to)
      return { handle, file: unlink === true ? file : undefined }
    } catch (error) {
      removeNew(to.path)
      throw error
    }
  })
}
