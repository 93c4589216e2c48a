import { constants } from 'node:os'

import { SocketClosedError, invalidArgType, isBusy, systemError } from '../errors.js'
import { setImmediate } from '../loop/timers.js'
import type { Socket } from '../model/socket.js'
import { END_FAILURE_SHIFT, HALVES, STATE_READ_ENDED, STATE_UNFINISHED, type ShutdownHow } from '../native.js'
import { oneOf } from '../validate.js'
import { type Data, allBytesOf, lengthOf, offsetOf, piecesOf, totalLength, viewOf } from './data.js'
import { PromisedInput } from './promised-input.js'
import { PendingWrites } from './writing/pending-writes.js'
import { joined, writeEach } from './writing/pieces.js'

/**
 * What goes out of a connection.
 *
 * Its private methods are TypeScript's: those of JavaScript would cost each connection a word, the brand of the class.
 */
export abstract class Output<D> extends PromisedInput<D> {
  #corks = 0
  /** What waits for the queue to be empty; undefined before anything has. */
  #waiting: PendingWrites | undefined

  /** @internal Bytes were taken. With `skipsQueue` the queue has none of them, or they are corked. */
  protected abstract onWrite(socket: Socket, skipsQueue: boolean): void

  /** @internal Whether an adapter ends our half, by {@link endOutput}. */
  protected abstract get isEndedByAdapter(): boolean

  /** @internal Nothing more will be written. */
  protected abstract endOutput(): void

  /**
   * Sends what there is room for: in the kernel, and in a queue of `sendQueueLimit` bytes.
   *
   * Small writes (up to 4 KiB) made while a batch of handlers runs leave together at its end, in one system call;
   * larger ones at once. The caller may reuse its buffer.
   *
   * The pieces of an array are written as one. While a `writeAll` is pending nothing is taken: it goes first.
   *
   * @param offset where the bytes begin, and `length` how many there are; a string is always written whole.
   * @returns how many bytes were taken; if fewer than given, wait for `drain` with the rest: there is no room, or no
   * memory. -1 when nothing can be sent any more. What the kernel refuses is not thrown: it goes to the handlers `error`
   * and `close`.
   * @throws TypeError ERR_INVALID_ARG_TYPE for other data, and for a part of an array of pieces; RangeError
   * ERR_OUT_OF_RANGE for a part that exceeds the data.
   */
  write(data: Data | readonly Data[], offset?: number, length?: number): number {
    return this.writePart(data, offset, length)
  }

  /**
   * As {@link write}, but at once, and nothing is queued.
   *
   * @returns how many bytes the kernel took; -1 when nothing can be sent any more.
   * @throws as {@link write}.
   */
  tryWrite(data: Data | readonly Data[], offset?: number, length?: number): number {
    const bytes = allBytesOf(data, offset, length)
    const count = lengthOf(data, bytes, offset, length)
    const { socket } = this
    if (!socket) return -1
    if (this.#waiting?.hasBytes) return this.takeNothing(count)
    const taken = socket.tryWrite(bytes, offsetOf(data, offset), count)
    // What is in the queue goes first: it is empty when any of this was taken.
    return this.afterWrite(socket, count, taken, taken > 0)
  }

  /** @internal Small writes are corked while others may follow. */
  private writePart(data: Data | readonly Data[], offset?: number, length?: number): number {
    const bytes = viewOf(data)
    if (bytes === undefined) return this.writePieces(piecesOf(data, offset, length))
    const count = lengthOf(data, bytes, offset, length)
    const { socket } = this
    if (!socket) return -1
    if (this.#waiting?.hasBytes) return this.takeNothing(count)
    const cork = this.#corks > 0 || this.owner.poller.inBatch
    const taken = socket.write(bytes, cork, offsetOf(data, offset), count)
    return this.afterWrite(socket, count, taken, cork)
  }

  /** @internal */
  private writePieces(pieces: readonly Uint8Array[]): number {
    const count = totalLength(pieces)
    if (!this.socket) return -1
    if (this.#waiting?.hasBytes) return this.takeNothing(count)
    const taken = this.accept(pieces)
    if (taken >= 0 && taken < count) this.awaitDrain()
    return taken
  }

  /** @internal What waits goes first. */
  private takeNothing(count: number): 0 {
    if (count > 0) this.awaitDrain()
    return 0
  }

  /** @internal Takes as much as there is room for, of an open or closed connection, without `drain` to follow. */
  accept(pieces: readonly Uint8Array[]): number {
    const { socket } = this
    if (!socket) return -1
    const cork = this.#corks > 0 || this.owner.poller.inBatch
    const taken = writeEach(socket, joined(pieces), cork)
    if (taken < 0) return this.onRefused(-taken)
    this.onWrite(socket, cork)
    return taken
  }

  /** @internal `taken` of `count` bytes were taken, or it is an errno, negated; `skipsQueue` is for {@link onWrite}. */
  private afterWrite(socket: Socket, count: number, taken: number, skipsQueue: boolean): number {
    if (taken < 0) return this.onRefused(-taken)
    this.onWrite(socket, skipsQueue)
    if (taken < count) this.awaitDrain()
    return taken
  }

  /** @internal Nothing can be sent any more. The poller reports why, unless it is for want of memory here. */
  private onRefused(errno: number): -1 {
    if (errno === constants.errno.ENOMEM) this.fail(systemError(errno, 'write'))
    return -1
  }

  /** @internal */
  private awaitDrain(): void {
    if (this.isClosed || this.#waiting?.awaitsDrain) return
    this.waiting.awaitsDrain = true
    this.updateInterest()
  }

  /** @internal */
  protected get waiting(): PendingWrites {
    return (this.#waiting ??= new PendingWrites())
  }

  /** @internal Whether anything waits for the queue to be empty. */
  protected get awaitsQueue(): boolean {
    return this.#waiting?.isWaiting === true
  }

  /** @internal Whether a `writeAll` is pending. */
  protected get hasPendingBytes(): boolean {
    return this.#waiting?.hasBytes === true
  }

  /** @internal Whether a `writeAll` or a `drained` is pending. */
  protected get isWritePending(): boolean {
    return this.#waiting?.hasPending === true
  }

  /** @internal The queue is empty. Returns whether `drain` is called next. */
  protected onQueueEmpty(): boolean {
    const { waiting } = this
    if (waiting.hasPending) {
      if (!waiting.goOn() || this.isClosed) return false
      if (this.hasEnded) setImmediate(() => this.answerEnd())
      if (waiting.awaitsDrain && !this.flush()) return false
    }
    const isDue = waiting.awaitsDrain
    waiting.awaitsDrain = false
    this.updateInterest()
    return isDue
  }

  /** @internal No more bytes are accepted; with `all`, the queue is not sent from here either. */
  protected rejectWrites(reason: string, all = false): void {
    this.#waiting?.reject(new SocketClosedError(reason), all)
  }

  /** @internal The connection is closed. With `isSent` the queue has been sent. */
  protected finishWrites(error: Error | undefined, isSent: boolean): void {
    const waiting = this.#waiting
    this.#waiting = isSent ? undefined : LOST
    waiting?.reject(error ?? new SocketClosedError('The connection was closed'), !isSent)
    waiting?.resolve()
  }

  /** @internal Whether the connection was closed before its queue had been sent. */
  protected get hasLostOutput(): boolean {
    return this.#waiting === LOST
  }

  /**
   * Corks the small writes that `writes` makes: they leave together when it returns, in one system call.
   *
   * Within a handler it is needed only for writes that have to leave before the end of the batch.
   *
   * @returns what `writes` returns.
   * @throws TypeError for anything but a function; and what `writes` throws.
   */
  cork<T>(writes: () => T): T {
    if (typeof writes !== 'function') throw invalidArgType('writes', 'of type function', writes)
    this.#corks++
    try {
      return writes()
    } finally {
      if (--this.#corks === 0) this.flush()
    }
  }

  /**
   * Tries to send what is queued now.
   *
   * @returns whether the queue is empty.
   */
  flush(): boolean {
    return this.socket?.flush() ?? true
  }

  /**
   * Ends one half: `'write'` (Bun's `false`) as {@link end}; `'read'` (Bun's `true`) discards further input; `'both'`
   * closes, after the queue has been sent.
   *
   * @throws TypeError ERR_INVALID_ARG_VALUE for another value; SocketError EBUSY while it is relayed.
   */
  shutdown(how: boolean | ShutdownHow = 'write'): void {
    const half = typeof how === 'boolean' ? (how ? 'read' : 'write') : oneOf(how, HALVES, 'how')
    const { socket } = this
    // A socket whose queue is sent, or that broke, is closed before the connection is.
    if (!socket || socket.handle < 0) return
    if (half !== 'read') this.rejectWrites(HALF_ENDED)
    try {
      socket.shutdown(half)
    } catch (error) {
      if (isBusy(error)) throw error
      return this.fail(error as Error)
    }
    if (half !== 'write') this.endInput(socket)
    this.updateInterest()
    this.closeIfEnded()
  }

  /**
   * Ends our half: FIN, after all that was written and after `data`, which is taken whole, also beyond the queue limit.
   *
   * @returns the number of bytes of `data`; -1 when our half has ended already, and when there is no memory for them:
   * then the connection fails with ENOMEM, and the peer is reset.
   * @throws as {@link write}, with nothing done; not when our half has ended already.
   */
  end(data?: Data | readonly Data[], offset?: number, length?: number): number {
    const { socket } = this
    if (!socket || socket.handle < 0) return -1
    if (this.isEndedByAdapter) return this.endByAdapter(socket, data, offset, length)
    let bytes = NOTHING
    let count = 0
    try {
      if (data !== undefined) bytes = allBytesOf(data, offset, length)
      if (data !== undefined) count = lengthOf(data, bytes, offset, length)
    } catch (error) {
      if (socket.writeEnded) return -1
      throw error
    }
    this.rejectWrites(HALF_ENDED)
    const result = socket.endWith(bytes, data === undefined ? 0 : offsetOf(data, offset), count)
    if (result < 0) return this.onEndRefused(-result, data === undefined)
    if (data !== undefined) this.onWrite(socket, (result & STATE_UNFINISHED) === 0)
    this.afterEnd(socket, result)
    return count
  }

  /** @internal As {@link shutdown} goes on; `result` is that of the native `end`. */
  private afterEnd(socket: Socket, result: number): void {
    const errno = result >> END_FAILURE_SHIFT
    if (errno !== 0) return this.fail(socket.reasonFor(errno, 'shutdown'))
    this.updateInterest()
    if ((result & STATE_READ_ENDED) !== 0) this.closeIfEnded()
  }

  /** @internal Our half has not ended by this: it has ended before, or it ends without the bytes. */
  private onEndRefused(errno: number, isEmpty: boolean): number {
    if (errno === constants.errno.EALREADY) return -1
    const taken = isEmpty ? 0 : this.onRefused(errno)
    this.shutdown()
    return taken
  }

  /** @internal */
  private endByAdapter(socket: Socket, data?: Data | readonly Data[], offset?: number, length?: number): number {
    if (socket.writeEnded) return -1
    const taken = data === undefined ? 0 : this.writeWhole(socket, data, offset, length)
    this.endOutput()
    return taken
  }

  /** @internal Writes all of it, beyond the limit of the queue. */
  private writeWhole(socket: Socket, data: Data | readonly Data[], offset?: number, length?: number): number {
    const bytes = allBytesOf(data, offset, length)
    const count = lengthOf(data, bytes, offset, length)
    const start = offsetOf(data, offset)
    const taken = socket.write(bytes, false, start, count)
    if (taken < 0) return this.onRefused(-taken)
    const rest = taken < count ? writeBeyondLimit(socket, bytes, start + taken, count - taken) : 0
    if (rest < 0) return this.onRefused(-rest)
    this.onWrite(socket, false)
    return count
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)

const HALF_ENDED = 'writeAll: our half of the connection has ended'

/** In place of what waits, where the queue has been lost. */
const LOST = new PendingWrites()

/** Writes to a queue without a limit; the limit is then what it was. */
function writeBeyondLimit(socket: Socket, bytes: Uint8Array, offset: number, length: number): number {
  const limit = socket.sendQueueLimit
  socket.sendQueueLimit = Number.MAX_SAFE_INTEGER
  try {
    return socket.write(bytes, false, offset, length)
  } finally {
    if (socket.handle >= 0) socket.sendQueueLimit = limit
  }
}
