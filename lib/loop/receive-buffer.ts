// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'

import { PREFETCH_ALIGNMENT, PREFETCH_LIMIT } from '../native.js'

/**
 * Bytes of a pool, by the length of the last chunk. A chunk is a part of its pool, and keeps it from being collected.
 */
const SMALL_POOL = 8192
const LARGE_POOL = 65_536
const HUGE_POOL = 262_144

/** How many chunks one source receives before the others of its batch get their turn; see {@link shareOfTurn}. */
export const CHUNKS_PER_TURN = 16

/** For how many chunks of {@link CHUNKS_PER_TURN} a chunk counts: 1, or more if it is larger than a large pool. */
export function shareOfTurn(chunk: Buffer): number {
  return Math.max(1, chunk.length / LARGE_POOL)
}

/** What chunks are received from: a Socket. */
export interface ByteSource {
  receive(into: Uint8Array, offset?: number, length?: number): number | null
}

/** Receives chunks: parts of a pool, which the receiver may keep, or views of an array of the program's. */
export class ReceiveBuffer {
  readonly #borrowed: Uint8Array | undefined
  #view: Buffer | undefined
  #pool = EMPTY
  #memory = EMPTY.buffer
  #used = 0
  #filled = false
  /** The length of the last chunk. */
  #last = 0
  /** How many bytes the last wait received. */
  #prefetched = 0

  constructor(borrowed?: Uint8Array) {
    this.#borrowed = borrowed
  }

  /** Whether chunks are the receiver's to keep. */
  get keeps(): boolean {
    return this.#borrowed === undefined
  }

  /** Whether the last receive filled the buffer, so that more may be waiting. */
  get wasFilled(): boolean {
    return this.#filled
  }

  /** The next chunk; empty at the peer's end, null when nothing is there. */
  receive(source: ByteSource): Buffer | null {
    if (this.#borrowed) return this.#receiveBorrowed(source, this.#borrowed)
    const size = poolFor(this.#last)
    this.#makeRoom(size / 4, size)
    const room = this.#pool.length - this.#used
    const count = source.receive(this.#pool, this.#used, room)
    this.#filled = count === room
    if (count === null) return null
    return count === 0 ? EMPTY : this.#cut(count)
  }

  /** A pool for a wait to receive into, behind {@link used}, with room for twice as much as the last one received. */
  pool(): Buffer {
    const room = Math.min(SMALL_POOL / 2 + 2 * this.#prefetched, LARGE_POOL / 2)
    this.#makeRoom(room, room < SMALL_POOL && this.#last < PREFETCH_LIMIT ? SMALL_POOL : LARGE_POOL)
    return this.#pool
  }

  /** The memory of the pool. `Buffer.from` of it makes a chunk in 36 ns, `subarray` of the pool in 59. */
  get memory(): ArrayBuffer {
    return this.#memory
  }

  /** How many bytes of the pool are in use. */
  get used(): number {
    return this.#used
  }

  /** A wait has filled the pool up to `end`. */
  advance(end: number): void {
    this.#prefetched = end - this.#used
    this.#used = aligned(end)
    // Little came, so the input is not bulk data any more.
    this.#last = Math.min(this.#last, LARGE_POOL - 1)
  }

  #cut(count: number): Buffer {
    const chunk = Buffer.from(this.#memory, this.#used, count)
    this.#used = aligned(this.#used + count)
    this.#last = count
    return chunk
  }

  /** Takes a new pool of `size` where less than `room` is left, or where the pool is smaller. */
  #makeRoom(room: number, size: number): void {
    if (size <= this.#pool.length && this.#pool.length - this.#used >= room) return
    this.#pool = Buffer.allocUnsafeSlow(size)
    this.#memory = this.#pool.buffer
    this.#used = 0
    // Transferring the memory of one chunk would detach all others of the pool.
    markAsUntransferable(this.#memory)
  }

  /** Successive chunks of one length share a view: a chunk of borrowed memory must not be kept anyway. */
  #receiveBorrowed(source: ByteSource, into: Uint8Array): Buffer | null {
    const count = source.receive(into)
    this.#filled = count === into.length
    if (count === null) return null
    if (this.#view?.length !== count) this.#view = Buffer.from(into.buffer, into.byteOffset, count)
    return this.#view
  }
}

const EMPTY = Buffer.alloc(0)

function poolFor(length: number): number {
  if (length < PREFETCH_LIMIT) return SMALL_POOL
  return length < LARGE_POOL ? LARGE_POOL : HUGE_POOL
}

function aligned(position: number): number {
  return Math.ceil(position / PREFETCH_ALIGNMENT) * PREFETCH_ALIGNMENT
}
