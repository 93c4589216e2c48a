import { constants } from 'node:os'

import { SocketClosedError, SocketError, isOutOfMemory } from '../errors.js'
import { AsyncContext } from '../loop/async-context.js'
import { takeOver } from '../loop/background-flush.js'
import { callInTurn, inClosingPhase } from '../loop/closing-phase.js'
import { nextTick } from '../loop/timers.js'
import { sharedPoller } from '../loop/shared-poller.js'
import type { ReadyEvent } from '../model/event.js'
import type { ReleasedSocket } from '../model/closable-source.js'
import type { Socket } from '../model/socket.js'
import { END_FAILURE_SHIFT, type InterestBits, type SendStatus, WRITE } from '../native.js'
import { errnoException, toNodeError } from './errors.js'
import { ACCEPTED_INTEREST, FREE_BIT_OF_INPUT, InputHandle } from './input-handle.js'
import { NODE_MAJOR } from '../node-version.js'
import { PendingWrite, type Pieces, fitsOneCall } from './pending-write.js'

/** What a write that is in progress gets when its stream is destroyed; on Node 20 nothing. */
const canceled = (): Error | undefined =>
  NODE_MAJOR < 22 ? undefined : errnoException(-constants.errno.ECANCELED, 'write')

const CLOSED = FREE_BIT_OF_INPUT
const WATCHED = FREE_BIT_OF_INPUT << 1
const CONNECTING = FREE_BIT_OF_INPUT << 2
const UNIX = FREE_BIT_OF_INPUT << 3
const RESETS = FREE_BIT_OF_INPUT << 4
const ACCEPTED = FREE_BIT_OF_INPUT << 5

const NOT_CONNECTED = new Set(['ENOTCONN', 'EPIPE'])
const NOTHING = new Uint8Array(0)

/** Called with the reason if the connect failed. */
export type OnConnected = (error?: SocketError) => void

export type Done = (error?: Error | null) => void

/**
 * What a handle of libuv is to a stream of Node: a socket of the shared poller. It is read while `readStart` holds,
 * sends one write at a time, and keeps the process alive while it does either of them or connects.
 */
export class SocketHandle extends InputHandle {
  /** Called when it is closed. What it returns is called in the closing phase, before the stream is closed. */
  onClosing: (() => (() => void) | undefined) | undefined
  /** How many bytes were given to {@link write}. */
  bytesWritten = 0
  #write: PendingWrite | undefined
  #onConnected: OnConnected | undefined

  /** Without a `socket` it is a handle that is to connect. */
  constructor(isUnix: boolean, socket?: Socket) {
    super()
    if (isUnix) this.bits |= UNIX
    this.socket = socket
  }

  /** A handle over a socket that is connected, or connecting. */
  static over(socket: Socket): SocketHandle {
    const { localAddress } = socket
    return new SocketHandle(localAddress !== undefined && 'path' in localAddress, socket)
  }

  /** Whether it is of a Unix socket. */
  get isUnix(): boolean {
    return (this.bits & UNIX) !== 0
  }

  /** Has {@link close} reset the connection. */
  closeByReset(): void {
    this.bits |= RESETS
  }

  /**
   * Registers the socket with the shared poller.
   *
   * @throws SocketError EEXIST for a socket in a multiplexer; ENOSPC, ENOMEM of epoll_ctl(2).
   */
  watch(): void {
    takeOver(this.socket!, () => sharedPoller().watch(this.socket!, this.#interest(), this))
    this.bits |= WATCHED
    this.updateReference()
  }

  /** A wait has accepted the socket, and watches it for {@link ACCEPTED_INTEREST}. */
  watchAccepted(): void {
    sharedPoller().watchAccepted(this.socket!, this)
    this.bits |= WATCHED | ACCEPTED
  }

  /** Whether it is watched as it was accepted. */
  get isAccepted(): boolean {
    return (this.bits & ACCEPTED) !== 0
  }

  /** A stream that has not begun to read is not watched for input. */
  finishAccept(): void {
    if (this.isAccepted) this.updateInterest()
  }

  get isConnecting(): boolean {
    return (this.bits & CONNECTING) !== 0
  }

  /** It keeps the process alive from here on, until {@link connected}. */
  connecting(): void {
    this.bits |= CONNECTING
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
    this.bits &= ~CONNECTING
    this.socket = socket
    this.updateReference()
  }

  /** Sends all of `pieces`. `done` is called when the kernel has taken them: at once, or later. */
  write(pieces: Pieces, length: number, done: Done): void {
    this.bytesWritten += length
    if (!fitsOneCall(pieces, length)) return this.#begin(new PendingWrite(pieces, done))
    const status = this.#sendAtOnce(pieces)
    if (status === 'sent') done()
    else if (typeof status !== 'string') done(status)
    else this.#wait(new PendingWrite(pieces, done, status !== 'not-sent'))
  }

  #begin(write: PendingWrite): void {
    const error = this.#send(write)
    if (error) write.finish(error)
    else if (write.isSent) write.finish()
    else this.#wait(write)
  }

  /** Most writes are sent at once, and need no {@link PendingWrite}. Returns why it failed, if it did. */
  #sendAtOnce(pieces: Pieces): SendStatus | Error {
    try {
      const status = this.socket!.send(pieces)
      return status === 'closed' ? this.#closeReason() : status
    } catch (error) {
      return this.#isPassing(error) ? 'not-sent' : toNodeError(error, 'write')
    }
  }

  /** Without memory now; the socket is reported as writable when it is time to try again. */
  #isPassing(error: unknown): boolean {
    return isOutOfMemory(error) && this.socket!.handle >= 0
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

  /** Calls back when the write that is in progress has ended; without one at once. */
  afterWrite(callback: () => void): void {
    if (this.#write) this.#write.onFinished(callback)
    else callback()
  }

  /** Ends our half, behind what was written. `done` comes before all that the peer answers. */
  shutdown(done: Done): void {
    const failure = this.#shutDown()
    nextTick(() => done(failure))
  }

  /** Returns why it failed. */
  #shutDown(): Error | null {
    const socket = this.socket!
    if (socket.handle < 0) return null
    const result = socket.endWith(NOTHING, 0, 0)
    const errno = result < 0 ? -result : result >> END_FAILURE_SHIFT
    if (errno === 0 || errno === constants.errno.EALREADY) return null
    const error = socket.reasonFor(errno, 'shutdown')
    // The peer has reset it: the reader gets that, behind what came before.
    return NOT_CONNECTED.has((error as SocketError).code) ? null : toNodeError(error, 'shutdown')
  }

  /**
   * Closes by FIN or RST; what is unsent is dropped, and `reason` is the error of that write. Calls back in the closing
   * phase of the loop.
   */
  close(onClosed: () => void, reason = canceled()): void {
    this.bits |= CLOSED
    this.endReading()
    const onEnded = this.onClosing?.()
    this.#onConnected = undefined
    this.updateReference()
    if ((this.bits & RESETS) !== 0) this.socket?.resetByWatcher()
    else this.socket?.discard()
    const write = this.#write
    this.#write = undefined
    if (!onEnded && !write) return inClosingPhase(onClosed)
    // libuv ends what is in progress first: a connect, a write.
    inClosingPhase(() => callInTurn([() => onEnded?.(), () => write?.finish(reason), onClosed]))
  }

  /**
   * @internal Gives the descriptor up.
   *
   * @throws as {@link Socket.giveUp}
   */
  giveUp(): ReleasedSocket {
    const released = this.socket!.giveUp()
    this.bits |= CLOSED
    this.endReading()
    this.updateReference()
    return released
  }

  /** As a handle of libuv: an idle one that is not read keeps nothing alive. */
  protected override get isActive(): boolean {
    return !this.isClosed && (this.reading || this.isConnecting || this.#write !== undefined)
  }

  /** As a request of libuv, for which uv_unref() has no effect. */
  protected override get isRequest(): boolean {
    return !this.isClosed && this.isConnecting
  }

  protected override get isClosed(): boolean {
    return (this.bits & CLOSED) !== 0
  }

  protected override updateInterest(): void {
    if (this.isClosed) return
    if ((this.bits & WATCHED) === 0) return this.watch()
    const interest = this.#interest()
    const isSet = this.isAccepted && interest === ACCEPTED_INTEREST
    this.bits &= ~ACCEPTED
    if (!isSet) sharedPoller().setInterest(this.socket!, interest)
    this.updateReference()
  }

  #interest(): InterestBits {
    const isWriting = this.#write !== undefined || this.#onConnected !== undefined
    const read = this.readInterest()
    return (isWriting ? read | WRITE : read) as InterestBits
  }

  /** @internal */
  onEvent(event: ReadyEvent, chunk?: Buffer): void {
    const isConnect = this.#onConnected !== undefined
    try {
      if (isConnect) this.#checkConnect()
      else this.onReadable(event, chunk)
    } catch (error) {
      this.owner.onException(error)
    }
    // Also after a listener of the input has thrown: that there is room is reported once.
    if (!isConnect && this.#write && (event.writable || event.error || event.hangup)) this.#continueWrite()
  }

  /** @internal The program has closed the socket beneath, and its queue has been sent; or it was lost, as by a reset. */
  onDetached(isReset = false): void {
    if (!this.isClosed) this.#leave(this.socket!.lostReason, isReset)
  }

  /** @internal The program used the socket itself, and got the error that is the stream's. */
  onBroken(error: Error): void {
    if (!this.isClosed) this.#leave(error)
  }

  #leave(reason: Error | undefined, isLost = false): void {
    const onConnected = this.#onConnected
    this.#onConnected = undefined
    if (onConnected) return onConnected((reason as SocketError) ?? new SocketClosedError())
    // With a reason the write that is in progress ends with the stream.
    if (!reason) this.#endWrite(isLost ? errnoException(-constants.errno.ECANCELED, 'write') : undefined)
    this.owner.onGone(reason && toNodeError(reason, 'read'))
  }

  #endWrite(error: Error | undefined): void {
    const write = this.#write
    this.#write = undefined
    if (write) this.#finish(write, error)
  }

  #checkConnect(): void {
    const failure = this.socket!.connectFailure()
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
      return this.#isPassing(error) ? undefined : toNodeError(error, 'write')
    }
  }

  /** The socket takes nothing more: it has been shut down, or has broken. */
  #closeReason(): Error {
    if (this.socket!.handle < 0) return new SocketClosedError()
    return this.#failure() ?? errnoException(-constants.errno.EPIPE, 'write')
  }

  /** Why the connection has broken, if it has. */
  #failure(): Error | undefined {
    const { failure } = this.socket!
    return failure && toNodeError(failure, 'write')
  }

  /** The queue is empty. */
  #continueWrite(): void {
    const write = this.#write!
    // What waited in the queue has been sent, or was lost with the connection.
    const error = this.#send(write) ?? this.#failure()
    if (!error && !write.isSent) return
    this.#write = undefined
    this.updateInterest()
    this.#finish(write, error)
  }

  #finish(write: PendingWrite, error: Error | undefined): void {
    try {
      write.finish(error)
    } catch (thrown) {
      this.owner.onException(thrown)
    }
  }
}
