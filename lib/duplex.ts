import { Duplex, type DuplexOptions } from 'node:stream'

import { SocketClosedError, SocketQueueError, invalidArgType } from './errors.js'
import type { Event } from './event.js'
import { home } from './home.js'
import { Socket } from './socket.js'

const READ_WRITE = 3
const WRITE = 2

/** Bytes that one recv(2) asks for: what Node's own streams ask for. */
const CHUNK = 65536

/** Receives in one turn of Node's loop before others get theirs. */
const RECEIVES_PER_TURN = 16

/** How {@link toDuplex} makes its stream. */
export interface SocketDuplexOptions extends Pick<DuplexOptions, 'highWaterMark' | 'readableHighWaterMark' | 'writableHighWaterMark' | 'emitClose'> {
  /**
   * What a write does when the socket's send queue is full. `'wait'`: it is taken when there is room, and its callback
   * is called when all of it has been handed to the kernel. `'error'`: as in the original m-socket, a write is done as
   * soon as it is queued, and one that finds the queue full fails with a {@link SocketQueueError}.
   * **Default:** `'wait'`.
   */
  readonly whenFull?: 'wait' | 'error'
}

/**
 * Node's stream over a socket: for node:tls, node:http and all that takes a Duplex.
 *
 * Reading stops when the reader does, and the kernel's window then tells the peer; a write is done when the kernel has
 * it. Half-open connections work: the readable side ends with the peer's FIN, and `end()` sends ours after the data.
 * The socket must be in no multiplexer, and is read and written by the stream alone from here on.
 *
 * Destroying it with bytes still unsent resets the connection, so that the peer cannot take a part for the whole.
 */
export function toDuplex(socket: Socket, options: SocketDuplexOptions = {}): SocketDuplex {
  if (!(socket instanceof Socket)) throw invalidArgType('socket', 'a Socket', socket)
  return new SocketDuplex(socket, options)
}

/** A stream made by {@link toDuplex}. */
export class SocketDuplex extends Duplex {
  /** The socket beneath. */
  readonly socket: Socket
  readonly #failsWhenFull: boolean
  #reading = false
  #holding = false
  #written: (() => void) | undefined
  #spare: Buffer | undefined

  /** @internal */
  constructor(socket: Socket, { whenFull = 'wait', ...options }: SocketDuplexOptions) {
    super({ ...options, allowHalfOpen: true, autoDestroy: true })
    this.socket = socket
    this.#failsWhenFull = whenFull === 'error'
    home().watch(socket, READ_WRITE, { onEvent: (event) => this.#onEvent(event) })
    this.ref()
  }

  #onEvent(event: Event): void {
    if (event.readable && this.#reading) this.#receive()
    else if (event.readable) home().modify(this.socket, WRITE)
    if (event.writable) this.#settleWrite()
  }

  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    home().modify(this.socket, READ_WRITE)
  }

  /** Receives until the reader has enough, nothing waits or the turn is over; the multiplexer then tells again. */
  #receive(): void {
    try {
      for (let turn = 0; turn < RECEIVES_PER_TURN && this.#reading; turn++) {
        const chunk = this.#receiveChunk()
        if (chunk === null) return
        if (chunk.length === 0) {
          this.#reading = false
          this.push(null)
        } else if (!this.push(chunk)) {
          this.#reading = false
        }
      }
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #receiveChunk(): Buffer | null {
    const buffer = (this.#spare ??= Buffer.allocUnsafe(CHUNK))
    const count = this.socket.receive(buffer)
    if (count === null) return null
    if (count < CHUNK / 2) return Buffer.from(buffer.subarray(0, count))
    this.#spare = undefined
    return buffer.subarray(0, count)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(chunks.map(({ chunk }) => chunk), done)
  }

  #send(data: Buffer | Buffer[], done: (error?: Error | null) => void): void {
    let status
    try {
      status = this.socket.send(data)
    } catch (error) {
      return done(error as Error)
    }
    if (status === 'sent' || (this.#failsWhenFull && status !== 'not-sent' && status !== 'closed')) done()
    else if (status === 'closed') done(this.#whyClosed())
    else if (status !== 'not-sent') this.#written = done
    else if (this.#failsWhenFull) done(new SocketQueueError())
    else this.#written = () => this.#send(data, done)
  }

  /** The kernel keeps the reason of a broken pipe for the reader. */
  #whyClosed(): Error {
    try {
      while (this.socket.receive(Buffer.allocUnsafe(CHUNK))) {
        // What the peer sent before it went away is lost to a reader that is being told of the error.
      }
    } catch (error) {
      return error as Error
    }
    return new SocketClosedError()
  }

  /** The queue is empty. */
  #settleWrite(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  override _final(done: (error?: Error | null) => void): void {
    try {
      if (!this.socket.writeEnded) this.socket.shutdown('write')
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.unref()
    home().unwatch(this.socket)
    if (this.socket.queued > 0 && (error || !this.socket.writeEnded)) this.socket.reset()
    else this.socket.close()
    this.#written = undefined
    done(error)
  }

  /** Lets the open stream keep the process alive, as it does at first. */
  ref(): this {
    if (!this.#holding && !this.destroyed) home().hold()
    this.#holding = !this.destroyed
    return this
  }

  /** Lets the process end although the stream is open. Queued output still holds it. */
  unref(): this {
    if (this.#holding) home().release()
    this.#holding = false
    return this
  }
}
