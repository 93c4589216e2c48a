import { createCipheriv, createHash } from 'node:crypto'

import type { Event, Interest, Mode, Multiplexer, SendStatus, Socket } from 'm-socket'

/** What one end of a connection does. Lists are gone through again and again. */
export interface Plan {
  /** How many bytes it sends. */
  readonly bytes: number
  /** How long a piece is. */
  readonly pieces: readonly number[]
  /** What is given to `send`: one piece, as bytes or as a string, or an array of several. */
  readonly forms: readonly ('bytes' | 'string' | 'array')[]
  readonly queueLimit: number
  /** How long the array is that is given to `receive`. */
  readonly buffers: readonly number[]
  /** How many times it sends, and how many times it receives, between two waits. */
  readonly budget: number
  /** Milliseconds between two waits. */
  readonly pauses: readonly number[]
  readonly mode: Mode
  /** Whether it calls `flush` before it sends. */
  readonly flushes: boolean
}

/** How long a wait may last before the connection counts as stuck, in milliseconds. */
const PATIENCE = 20_000

/** Seven bits a byte, so that any cut of it is a string too; of odd length, so that no period of a test's fits it. */
const POOL = randomLooking(4_194_301).map((byte) => byte & 0x7f)

/** After so many waits an end pauses no more: one that receives byte by byte would take minutes. */
const MAX_PAUSED_WAITS = 100

/** How many pieces of an array one send takes. */
const GATHERED = 5

/** One end of a connection: sends and receives after its plan, and keeps the sums of both directions. */
export class Endpoint {
  readonly socket: Socket
  /** How many sends found the queue full. */
  refusals = 0
  readonly #plan: Plan
  readonly #closesAtEnd: boolean
  readonly #sums = { sent: createHash('sha256'), received: createHash('sha256') }
  #sent = 0
  #received = 0
  /** Whether the last send was not refused, or the socket was writable since. */
  #maySend = true
  #interest: Interest = 'rw'
  #steps = 0
  #waits = 0

  /** `closesAtEnd`: it says its own end by closing, after the peer's; else by shutting down. */
  constructor(socket: Socket, plan: Plan, closesAtEnd: boolean) {
    this.socket = socket
    this.#plan = plan
    this.#closesAtEnd = closesAtEnd
    socket.sendQueueLimit = plan.queueLimit
  }

  get isDone(): boolean {
    return this.socket.state === 'closed' || this.socket.state === 'closing'
  }

  /** Whether only an event can take it further. */
  get isWaiting(): boolean {
    return this.isDone || !this.#maySend || this.#sent === this.#plan.bytes
  }

  /** Bytes and checksums, once done. */
  get sums(): { sent: string; received: string } {
    return {
      sent: `${this.#sent} ${this.#sums.sent.digest('hex')}`,
      received: `${this.#received} ${this.#sums.received.digest('hex')}`,
    }
  }

  joins(multiplexer: Multiplexer): void {
    multiplexer.add(this.socket, this.#interest, this.#plan.mode)
  }

  async pause(): Promise<void> {
    const milliseconds = cycle(this.#plan.pauses, this.#waits++)
    if (milliseconds > 0 && this.#waits < MAX_PAUSED_WAITS)
      await new Promise((resolve) => setTimeout(resolve, milliseconds))
  }

  /** Takes an event in. Edge-triggered, the multiplexer is asked for nothing again: it has to tell again by itself. */
  take({ readable, writable, error }: Event, multiplexer: Multiplexer): void {
    if (writable) this.#maySend = true
    if (readable || error) this.#receive()
    if (this.isDone || this.#plan.mode === 'edge') return
    const interest = this.socket.readEnded ? 'w' : this.#maySend ? 'r' : 'rw'
    if (this.#plan.mode === 'level' && interest === this.#interest) return
    this.#interest = interest
    multiplexer.modify(this.socket, interest, this.#plan.mode)
  }

  /** Sends until the budget is spent or nothing more is taken, and ends what has to end. */
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
    for (let count = form === 'array' ? GATHERED : 1; count > 0; count--) {
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
      // The socket has what it needs: the memory is the caller's again.
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

/** Lets endpoints work in one multiplexer until they are done; fails when nothing moves any more. */
export async function drive(
  multiplexer: Multiplexer,
  endpoints: readonly Endpoint[],
  synchronously: boolean,
): Promise<void> {
  for (const endpoint of endpoints) endpoint.joins(multiplexer)
  const owners = new Map(endpoints.map((endpoint) => [endpoint.socket, endpoint]))
  for (;;) {
    for (const endpoint of endpoints) endpoint.send(multiplexer)
    if (endpoints.every((endpoint) => endpoint.isDone)) return
    for (const endpoint of endpoints) await endpoint.pause()
    const patience = endpoints.every((endpoint) => endpoint.isWaiting) ? PATIENCE : 0
    const events = synchronously ? multiplexer.waitSync(patience) : await multiplexer.wait(patience)
    if (patience > 0 && events.length === 0) throw new Error('stuck')
    for (const event of events) owners.get(event.target as Socket)!.take(event, multiplexer)
  }
}

/** A copy of the part of the endless stream that begins at `position`. */
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

/** Whether a status and the queue before and after tell the same. */
function agrees(status: SendStatus, bytes: number, before: number, after: number, limit: number): boolean {
  if (status === 'sent') return before === 0 && after === 0
  if (status === 'partially-sent') return before === 0 && after > 0 && after < bytes
  if (status === 'queued') return before < limit && after === before + bytes
  return status === 'not-sent' && before >= limit && after === before
}

function cycle<T>(list: readonly T[], step: number): T {
  return list[step % list.length]!
}

/** The same at every run: a failure can be repeated. */
function randomLooking(length: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length))
}
