import { Duplex, type DuplexOptions } from 'node:stream'

import { Connection } from '../connection/connection.js'
import { SocketClosedError, type SocketError, SocketQueueError, invalidArgType, isOutOfMemory } from '../errors.js'
import { AsyncContext, enterDomainOf, exitDomainOf, rootContext } from '../loop/async-context.js'
import { takeOver } from '../loop/background-flush.js'
import { CHUNKS_PER_TURN, shareOfTurn } from '../loop/receive-buffer.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { throwLater } from '../loop/timers.js'
import type { ReadyEvent } from '../model/event.js'
import { Socket } from '../model/socket.js'
import { READ_WRITE, WRITE } from '../native.js'
import { checkObject } from '../validate.js'

/** Bytes of the buffer that unread input is dropped through. */
const SCRATCH = 65_536

const PROBE = new Uint8Array(1)

type Done = (error?: Error | null) => void

interface Write {
  /** What the full queue, or a kernel without memory, did not take; undefined when all was taken. */
  readonly unsent: Buffer | Buffer[] | undefined
  readonly done: Done
}

/** How {@link toDuplex} makes its stream. */
export interface SocketDuplexOptions extends Pick<
  DuplexOptions,
  'highWaterMark' | 'readableHighWaterMark' | 'writableHighWaterMark' | 'emitClose'
> {
  /**
   * What a write does when the socket's send queue is full. `'wait'`: it waits for room, and its callback is called
   * when the kernel has all of it. `'error'`: as in the original m-socket, a write is done as soon as it is queued, and
   * one that finds the queue full fails with a {@link SocketQueueError}. **Default:** `'wait'`.
   */
  readonly whenFull?: 'wait' | 'error'
}

/**
 * Node's stream over a socket or a connection: for node:tls, node:http and everything else that takes a Duplex.
 *
 * When the reader stops, so does receiving, and the peer has to wait. A write is done when the kernel has it.
 * Half-open connections work: the readable side ends with the peer's FIN, and `end()` sends ours after the data.
 * A socket must be in no multiplexer. Only the stream reads and writes from here on; of a connection's handlers, only
 * `close` is still called. Its listeners and callbacks run in the asynchronous context of this call.
 *
 * Destroying it with bytes still unsent resets the connection, so that the peer cannot mistake a part for the whole.
 *
 * @throws TypeError for anything else; SocketError EEXIST for a socket in a multiplexer; SocketClosedError; Error
 * ERR_INVALID_STATE for a connection that is being read, or that has been adapted already. After SocketError ENOSPC or
 * ENOMEM of epoll_ctl(2) a connection is closed, and a socket is as it was.
 */
export function toDuplex<D>(source: Socket | Connection<D>, options: SocketDuplexOptions = {}): SocketDuplex {
  checkObject(options, 'options')
  if (source instanceof Connection) return overConnection(source, options)
  if (!(source instanceof Socket)) throw invalidArgType('source', 'a Socket or a Connection', source)
  return new SocketDuplex(source, options).start()
}

function overConnection<D>(connection: Connection<D>, options: SocketDuplexOptions): SocketDuplex {
  const { socket } = connection
  if (!socket) throw new SocketClosedError('toDuplex: the connection is not open')
  // Node checks the options of the stream: the connection is handed over behind that.
  const duplex = new SocketDuplex(socket, options, (error) => connection.onSocketClosed(error))
  connection.handOver({ end: () => void duplex.end(), onClose: () => void duplex.destroy() }, 'toDuplex')
  try {
    return duplex.start()
  } catch (error) {
    // Neither the connection nor a stream watches the socket.
    socket.keepAddresses()
    socket.close()
    connection.onSocketClosed(error as Error)
    throw error
  }
}

/** A stream made by {@link toDuplex}. */
export class SocketDuplex extends Duplex {
  /** The socket beneath. */
  readonly socket: Socket
  readonly #failsWhenFull: boolean
  /** That of the call of {@link toDuplex}, until `close`. */
  #context = new AsyncContext()
  #reading = false
  #referenced = false
  /** The write that is not done yet. */
  #write: Write | undefined
  readonly #onClosed: (error?: Error) => void

  /** @internal */
  constructor(
    socket: Socket,
    { whenFull = 'wait', ...options }: SocketDuplexOptions,
    onClosed: (error?: Error) => void = () => {},
  ) {
    super({ ...options, allowHalfOpen: true, autoDestroy: true })
    this.socket = socket
    this.#failsWhenFull = whenFull === 'error'
    this.#onClosed = onClosed
  }

  /** @internal The stream alone reads and writes the socket from here on. */
  start(): this {
    takeOver(this.socket, () => sharedPoller().watch(this.socket, READ_WRITE, this))
    return this.ref()
  }

  /**
   * @internal Calls the listeners in the context of the stream's maker, also where another one reads, writes or destroys
   * it. An array of the arguments would cost as much as the context.
   */
  override emit(event: string | symbol, argument?: unknown): boolean {
    let isListened
    try {
      isListened =
        arguments.length <= 2
          ? this.#context.run(emitEvent, this, event, argument)
          : // A rest parameter would be an array in each call.
            this.#context.run(emitEventWith, this, event, Array.prototype.slice.call(arguments, 1))
    } catch (error) {
      enterDomainOf(this)
      throw error
    }
    // A program that keeps the stream does not keep the stores of the call that made it.
    if (event === 'close') this.#context = rootContext
    return isListened
  }

  /** @internal */
  onEvent(event: ReadyEvent): void {
    try {
      this.#onReady(event)
    } catch (error) {
      // A listener threw it.
      exitDomainOf(this)
      throwLater(error, this.#context)
    }
  }

  #onReady(event: ReadyEvent): void {
    if (event.readable && this.#reading) this.#receive()
    if (event.error && !this.destroyed) this.#endIfBroken()
    if (event.readable && !this.#reading) sharedPoller().setInterest(this.socket, WRITE)
    if (event.writable) this.#settleWrite()
  }

  /** @internal The connection beneath has closed, and its queue has been sent. */
  onDetached(isReset = false): void {
    const reason = this.socket.lostReason
    if (!isReset && !reason && this.#write && !this.#write.unsent) this.#settleWrite()
    // A write that has failed since then has its error reported in the next turn only.
    this.destroy(reason ?? this.errored ?? undefined)
  }

  /** @internal The program used the socket itself, and got the error that is the stream's. */
  onBroken(error: Error): void {
    this.destroy(error)
  }

  /** A reader gets the error of a broken connection by reading, behind the data; a pending write at once. */
  #endIfBroken(): void {
    if (this.#write !== undefined || this.socket.state === 'closed') {
      if (this.socket.hasFailed) this.destroy(this.#closeReason())
    } else if (!this.#reading && this.readableLength === 0) this.#peekForError()
  }

  /** Unread input stays in the kernel, and the error behind it. */
  #peekForError(): void {
    try {
      this.socket.peek(PROBE)
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  /** @internal */
  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    sharedPoller().setInterest(this.socket, READ_WRITE)
  }

  /** Receives until the reader has enough, nothing is there or the turn is over; then the socket is reported again. */
  #receive(): void {
    for (let left = CHUNKS_PER_TURN; left > 0 && this.#reading;) {
      const chunk = this.#receiveChunk()
      if (chunk === null) return
      left -= shareOfTurn(chunk)
      if (chunk.length === 0) {
        this.#reading = false
        this.push(null)
      } else if (!this.push(chunk)) {
        this.#reading = false
      } else if (!sharedPoller().receiveBuffer.wasFilled) return
    }
  }

  #receiveChunk(): Buffer | null {
    try {
      return sharedPoller().receiveBuffer.receive(this.socket)
    } catch (error) {
      this.destroy(error as Error)
      return null
    }
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done, bound)
  }

  /** @internal */
  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
      bound,
    )
  }

  /** `later` makes what a write that is done later calls back. */
  #send(data: Buffer | Buffer[], done: Done, later: (done: Done) => Done): void {
    let status
    try {
      status = this.socket.send(data)
    } catch (error) {
      // Nothing was taken. The socket is reported as writable when it is time to try again.
      if (isOutOfMemory(error) && this.socket.handle >= 0) this.#write = { unsent: data, done: later(done) }
      else done(error as Error)
      return
    }
    if (status === 'sent' || (this.#failsWhenFull && status !== 'not-sent' && status !== 'closed')) done()
    else if (status === 'closed') done(this.#closeReason())
    else if (status !== 'not-sent') this.#write = { unsent: undefined, done: later(done) }
    else if (this.#failsWhenFull) done(new SocketQueueError())
    else this.#write = { unsent: data, done: later(done) }
  }

  /** The kernel keeps the reason of a broken pipe for the reader. */
  #closeReason(): Error {
    try {
      while (this.socket.receive(Buffer.allocUnsafe(SCRATCH))) {
        // The stream is being destroyed with the error: what the peer sent before is dropped.
      }
    } catch (error) {
      return error as Error
    }
    return new SocketClosedError()
  }

  /** The queue is empty. */
  #settleWrite(): void {
    const write = this.#write
    this.#write = undefined
    if (write?.unsent) this.#send(write.unsent, write.done, (done) => done)
    else write?.done()
  }

  /** @internal */
  override _final(done: Done): void {
    try {
      if (!this.socket.writeEnded) this.socket.shutdown('write')
      done()
    } catch (error) {
      // ENOTCONN: the peer has reset it. The reader gets that error, behind what came before; as in node:net.
      done((error as SocketError).code === 'ENOTCONN' ? null : (error as Error))
    }
  }

  /** @internal */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.unref()
    sharedPoller().unwatch(this.socket)
    this.socket.keepAddresses()
    if (this.socket.queued > 0 && (error || !this.socket.writeEnded)) this.socket.reset()
    else this.socket.close()
    const write = this.#write
    this.#write = undefined
    this.#onClosed(error ?? undefined)
    done(error)
    write?.done(error ?? new SocketClosedError('The stream was destroyed before all was sent'))
  }

  /** Lets the open stream keep the process alive. **Default.** */
  ref(): this {
    if (!this.#referenced && !this.destroyed) sharedPoller().ref()
    this.#referenced = !this.destroyed
    return this
  }

  /** Lets the process end although the stream is open. Queued output still keeps it alive. */
  unref(): this {
    if (this.#referenced) sharedPoller().unref()
    this.#referenced = false
    return this
  }
}

/** Events of streams have one argument, or none. */
function emitEvent(this: SocketDuplex, event: string | symbol, argument: unknown): boolean {
  return argument === undefined
    ? Duplex.prototype.emit.call(this, event)
    : Duplex.prototype.emit.call(this, event, argument)
}

function emitEventWith(this: SocketDuplex, event: string | symbol, args: unknown[]): boolean {
  return Duplex.prototype.emit.call(this, event, ...args)
}

/** A write that is done later calls back in the context of the write, as in node:net. */
function bound(done: Done): Done {
  const context = new AsyncContext()
  return (error) => context.run(done, undefined, error, undefined)
}
