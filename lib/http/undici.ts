import type { NetConnectOpts, Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'

import { clearTimeout, setTimeout } from '../loop/timers.js'
import { net } from '../net/linux.js'
import type { MultipathOption } from '../model/multipath.js'
import type { SettableOptions } from '../options/index.js'
import { integer, milliseconds } from '../validate.js'
import { connectNative } from './connect-native.js'

type TlsOptions = Omit<ConnectionOptions, 'host' | 'path' | 'port' | 'socket' | 'timeout'>

/**
 * What `buildConnector` of undici takes: its own options, those of `tls.connect` and `net.connect`, and options of the
 * kernel.
 */
export interface UndiciConnectorOptions
  extends TlsOptions, Partial<Omit<SettableOptions, 'keepAlive' | keyof TlsOptions>>, MultipathOption {
  /** Offers HTTP/2 too. **Default:** false. */
  readonly allowH2?: boolean | null | undefined
  /** How many TLS sessions are kept to be resumed. **Default:** 100. */
  readonly maxCachedSessions?: number | null | undefined
  /** The path of a Unix socket to connect to. */
  readonly socketPath?: string | null | undefined
  /** Milliseconds until connecting, TLS included, fails; 0 for never. **Default:** 10000. */
  readonly timeout?: number | null | undefined
  /** **Default:** true. */
  readonly keepAlive?: boolean | null | undefined
  /** Milliseconds. **Default:** 60000. */
  readonly keepAliveInitialDelay?: number | undefined
  /** Whether several addresses of a name are tried. **Default:** that of node:net. */
  readonly autoSelectFamily?: boolean | undefined
  /** Milliseconds after which the next address is tried. **Default:** that of node:net. */
  readonly autoSelectFamilyAttemptTimeout?: number | undefined
  /** 4 or 6: only addresses of this family. **Default:** both. */
  readonly family?: number | undefined
}

/** Where undici wants to connect to. */
export interface UndiciTarget {
  /** A name or an address. */
  readonly hostname: string
  /** The name with the port, of a URL. */
  readonly host?: string | undefined
  /** `'http:'` or `'https:'`. */
  readonly protocol: string
  /** Decimal; empty for that of the protocol. */
  readonly port: string
  /** The name for TLS. **Default:** the host. */
  readonly servername?: string | undefined
  /** The numeric address to connect from. */
  readonly localAddress?: string | null | undefined
  /** A connection through a proxy, which TLS is to run over. */
  readonly httpSocket?: Socket | undefined
}

/** Called once: with the reason, or with the connected socket. */
export type UndiciCallback = (
  ...outcome: [error: null, socket: Socket | TLSSocket] | [error: Error, socket: null]
) => void

/** What undici takes as its option `connect`. */
export type UndiciConnector = (target: UndiciTarget, callback: UndiciCallback) => void

/**
 * A function for the option `connect` of undici's clients, pools and agents: their connections are sockets of
 * `m-socket/net`, and for `https:` TLS over Node's own on the same descriptors.
 *
 * @throws TypeError, RangeError for a bad `timeout` or `maxCachedSessions`.
 */
export function undiciConnector(options: UndiciConnectorOptions = {}): UndiciConnector {
  const { allowH2, maxCachedSessions, socketPath, timeout, keepAlive, keepAliveInitialDelay, ...others } = options
  const sessions = new Sessions(
    integer(maxCachedSessions ?? 100, 0, Number.MAX_SAFE_INTEGER, 'options.maxCachedSessions'),
  )
  const limit = milliseconds(timeout ?? 10_000, 'options.timeout')
  const common = {
    ...others,
    ...(socketPath ? { path: socketPath } : {}),
    noDelay: true,
    keepAlive: keepAlive ?? true,
    keepAliveInitialDelay: keepAliveInitialDelay ?? 60_000,
  }
  const alpn = { ALPNProtocols: allowH2 ? ['http/1.1', 'h2'] : ['http/1.1'] }

  return (target, callback) => {
    const isSecure = target.protocol === 'https:'
    const port = Number(target.port) || (isSecure ? 443 : 80)
    const where = {
      ...common,
      port,
      host: target.hostname,
      ...(target.localAddress ? { localAddress: target.localAddress } : {}),
    } as unknown as NetConnectOpts
    const attempt = new Attempt(target.hostname, port, limit, callback)
    if (!isSecure) return attempt.follow(net.createConnection(where), 'connect')
    const name = target.servername || others.servername || nameOf(target.host) || undefined
    const key = name ?? target.hostname

    function secure(socket: Socket): void {
      const session = others.session ?? sessions.get(key)
      const tls = connectTls({
        ...alpn,
        highWaterMark: 16_384,
        ...others,
        ...(name === undefined ? {} : { servername: name }),
        ...(session === undefined ? {} : { session }),
        socket,
        host: target.hostname,
        port,
      } as ConnectionOptions)
      tls.on('session', (its) => sessions.set(key, its))
      attempt.follow(tls, 'secureConnect')
    }

    if (target.httpSocket) return secure(target.httpSocket)
    attempt.socket = connectNative(where, (error, socket) => {
      if (error) attempt.end(error, null)
      else secure(socket!)
    })
  }
}

/** The name in a header, without its port; none if it is an address. */
function nameOf(host: string | undefined): string | undefined {
  if (!host || host.startsWith('[')) return undefined
  const name = host.replace(/:\d*$/, '')
  return net.isIP(name) === 0 ? name : undefined
}

/** From the call of a connector to that of its callback. */
class Attempt {
  /** What connects now. */
  socket: Socket | undefined
  #callback: UndiciCallback | undefined
  readonly #timer: NodeJS.Timeout | undefined

  constructor(host: string, port: number, limit: number, callback: UndiciCallback) {
    this.#callback = callback
    if (limit > 0) this.#timer = setTimeout(() => this.#onTimeout(host, port, limit), limit).unref()
  }

  follow(socket: Socket, connected: 'connect' | 'secureConnect'): void {
    this.socket = socket
    socket.once(connected, () => this.end(null, socket))
    socket.on('error', (error) => this.end(error, null))
  }

  end(...outcome: Parameters<UndiciCallback>): void {
    const callback = this.#callback
    this.#callback = undefined
    clearTimeout(this.#timer)
    callback?.(...outcome)
  }

  /** The error is the one of undici. */
  #onTimeout(host: string, port: number, limit: number): void {
    const message = `Connect Timeout Error (attempted address: ${host}:${port}, timeout: ${limit}ms)`
    const error = Object.assign(new Error(message), { name: 'ConnectTimeoutError', code: 'UND_ERR_CONNECT_TIMEOUT' })
    this.end(error, null)
    this.socket?.destroy()
  }
}

/** TLS sessions by server; the oldest goes when there are too many. */
class Sessions {
  readonly #most: number
  readonly #sessions = new Map<string, Buffer>()

  constructor(most: number) {
    this.#most = most
  }

  get(key: string): Buffer | undefined {
    return this.#sessions.get(key)
  }

  set(key: string, session: Buffer): void {
    if (this.#most === 0) return
    this.#sessions.delete(key)
    if (this.#sessions.size >= this.#most) this.#sessions.delete(this.#sessions.keys().next().value!)
    this.#sessions.set(key, session)
  }
}
