import { constants } from 'node:os'

import { SocketError, systemError } from '../errors.js'
import { CHUNKS_PER_TURN, shareOfTurn } from '../loop/receive-buffer.js'
import { sharedPoller } from '../loop/shared-poller.js'
import type { ReadyEvent } from '../model/event.js'
import type { Socket } from '../model/socket.js'
import { type InterestBits, PREFETCH, PREFETCH_LIMIT, READ, WRITE } from '../native.js'
import { toNodeError } from './errors.js'
import { FREE_BIT, LoopReference } from './loop-reference.js'

const READING = FREE_BIT
/** The peer's end has been received: nothing is read behind it. */
const ENDED = FREE_BIT << 1
/** The first bit that a subclass can use. */
export const FREE_BIT_OF_INPUT = FREE_BIT << 2

/** What a wait watches the sockets for that it accepts: as of a stream that reads at once. */
export const ACCEPTED_INTEREST = (READ | PREFETCH) as InterestBits

/** Where a handle delivers what happens: a stream. */
export interface HandleOwner {
  /** Input came. */
  onChunk(chunk: Buffer): void
  /** The peer has ended its half. */
  onPeerEnd(): void
  /** Receiving failed. */
  onReadError(error: Error): void
  /** A listener threw it. */
  onException(error: unknown): void
  /** The socket was closed beneath: without a reason, or because it broke. */
  onGone(reason: Error | undefined): void
}

/** An array of the program's that input is received into, in the place of chunks. */
export interface UserBuffer {
  /** The array for the next bytes. */
  readonly array: Uint8Array
  /** `count` bytes have come; returns whether to go on. */
  deliver(count: number): boolean
}

/** What comes into a handle: it is received while {@link readStart} holds. */
export abstract class InputHandle extends LoopReference {
  userBuffer: UserBuffer | undefined
  /** The socket, where there is one already. */
  socket: Socket | undefined
  owner!: HandleOwner

  /** Watches for what is wanted now. */
  protected abstract updateInterest(): void

  get reading(): boolean {
    return (this.bits & READING) !== 0
  }

  readStart(): void {
    if ((this.bits & (READING | ENDED)) !== 0 || this.isClosed) return
    this.bits |= READING
    this.updateInterest()
  }

  readStop(): void {
    if (!this.reading) return
    this.bits &= ~READING
    this.updateInterest()
  }

  protected abstract get isClosed(): boolean

  /** The handle is closed next. */
  protected endReading(): void {
    this.bits &= ~READING
  }

  /** Never NONE: the poller would detach the socket as soon as its queue is empty. */
  protected readInterest(): InterestBits {
    if (!this.reading) return WRITE
    return this.userBuffer ? READ : ACCEPTED_INTEREST
  }

  protected onReadable(event: ReadyEvent, chunk: Buffer | undefined): void {
    if (chunk !== undefined) this.#receivePrefetched(chunk)
    else if (this.reading && (event.readable || event.error || event.hangup)) this.#receive()
  }

  #receivePrefetched(chunk: Buffer): void {
    if (!this.reading) return this.socket!.unread(chunk)
    this.owner.onChunk(chunk)
    // After a chunk of that length there may be more in the kernel.
    if (chunk.length === PREFETCH_LIMIT && this.reading) this.#receive()
  }

  /** Receives until the reader has enough, nothing is there or the turn is over; then the socket is reported again. */
  #receive(): void {
    try {
      if (this.userBuffer) this.#receiveInto(this.userBuffer)
      else this.#receiveChunks()
    } catch (error) {
      if (!(error instanceof SocketError)) throw error
      this.bits &= ~READING
      // Also where a send of the queue met it first: libuv reads before it writes.
      this.owner.onReadError(toNodeError(error, 'read'))
    }
  }

  #receiveChunks(): void {
    const { receiveBuffer } = sharedPoller()
    for (let left = CHUNKS_PER_TURN; left > 0 && this.reading;) {
      const chunk = receiveBuffer.receive(this.socket!)
      if (chunk === null) return
      if (chunk.length === 0) return this.#end()
      left -= shareOfTurn(chunk)
      const wasFilled = receiveBuffer.wasFilled
      this.owner.onChunk(chunk)
      if (!wasFilled) return
    }
  }

  #receiveInto(buffer: UserBuffer): void {
    for (let left = CHUNKS_PER_TURN; left > 0 && this.reading; left--) {
      const { array } = buffer
      // libuv's error for it.
      if (array.byteLength === 0) throw systemError(constants.errno.ENOBUFS, 'read')
      const count = this.socket!.receive(array)
      if (count === null) return
      if (count === 0) return this.#end()
      const isFilled = count === array.length
      if (!buffer.deliver(count)) this.readStop()
      if (!isFilled) return
    }
  }

  #end(): void {
    this.bits |= ENDED
    this.readStop()
    this.owner.onPeerEnd()
  }
}
