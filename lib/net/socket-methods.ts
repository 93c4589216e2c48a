import { channel } from 'node:diagnostics_channel'
import { Duplex } from 'node:stream'

import { SocketError, SocketQueueError } from '../errors.js'
import { exitDomainOf } from '../loop/async-context.js'
import { nextTick, throwLater } from '../loop/timers.js'
import { firstHeader } from '../proxy-protocol/first-header.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { contextOf, enterContext } from './context.js'
import { normalizeArguments } from './arguments.js'
import { type BufferedWrite, bytesOf, lengthOfWrites, piecesOf } from './buffered-writes.js'
import { FIRST_HEADER, HANDLE, TOTALS } from './fields.js'
import { holdHeader } from './first-header.js'
import type { ConnectTarget } from './attempt.js'
import { dialHost, dialPath } from './dial.js'
import { closedBeforeConnection, endedByPeer, invalidHandleType, missingArguments, socketClosed } from './errors.js'
import { type Done, SocketHandle } from './handle.js'
import { NODE_MAJOR } from '../node-version.js'
import { SocketSettings, applySettings, stopTimers } from './settings.js'
import { userBufferOf } from './user-buffer.js'

const clientSockets = channel('net.client.socket')

/** In Node 20 a stream that was never connected does not finish. */
const FINAL_WAITS = NODE_MAJOR < 22

/** By what a stream has its limit of what may wait. */
export const WRITE_LIMIT = Symbol('write limit')

/** The methods of a stream. They are those of a class of their own, since the constructor is called without `new`, too. */
export abstract class SocketMethods extends SocketSettings {
  declare [WRITE_LIMIT]: number | undefined;
  declare [FIRST_HEADER]: ProxyHeader | undefined

  connect(...args: unknown[]): this {
    const [options, callback] = normalizeArguments(args)
    if (clientSockets.hasSubscribers) clientSockets.publish({ socket: this })
    if (callback !== null) this.once('connect', callback)
    if (this._parent?.connecting) return this
    if (options.port === undefined && options.path == null) throw missingArguments('options', 'port', 'path')
    const header = firstHeader(options.proxyProtocol as ProxyHeader | undefined, Boolean(options.path))
    if (header || this[FIRST_HEADER]) this[FIRST_HEADER] = header
    // It was replaced at the end of an earlier connection.
    if (this[WRITE_LIMIT] !== undefined) this.write = limitedWrite as typeof this.write
    else if (Object.hasOwn(this, 'write')) delete (this as { write?: unknown }).write
    if (this.destroyed) forget(this)
    const handle = this[HANDLE] ?? renew(this, Boolean(options.path))
    this._unrefTimer()
    this.connecting = true
    if (options.path) dialPath(this, handle, options as ConnectTarget)
    else dialHost(this, handle, options as ConnectTarget)
    return this
  }

  /** @internal */
  onConnected(): void {
    this.connecting = false
    this._sockname = null
    this._unrefTimer()
    applySettings(this)
    if (this[FIRST_HEADER]) this.emitConnectBehind(this[FIRST_HEADER])
    else this.emitConnect()
    if (!this.destroyed && !this.isPaused()) this.read(0)
  }

  private emitConnect(): void {
    this.emit('connect')
    this.emit('ready')
  }

  /** What is written meanwhile leaves with the header. */
  private emitConnectBehind(header: ProxyHeader): void {
    const send = holdHeader(this, header)
    try {
      this.emitConnect()
    } finally {
      send()
    }
  }

  /** @internal The socket of the handle is connecting already. */
  awaitConnect(handle: SocketHandle): void {
    this.connecting = true
    handle.connecting()
    handle.awaitConnect(handle.socket!, (error) => {
      handle.connected()
      if (error) this.destroy(error)
      else this.onConnected()
    })
  }

  /** @internal */
  onChunk(chunk: Buffer): void {
    this._unrefTimer()
    if (!this.push(chunk)) this[HANDLE]?.readStop()
  }

  /** @internal */
  onPeerEnd(): void {
    this.push(null)
    this.read(0)
  }

  /** @internal */
  onReadError(error: Error): void {
    this.destroy(error)
  }

  /** @internal */
  onGone(reason: Error | undefined): void {
    this.destroy(reason ?? this.errored ?? undefined)
  }

  /** @internal */
  onException(error: unknown): void {
    exitDomainOf(this)
    throwLater(error, contextOf(this))
  }

  /** @internal Calls back just before the socket beneath is closed. */
  onClosing(callback: () => void): void {
    const handle = this[HANDLE]
    // An error may have destroyed the stream already.
    if (!handle) return
    handle.onClosing = () => {
      callback()
      return undefined
    }
  }

  override _read(size: number): void {
    const handle = this[HANDLE]
    if (this.connecting || !handle?.socket) this.once('connect', () => this._read(size))
    else startReading(this, handle)
  }

  override read(size?: number): unknown {
    resumeUserBuffer(this)
    return Duplex.prototype.read.call(this, size)
  }

  override pause(): this {
    if (this[HANDLE]?.userBuffer && !this.connecting) this[HANDLE].readStop()
    return Duplex.prototype.pause.call(this) as this
  }

  override resume(): this {
    resumeUserBuffer(this)
    return Duplex.prototype.resume.call(this) as this
  }

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Done): void {
    if (this.connecting) return writeOnceConnected(this, chunk, encoding, done)
    this._writeGeneric(false, chunk, encoding, done)
  }

  override _writev(chunks: BufferedWrite[], done: Done): void {
    if (this.connecting) return writeOnceConnected(this, chunks, '', done)
    this._writeGeneric(true, chunks, '', done)
  }

  _writeGeneric(isMany: boolean, data: Uint8Array | string | BufferedWrite[], encoding: string, done: Done): void {
    const handle = this[HANDLE]
    if (!handle) return void done(socketClosed())
    this._unrefTimer()
    if (!isMany) {
      const bytes = bytesOf(data as Uint8Array | string, encoding)
      return handle.write(bytes, bytes.byteLength, done)
    }
    const length = lengthOfWrites(data as BufferedWrite[])
    handle.write(piecesOf(data as BufferedWrite[], length), length, done)
  }

  override _final(done: Done): void {
    const handle = this[HANDLE]
    if (this.connecting || (!handle && FINAL_WAITS)) this.once('connect', () => this._final(done))
    else if (handle) handle.shutdown(done)
    else done()
  }

  override end(...args: unknown[]): this {
    return (Duplex.prototype.end as (...args: unknown[]) => unknown).apply(this, args) as this
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  resetAndDestroy(): this {
    const handle = this[HANDLE]
    if (!handle) return this.destroy(socketClosed())
    if (handle.isUnix) throw invalidHandleType()
    if (this.connecting) this.once('connect', () => this._reset())
    else this._reset()
    return this
  }

  _reset(): this {
    this[HANDLE]!.closeByReset()
    return this.destroy()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const handle = this[HANDLE]
    this.connecting = false
    stopTimers(this)
    if (handle) {
      this[HANDLE] = null
      this._sockname = null
      // In node:net the write that is in progress does not fail; one that went beyond a limit does.
      const reason = error instanceof SocketQueueError ? error : undefined
      handle.close(() => this.emit('close', error !== null), reason)
      // The close has counted them.
      this[TOTALS] = { read: handle.socket?.bytesReceived ?? 0, written: handle.bytesWritten }
      done(error)
    } else {
      done(error)
      nextTick(() => this.emit('close'))
    }
    const server = this._server
    if (!server) return
    server._connections--
    server._emitCloseIfDrained?.()
  }
}

/** The stream holds later writes back meanwhile. */
function writeOnceConnected(
  socket: SocketMethods,
  data: Uint8Array | string | BufferedWrite[],
  encoding: string,
  done: Done,
): void {
  const onClose = () => done(closedBeforeConnection())
  socket._pendingData = data
  socket._pendingEncoding = encoding
  socket.once('connect', () => {
    socket.off('close', onClose)
    socket._pendingData = null
    socket._pendingEncoding = ''
    socket._writeGeneric(Array.isArray(data), data, encoding, done)
  })
  socket.once('close', onClose)
}

function startReading(socket: SocketMethods, handle: SocketHandle): void {
  try {
    handle.readStart()
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
    socket.destroy(error)
  }
}

/** With a buffer of the program's the stream has no buffer that asks for more. */
function resumeUserBuffer(socket: SocketMethods): void {
  const handle = socket[HANDLE]
  if (handle?.userBuffer && !socket.connecting && !handle.reading) startReading(socket, handle)
}

/** Another connection begins: nothing is left of the one before. */
function forget(socket: SocketMethods): void {
  socket[HANDLE] = null
  socket._peername = null
  socket._sockname = null
}

function renew(socket: SocketMethods, isUnix: boolean): SocketHandle {
  ;(socket as unknown as { _undestroy(): void })._undestroy()
  socket._sockname = null
  enterContext(socket)
  return attach(socket, new SocketHandle(isUnix))
}

export function attach(socket: SocketMethods, handle: SocketHandle): SocketHandle {
  handle.owner = socket
  handle.userBuffer = userBufferOf(socket)
  socket[HANDLE] = handle
  socket.socket = handle.socket
  return handle
}

/** After the peer's end a write says more than that it comes after an end, which the program has not called. */
function writeAfterEnd(this: SocketMethods, chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
  if (!this.writableEnded) return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, callback as Done)
  const done = typeof encoding === 'function' ? encoding : callback
  const error = endedByPeer()
  if (typeof done === 'function') nextTick(() => (done as Done)(error))
  this.destroy(error)
  return false
}

export function onEnd(this: SocketMethods): void {
  if (!this.allowHalfOpen) this.write = writeAfterEnd as typeof this.write
}

/** A write beyond the limit destroys the stream: a peer that reads nothing does not take all memory. */
export function limitedWrite(this: SocketMethods, ...args: Parameters<Duplex['write']>): boolean {
  const isTaken = Duplex.prototype.write.apply(this, args)
  const waiting = this.writableLength
  if (waiting > this[WRITE_LIMIT]! && !this.destroyed) {
    this.destroy(new SocketQueueError(`The stream has ${waiting} bytes to send, more than its sendQueueLimit`))
  }
  return isTaken
}
