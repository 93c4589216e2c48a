import nodeNet, { type Server } from 'node:net'
import type { ListenOptions, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

import { invalidArgType } from '../errors.js'
import type { Listener } from '../model/listener.js'
import type { MultipathOption } from '../model/multipath.js'
import { alreadyListening } from '../net/errors.js'
import { net } from '../net/linux.js'
import { IS_NODE } from '../node-version.js'
import type { SettableOptions } from '../options/index.js'
import type { ProxyProtocol } from '../proxy-protocol/policy.js'
import { toNetSocket } from '../streams/to-net-socket.js'
import { abortSignal, checkObject } from '../validate.js'
import { type ServedServer, ServedHandle } from './served-handle.js'

/** What `server.listen` of node:net takes, and the options of the kernel, which accepted connections inherit. */
export interface ServeOptions
  extends Omit<ListenOptions, 'port'>, Partial<Omit<SettableOptions, keyof ListenOptions>>, MultipathOption {
  /** 0 to 65535, also as a decimal string, as Node takes it; 0 lets the kernel pick one. */
  readonly port?: number | string | undefined
  /** An open listener, such as one of `listenFds`: it belongs to the server from then on. */
  readonly listener?: Listener | undefined
  /**
   * Reads the header of the PROXY protocol by which a proxy says whose connection it is: `request.socket.remoteAddress`
   * and the like are then the client's. **Default:** no header is read.
   */
  readonly proxyProtocol?: ProxyProtocol | undefined
}

/** The servers whose host is being looked up, by their `_listeningId`: `close()` increments it, and ends that. */
const starting = new WeakMap<Server, number>()

/**
 * Listens for a server of node:http, node:https, node:http2 or node:tls with the sockets of this library, in the place of
 * `server.listen(options)`. All else is as there: 'listening', 'error', 'drop' and 'close', `address()`, `close()`,
 * `closeIdleConnections()`, `getConnections()`, `ref()`, `unref()`, `maxConnections`, timeouts, workers of node:cluster.
 *
 * Servers of node:http and unencrypted ones of node:http2 get sockets of `m-socket/net`. Those that use TLS get Node's
 * own over the accepted descriptors ({@link toNetSocket}), on which TLS costs less. On Bun and Deno it is
 * `server.listen(options)`.
 *
 * @returns the same server. 'listening', and 'error' if it cannot listen (EADDRINUSE), are emitted in a later tick.
 * @throws TypeError for anything but a server; TypeError, RangeError for bad options; Error ERR_SERVER_ALREADY_LISTEN.
 */
export function serve<S extends Server>(server: S, options: ServeOptions): S {
  // Servers of node:http in Bun and Deno are none of node:net.
  if (IS_NODE ? !(server instanceof nodeNet.Server) : typeof server?.listen !== 'function') {
    throw invalidArgType('server', 'a server of node:http, node:https, node:http2, node:tls or node:net', server)
  }
  checkObject(options, 'options')
  if (!IS_NODE || isOurs(server)) return server.listen(options as ListenOptions)
  const target = server as unknown as ServedServer
  if (target._handle || starting.get(target) === target._listeningId) throw alreadyListening()
  new Feed(target).listen(options)
  return server
}

/** Whether it is a server of `m-socket/net`. */
function isOurs(server: Server): boolean {
  const { prototype } = net.Server
  return prototype !== nodeNet.Server.prototype && Object.prototype.isPrototypeOf.call(prototype, server)
}

/** A listening server of `m-socket/net` whose connections are those of another server. */
class Feed {
  readonly #target: ServedServer
  readonly #listening: ServedServer
  readonly #isSecure: boolean

  constructor(target: ServedServer) {
    const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark, blockList } =
      target
    const isSecure = target instanceof TlsServer
    const options = {
      allowHalfOpen,
      // A socket that is read cannot be given up.
      pauseOnConnect: isSecure || pauseOnConnect,
      noDelay,
      keepAlive,
      keepAliveInitialDelay: keepAliveInitialDelay * 1000,
      highWaterMark,
      blockList,
    }
    this.#target = target
    this.#isSecure = isSecure
    this.#listening = net.createServer(options) as unknown as ServedServer
    countFor(target, this.#listening)
  }

  listen({ signal, ...options }: ServeOptions): void {
    const target = this.#target
    const listening = this.#listening
    if (signal !== undefined) abortSignal(signal, 'options.signal')
    listening.on('connection', (socket: Socket) => this.#onConnection(socket))
    listening.on('drop', (...dropped: unknown[]) => target.emit('drop', ...dropped))
    listening.on('listening', () => this.#onListening())
    listening.on('error', (error) => this.#onError(error))
    listening.listen(options)
    if (listening.listening) this.#start()
    else starting.set(target, target._listeningId)
    if (signal) closeWhenAborted(target, signal)
  }

  #start(): void {
    const target = this.#target
    starting.delete(target)
    target._handle = new ServedHandle(this.#listening)
    const address = this.#listening.address()
    if (typeof address === 'string') target._pipeName = address
    if (target._unref) target.unref()
  }

  #onListening(): void {
    if (!this.#target._handle) this.#start()
    this.#target.emit('listening')
  }

  #onError(error: Error): void {
    starting.delete(this.#target)
    this.#target.emit('error', error)
  }

  #onConnection(socket: Socket): void {
    const own = this.#isSecure ? nativeSocket(socket) : socket
    const target = this.#target
    Object.assign(own, { server: target, _server: target })
    target.emit('connection', own)
  }
}

/** The socket that is given up is not counted any more: the one that takes its place is. */
function nativeSocket(socket: Socket): Socket {
  Object.assign(socket, { server: null, _server: null })
  return toNetSocket(socket)
}

/** Has `listening` count, limit, start and end by the fields of `target`. */
function countFor(target: ServedServer, listening: ServedServer): void {
  for (const name of ['_connections', '_listeningId', 'maxConnections', 'dropMaxConnection'] as const) {
    Object.defineProperty(listening, name, {
      configurable: true,
      enumerable: true,
      get: () => target[name],
      set: (value: never) => {
        target[name] = value
      },
    })
  }
  listening._emitCloseIfDrained = () => target._emitCloseIfDrained()
}

function closeWhenAborted(server: ServedServer, signal: AbortSignal): void {
  const close = () => void server.close()
  if (signal.aborted) return close()
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
}
