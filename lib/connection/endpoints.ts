import { type Address, type InetAddress, familyNameOf, hostOf, portOf } from '../model/address.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from '../model/inspect.js'
import type { Socket } from '../model/socket.js'
import type { SocketState } from '../native.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { integer } from '../validate.js'

/** Milliseconds of the largest TCP_KEEPIDLE, tcp(7). */
const MAX_KEEP_IDLE = 32_767_000

/** `-2` our half has ended, `0` closed, `1` open, `2` connecting: Bun's numbers. */
export type ReadyState = -2 | 0 | 1 | 2

/** The socket of a connection: its addresses, its counters and the options that are set most. */
export abstract class Endpoints {
  /**
   * The socket beneath, with its options, `info()` and the like; undefined until connected. The connection closes it.
   */
  abstract readonly socket: Socket | undefined

  /** @internal */
  abstract readonly state: SocketState

  /**
   * What the proxy in front has said of the connection; undefined without `proxyProtocol`, and where it has said nothing.
   * The addresses in it are those of the connection.
   */
  declare readonly proxy: ProxyHeader | undefined

  /** Bytes received. */
  get bytesRead(): number {
    return this.socket?.bytesReceived ?? 0
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.socket?.bytesSent ?? 0
  }

  /**
   * Our numeric address, or our path, to the last handler: getsockname(2); or where the client of a {@link proxy} has
   * connected to. Undefined until connected.
   */
  get localAddress(): string | undefined {
    return hostOf(localOf(this))
  }

  /** The family of our address; undefined on a Unix socket. */
  get localFamily(): InetAddress['family'] | undefined {
    return familyNameOf(localOf(this))
  }

  /** Our port; undefined on a Unix socket. */
  get localPort(): number | undefined {
    return portOf(localOf(this))
  }

  /**
   * The peer's numeric address, or its path, to the last handler: getpeername(2); or that of the client of a
   * {@link proxy}. Undefined until connected.
   */
  get remoteAddress(): string | undefined {
    return hostOf(remoteOf(this))
  }

  /** The family of the peer's address; undefined on a Unix socket. */
  get remoteFamily(): InetAddress['family'] | undefined {
    return familyNameOf(remoteOf(this))
  }

  /** The peer's port; undefined on a Unix socket. */
  get remotePort(): number | undefined {
    return portOf(remoteOf(this))
  }

  /**
   * TCP_NODELAY: small writes leave at once. **Default:** on. Does nothing until connected.
   *
   * @throws SocketError ENOTSUP on a Unix socket; SocketClosedError once closed; TypeError for anything but a boolean.
   */
  setNoDelay(enable = true): this {
    this.socket?.setOption('noDelay', enable)
    return this
  }

  /**
   * SO_KEEPALIVE, and TCP_KEEPIDLE if `initialDelay` (milliseconds, rounded up to seconds) is given and not 0. Does
   * nothing until connected.
   *
   * @throws as {@link setNoDelay}, but on a Unix socket only with a delay; RangeError for a delay above 32,767,000.
   */
  setKeepAlive(enable = true, initialDelay?: number): this {
    const value = enable && initialDelay ? { idle: integer(initialDelay, 0, MAX_KEEP_IDLE, 'initialDelay') } : enable
    this.socket?.setOption('keepAlive', value)
    return this
  }

  /** @internal */
  [CUSTOM_INSPECT](...how: Inspect): string {
    const read = () => {
      const { state, localAddress, localPort, remoteAddress, remotePort, bytesRead, bytesWritten } = this
      const queued = this.socket?.queued ?? 0
      return { state, localAddress, localPort, remoteAddress, remotePort, bytesRead, bytesWritten, queued }
    }
    return summarize('Connection', read, how)
  }
}

// Functions, since private accessors would cost each connection a word of memory: the brand of the class.

function localOf({ proxy, socket }: Endpoints): Address | undefined {
  return proxy?.destination ?? socket?.localAddress
}

function remoteOf({ proxy, socket }: Endpoints): Address | undefined {
  return proxy?.source ?? socket?.remoteAddress
}

/** @internal The connection has the header of a proxy. Only such a connection has a field for it. */
export function setProxy(connection: { readonly proxy: ProxyHeader | undefined }, header: ProxyHeader): void {
  ;(connection as { proxy: ProxyHeader }).proxy = header
}
