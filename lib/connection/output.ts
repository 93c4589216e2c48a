import { type Writable, bytesOf, lengthOf, offsetOf } from '../loop/receive-buffer.js'
import { Endpoints } from './endpoints.js'
import type { Socket } from '../model/socket.js'

/** What goes out of a connection. */
export abstract class Output extends Endpoints {
  #corks = 0

  /** Whether handlers are running whose writes leave together. */
  protected abstract inBatch(): boolean

  /** Bytes were taken, to be gathered or to go at once. */
  protected abstract onWrite(socket: Socket, gathered: boolean): void

  /** A write took less than it was given. */
  protected abstract awaitDrain(): void

  /** Nothing more will be written. */
  protected abstract endOutput(): void

  /**
   * Sends what there is room for: in the kernel, and in a queue of `highWaterMark` bytes.
   *
   * Small writes (up to 4 KiB) made while a batch of handlers runs leave together at its end, in one call; larger ones
   * at once. The caller may reuse its buffer.
   *
   * @param offset where the bytes begin, and `length` how many there are; of a string all are meant.
   * @returns how many bytes were taken; if fewer than given, the rest is for `drain`. -1 when nothing can be sent any more.
   */
  write(data: Writable, offset?: number, length?: number): number {
    return this.#write(data, offset, length, this.#corks > 0 || this.inBatch())
  }

  /** As {@link write}, but at once, and nothing is queued: how many bytes the kernel took, -1 when closed. */
  tryWrite(data: Writable, offset?: number, length?: number): number {
    const { socket } = this
    const limit = socket && !socket.writeEnded ? socket.sendQueueLimit : 0
    if (limit > 0) socket!.sendQueueLimit = 0
    try {
      // What waits in the queue goes first.
      return this.#write(data, offset, length, false)
    } finally {
      if (limit > 0 && socket!.handle >= 0) socket!.sendQueueLimit = limit
    }
  }

  #write(data: Writable, offset: number | undefined, length: number | undefined, gather: boolean): number {
    const bytes = bytesOf(data)
    const count = lengthOf(data, bytes, offset, length)
    const { socket } = this
    if (!socket) return -1
    const taken = socket.write(bytes, gather, offsetOf(data, offset), count)
    if (taken < 0) return -1
    this.onWrite(socket, gather)
    if (taken < count) this.awaitDrain()
    return taken
  }

  /**
   * Gathers the small writes that `writes` makes: they leave together when it returns, in one call.
   *
   * Handlers need it only to have them leave before their batch ends.
   *
   * @returns what `writes` returns.
   */
  cork<T>(writes: () => T): T {
    this.#corks++
    try {
      return writes()
    } finally {
      if (--this.#corks === 0) this.flush()
    }
  }

  /** Tries to send what is queued now; tells whether nothing is left. */
  flush(): boolean {
    return this.socket?.flush() ?? true
  }

  /**
   * Ends our half: FIN, after all that was written and after `data`, which is taken whole, even beyond the queue's limit.
   *
   * @returns the bytes of `data`; -1 when our half has ended already.
   */
  end(data?: Writable, offset?: number, length?: number): number {
    const { socket } = this
    if (!socket || socket.writeEnded) return -1
    const taken = data === undefined ? 0 : this.#writeWhole(socket, data, offset, length)
    this.endOutput()
    return taken
  }

  #writeWhole(socket: Socket, data: Writable, offset?: number, length?: number): number {
    socket.sendQueueLimit = Number.MAX_SAFE_INTEGER
    return this.#write(data, offset, length, false)
  }
}
