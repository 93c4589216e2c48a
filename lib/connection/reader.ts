import { SocketClosedError, SocketError, invalidState } from '../errors.js'
import type { Socket } from '../model/socket.js'

/** Receives once: what came, or null when nothing is there. */
type Receive<T> = (socket: Socket) => T | null

interface Pending {
  /** Receives, and resolves the read if something came. */
  readonly attempt: (socket: Socket) => void
  readonly reject: (error: Error) => void
}

/** Reads a connection by promises, in place of its `data` and `end` handlers. */
export class Reader {
  #pending: Pending | undefined

  /** Whether a read is pending. */
  get isPending(): boolean {
    return this.#pending !== undefined
  }

  /** The result of the first receive that finds something. */
  read<T>(receive: Receive<T>): Promise<T> {
    if (this.#pending) return Promise.reject(invalidState('A read of this connection is pending already'))
    return new Promise((resolve, reject) => {
      const attempt = (socket: Socket): void => {
        try {
          const received = receive(socket)
          if (received === null) return
          this.#pending = undefined
          resolve(received)
        } catch (error) {
          // An array that was detached meanwhile concerns this read alone.
          if (error instanceof SocketError) throw error
          this.fail(error as Error)
        }
      }
      this.#pending = { attempt, reject }
    })
  }

  /**
   * Something may have come.
   *
   * @throws SocketError what receiving threw; the caller then rejects the pending read by {@link fail}.
   */
  receive(socket: Socket): void {
    this.#pending?.attempt(socket)
  }

  /** The connection is closed. */
  fail(error: Error = new SocketClosedError('read: the connection is closed')): void {
    const pending = this.#pending
    this.#pending = undefined
    pending?.reject(error)
  }
}
