import { abortError, invalidState, isBusy } from '../errors.js'
import { CHUNKS_PER_TURN, shareOfTurn } from '../loop/receive-buffer.js'
import { setImmediate } from '../loop/timers.js'
import type { ReadyEvent } from '../model/event.js'
import type { Socket } from '../model/socket.js'
import { type InterestBits, NONE, PREFETCH, PREFETCH_LIMIT, READ } from '../native.js'
import { Endpoints } from './endpoints.js'
import type { ConnectionOwner } from './owner.js'
import type { Read } from './reading/read.js'
import { Reader } from './reading/reader.js'

/** What comes into a connection: for the `data` and `end` handlers, or for a program that reads by promises. */
export abstract class Input<D> extends Endpoints {
  #paused = false
  /** Whether there is input in the kernel that is not wanted now. */
  #hasWaitingInput = false
  /** Whether the peer's end has been received. */
  #ended = false
  #reader: Reader | undefined

  /** @internal */
  protected abstract get owner(): ConnectionOwner<D>

  /** @internal */
  protected abstract get isClosed(): boolean

  /** @internal Calls the `data` handler. */
  protected abstract deliver(chunk: Buffer): void

  /** @internal Calls the `end` handler, and ends our half unless it may stay open. */
  protected abstract onPeerEnd(): void

  /** @internal The peer's end was read by a promise: as {@link onPeerEnd}, without the handler. */
  protected abstract answerEnd(): void

  /** @internal */
  protected abstract closeIfEnded(): void

  /** @internal The connection broke. */
  protected abstract fail(error: Error): void

  /** @internal Something came: the idle time starts again. */
  protected abstract touch(): void

  /** @internal Watches for what is wanted now. */
  protected abstract updateInterest(): void

  /** @internal */
  protected abstract get isReadByStream(): boolean

  /** @internal Reads by a promise, until `signal` is aborted. */
  protected readBy<T>(read: Read<T>, signal?: AbortSignal): Promise<T> {
    if (this.isReadByStream) return Promise.reject(invalidState('read: a stream reads this connection'))
    return this.receiveBy(read, signal)
  }

  /** @internal As {@link readBy}, also for a stream. */
  protected receiveBy<T>(read: Read<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(abortError(signal, { received: 0 }))
    const { socket } = this
    const isClosed = this.isClosed || socket === undefined || socket.handle < 0
    if (isClosed) return (this.#reader ?? new Reader()).readClosed(read, this.#ended)
    const reader = this.startReader()
    if (reader.isPending) return reader.refuse()
    const result = reader.read(read, this.#paused)
    if (!reader.isPending) this.#watchAgain(reader)
    else if (this.wantsInput() || this.#ended) this.#receive(socket)
    if (signal && reader.isPending) reader.abortBy(signal)
    return result
  }

  /** What was buffered has been read: there may be an end behind it. */
  #watchAgain(reader: Reader): void {
    if (!this.#hasWaitingInput || reader.buffer.length > 0) return
    this.#hasWaitingInput = false
    this.updateInterest()
  }

  /** Receives no more until {@link resume}. The kernel's receive buffer then fills, and the peer has to wait. */
  pause(): this {
    this.#paused = true
    this.updateInterest()
    return this
  }

  /** Receives again, beginning with what is in the kernel already. */
  resume(): this {
    this.#paused = false
    this.updateInterest()
    if (this.#reader?.isPending && this.#reader.buffer.length > 0 && this.socket) this.#receive(this.socket)
    return this
  }

  /** @internal Whether {@link pause} was called, and not {@link resume} since. */
  get isPaused(): boolean {
    return this.#paused
  }

  /** @internal Has promises read from here on. */
  protected startReader(): Reader {
    return (this.#reader ??= new Reader())
  }

  /** @internal */
  protected get isReadPending(): boolean {
    return this.#reader?.isPending === true
  }

  /** @internal Whether the peer's end has been received. */
  protected get hasEnded(): boolean {
    return this.#ended
  }

  /** @internal Gives what is buffered back to the socket: something else receives from here on. */
  protected unreadBuffered(socket: Socket): void {
    const buffer = this.#reader?.buffer
    if (buffer && buffer.length > 0 && socket.handle >= 0) socket.unread(buffer.drain())
  }

  /** @internal Rejects a pending read. */
  protected failReader(error?: Error): void {
    this.#reader?.fail(error)
  }

  /** @internal Nothing more is to be read, although the peer has not ended: a pending read gets the end. */
  protected endInput(socket: Socket): void {
    this.#ended = true
    this.#reader?.buffer.clear()
    if (this.isReadPending) this.#receive(socket)
  }

  /** @internal Whether what comes is to be received now. */
  protected wantsInput(): boolean {
    if (this.#paused) return false
    if (this.#reader) return this.#reader.isPending
    return this.owner.handlers.data !== undefined || this.#dropsInput()
  }

  /** A server's connection without a `data` handler that has ended its half discards its input. */
  #dropsInput(): boolean {
    return this.owner.server !== undefined && this.socket!.writeEnded
  }

  /** Whether input goes to the `data` handler now. */
  #deliversChunks(): boolean {
    return !this.#paused && this.#reader === undefined && this.owner.handlers.data !== undefined
  }

  /** @internal What to watch for as far as input is concerned. */
  protected readInterest(): InterestBits {
    const wanted = this.wantsInput()
    if (wanted) this.#hasWaitingInput = false
    else if (this.#paused || this.#hasWaitingInput) return NONE
    return this.#deliversChunks() && this.owner.receiveBuffer.keeps ? ((READ | PREFETCH) as InterestBits) : READ
  }

  /** @internal The socket is readable; `chunk` has been received by the wait already. */
  protected onReadable(socket: Socket, event: ReadyEvent, chunk: Buffer | undefined): void {
    // An earlier handler of the batch closed it, and its queue is being sent.
    if (socket.handle < 0) return
    if (chunk !== undefined && this.#deliversChunks()) return this.#receivePrefetched(socket, chunk)
    if (!event.readable && !event.error) return
    if (chunk !== undefined) socket.unread(chunk)
    if (this.wantsInput()) this.#receive(socket)
    else this.#peekForEnd(socket)
  }

  #receive(socket: Socket): void {
    try {
      if (this.#reader) this.#receiveForReader(this.#reader, socket)
      else this.#receiveChunks(socket)
    } catch (error) {
      if (isBusy(error)) this.failReader(error as Error)
      else this.fail(error as Error)
    }
  }

  #receiveForReader(reader: Reader, socket: Socket): void {
    reader.receive(socket)
    this.touch()
    this.#hasWaitingInput = false
    this.updateInterest()
    // After `attach` there may be bytes in front of an end that was received before.
    if (this.#ended || !socket.readEnded || socket.hasUnread) return
    this.#ended = true
    // A program that waits for the end may still write before our half ends too.
    setImmediate(() => this.answerEnd())
  }

  #receiveChunks(socket: Socket): void {
    const { receiveBuffer } = this.owner
    for (let left = CHUNKS_PER_TURN; left > 0;) {
      const chunk = receiveBuffer.receive(socket)
      if (chunk === null) return
      if (chunk.length === 0) return this.#receiveEnd()
      left -= shareOfTurn(chunk)
      this.touch()
      this.deliver(chunk)
      if (this.#reader || !this.#goesOn(socket) || !receiveBuffer.wasFilled) return
    }
  }

  /** After a chunk of {@link PREFETCH_LIMIT} bytes there may be more in the kernel. */
  #receivePrefetched(socket: Socket, chunk: Buffer): void {
    this.touch()
    this.deliver(chunk)
    if (chunk.length === PREFETCH_LIMIT && this.#goesOn(socket)) this.#receive(socket)
  }

  /** Whether more is to be received: a handler may have closed the connection, also with a queue that is sent first. */
  #goesOn(socket: Socket): boolean {
    return !this.isClosed && socket.handle >= 0 && this.wantsInput()
  }

  #receiveEnd(): void {
    if (this.#ended) return
    this.#ended = true
    this.onPeerEnd()
  }

  /** Unread input stays in the kernel; the peer's end and a reset with no input before them are detected by peeking. */
  #peekForEnd(socket: Socket): void {
    try {
      const waiting = this.#reader?.buffer.length || socket.peek(PROBE)
      if (waiting === 0 && !this.#paused && (!this.#reader || socket.writeEnded)) return this.#receiveUnreadEnd(socket)
      if (waiting === null || this.#hasWaitingInput) return
      this.#hasWaitingInput = true
      // A paused connection is not watched for input anyway.
      if (!this.#paused) this.updateInterest()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  /** There is no input before the peer's end. A connection whose half has ended too closes, although it is not read. */
  #receiveUnreadEnd(socket: Socket): void {
    if (!this.#reader) return this.#receiveChunks(socket)
    socket.receive(PROBE)
    this.#ended = true
    this.closeIfEnded()
  }

  /** @internal Whether input came that has not been delivered: after a long block Node's loop runs its timers first. */
  protected hasUndeliveredInput(socket: Socket): boolean {
    if (!this.wantsInput() || socket.readEnded) return false
    try {
      return socket.peek(PROBE) !== null
    } catch (error) {
      this.fail(error as Error)
      return false
    }
  }
}

const PROBE = new Uint8Array(1)
