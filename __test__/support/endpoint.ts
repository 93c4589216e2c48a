import { createCipheriv, createHash } from 'node:crypto'

import type { Interest, Mode, Multiplexer, ReadyEvent, SendStatus, Socket } from 'm-socket'

/** What one end of a connection does. Lists are cycled through. */
export interface Plan {
  /** The number of bytes that it sends. */
  readonly bytes: number
  /** The lengths of pieces. */
  readonly pieces: readonly number[]
  /** The argument of `send`: one piece, as bytes or as a string, or an array of pieces. */
  readonly forms: readonly ('bytes' | 'string' | 'array')[]
  readonly queueLimit: number
  /** The lengths of the arrays given to `receive`. */
  readonly buffers: readonly number[]
  /** The largest number of sends, and of receives, between two waits. */
  readonly budget: number
  /** Pauses between two waits, in milliseconds. */
  readonly pauses: readonly number[]
  readonly mode: Mode
  /** Whether it calls `flush` before it sends. */
  readonly flushes: boolean
}

/** A wait of so many milliseconds means that the connection is stuck. */
const PATIENCE = 20_000

/**
 * Seven-bit bytes, so that any part of it is a valid string; of odd length, so that it repeats with no period of a
 * test.
 */
const POOL = pseudoRandom(4_194_301).map((byte) => byte & 0x7f)

/** After so many waits an end stops pausing: receiving byte by byte would take minutes. */
const MAX_PAUSED_WAITS = 100

/** The number of pieces in an array given to `send`. */
const PIECES = 5

/** One end of a connection: sends and receives by its plan, and computes checksums of both directions. */
export class Endpoint {
  readonly socket: Socket
  /** The number of sends that found the queue full. */
  refusals = 0
  readonly #plan: Plan
  readonly #closesAtEnd: boolean
  readonly #sums = { sent: createHash('sha256'), received: createHash('sha256') }
  #sent = 0
  #received = 0
  /** Whether the last send was accepted, or the socket has been writable since. */
  #maySend = true
  #interest: Interest = 'rw'
  #steps = 0
  #waits = 0

  /** `closesAtEnd`: it ends its direction by close(), after the peer's end; otherwise by shutdown(). */
  constructor(socket: Socket, plan: Plan, closesAtEnd: boolean) {
    this.socket = socket
    this.#plan = plan
    this.#closesAtEnd = closesAtEnd
    socket.sendQueueLimit = plan.queueLimit
  }

  get isDone(): boolean {
    return this.socket.state === 'closed' || this.socket.state === 'closing'
  }

  /** Whether it can go on only after an event. */
  get isWaiting(): boolean {
    return this.isDone || !this.#maySend || this.#sent === this.#plan.bytes
  }

  /** Byte counts and checksums of both directions; read it when done. */
  get sums(): { sent: string; received: string } {
    return {
      sent: `${this.#sent} ${this.#sums.sent.digest('hex')}`,
      received: `${this.#received} ${this.#sums.received.digest('hex')}`,
    }
  }

  register(multiplexer: Multiplexer): void {
    multiplexer.add(this.socket, this.#interest, this.#plan.mode)
  }

  async pause(): Promise<void> {
    const milliseconds = cycle(this.#plan.pauses, this.#waits++)
    if (milliseconds > 0 && this.#waits < MAX_PAUSED_WAITS)
      await new Promise((resolve) => setTimeout(resolve, milliseconds))
  }

  /** Handles an event. In edge mode nothing is re-armed: the multiplexer has to report unread data again by itself. */
  handle({ readable, writable, error }: ReadyEvent, multiplexer: Multiplexer): void {
    if (writable) this.#maySend = true
    if (readable || error) this.#receive()
    if (this.isDone || this.#plan.mode === 'edge') return
    const interest = this.socket.readEnded ? 'w' : this.#maySend ? 'r' : 'rw'
    if (this.#plan.mode === 'level' && interest === this.#interest) return
    this.#interest = interest
    multiplexer.modify(this.socket, interest, this.#plan.mode)
  }

  /** Sends until the budget is used up or the queue is full, and ends the direction after the last byte. */
  send(multiplexer?: Multiplexer): void {
    if (this.isDone) return
    if (this.#plan.flushes) this.socket.flush()
    for (let turn = 0; turn < this.#plan.budget && this.#maySend && this.#sent < this.#plan.bytes; turn++)
      this.#sendOnce()
    if (!this.#maySend && this.#interest === 'r') {
      this.#interest = 'rw'
      multiplexer?.modify(this.socket, 'rw', this.#plan.mode)
    }
    if (this.#sent < this.#plan.bytes) return
    if (!this.#closesAtEnd && !this.socket.writeEnded) this.socket.shutdown()
    if (this.socket.readEnded) this.socket.close()
  }

  #sendOnce(): void {
    const form = cycle(this.#plan.forms, this.#steps)
    const pieces: Uint8Array[] = []
    let bytes = 0
    for (let count = form === 'array' ? PIECES : 1; count > 0; count--) {
      const piece = cutAt(
        this.#sent + bytes,
        Math.min(cycle(this.#plan.pieces, this.#steps++), this.#plan.bytes - this.#sent - bytes),
      )
      pieces.push(piece)
      bytes += piece.length
    }
    const first = pieces[0]!
    const before = this.socket.queued
    const status = this.socket.send(
      form === 'array' ? pieces : form === 'string' ? Buffer.from(first).toString('latin1') : first,
    )
    const after = this.socket.queued
    if (!agrees(status, bytes, before, after, this.#plan.queueLimit))
      throw new Error(`${status}, with ${bytes} bytes for a queue of ${before}, now ${after}`)
    if (status === 'not-sent') {
      this.refusals++
      this.#maySend = false
      return
    }
    this.#sent += bytes
    for (const piece of pieces) {
      this.#sums.sent.update(piece)
      // send() has copied what it needs: the caller may overwrite the memory.
      piece.fill(0xff)
    }
  }

  #receive(): void {
    for (let turn = 0; turn < this.#plan.budget && !this.socket.readEnded; turn++) {
      const into = Buffer.allocUnsafe(cycle(this.#plan.buffers, this.#steps++))
      const count = this.socket.receive(into)
      if (count === null) return
      this.#sums.received.update(into.subarray(0, count))
      this.#received += count
      if (this.socket.bytesReceived !== this.#received) throw new Error('the counter of received bytes is wrong')
    }
  }
}

/** Runs endpoints in one multiplexer until they are done; fails if they get stuck. */
export async function drive(
  multiplexer: Multiplexer,
  endpoints: readonly Endpoint[],
  synchronously: boolean,
): Promise<void> {
  for (const endpoint of endpoints) endpoint.register(multiplexer)
  const owners = new Map(endpoints.map((endpoint) => [endpoint.socket, endpoint]))
  for (;;) {
    for (const endpoint of endpoints) endpoint.send(multiplexer)
    if (endpoints.every((endpoint) => endpoint.isDone)) return
    for (const endpoint of endpoints) await endpoint.pause()
    const patience = endpoints.every((endpoint) => endpoint.isWaiting) ? PATIENCE : 0
    const events = synchronously ? multiplexer.waitSync(patience) : await multiplexer.wait(patience)
    if (patience > 0 && events.length === 0) throw new Error('stuck')
    for (const event of events) owners.get(event.target as Socket)!.handle(event, multiplexer)
  }
}

/** A copy of `length` bytes of the repeating stream from `position` on. */
function cutAt(position: number, length: number): Uint8Array {
  const piece = new Uint8Array(length)
  for (let filled = 0; filled < length;) {
    const from = (position + filled) % POOL.length
    const part = POOL.subarray(from, from + length - filled)
    piece.set(part, filled)
    filled += part.length
  }
  return piece
}

/** Whether a status agrees with the queue before and after the send. */
function agrees(status: SendStatus, bytes: number, before: number, after: number, limit: number): boolean {
  if (status === 'sent') return before === 0 && after === 0
  if (status === 'partially-sent') return before === 0 && after > 0 && after < bytes
  if (status === 'queued') return before < limit && after === before + bytes
  return status === 'not-sent' && before >= limit && after === before
}

function cycle<T>(list: readonly T[], step: number): T {
  return list[step % list.length]!
}

/** The same bytes in every run, so that a failure can be reproduced. */
function pseudoRandom(length: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length))
}
