import { constants } from 'node:os'

import { invalidArgType, systemError } from '../errors.js'
import type { Socket } from '../model/socket.js'
import { HALVES, type ShutdownHow } from '../native.js'
import { oneOf } from '../validate.js'
import { type Data, bytesOf, lengthOf, offsetOf } from './data.js'
import { Input } from './input.js'

/**
 * What goes out of a connection.
 *
 * Its private methods are TypeScript's: those of JavaScript would cost each connection a word, the brand of the class.
 */
export abstract class Output<D> extends Input<D> {
  #corks = 0
  #wantsDrain = false

  /** @internal Bytes were taken: corked, or sent at once. */
  protected abstract onWrite(socket: Socket, corked: boolean): void

  /** @internal Nothing more will be written. */
  protected abstract endOutput(): void

  /**
   * Sends what there is room for: in the kernel, and in a queue of `sendQueueLimit` bytes.
   *
   * Small writes (up to 4 KiB) made while a batch of handlers runs leave together at its end, in one system call;
   * larger ones at once. The caller may reuse its buffer.
   *
   * @param offset where the bytes begin, and `length` how many there are; a string is always written whole.
   * @returns how many bytes were taken; if fewer than given, wait for `drain` with the rest: there is no room, or no
   * memory. -1 when nothing can be sent any more. What the kernel refuses is not thrown: it goes to the handlers `error`
   * and `close`.
   * @throws TypeError ERR_INVALID_ARG_TYPE for other data, RangeError ERR_OUT_OF_RANGE for a part that exceeds it.
   */
  write(data: Data, offset?: number, length?: number): number {
    return this.writePart(data, offset, length, true)
  }

  /**
   * As {@link write}, but at once, and nothing is queued.
   *
   * @returns how many bytes the kernel took; -1 when nothing can be sent any more.
   * @throws as {@link write}.
   */
  tryWrite(data: Data, offset?: number, length?: number): number {
    const { socket } = this
    const limit = socket && !socket.writeEnded ? socket.sendQueueLimit : 0
    if (limit > 0) socket!.sendQueueLimit = 0
    try {
      // What is in the queue goes first.
      return this.writePart(data, offset, length, false)
    } finally {
      if (limit > 0 && socket!.handle >= 0) socket!.sendQueueLimit = limit
    }
  }

  /** @internal With `corks`, small writes are corked while others may follow. */
  private writePart(data: Data, offset: number | undefined, length: number | undefined, corks: boolean): number {
    const bytes = bytesOf(data)
    const count = lengthOf(data, bytes, offset, length)
    const { socket } = this
    if (!socket) return -1
    const cork = corks && (this.#corks > 0 || this.owner.poller.inBatch)
    const taken = socket.write(bytes, cork, offsetOf(data, offset), count)
    if (taken < 0) return this.onRefused(-taken)
    this.onWrite(socket, cork)
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
    if (this.#wantsDrain) return
    this.#wantsDrain = true
    this.updateInterest()
  }

  /** @internal Whether a write took less than it was given, and `drain` has not been called since. */
  protected get wantsDrain(): boolean {
    return this.#wantsDrain
  }

  /** @internal The queue is empty: `drain` is called next. */
  protected stopAwaitingDrain(): void {
    this.#wantsDrain = false
    this.updateInterest()
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
   * @throws TypeError ERR_INVALID_ARG_VALUE for another value.
   */
  shutdown(how: boolean | ShutdownHow = 'write'): void {
    const half = typeof how === 'boolean' ? (how ? 'read' : 'write') : oneOf(how, HALVES, 'how')
    const { socket } = this
    // A socket whose queue is sent, or that broke, is closed before the connection is.
    if (!socket || socket.handle < 0) return
    try {
      socket.shutdown(half)
    } catch (error) {
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
  end(data?: Data, offset?: number, length?: number): number {
    const { socket } = this
    if (!socket || socket.writeEnded) return -1
    const taken = data === undefined ? 0 : this.writeWhole(socket, data, offset, length)
    this.endOutput()
    return taken
  }

  /** @internal Writes all of it, beyond the limit of the queue. */
  private writeWhole(socket: Socket, data: Data, offset: number | undefined, length: number | undefined): number {
    const bytes = bytesOf(data)
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
