import { constants } from 'node:os'

import { SocketClosedError, SocketError, isOutOfMemory } from '../errors.js'
import { AsyncContext } from '../loop/async-context.js'
import { takeOver } from '../loop/background-flush.js'
import { inClosingPhase } from '../loop/closing-phase.js'
import { CHUNKS_PER_TURN, shareOfTurn } from '../loop/receive-buffer.js'
import { nextTick } from '../loop/timers.js'
import { sharedPoller } from '../loop/shared-poller.js'
import type { ReadyEvent } from '../model/event.js'
import type { ReleasedSocket } from '../model/closable-source.js'
import type { Socket } from '../model/socket.js'
import { type InterestBits, PREFETCH, PREFETCH_LIMIT, READ, WRITE } from '../native.js'
import { errnoException, readError, toNodeError } from './errors.js'
import { LoopReference } from './loop-reference.js'
import { NODE_MAJOR } from './node-version.js'
import { PendingWrite, type Pieces } from './pending-write.js'

/** What a write that is in progress gets when its stream is destroyed; on Node 20 nothing. */
const canceled = () => (NODE_MAJOR < 22 ? undefined : errnoException(-constants.errno.ECANCELED, 'write'))
const PROBE = new Uint8Array(1)
const NOT_CONNECTED = new Set(['ENOTCONN', 'EPIPE'])

/** Where a handle delivers what happens: a stream. */
export interface HandleOwner {
  /** Input came. */
  onChunk(chunk: Buffer): void
  /** The peer has ended its half. */
  onPeerEnd(): void
  /** Receiving failed. */
  onReadError(error: Error): void
  /** A listener threw it. */
  onException(error: unknown): void
  /** The socket was closed beneath: without a reason, or because it broke. */
  onGone(reason: Error | undefined): void
}

/** An array of the program's that input is received into, in the place of chunks. */
export interface UserBuffer {
  /** The array for the next bytes. */
  readonly array: Uint8Array
  /** `count` bytes have come; returns whether to go on. */
  deliver(count: number): boolean
}

/** Called with the reason if the connect failed. */
export type OnConnected = (error?: SocketError) => void

export type Done = (error?: Error | null) => void

/**
 * What a handle of libuv is to a stream of Node: a socket of the shared poller, which is read while `readStart` holds,
 * sends one write at a time, and keeps the process alive while it does either of them or connects.
 */
export class SocketHandle extends LoopReference {
  /** Whether it is of a Unix socket. */
  readonly isUnix: boolean
  userBuffer: UserBuffer | undefined
  /** Whether {@link close} is by RST. */
  closesByReset = false
  /** Called when it is closed. */
  onClosing: (() => void) | undefined
  /** How many bytes were given to {@link write}. */
  bytesWritten = 0
  #socket: Socket | undefined
  #owner: HandleOwner | undefined
  /** Undefined when the peer has ended: there is nothing more to read. */
  #reading: boolean | undefined = false
  #closed = false
  #isWatched = false
  #write: PendingWrite | undefined
  #onConnected: OnConnected | undefined
  #isConnecting = false

  /** Without a `socket` it is a handle that is to connect. */
  constructor(isUnix: boolean, socket?: Socket) {
    super()
    this.isUnix = isUnix
    this.#socket = socket
  }

  /** A handle over a socket that is connected, or connecting. */
  static over(socket: Socket): SocketHandle {
    const { localAddress } = socket
    return new SocketHandle(localAddress !== undefined && 'path' in localAddress, socket)
  }

  /** The socket, where there is one already. */
  get socket(): Socket | undefined {
    return this.#socket
  }

  set owner(owner: HandleOwner) {
    this.#owner = owner
  }

  get reading(): boolean {
    return this.#reading === true
  }

  /**
   * Registers the socket with the shared poller.
   *
   * @throws SocketError EEXIST for a socket in a multiplexer; ENOSPC, ENOMEM of epoll_ctl(2).
   */
  watch(): void {
    takeOver(this.#socket!, () => sharedPoller().watch(this.#socket!, this.#interest(), this))
    this.#isWatched = true
    this.updateReference()
  }

  /** It keeps the process alive from here on, until {@link connected}. */
  connecting(): void {
    this.#isConnecting = true
    this.updateReference()
  }

  /** Takes a socket that is connecting, and calls back when it has connected or failed. */
  awaitConnect(socket: Socket, onConnected: OnConnected): void {
    this.#socket = socket
    this.#onConnected = onConnected
    this.#watchOrUpdate()
  }

  /** The connect has ended: with `socket`, or with the one that it has. */
  connected(socket = this.#socket): void {
    this.#isConnecting = false
    this.#socket = socket
    this.updateReference()
  }

  readStart(): void {
    if (this.#reading !== false || this.#closed) return
    this.#reading = true
    this.#watchOrUpdate()
  }

  readStop(): void {
    if (!this.#reading) return
    this.#reading = false
    this.#update()
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
    this.#watchOrUpdate()
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
      if (!this.#socket!.writeEnded) this.#socket!.shutdown('write')
    } catch (error) {
      // The peer has reset it: the reader gets that, behind what came before.
      if (!NOT_CONNECTED.has((error as SocketError).code)) return toNodeError(error, 'shutdown')
    }
    return null
  }

  /** Closes by FIN or RST; what is unsent is dropped. Calls back in the closing phase of the loop. */
  close(onClosed: () => void): void {
    this.#closed = true
    this.#reading = false
    this.onClosing?.()
    this.#onConnected = undefined
    this.updateReference()
    if (this.closesByReset) this.#socket?.resetByWatcher()
    else this.#socket?.discard()
    const write = this.#write
    this.#write = undefined
    inClosingPhase(() => {
      // libuv ends a write that is in progress first.
      write?.finish(canceled())
      onClosed()
    })
  }

  /**
   * @internal Gives the descriptor up.
   *
   * @throws as {@link Socket.giveUp}
   */
  giveUp(): ReleasedSocket {
    const released = this.#socket!.giveUp()
    this.#closed = true
    this.#reading = false
    this.updateReference()
    return released
  }

  /** As a handle of libuv: an idle one that is not read keeps nothing alive. */
  protected override get isActive(): boolean {
    return !this.#closed && (this.#reading || this.#isConnecting || this.#write !== undefined)
  }

  #watchOrUpdate(): void {
    if (this.#isWatched) this.#update()
    else this.watch()
  }

  #update(): void {
    if (this.#closed) return
    sharedPoller().setInterest(this.#socket!, this.#interest())
    this.updateReference()
  }

  /** Never NONE: the poller would detach the socket as soon as its queue is empty. */
  #interest(): InterestBits {
    const isWriting = this.#write !== undefined || this.#onConnected !== undefined
    if (!this.#reading) return WRITE
    const read = this.userBuffer ? READ : READ | PREFETCH
    return (isWriting ? read | WRITE : read) as InterestBits
  }

  /** @internal */
  onEvent(event: ReadyEvent, chunk?: Buffer): void {
    try {
      this.#onReady(event, chunk)
    } catch (error) {
      this.#owner!.onException(error)
    }
  }

  #onReady(event: ReadyEvent, chunk: Buffer | undefined): void {
    if (this.#onConnected) return this.#checkConnect()
    if (chunk !== undefined) this.#receivePrefetched(chunk)
    else if (this.#reading && (event.readable || event.error || event.hangup)) this.#receive()
    if (this.#write && (event.writable || event.error || event.hangup)) this.#continueWrite()
  }

  /** @internal The program has closed the socket beneath, and its queue has been sent, or was lost. */
  onDetached(): void {
    if (!this.#closed) this.#leave(this.#socket!.lostReason)
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
    this.#owner!.onGone(reason && toNodeError(reason, 'read'))
  }

  #checkConnect(): void {
    let failure: SocketError | undefined
    try {
      this.#socket!.peek(PROBE)
    } catch (error) {
      failure = error as SocketError
    }
    if (!failure && this.#socket!.state === 'connecting') return
    const onConnected = this.#onConnected!
    this.#onConnected = undefined
    if (!failure) this.#update()
    onConnected(failure)
  }

  #receivePrefetched(chunk: Buffer): void {
    if (!this.#reading) return this.#socket!.unread(chunk)
    this.#owner!.onChunk(chunk)
    // After a chunk of that length there may be more in the kernel.
    if (chunk.length === PREFETCH_LIMIT && this.#reading) this.#receive()
  }

  /** Receives until the reader has enough, nothing is there or the turn is over; then the socket is reported again. */
  #receive(): void {
    try {
      if (this.userBuffer) this.#receiveInto(this.userBuffer)
      else this.#receiveChunks()
    } catch (error) {
      if (!(error instanceof SocketError)) throw error
      this.#reading = false
      this.#owner!.onReadError(readError(error))
    }
  }

  #receiveChunks(): void {
    const { receiveBuffer } = sharedPoller()
    for (let left = CHUNKS_PER_TURN; left > 0 && this.#reading;) {
      const chunk = receiveBuffer.receive(this.#socket!)
      if (chunk === null) return
      if (chunk.length === 0) return this.#end()
      left -= shareOfTurn(chunk)
      const wasFilled = receiveBuffer.wasFilled
      this.#owner!.onChunk(chunk)
      if (!wasFilled) return
    }
  }

  #receiveInto(buffer: UserBuffer): void {
    for (let left = CHUNKS_PER_TURN; left > 0 && this.#reading; left--) {
      const { array } = buffer
      const count = this.#socket!.receive(array)
      if (count === null) return
      if (count === 0) return this.#end()
      const isFilled = count === array.length
      if (!buffer.deliver(count)) this.readStop()
      if (!isFilled) return
    }
  }

  #end(): void {
    this.readStop()
    this.#reading = undefined
    this.#owner!.onPeerEnd()
  }

  /** Returns why it failed. */
  #send(write: PendingWrite): Error | undefined {
    try {
      if (write.sendTo(this.#socket!)) return undefined
      return this.#closeReason()
    } catch (error) {
      // The socket is reported as writable when it is time to try again.
      if (isOutOfMemory(error) && this.#socket!.handle >= 0) return undefined
      return toNodeError(error, 'write')
    }
  }

  /** The socket takes nothing more: it has been shut down, or has broken. */
  #closeReason(): Error {
    if (!this.#socket!.hasFailed) return errnoException(-constants.errno.EPIPE, 'write')
    try {
      this.#socket!.peek(PROBE)
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
    this.#update()
    write.finish(error)
  }
}
