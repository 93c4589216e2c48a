// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'

import { invalidArgType } from '../errors.js'
import type { Socket } from '../model/socket.js'
import { partLength } from '../validate.js'

/** A chunk of so many bytes is large: a wait leaves it to its owner. As `WINDOW` in `src/core/inbox.rs`. */
export const LARGE = 2048

/** Bytes of a slab, by the length of the last chunk: chunks are parts of it, so that one that is kept keeps a slab. */
const SMALL_SLAB = 8192
const LARGE_SLAB = 65_536
const HUGE_SLAB = 262_144

/** Each chunk begins at a multiple of it, as Node's own do. As `ALIGNMENT` in `src/core/inbox.rs`. */
const ALIGNMENT = 8

/** What one source receives before the others of its batch get their turn: so many chunks, or large slabs full. */
export const CHUNKS_PER_TURN = 16

/** How much of that a chunk is. */
export function shareOf(chunk: Buffer): number {
  return Math.max(1, chunk.length / LARGE_SLAB)
}

/** Receives chunks: the receiver's to keep, or views of a buffer of the program's. */
export class Chunker {
  readonly #borrowed: Uint8Array | undefined
  #view: Buffer | undefined
  #slab = NOTHING
  #memory = NOTHING.buffer
  #used = 0
  #filled = false
  /** The length of the last chunk. */
  #last = 0
  /** How many bytes the last wait received. */
  #came = 0

  constructor(borrowed?: Uint8Array) {
    this.#borrowed = borrowed
  }

  /** Whether chunks are the receiver's to keep. */
  get keeps(): boolean {
    return this.#borrowed === undefined
  }

  /** Whether the last receive came back full, so that more may wait. */
  get wasFilled(): boolean {
    return this.#filled
  }

  /** What waits; empty at the peer's end, null when nothing waits. */
  receive(socket: Socket): Buffer | null {
    if (this.#borrowed) return this.#borrow(socket, this.#borrowed)
    const size = slabFor(this.#last)
    this.#makeRoom(size / 4, size)
    const room = this.#slab.length - this.#used
    const count = socket.receive(this.#slab, this.#used, room)
    this.#filled = count === room
    if (count === null) return null
    return count === 0 ? NOTHING : this.#cut(count)
  }

  /** A slab for a wait to receive into, behind {@link used}: with room for twice as much as came last time. */
  inbox(): Buffer {
    const room = Math.min(SMALL_SLAB / 2 + 2 * this.#came, LARGE_SLAB / 2)
    this.#makeRoom(room, room < SMALL_SLAB && this.#last < LARGE ? SMALL_SLAB : LARGE_SLAB)
    return this.#slab
  }

  /** The slab's memory. A chunk that is made of it by `Buffer.from` costs 36 ns, by `subarray` of the slab 59. */
  get memory(): ArrayBuffer {
    return this.#memory
  }

  /** How much of the slab is taken. */
  get used(): number {
    return this.#used
  }

  /** A wait has filled the inbox up to there. */
  came(end: number): void {
    this.#came = end - this.#used
    this.#used = aligned(end)
    // Little came: what follows is not bulk any more.
    this.#last = Math.min(this.#last, LARGE_SLAB - 1)
  }

  /** A chunk of what has just been received. */
  #cut(count: number): Buffer {
    const chunk = Buffer.from(this.#memory, this.#used, count)
    this.#used = aligned(this.#used + count)
    this.#last = count
    return chunk
  }

  /** Begins a slab of `size` where less than `room` is left, or where it was a smaller one. */
  #makeRoom(room: number, size: number): void {
    if (size <= this.#slab.length && this.#slab.length - this.#used >= room) return
    this.#slab = Buffer.allocUnsafeSlow(size)
    this.#memory = this.#slab.buffer
    this.#used = 0
    // Whoever sent one chunk's memory to a worker would take all others of the slab along.
    markAsUntransferable(this.#memory)
  }

  /** Chunks of one length are one view: nobody keeps a borrowed one. */
  #borrow(socket: Socket, into: Uint8Array): Buffer | null {
    const count = socket.receive(into)
    this.#filled = count === into.length
    if (count === null) return null
    if (this.#view?.length !== count) this.#view = Buffer.from(into.buffer, into.byteOffset, count)
    return this.#view
  }
}

const NOTHING = Buffer.alloc(0)

function slabFor(length: number): number {
  if (length < LARGE) return SMALL_SLAB
  return length < LARGE_SLAB ? LARGE_SLAB : HUGE_SLAB
}

function aligned(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT
}

/** What can be written: a string is sent as UTF-8, of a view its bytes. */
export type Writable = string | ArrayBufferView | ArrayBuffer

/** Where the bytes to be written begin; a string's always at the start. */
export function offsetOf(data: Writable, offset = 0): number {
  return typeof data === 'string' ? 0 : offset
}

/** How many of the bytes are to be written; of a string always all. */
export function lengthOf(
  data: Writable,
  bytes: Uint8Array,
  offset: number | undefined,
  length: number | undefined,
): number {
  return typeof data === 'string' || (offset === undefined && length === undefined)
    ? bytes.length
    : partLength(bytes, offset, length)
}

/** All bytes of what is to be written. */
export function bytesOf(data: Writable): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if (data instanceof Uint8Array) return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  throw invalidArgType('data', 'a string, an ArrayBuffer or a view of one', data)
}
