import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import nodeNet from 'node:net'
import { constants } from 'node:os'
import { getDefaultHighWaterMark } from 'node:stream'
import { promisify } from 'node:util'

import { invalidArgType } from '../errors.js'
import { nextTick } from '../loop/timers.js'
import { type ProxyProtocol, headerPolicy } from '../proxy-protocol/policy.js'
import { Acceptor } from './acceptor.js'
import { blockListOption, numberOption } from './arguments.js'
import { acceptFromPrimary } from './cluster.js'
import { errnoException, notRunning } from './errors.js'
import { listen } from './listen.js'
import type { Extras } from './listen-options.js'
import { ListenerHandle } from './listener-handle.js'
import { type NativeHandle, isNativeHandle, setOwner } from './native-handle.js'
import { type Where, listenError, listenerOver, openListener } from './open-listener.js'
import { CREATED_HEADERS, HANDLE } from './fields.js'
import { type AcceptedSocket, type ServerState } from './server-state.js'

const endChannel = channel('tracing:net.server.listen:asyncEnd')
const errorChannel = channel('tracing:net.server.listen:error')

/** The options of a server as JavaScript may give them. */
interface ServerOptions {
  allowHalfOpen?: boolean
  pauseOnConnect?: boolean
  noDelay?: boolean
  keepAlive?: boolean
  keepAliveInitialDelay?: number
  highWaterMark?: number
  blockList?: nodeNet.BlockList
  proxyProtocol?: ProxyProtocol
}

type ConnectionListener = (socket: nodeNet.Socket) => void

interface ServerConstructor {
  new (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): ServerState
  (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener): ServerState
  readonly prototype: ServerState
}

/** As node:net's: it can be called without `new`, and on an object that inherits from it. */
export const Server: ServerConstructor = function (
  this: ServerState | undefined,
  options?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): ServerState | undefined {
  if (!isOurs(this)) return new Server(options, listener)
  EventEmitter.call(this)
  const onConnection = typeof options === 'function' ? options : listener
  if (typeof onConnection === 'function') this.on('connection', onConnection)
  assignOptions(this, checkedOptions(options))
  return undefined
} as unknown as ServerConstructor

function isOurs(server: ServerState | undefined): server is ServerState {
  return Object.prototype.isPrototypeOf.call(Server.prototype, server as object)
}

/** A copy. */
function checkedOptions(given: unknown): ServerOptions {
  if (typeof given === 'function' || given === undefined || given === null) return {}
  if (typeof given !== 'object') throw invalidArgType('options', 'of type object', given)
  const options: ServerOptions = { ...given }
  const { keepAliveInitialDelay, highWaterMark } = options
  if (keepAliveInitialDelay !== undefined) {
    options.keepAliveInitialDelay = Math.max(0, numberOption(keepAliveInitialDelay, 'options.keepAliveInitialDelay'))
  }
  if (highWaterMark !== undefined && numberOption(highWaterMark, 'options.highWaterMark') < 0) {
    options.highWaterMark = getDefaultHighWaterMark(false)
  }
  return options
}

/** In the order of node:net, which `util.inspect` shows. */
function assignOptions(server: ServerState, options: ServerOptions): void {
  server._connections = 0
  server[HANDLE] = null
  server._usingWorkers = false
  server._workers = []
  server._unref = false
  server._listeningId = 1
  server.allowHalfOpen = options.allowHalfOpen || false
  server.pauseOnConnect = Boolean(options.pauseOnConnect)
  server.noDelay = Boolean(options.noDelay)
  server.keepAlive = Boolean(options.keepAlive)
  server.keepAliveInitialDelay = Math.trunc((options.keepAliveInitialDelay ?? 0) / 1000) | 0
  server.highWaterMark = options.highWaterMark ?? getDefaultHighWaterMark(false)
  const blockList = blockListOption(options.blockList)
  if (blockList) server.blockList = blockList
  const headers = headerPolicy(options.proxyProtocol)
  if (headers) server[CREATED_HEADERS] = headers
}

/** `_listen2`, by its old name: what wraps it is called for each way to listen. */
function listen2(
  this: ServerState,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: unknown,
  fd?: number,
  flags?: number,
  extras?: Extras,
): void {
  const asked: Where = { address, port, addressType, fd, flags }
  const opened = this[HANDLE] ? { where: asked, handle: this[HANDLE] } : openListener(asked, backlog, extras)
  const { where } = opened
  if ('error' in opened) return fail(this, opened.error)
  this[HANDLE] = opened.handle
  try {
    accept(this, opened.handle, backlog)
  } catch (error) {
    this[HANDLE]?.close()
    this[HANDLE] = null
    return fail(this, listenError(error, where))
  }
  if (endChannel.hasSubscribers) endChannel.publish({ server: this })
  this._connectionKey = `${where.addressType}:${where.address}:${where.port}`
  if (this._unref) this.unref()
  nextTick(emitListening, this)
}

/** @throws SocketError */
function accept(server: ServerState, handle: ListenerHandle | NativeHandle, backlog: unknown): void {
  const acceptor = new Acceptor(server)
  if (handle instanceof ListenerHandle) return start(handle, acceptor)
  if (isNativeHandle(handle)) {
    // node:cluster closes it by its server, and waits for the connections.
    setOwner(handle, server)
    return start((server[HANDLE] = listenerOver(handle, backlog)), acceptor)
  }
  acceptFromPrimary(handle, server, acceptor)
}

/** A descriptor that other processes may have too stays as it is. */
function start(handle: ListenerHandle, acceptor: Acceptor): void {
  if (handle.isOwn) acceptor.prepare(handle)
  handle.start(acceptor)
}

function fail(server: ServerState, error: Error): void {
  if (errorChannel.hasSubscribers) errorChannel.publish({ server, error })
  nextTick(emitError, server, error)
}

function emitError(server: ServerState, error: Error): void {
  server.emit('error', error)
}

function emitListening(server: ServerState): void {
  if (server[HANDLE]) server.emit('listening')
}

function emitClose(server: ServerState): void {
  server.emit('close')
}

const methods = {
  listen,

  _listen2: listen2,

  address(this: ServerState): object | string | null {
    const handle = this[HANDLE]
    if (handle instanceof ListenerHandle ? !handle.isUnix : handle?.getsockname) return boundAddress(handle!)
    return this._pipeName || null
  },

  getConnections(this: ServerState, callback: (error: Error | null, count?: number) => void): ServerState {
    const end = (error: Error | null, count?: number): void => nextTick(callback, error, count)
    if (this._usingWorkers) countInWorkers(this, end)
    else end(null, this._connections)
    return this
  },

  close(this: ServerState, callback?: (error?: Error) => void): ServerState {
    this._listeningId++
    const handle = this[HANDLE]
    if (typeof callback === 'function') this.once('close', handle ? callback : () => callback(notRunning()))
    handle?.close()
    this[HANDLE] = null
    if (this._usingWorkers) closeInWorkers(this)
    else this._emitCloseIfDrained()
    return this
  },

  async [Symbol.asyncDispose](this: ServerState): Promise<void> {
    if (this[HANDLE]) await promisify(this.close).call(this)
  },

  _emitCloseIfDrained(this: ServerState): void {
    if (!this[HANDLE] && this._connections === 0) nextTick(emitClose, this)
  },

  [EventEmitter.captureRejectionSymbol](this: ServerState, error: Error, event: string, socket: AcceptedSocket): void {
    if (event === 'connection') socket.destroy(error)
    else this.emit('error', error)
  },

  /** Called by node:child_process, when a socket of this server goes to a child. */
  _setupWorker(this: ServerState, sockets: ServerState['_workers'][number]): void {
    this._usingWorkers = true
    this._workers.push(sockets)
    sockets.once('exit', () => this._workers.splice(this._workers.indexOf(sockets), 1))
  },

  ref(this: ServerState): ServerState {
    this._unref = false
    this[HANDLE]?.ref()
    return this
  },

  unref(this: ServerState): ServerState {
    this._unref = true
    this[HANDLE]?.unref()
    return this
  },
}

/** @throws as node:net, when the descriptor has been closed. */
function boundAddress(handle: ListenerHandle | NativeHandle): object {
  if (handle instanceof ListenerHandle) {
    if (handle.address) return handle.address
    throw errnoException(-constants.errno.EBADF, 'address')
  }
  const address = {}
  const errno = handle.getsockname!(address)
  if (errno) throw errnoException(errno, 'address')
  return address
}

function countInWorkers(server: ServerState, end: (error: Error | null, count?: number) => void): void {
  let left = server._workers.length
  let total = server._connections
  for (const worker of server._workers) {
    worker.getConnections((error, count) => {
      if (error) left = -1
      else total += count
      if (error) end(error)
      else if (--left === 0) end(null, total)
    })
  }
}

/** Counts as a connection until the last worker has closed its own, so that 'close' comes once. */
function closeInWorkers(server: ServerState): void {
  let left = server._workers.length
  server._connections++
  for (const worker of server._workers) {
    worker.close(() => {
      if (--left > 0) return
      server._connections = 0
      server._emitCloseIfDrained()
    })
  }
}

Object.setPrototypeOf(Server, EventEmitter)
Object.setPrototypeOf(Server.prototype, nodeNet.Server.prototype as object)
Object.assign(Server.prototype, methods)
Object.defineProperties(Server.prototype, {
  listening: {
    get(this: ServerState) {
      return Boolean(this[HANDLE])
    },
    configurable: true,
    enumerable: true,
  },
  _handle: {
    get(this: ServerState) {
      const handle = this[HANDLE]
      return handle instanceof ListenerHandle ? handle.native : handle
    },
    set(this: ServerState, handle: NativeHandle | null) {
      this[HANDLE] = handle
    },
    configurable: true,
    enumerable: true,
  },
})
// What a newer Node has there works on its own handles: it is not inherited.
for (const key of Reflect.ownKeys(nodeNet.Server.prototype)) {
  if (!Object.hasOwn(Server.prototype, key)) {
    Object.defineProperty(Server.prototype, key, { value: undefined, configurable: true, writable: true })
  }
}

// A server that a child process gets is one of Node's.
Object.defineProperty(Server, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (this === Server) return value instanceof nodeNet.Server
    return Function.prototype[Symbol.hasInstance].call(this as object, value)
  },
  configurable: true,
})

export function createServer(
  options?: ServerOptions | ConnectionListener | null,
  listener?: ConnectionListener,
): ServerState {
  return new Server(options, listener)
}
