import { SocketClosedError, invalidState } from '../errors.js'
import type { Socket } from '../model/socket.js'

/** Receives once: what came, `end` at the peer's end, null when nothing waits. */
type Receive<T> = (socket: Socket) => T | null

interface Pending {
  /** Receives, and answers if something has come. */
  readonly attempt: (socket: Socket) => void
  readonly reject: (error: Error) => void
}

/** Reads a connection by promises: what its `data` and `end` handlers are told otherwise. */
export class Reader {
  #pending: Pending | undefined

  /** Whether somebody waits for bytes. */
  get isWaiting(): boolean {
    return this.#pending !== undefined
  }

  /** The answer of the first receive that does not find nothing. */
  read<T>(receive: Receive<T>): Promise<T> {
    if (this.#pending) return Promise.reject(invalidState('A read of this connection is pending already'))
    return new Promise((resolve, reject) => {
      const attempt = (socket: Socket): void => {
        const received = receive(socket)
        if (received === null) return
        this.#pending = undefined
        resolve(received)
      }
      this.#pending = { attempt, reject }
    })
  }

  /**
   * Something may have come.
   *
   * @throws SocketError what receiving threw; the read that waits is for {@link fail} to reject.
   */
  receive(socket: Socket): void {
    this.#pending?.attempt(socket)
  }

  /** The connection is gone. */
  fail(error: Error = new SocketClosedError('read: the connection is closed')): void {
    const pending = this.#pending
    this.#pending = undefined
    pending?.reject(error)
  }
}
