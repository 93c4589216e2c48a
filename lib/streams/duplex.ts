import { Duplex, type DuplexOptions } from 'node:stream'

import { CHUNKS_PER_TURN, shareOf } from '../loop/receive-buffer.js'
import { Connection } from '../connection/connection.js'
import { SocketClosedError, type SocketError, SocketQueueError, invalidArgType } from '../errors.js'
import type { Event } from '../model/event.js'
import { home } from '../loop/shared-poller.js'
import { Socket } from '../model/socket.js'

const READ_WRITE = 3
const WRITE = 2

/** Bytes that are dropped at a time. */
const SCRATCH = 65536

type Done = (error?: Error | null) => void

interface Write {
  /** What the full queue did not take; undefined when it has all. */
  readonly unsent: Buffer | Buffer[] | undefined
  readonly done: Done
}

/** How {@link toDuplex} makes its stream. */
export interface SocketDuplexOptions extends Pick<
  DuplexOptions,
  'highWaterMark' | 'readableHighWaterMark' | 'writableHighWaterMark' | 'emitClose'
> {
  /**
   * What a write does when the socket's send queue is full. `'wait'`: it is taken when there is room, and its callback
   * is called when all of it has been handed to the kernel. `'error'`: as in the original m-socket, a write is done as
   * soon as it is queued, and one that finds the queue full fails with a {@link SocketQueueError}.
   * **Default:** `'wait'`.
   */
  readonly whenFull?: 'wait' | 'error'
}

/**
 * Node's stream over a socket or a connection: for node:tls, node:http and all that takes a Duplex.
 *
 * Reading stops when the reader does, and the kernel's window then tells the peer; a write is done when the kernel has
 * it. Half-open connections work: the readable side ends with the peer's FIN, and `end()` sends ours after the data.
 * A socket must be in no multiplexer. The stream alone reads and writes from here on; of a connection's handlers only
 * `close` is called still.
 *
 * Destroying it with bytes still unsent resets the connection, so that the peer cannot take a part for the whole.
 *
 * @throws TypeError for what is neither; SocketError EEXIST for a socket in a multiplexer; SocketClosedError; Error
 * ERR_INVALID_STATE for a connection that is being read, or that has been adapted already.
 */
export function toDuplex<D>(source: Socket | Connection<D>, options: SocketDuplexOptions = {}): SocketDuplex {
  if (source instanceof Connection) return overConnection(source, options)
  if (!(source instanceof Socket)) throw invalidArgType('source', 'a Socket or a Connection', source)
  return new SocketDuplex(source, options)
}

function overConnection<D>(connection: Connection<D>, options: SocketDuplexOptions): SocketDuplex {
  const adapter = { end: () => void duplex.end(), onClose: () => void duplex.destroy() }
  const socket = connection.surrender(adapter, 'toDuplex')
  const duplex = new SocketDuplex(socket, options, (error) => connection.onSurrenderedClosed(error))
  return duplex
}

/** A stream made by {@link toDuplex}. */
export class SocketDuplex extends Duplex {
  /** The socket beneath. */
  readonly socket: Socket
  readonly #failsWhenFull: boolean
  #reading = false
  #holding = false
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
    home().watch(socket, READ_WRITE, this)
    this.ref()
  }

  /** @internal */
  onEvent(event: Event): void {
    if (event.readable && this.#reading) this.#receive()
    if (event.error && this.#isStuck()) this.destroy(this.#whyClosed())
    else if (event.readable && !this.#reading) home().modify(this.socket, WRITE)
    if (event.writable) this.#settleWrite()
  }

  /** Whether a broken connection would be noticed by nobody: a reader learns of it behind the data, by reading. */
  #isStuck(): boolean {
    return !this.destroyed && (this.#write !== undefined || this.socket.state === 'closed')
  }

  /** @internal */
  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    home().modify(this.socket, READ_WRITE)
  }

  /** Receives until the reader has enough, nothing waits or the turn is over; the multiplexer then tells again. */
  #receive(): void {
    for (let left = CHUNKS_PER_TURN; left > 0 && this.#reading;) {
      const chunk = this.#receiveChunk()
      if (chunk === null) return
      left -= shareOf(chunk)
      if (chunk.length === 0) {
        this.#reading = false
        this.push(null)
      } else if (!this.push(chunk)) {
        this.#reading = false
      } else if (!home().chunker.wasFilled) return
    }
  }

  #receiveChunk(): Buffer | null {
    try {
      return home().chunker.receive(this.socket)
    } catch (error) {
      this.destroy(error as Error)
      return null
    }
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done)
  }

  /** @internal */
  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  #send(data: Buffer | Buffer[], done: Done): void {
    let status
    try {
      status = this.socket.send(data)
    } catch (error) {
      return done(error as Error)
    }
    if (status === 'sent' || (this.#failsWhenFull && status !== 'not-sent' && status !== 'closed')) done()
    else if (status === 'closed') done(this.#whyClosed())
    else if (status !== 'not-sent') this.#write = { unsent: undefined, done }
    else if (this.#failsWhenFull) done(new SocketQueueError())
    else this.#write = { unsent: data, done }
  }

  /** The kernel keeps the reason of a broken pipe for the reader. */
  #whyClosed(): Error {
    try {
      while (this.socket.receive(Buffer.allocUnsafe(SCRATCH))) {
        // What the peer sent before it went away is lost to a reader that is being told of the error.
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
    if (write?.unsent) this.#send(write.unsent, write.done)
    else write?.done()
  }

  /** @internal */
  override _final(done: Done): void {
    try {
      if (!this.socket.writeEnded) this.socket.shutdown('write')
      done()
    } catch (error) {
      // ENOTCONN: the peer has reset it. The reader learns so, behind what came before; as in node:net.
      done((error as SocketError).code === 'ENOTCONN' ? null : (error as Error))
    }
  }

  /** @internal */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.unref()
    home().unwatch(this.socket)
    if (this.socket.queued > 0 && (error || !this.socket.writeEnded)) this.socket.reset()
    else this.socket.close()
    const write = this.#write
    this.#write = undefined
    this.#onClosed(error ?? undefined)
    done(error)
    write?.done(error ?? new SocketClosedError('The stream was destroyed before all was sent'))
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
