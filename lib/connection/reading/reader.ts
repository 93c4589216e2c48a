import { addAbortCallback, removeAbortCallback } from '../../abort.js'
import { SocketClosedError, abortError, breaksConnection, invalidState } from '../../errors.js'
import type { ByteSource } from '../../loop/receive-buffer.js'
import type { Socket } from '../../model/socket.js'
import { InputBuffer } from './input-buffer.js'
import { CLOSED, ENDED, NOTHING_NOW, type Read } from './read.js'

interface Pending {
  readonly read: Read<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
  /** Removes the callback of its signal. */
  cleanUp: (() => void) | undefined
}

/** Reads a connection by promises, in place of its `data` and `end` handlers. */
export class Reader {
  readonly buffer = new InputBuffer()
  #pending: Pending | undefined

  /** Whether a read is pending. */
  get isPending(): boolean {
    return this.#pending !== undefined
  }

  /** A read while another one is pending. */
  refuse(): Promise<never> {
    return Promise.reject(invalidState('A read of this connection is pending already'))
  }

  /** Serves a read from the buffer, unless it `waits`; else it is pending from here on. */
  read<T>(read: Read<T>, waits: boolean): Promise<T> {
    if (this.buffer.length > 0 && !waits) {
      const served = this.#attemptNow(read, NOTHING_NOW)
      if (served) return served
    }
    return new Promise((resolve, reject) => {
      this.#pending = { read, resolve, reject, cleanUp: undefined }
    })
  }

  /** A read of a connection that is closed: what is buffered can still be read. */
  readClosed<T>(read: Read<T>, hasEnded: boolean): Promise<T> {
    return this.#attemptNow(read, hasEnded ? ENDED : CLOSED)!
  }

  #attemptNow<T>(read: Read<T>, source: ByteSource): Promise<T> | undefined {
    try {
      const result = read.attempt(source, this.buffer)
      return result === null ? undefined : Promise.resolve(result)
    } catch (error) {
      return Promise.reject(this.#abandon(read, error))
    }
  }

  /** Rejects the pending read when the signal is aborted. What has come stays readable. */
  abortBy(signal: AbortSignal): void {
    const pending = this.#pending!
    const onAbort = (): void => this.#reject(abortError(signal, { received: 0 }))
    try {
      addAbortCallback(signal, onAbort)
      pending.cleanUp = () => removeAbortCallback(signal, onAbort)
    } catch (error) {
      // Of a signal that is none of Node's.
      this.#reject(error)
    }
  }

  /**
   * Something may have come.
   *
   * @throws SocketError what receiving threw; the caller then rejects the pending read by {@link fail}.
   */
  receive(socket: Socket): void {
    const pending = this.#pending
    if (!pending) return
    try {
      const result = pending.read.attempt(socket, this.buffer)
      if (result === null) return
      this.#settle()
      pending.resolve(result as never)
    } catch (error) {
      // A limit, or an array that was detached meanwhile, concerns this read alone.
      if (breaksConnection(error)) throw error
      this.#reject(error)
    } finally {
      this.buffer.keep()
    }
  }

  /** The connection is closed. */
  fail(error: Error = new SocketClosedError('read: the connection is closed')): void {
    if (this.#pending) this.#reject(error)
  }

  #reject(error: unknown): void {
    const { read, reject } = this.#settle()
    reject(this.#abandon(read, error))
  }

  #settle(): Pending {
    const pending = this.#pending!
    this.#pending = undefined
    pending.cleanUp?.()
    return pending
  }

  /** Gives back what an unfinished read has taken. Its error says how much that was. */
  #abandon(read: Read<unknown>, error: unknown): unknown {
    const received = read.abandon?.(this.buffer)
    return received === undefined ? error : Object.assign(error as Error, { received })
  }
}
