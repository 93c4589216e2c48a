import { constants } from 'node:os'

import { SocketClosedError, SocketError, isOutOfMemory } from '../errors.js'
import { AsyncContext } from '../loop/async-context.js'
import { takeOver } from '../loop/background-flush.js'
import { inClosingPhase } from '../loop/closing-phase.js'
import { nextTick } from '../loop/timers.js'
import { sharedPoller } from '../loop/shared-poller.js'
import type { ReadyEvent } from '../model/event.js'
import type { ReleasedSocket } from '../model/closable-source.js'
import type { Socket } from '../model/socket.js'
import { type InterestBits, WRITE } from '../native.js'
import { errnoException, toNodeError } from './errors.js'
import { InputHandle } from './input-handle.js'
import { NODE_MAJOR } from './node-version.js'
import { PendingWrite, type Pieces } from './pending-write.js'

/** What a write that is in progress gets when its stream is destroyed; on Node 20 nothing. */
const canceled = () => (NODE_MAJOR < 22 ? undefined : errnoException(-constants.errno.ECANCELED, 'write'))
const PROBE = new Uint8Array(1)

/** Where the callback throws, its exception comes first, and `next` in the next closing phase. */
function finishBefore(write: PendingWrite, next: () => void): void {
  try {
    write.finish(canceled())
  } catch (error) {
    inClosingPhase(next)
    throw error
  }
}

const NOT_CONNECTED = new Set(['ENOTCONN', 'EPIPE'])

/** Called with the reason if the connect failed. */
export type OnConnected = (error?: SocketError) => void

export type Done = (error?: Error | null) => void

/**
 * What a handle of libuv is to a stream of Node: a socket of the shared poller, which is read while `readStart` holds,
 * sends one write at a time, and keeps the process alive while it does either of them or connects.
 */
export class SocketHandle extends InputHandle {
  /** Whether it is of a Unix socket. */
  readonly isUnix: boolean
  /** Whether {@link close} is by RST. */
  closesByReset = false
  /** Called when it is closed. */
  onClosing: (() => void) | undefined
  /** How many bytes were given to {@link write}. */
  bytesWritten = 0
  /** Undefined when the peer has ended: there is nothing more to read. */
  #closed = false
  #isWatched = false
  #write: PendingWrite | undefined
  #onConnected: OnConnected | undefined
  #isConnecting = false

  /** Without a `socket` it is a handle that is to connect. */
  constructor(isUnix: boolean, socket?: Socket) {
    super()
    this.isUnix = isUnix
    this.socket = socket
  }

  /** A handle over a socket that is connected, or connecting. */
  static over(socket: Socket): SocketHandle {
    const { localAddress } = socket
    return new SocketHandle(localAddress !== undefined && 'path' in localAddress, socket)
  }

  /**
   * Registers the socket with the shared poller.
   *
   * @throws SocketError EEXIST for a socket in a multiplexer; ENOSPC, ENOMEM of epoll_ctl(2).
   */
  watch(): void {
    takeOver(this.socket!, () => sharedPoller().watch(this.socket!, this.#interest(), this))
    this.#isWatched = true
    this.updateReference()
  }

  get isConnecting(): boolean {
    return this.#isConnecting
  }

  /** It keeps the process alive from here on, until {@link connected}. */
  connecting(): void {
    this.#isConnecting = true
    this.updateReference()
  }

  /** Takes a socket that is connecting, and calls back when it has connected or failed. */
  awaitConnect(socket: Socket, onConnected: OnConnected): void {
    this.socket = socket
    this.#onConnected = onConnected
    this.updateInterest()
  }

  /** The connect has ended: with `socket`, or with the one that it has. */
  connected(socket = this.socket): void {
    this.#isConnecting = false
    this.socket = socket
    this.updateReference()
  }

  /** Sends all of `pieces`. `done` is called when the kernel has taken them: at once, or later. */
  write(pieces: Pieces, length: number, done: Done): void {
    this.bytesWritten += length
    const write = new PendingWrite(pieces, done)
    const error = this.#send(write)
    if (error) done(error)
    else if (write.isSent) done()
    else this.#wait(write)
  }

  #wait(write: PendingWrite): void {
    // Its callback comes in the context of the write, as in node:net.
    write.context = new AsyncContext()
    this.#write = write
    this.updateInterest()
  }

  /** How many bytes of the last write the kernel has not taken. */
  get unsent(): number {
    return this.#write?.unsent ?? 0
  }

  /** Ends our half, behind what was written. `done` comes before all that the peer answers. */
  shutdown(done: Done): void {
    const failure = this.#shutDown()
    nextTick(() => done(failure))
  }

  /** Returns why it failed. */
  #shutDown(): Error | null {
    try {
      if (!this.socket!.writeEnded) this.socket!.shutdown('write')
    } catch (error) {
      // The peer has reset it: the reader gets that, behind what came before.
      if (!NOT_CONNECTED.has((error as SocketError).code)) return toNodeError(error, 'shutdown')
    }
    return null
  }

  /** Closes by FIN or RST; what is unsent is dropped. Calls back in the closing phase of the loop. */
  close(onClosed: () => void): void {
    this.#closed = true
    this.endReading()
    this.onClosing?.()
    this.#onConnected = undefined
    this.updateReference()
    if (this.closesByReset) this.socket?.resetByWatcher()
    else this.socket?.discard()
    const write = this.#write
    this.#write = undefined
    inClosingPhase(() => {
      // libuv ends a write that is in progress first.
      if (write) finishBefore(write, onClosed)
      onClosed()
    })
  }

  /**
   * @internal Gives the descriptor up.
   *
   * @throws as {@link Socket.giveUp}
   */
  giveUp(): ReleasedSocket {
    const released = this.socket!.giveUp()
    this.#closed = true
    this.endReading()
    this.updateReference()
    return released
  }

  /** As a handle of libuv: an idle one that is not read keeps nothing alive. */
  protected override get isActive(): boolean {
    return !this.#closed && (this.reading || this.#isConnecting || this.#write !== undefined)
  }

  /** As a request of libuv, for which uv_unref() has no effect. */
  protected override get isRequest(): boolean {
    return !this.#closed && this.#isConnecting
  }

  protected override get isClosed(): boolean {
    return this.#closed
  }

  protected override updateInterest(): void {
    if (this.#closed) return
    if (!this.#isWatched) return this.watch()
    sharedPoller().setInterest(this.socket!, this.#interest())
    this.updateReference()
  }

  #interest(): InterestBits {
    const isWriting = this.#write !== undefined || this.#onConnected !== undefined
    const read = this.readInterest()
    return (isWriting ? read | WRITE : read) as InterestBits
  }

  /** @internal */
  onEvent(event: ReadyEvent, chunk?: Buffer): void {
    try {
      this.#onReady(event, chunk)
    } catch (error) {
      this.owner.onException(error)
    }
  }

  #onReady(event: ReadyEvent, chunk: Buffer | undefined): void {
    if (this.#onConnected) return this.#checkConnect()
    this.onReadable(event, chunk)
    if (this.#write && (event.writable || event.error || event.hangup)) this.#continueWrite()
  }

  /** @internal The program has closed the socket beneath, and its queue has been sent, or was lost. */
  onDetached(): void {
    if (!this.#closed) this.#leave(this.socket!.lostReason)
  }

  /** @internal The program used the socket itself, and got the error that is the stream's. */
  onBroken(error: Error): void {
    if (!this.#closed) this.#leave(error)
  }

  #leave(reason: Error | undefined): void {
    const [onConnected, write] = [this.#onConnected, this.#write]
    this.#onConnected = undefined
    this.#write = undefined
    if (onConnected) return onConnected((reason as SocketError) ?? new SocketClosedError())
    if (!reason) write?.finish()
    this.owner.onGone(reason && toNodeError(reason, 'read'))
  }

  #checkConnect(): void {
    let failure: SocketError | undefined
    try {
      this.socket!.peek(PROBE)
    } catch (error) {
      failure = error as SocketError
    }
    if (!failure && this.socket!.state === 'connecting') return
    const onConnected = this.#onConnected!
    this.#onConnected = undefined
    if (!failure) this.updateInterest()
    onConnected(failure)
  }

  /** Returns why it failed. */
  #send(write: PendingWrite): Error | undefined {
    try {
      if (write.sendTo(this.socket!)) return undefined
      return this.#closeReason()
    } catch (error) {
      // The socket is reported as writable when it is time to try again.
      if (isOutOfMemory(error) && this.socket!.handle >= 0) return undefined
      return toNodeError(error, 'write')
    }
  }

  /** The socket takes nothing more: it has been shut down, or has broken. */
  #closeReason(): Error {
    if (!this.socket!.hasFailed) return errnoException(-constants.errno.EPIPE, 'write')
    try {
      this.socket!.peek(PROBE)
    } catch (error) {
      return toNodeError(error, 'write')
    }
    return errnoException(-constants.errno.EPIPE, 'write')
  }

  /** The queue is empty. */
  #continueWrite(): void {
    const write = this.#write!
    const error = this.#send(write)
    if (!error && !write.isSent) return
    this.#write = undefined
    this.updateInterest()
    write.finish(error)
  }
}
