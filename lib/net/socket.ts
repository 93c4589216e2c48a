import nodeNet from 'node:net'
import { Duplex, type DuplexOptions } from 'node:stream'

import { type SocketError, invalidArgValue } from '../errors.js'
import { Socket as ModelSocket } from '../model/socket.js'
import { integer } from '../validate.js'
import { blockListOption, int32Option, numberOption } from './arguments.js'
import { HANDLE, TOTALS } from './fields.js'
import { enterContext } from './context.js'
import { SocketHandle } from './handle.js'
import { DEFAULT_SETTINGS, SETTINGS, change } from './settings.js'
import { SocketMethods, WRITE_LIMIT, attach, limitedWrite, onEnd } from './socket-methods.js'
import { UnconnectedHandle } from './unconnected-handle.js'
import { type OnRead, setOnRead } from './user-buffer.js'

/** What `new Socket()` takes: what Node's takes, and what is besides. */
export interface SocketConstructorOptions extends Omit<DuplexOptions, 'signal'> {
  readonly readable?: boolean
  readonly writable?: boolean
  readonly handle?: unknown
  readonly fd?: number
  readonly onread?: OnRead | null
  readonly pauseOnCreate?: boolean
  readonly manualStart?: boolean
  readonly noDelay?: boolean
  readonly keepAlive?: boolean
  readonly keepAliveInitialDelay?: number
  readonly typeOfService?: number
  readonly blockList?: nodeNet.BlockList
  readonly signal?: AbortSignal
  /**
   * Bytes that may wait to be sent. A write that leaves more waiting destroys the stream with a
   * SocketQueueError. **Default:** no limit, as in node:net.
   */
  readonly sendQueueLimit?: number
}

/** `Socket` is called as a function, too, and as the constructor of older subclasses: `Socket.call(this)`. */
function construct(this: unknown, given?: SocketConstructorOptions | number | null): unknown {
  if (!(this instanceof SocketMethods)) return new Socket(given)
  const options: SocketConstructorOptions = typeof given === 'number' ? { fd: given } : (given ?? {})
  checkOptions(options)
  Duplex.call(this, {
    ...(options as DuplexOptions),
    allowHalfOpen: Boolean(options.allowHalfOpen),
    // It is emitted by the stream itself, with an argument.
    emitClose: false,
    autoDestroy: true,
    decodeStrings: false,
  })
  // Behind what may throw: a wrong option leaves the descriptor to the program.
  const handle = handleOf(options)
  if (handle === null) return nodeSocket(this, options)
  // V8 gives an object room for as many fields as its constructor assigns.
  this.connecting = false
  this[HANDLE] = null
  this[TOTALS] = undefined
  this[SETTINGS] = DEFAULT_SETTINGS
  this.socket = undefined
  this.server = null
  this._server = null
  this._parent = null
  this._host = null
  this._hadError = false
  this._peername = null
  this._sockname = null
  this._pendingData = null
  this._pendingEncoding = ''
  initialize(this, options)
  if (!handle) return undefined
  enterContext(this)
  begin(this, attach(this, handle), options)
  return undefined
}

function checkOptions(options: SocketConstructorOptions): void {
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if (options[name]) throw invalidArgValue(`options.${name}`, options[name], 'is not supported')
  }
  const { keepAliveInitialDelay, typeOfService, blockList, sendQueueLimit } = options
  if (keepAliveInitialDelay !== undefined) numberOption(keepAliveInitialDelay, 'options.keepAliveInitialDelay')
  if (typeOfService !== undefined) int32Option(typeOfService, 'options.typeOfService', 0, 255)
  if (sendQueueLimit !== undefined) integer(sendQueueLimit, 0, Number.MAX_SAFE_INTEGER, 'options.sendQueueLimit')
  blockListOption(blockList)
}

/** Of a handle of Node's, or of a descriptor that is no socket: Node's own stream, which cannot be of a subclass. */
function nodeSocket(instance: object, options: SocketConstructorOptions): nodeNet.Socket {
  if (Object.getPrototypeOf(instance) === SocketMethods.prototype) {
    return new nodeNet.Socket(options as nodeNet.SocketConstructorOpts)
  }
  const name = options.handle ? 'handle' : 'fd'
  const reason = 'must be that of a TCP or Unix socket, for a subclass of the Socket of m-socket/net'
  throw invalidArgValue(`options.${name}`, options[name], reason)
}

/** Undefined for a stream that is to connect; null for what Node alone can use. */
function handleOf({ handle, fd }: SocketConstructorOptions): SocketHandle | null | undefined {
  if (handle instanceof SocketHandle) return handle
  if (handle) return null
  return fd === undefined ? undefined : adopt(fd)
}

function adopt(fd: number): SocketHandle | null {
  try {
    return SocketHandle.over(ModelSocket.adopt(fd))
  } catch (error) {
    // Its own error says what is wrong with the descriptor.
    const { code } = error as SocketError
    if (code === 'EEXIST') throw error
    return code === 'ENOTCONN' ? UnconnectedHandle.overDescriptor(fd) : null
  }
}

function initialize(socket: SocketMethods, options: SocketConstructorOptions): void {
  socket.on('end', onEnd)
  const { noDelay, keepAlive, keepAliveInitialDelay = 0, typeOfService, sendQueueLimit } = options
  if (noDelay || keepAlive || typeOfService !== undefined) {
    const keepAliveDelay = ~~(Math.max(0, keepAliveInitialDelay) / 1000)
    change(socket, { noDelay: Boolean(noDelay), keepAlive: Boolean(keepAlive), keepAliveDelay, typeOfService })
  }
  if (options.onread) setOnRead(socket, options.onread)
  const blockList = blockListOption(options.blockList)
  if (blockList) socket.blockList = blockList
  if (sendQueueLimit === undefined) return
  socket[WRITE_LIMIT] = sendQueueLimit
  socket.write = limitedWrite as typeof socket.write
}

/** The socket is there already: it is read, or awaited. */
function begin(socket: SocketMethods, handle: SocketHandle, options: SocketConstructorOptions): void {
  if (!handle.socket) return
  if (!handle.isAccepted && handle.socket.state === 'connecting') return socket.awaitConnect(handle)
  if (options.readable === false) return
  if (options.pauseOnCreate) (socket as { readableFlowing: boolean | null }).readableFlowing = false
  else if (!options.manualStart) socket.read(0)
}

/** The constructor, in the three ways in which it is called. */
export interface SocketConstructor {
  new (options?: SocketConstructorOptions | number | null): SocketMethods
  (options?: SocketConstructorOptions | number | null): SocketMethods
  readonly prototype: SocketMethods
}

Object.defineProperty(construct, 'name', { value: 'Socket' })
construct.prototype = SocketMethods.prototype
Object.defineProperty(construct.prototype, 'constructor', { value: construct, configurable: true, writable: true })
Object.setPrototypeOf(construct, Duplex)
// Sockets of Node's are sockets as well: those of node:tls, and those of handles that only Node can use.
Object.defineProperty(construct, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (this === construct && value instanceof nodeNet.Socket) return true
    return Function.prototype[Symbol.hasInstance].call(this as object, value)
  },
  configurable: true,
})

/** `net.Socket` over a socket of this library. */
export const Socket = construct as unknown as SocketConstructor
export type Socket = SocketMethods
