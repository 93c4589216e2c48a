import { isIP } from 'node:net'

import { conflictingOptions, invalidArgValue } from '../errors.js'
import { addressesOf } from '../loop/names.js'
import type { Poller } from '../loop/poller.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { NAME_HINT, type SocketConnectOptions } from '../model/connect-options.js'
import type { Excluding } from '../model/excluding.js'
import { type MultipathOption, type WithoutMultipath, checkMultipath } from '../model/multipath.js'
import type { Socket } from '../model/socket.js'
import { connectEnds, connectFails, connectStarts } from '../observe/life.js'
import { type SocketOptions, checkOptionValues } from '../options/index.js'
import { bytesOfFirst, firstHeader } from '../proxy-protocol/first-header.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { abortSignal, checkOptions, milliseconds, numericHost, unixPath, validHost, validPort } from '../validate.js'
import { Connection } from './connection.js'
import {
  type AddressOptions,
  CONNECTION_HINTS,
  CONNECTION_KEYS,
  type ConnectionOptions,
  type HostOption,
  type InitialData,
  type PathOption,
  hostOption,
  ownerOf,
  pathOption,
  socketOptions,
} from './options.js'
import { type Candidates, abortReason, race } from './race.js'

/** What {@link connect} takes besides where to connect to. */
export interface ClientOptions<D> extends ConnectionOptions<D> {
  /** Milliseconds for everything together: the look-up and all attempts. **Default:** no limit but the kernel's. */
  readonly connectTimeout?: number | undefined
  /** Aborts the look-up and all attempts. */
  readonly signal?: AbortSignal | undefined
  /**
   * A header of the PROXY protocol, which is sent before all else. Its source and destination are by default the
   * addresses of the connection: ours, and the one that it connects to. **Default:** none.
   */
  readonly proxyProtocol?: ProxyHeader | undefined
}

/** Connecting to an Internet address. */
export type InetConnectOptions = Excluding<'path' | 'unix'> &
  MultipathOption &
  HostOption & {
    /** 0 to 65535, also as a decimal string. */
    readonly port: number | string | undefined
    /** The numeric address to connect from; of a name, only addresses of its family are tried. */
    readonly localAddress?: string | undefined
    /**
     * The port to connect from. SO_REUSEADDR is then on unless `reuseAddress: false`, so that several addresses of a
     * name can be tried. **Default:** the kernel's choice.
     */
    readonly localPort?: number | string | undefined
  }

/** Connecting to a Unix path. */
export type UnixConnectOptions = WithoutMultipath &
  Excluding<'host' | 'hostname' | 'port' | 'localAddress' | 'localPort'> &
  PathOption

/** Where and how {@link connect} connects: to `host` and `port`, or to a `path`. */
export type ConnectOptions<D> = ClientOptions<D> & InitialData<D> & (InetConnectOptions | UnixConnectOptions)

/** The options as JavaScript may give them: of any kind, in any combination. */
type Given = SocketOptions &
  MultipathOption &
  AddressOptions & { readonly localAddress?: unknown; readonly localPort?: unknown }

const ADDRESS_KEYS = ['host', 'hostname', 'port', 'path', 'unix', 'localAddress', 'localPort']
const KEYS = [...CONNECTION_KEYS, 'connectTimeout', 'signal', 'localAddress', 'localPort', 'proxyProtocol']

const HINTS = { ...CONNECTION_HINTS, timeout: "'connectTimeout' or 'idleTimeout'" }

/**
 * Connects to a name, an address or a path, and hands the connection to handlers.
 *
 * A name is resolved by node:dns off the thread. Its addresses are raced after RFC 8305: families take turns. An
 * attempt begins 250 ms after the one before it or as soon as that has failed, the first to connect wins, and the
 * others are closed. The `open` handler runs before the promise is fulfilled.
 *
 * @throws (rejects) TypeError, RangeError for bad options; SocketError the reason of the one attempt that failed; of
 * several AggregateError with one error per attempt, and `code`, `errno`, `syscall`, `address` and `port` of the first;
 * node:dns's error for a name without an address; ETIMEDOUT after `connectTimeout`; the signal's reason;
 * SocketClosedError when the `multiplexer` is closed. The `connectError` handler is called first, but not for bad
 * options or a `multiplexer` that is closed already.
 */
export async function connect<D = undefined>(options: ConnectOptions<D>): Promise<Connection<D>> {
  checkOptions(options, KEYS, { hints: HINTS })
  const { signal, connectTimeout } = options
  const owner = ownerOf<D>(options, 'connect')
  const timeout = connectTimeout === undefined ? undefined : milliseconds(connectTimeout, 'options.connectTimeout')
  if (signal !== undefined) abortSignal(signal, 'options.signal')
  checkOptionValues(options)
  const candidates = candidatesOf(options)
  const header = firstHeader(options.proxyProtocol, pathOption(options).value !== undefined)
  const connection = Connection.of<D>(owner, options.data as D)
  connectStarts(options)
  let poller: Poller | undefined
  try {
    if (signal?.aborted) throw abortReason(signal)
    poller = sharedPoller()
    poller.ref()
    attach(connection, await race(candidates, { timeout, signal, poller: owner.poller }), header)
    connectEnds(connection)
    return connection
  } catch (error) {
    connection.connectFailed(error as Error)
    connectFails(options, error)
    throw error
  } finally {
    poller?.unref()
  }
}

/** A socket that cannot be watched is closed. What `open` writes leaves with the header. */
function attach<D>(connection: Connection<D>, socket: Socket, header: ProxyHeader | undefined): void {
  try {
    if (!header) return connection.attach(socket)
    connection.cork(() => {
      socket.write(bytesOfFirst(header, socket), true)
      connection.attach(socket)
    })
  } catch (error) {
    socket.close()
    throw error
  }
}

/** What to try, in which order; of a name only after it has been resolved. */
function candidatesOf(options: Given): Candidates {
  const [{ value: hostname, name }, path] = [hostOption(options), pathOption(options)]
  const { port, localAddress, localPort, mptcp } = options
  checkMultipath(options, path.value === undefined, 'options.')
  if (path.value !== undefined) {
    if ([hostname, port, localAddress, localPort].some((value) => value !== undefined)) {
      throw conflictingOptions('either path, or host and port', options, ADDRESS_KEYS)
    }
    return [{ ...socketOptions(options), path: unixPath(path.value, path.name) }]
  }
  const host = validHost(hostname, name)
  const common = {
    noDelay: true,
    ...local(options),
    ...socketOptions(options),
    mptcp,
    port: validPort(port, 'options.port'),
  }
  const family = localAddress === undefined ? 0 : numericHost(localAddress, 'options.localAddress', NAME_HINT)
  const suits = (address: string) => family === 0 || isIP(address) === family
  const all = (hosts: string[]): SocketConnectOptions[] =>
    interleave(hosts.filter(suits)).map((address) => ({ ...common, host: address }))
  if (isIP(host) !== 0) {
    if (!suits(host)) throw invalidArgValue('options.localAddress', localAddress, `must be of the family of ${host}`)
    return [{ ...common, host }]
  }
  if (host === 'localhost') return all(['::1', '127.0.0.1'])
  return async () => all(await addressesOf(host, { verbatim: true }))
}

/** Several attempts may be bound to one port when all have SO_REUSEADDR and none listens: socket(7). */
function local({ localAddress, localPort }: Given): SocketOptions & { localAddress?: string; localPort?: number } {
  const port = localPort === undefined ? 0 : validPort(localPort, 'options.localPort')
  return {
    ...(localAddress === undefined ? {} : { localAddress: localAddress as string }),
    ...(port === 0 ? {} : { localPort: port, reuseAddress: true }),
  }
}

/** RFC 8305, section 4: the families take turns, beginning with that of the resolver's first address. */
function interleave(hosts: string[]): string[] {
  const first = isIP(hosts[0] ?? '')
  const [a, b] = [hosts.filter((host) => isIP(host) === first), hosts.filter((host) => isIP(host) !== first)]
  return Array.from({ length: Math.max(a.length, b.length) }, (_, at) => [a[at], b[at]])
    .flat()
    .filter((host) => host !== undefined)
}
