import { AsyncContext } from '../loop/async-context.js'
import type { Socket } from '../model/socket.js'
import type { SendStatus } from '../native.js'
import type { Done } from './handle.js'

/** What is written: one array of bytes, or several that leave in one system call. */
export type Pieces = Uint8Array | Uint8Array[]

/**
 * The most bytes of several pieces, or of a small one, that one call sends: what the kernel does not take of them is
 * copied to the send queue. Of a large piece the rest stays where it is, but for what the queue has room for.
 */
const PART = 65_536
/** UIO_MAXIOV of the kernel: writev(2). */
const MAX_PIECES = 1024

/** Whether one call of `Socket.send` sends all of it. */
export function fitsOneCall(pieces: Pieces, length: number): boolean {
  return length > 0 && length <= PART && (!Array.isArray(pieces) || pieces.length <= MAX_PIECES)
}

/** A write that the kernel has not taken all of. */
export class PendingWrite {
  context: AsyncContext | undefined
  readonly #pieces: Pieces
  #done: Done
  /** The piece that is next, and where it begins. */
  #index = 0
  #offset = 0
  #isQueued = false

  /** With `isQueued` the socket has taken all of it already. */
  constructor(pieces: Pieces, done: Done, isQueued = false) {
    this.#pieces = pieces
    this.#done = done
    if (!isQueued) return
    this.#isQueued = true
    if (Array.isArray(pieces)) this.#index = pieces.length
    else this.#offset = pieces.byteLength
  }

  /** Whether all has been given to the kernel. */
  get isSent(): boolean {
    return !this.#isQueued && this.#isTaken
  }

  get #isTaken(): boolean {
    return Array.isArray(this.#pieces) ? this.#index === this.#pieces.length : this.#offset === this.#pieces.byteLength
  }

  /** How many bytes have not been given to the socket, the queue included. */
  get unsent(): number {
    const pieces = Array.isArray(this.#pieces) ? this.#pieces.slice(this.#index) : [this.#pieces]
    return pieces.reduce((sum, { byteLength }) => sum + byteLength, -this.#offset)
  }

  /**
   * Sends until all is sent or the kernel has no room. Returns false when nothing can be sent any more.
   *
   * @throws SocketError as `Socket.send`.
   */
  sendTo(socket: Socket): boolean {
    this.#isQueued = false
    while (!this.#isTaken) {
      const status = Array.isArray(this.#pieces)
        ? this.#sendPieces(socket, this.#pieces)
        : this.#sendLarge(socket, this.#pieces)
      if (status === 'closed') return false
      if (status === 'sent') continue
      this.#isQueued = true
      break
    }
    return true
  }

  #sendLarge(socket: Socket, bytes: Uint8Array): SendStatus {
    const taken = socket.write(bytes, false, this.#offset, bytes.byteLength - this.#offset)
    if (taken < 0) return 'closed'
    this.#offset += taken
    return this.#offset < bytes.byteLength || socket.queued > 0 ? 'queued' : 'sent'
  }

  /** A piece that is larger than a part is sent by itself. */
  #sendPieces(socket: Socket, pieces: Uint8Array[]): SendStatus {
    const first = pieces[this.#index]!
    if (this.#offset > 0 || first.byteLength > PART) {
      const status = this.#sendLarge(socket, first)
      if (this.#offset === first.byteLength) this.#next(1)
      return status
    }
    const count = this.#countOfPart(pieces)
    const all = count === pieces.length ? pieces : pieces.slice(this.#index, this.#index + count)
    const status = socket.send(all)
    if (isTaken(status)) this.#next(count)
    return status
  }

  #next(count: number): void {
    this.#index += count
    this.#offset = 0
  }

  /** How many pieces one call sends. */
  #countOfPart(pieces: Uint8Array[]): number {
    let count = 0
    for (let size = 0; count < MAX_PIECES && this.#index + count < pieces.length; count++) {
      size += pieces[this.#index + count]!.byteLength
      if (size > PART && count > 0) break
    }
    return count
  }

  /** `callback` comes behind the one of the write. */
  onFinished(callback: () => void): void {
    const done = this.#done
    this.#done = (error) => {
      done(error)
      callback()
    }
  }

  /** Calls back. */
  finish(error?: Error): void {
    if (this.context) this.context.run(this.#done, undefined, error, undefined)
    else this.#done(error)
  }
}

function isTaken(status: SendStatus): boolean {
  return status !== 'closed' && status !== 'not-sent'
}
