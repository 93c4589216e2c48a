import { conflictingOptions, invalidArgType } from '../errors.js'
import { familyOf } from '../model/address.js'
import type { BacklogOption, ListenerOptions } from '../model/bind.js'
import type { Excluding } from '../model/excluding.js'
import { Listener } from '../model/listener.js'
import { type MultipathOption, type WithoutMultipath, checkMultipath } from '../model/multipath.js'
import { UNIX_FILE_HINTS, type UnixFileOptions, checkUnixFile } from '../model/unix-file.js'
import { UNIX } from '../native.js'
import { serverListens } from '../observe/life.js'
import { type SocketOptions, changeOptions, checkOptionValues } from '../options/index.js'
import { type ProxyProtocol, headerPolicy } from '../proxy-protocol/policy.js'
import { INT_MAX, checkOptions, integer, numericHost, unixPath, validPort } from '../validate.js'
import {
  type AddressOptions,
  CONNECTION_HINTS,
  CONNECTION_KEYS,
  type ConnectionOptions,
  type InitialData,
  type PathOption,
  hostOption,
  ownerOf,
  pathOption,
  socketOptions,
} from './options.js'
import { Server } from './server.js'

/** What {@link listen} takes besides where to listen. */
export interface ServerOptions<D> extends ConnectionOptions<D> {
  /**
   * At this number of open connections accepting pauses; others wait in the kernel's backlog. **Default:** no limit.
   */
  readonly maxConnections?: number | undefined
  /**
   * Reads the header of the PROXY protocol by which a proxy says whose connection it is. The addresses of the connection
   * are then the client's, and `connection.proxy` is the header. `open` is called when it has come, or when it is clear
   * that there is none; a connection whose header is wrong, or does not come in time, is reset, and no handler is called.
   * **Default:** no header is read.
   */
  readonly proxyProtocol?: ProxyProtocol | undefined
}

/** Listening on an Internet address. */
export type InetListenOptions = BacklogOption &
  MultipathOption &
  Excluding<'path' | 'unix' | 'fd' | 'listener' | 'mode' | 'unlink'> & {
    /** A numeric address, or `'localhost'` for 127.0.0.1. **Default:** `'::'`, IPv4 and IPv6 together. */
    readonly host?: string | undefined
    /** An alias of `host`. */
    readonly hostname?: string | undefined
    /** 0 to 65535, also as a decimal string; 0 lets the kernel pick one. **Default:** 0. */
    readonly port?: number | string | undefined
  }

/** Listening on a Unix path. */
export type UnixListenOptions = BacklogOption &
  UnixFileOptions &
  WithoutMultipath &
  Excluding<'host' | 'hostname' | 'port' | 'fd' | 'listener'> &
  PathOption

/** Listening on a descriptor that another program opened. */
export type DescriptorListenOptions = BacklogOption &
  WithoutMultipath &
  Excluding<'host' | 'hostname' | 'port' | 'path' | 'unix' | 'listener' | 'mode' | 'unlink'> & {
    /** A bound or listening stream socket, as systemd passes them. */
    readonly fd: number
  }

/** Serving an open listener: the way to serve a name, by `Listener.bindHost`. */
export type ListenerListenOptions = WithoutMultipath &
  Excluding<'backlog' | 'host' | 'hostname' | 'port' | 'path' | 'unix' | 'fd' | 'mode' | 'unlink'> & {
    /** It belongs to the server from then on. */
    readonly listener: Listener
  }

/** Where and how {@link listen} listens: on `host` and `port`, on a `path`, on an `fd`, or by a `listener`. */
export type ListenOptions<D> = ServerOptions<D> &
  InitialData<D> &
  (InetListenOptions | UnixListenOptions | DescriptorListenOptions | ListenerListenOptions)

/** The options as JavaScript may give them: of any kind, in any combination. */
type Given = AddressOptions & {
  readonly [Name in 'fd' | 'listener' | 'backlog' | 'mode' | 'unlink' | 'mptcp']?: unknown
}

const ADDRESS_KEYS = ['listener', 'fd', 'path', 'unix', 'host', 'hostname', 'port', 'backlog']
const KEYS = [...CONNECTION_KEYS, 'fd', 'listener', 'backlog', 'mode', 'unlink', 'maxConnections', 'proxyProtocol']
const HINTS = { ...CONNECTION_HINTS, ...UNIX_FILE_HINTS }

/** What `'localhost'` is bound to, without a look-up. */
const LOCALHOST = '127.0.0.1'

/**
 * Listens, and hands the connections to handlers. The port is known when it returns.
 *
 * TCP_NODELAY is on unless `noDelay: false`.
 *
 * @throws TypeError, RangeError for bad options; a name as host says to pass the listener of `Listener.bindHost`.
 * @throws SocketError EADDRINUSE and the like, as `Listener.bind`; EEXIST for a `listener` that is in a multiplexer. A
 * `listener` then stays the caller's.
 * @throws SocketClosedError when the `listener` or the `multiplexer` is closed.
 */
export function listen<D = undefined>(options: ListenOptions<D>): Server<D> {
  checkOptions(options, KEYS, { hints: HINTS })
  const owner = ownerOf<D>(options, 'listen')
  const { maxConnections } = options
  const most = maxConnections === undefined ? Infinity : integer(maxConnections, 1, INT_MAX, 'options.maxConnections')
  checkAddress(options)
  const headers = headerPolicy(options.proxyProtocol)
  const { listener, giveBack } = open(options)
  try {
    const server = Server.of(listener, owner, { maxConnections: most, data: options.data as D, headers })
    serverListens(server)
    return server
  } catch (error) {
    giveBack()
    throw error
  }
}

/** A listener, and what to do with it when it cannot be served. */
interface Opened {
  readonly listener: Listener
  giveBack(): void
}

function open(options: SocketOptions & Given): Opened {
  // Before a descriptor is adopted, which changes flags of it.
  checkOptionValues(options)
  const given = options.listener as Listener | undefined
  if (given !== undefined) return { listener: given, giveBack: changeListener(given, options) }
  const { fd, backlog } = options
  if (fd !== undefined) {
    const listener = Listener.bind({ fd, backlog } as ListenerOptions)
    try {
      const restore = changeListener(listener, options)
      return { listener, giveBack: () => (restore(), listener.detach()) }
    } catch (error) {
      listener.detach()
      throw error
    }
  }
  const listener = Listener.bind({ ...socketOptions(options), ...addressOf(options), backlog } as ListenerOptions)
  return { listener, giveBack: () => listener.discard() }
}

/** Sets the options of an open listener, which its connections inherit. Returns what sets them back. */
function changeListener(listener: Listener, options: SocketOptions): () => void {
  const handle = listener.openHandle('listen')
  const family = familyOf(listener.address)
  const defaults = family === UNIX ? {} : { noDelay: true }
  return changeOptions(handle, family, { ...defaults, ...socketOptions(options) })
}

/** As `Listener.bind` takes it. */
function addressOf(options: SocketOptions & Given): Given & SocketOptions {
  const path = pathOption(options).value
  if (path !== undefined) return { path, mode: options.mode, unlink: options.unlink }
  const host = hostOption(options).value
  const { port, noDelay = true, mptcp } = options
  return { host: host === 'localhost' ? LOCALHOST : host, port, noDelay, mptcp }
}

/** Refuses by the names of {@link listen} what `Listener.bind` would refuse by its own. */
function checkAddress(options: Given): void {
  const [host, path] = [hostOption(options), pathOption(options)]
  const { port, fd, listener, backlog } = options
  checkMultipath(
    options,
    [path.value, fd, listener].every((value) => value === undefined),
    'options.',
  )
  const places = [path.value, fd, listener, host.value ?? port].filter((value) => value !== undefined)
  if (places.length > 1) {
    throw conflictingOptions('either listener, or fd, or path, or host and port', options, ADDRESS_KEYS)
  }
  if (listener !== undefined && backlog !== undefined) {
    throw conflictingOptions('no backlog for a listener, which has one', options, ADDRESS_KEYS)
  }
  if (listener !== undefined && !(listener instanceof Listener)) {
    throw invalidArgType('options.listener', 'a Listener', listener)
  }
  if (host.value !== undefined && host.value !== 'localhost') {
    numericHost(host.value, host.name, 'for a name, pass the `listener` of Listener.bindHost')
  }
  if (port !== undefined) validPort(port, 'options.port')
  if (path.value !== undefined) unixPath(path.value, path.name)
  checkUnixFile({ path: path.value, mode: options.mode, unlink: options.unlink }, 'options.')
  if (fd !== undefined) integer(fd, 0, INT_MAX, 'options.fd')
}
