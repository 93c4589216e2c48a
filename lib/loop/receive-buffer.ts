// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { PREFETCH_ALIGNMENT, PREFETCH_LIMIT } from '../native.js'
import { allocatePool } from './pool.js'

/**
 * Bytes of a pool, by the length of the last chunk. A chunk is a part of its pool, and keeps it from being collected.
 *
 * free(3) returns memory to the kernel when more than its threshold is free, which is then faulted in again. The threshold
 * is 128 KiB until a block above that has been freed, and from then on twice that block: mallopt(3), M_MMAP_THRESHOLD.
 */
const SMALL_POOL = 8192
const LARGE_POOL = 65_536
const HUGE_POOL = 524_288

/** From chunks of this length on the pool is a huge one: a chunk as long as the one before keeps at most 64 times its length. */
const HUGE_FROM = HUGE_POOL / 64

/** How many chunks one source receives before the others of its batch get their turn; see {@link shareOfTurn}. */
export const CHUNKS_PER_TURN = 16

/** For how many chunks of {@link CHUNKS_PER_TURN} a chunk counts: 1, or more if it is larger than a large pool. */
export function shareOfTurn(chunk: Buffer): number {
  return Math.max(1, chunk.length / LARGE_POOL)
}

/** The chunk at the peer's end. Any other chunk that is empty has been detached. */
export const END: Buffer = Buffer.alloc(0)

/** What chunks are received from: a Socket. */
export interface ByteSource {
  receive(into: Uint8Array): number | null
  receiveChunk(pool: Uint8Array, offset: number, length: number): number | null
}

/** Receives chunks: parts of a pool, which the receiver may keep, or views of an array of the program's. */
export class ReceiveBuffer {
  #borrowed: Uint8Array | undefined
  #view: Buffer | undefined
  #pool: Buffer = END
  #memory = END.buffer as ArrayBuffer
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

  /** The next chunk; {@link END} at the peer's end, null when nothing is there. */
  receive(source: ByteSource): Buffer | null {
    if (this.#borrowed) return this.#receiveBorrowed(source, this.#borrowed)
    this.#makeRoom(roomFor(this.#last), poolFor(this.#last))
    const room = this.#pool.length - this.#used
    const count = source.receiveChunk(this.#pool, this.#used, room)
    this.#filled = count === room
    if (count === null) return null
    return count === 0 ? END : this.#cut(count)
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

  /** Takes a new pool of `size` where less than `room` is left, or where the pool is smaller: 0 once detached. */
  #makeRoom(room: number, size: number): void {
    if (size <= this.#pool.length && this.#pool.length - this.#used >= room) return
    this.#pool = allocatePool(size)
    this.#memory = this.#pool.buffer as ArrayBuffer
    this.#used = 0
  }

  /** Successive chunks of one length share a view: a chunk of borrowed memory must not be kept anyway. */
  #receiveBorrowed(source: ByteSource, into: Uint8Array): Buffer | null {
    // V8 11.3 may read a `length` that an array had before it was detached.
    const length = into.byteLength
    if (length === 0) return this.#receiveInstead(source)
    const count = source.receive(into)
    this.#filled = count === length
    if (!count) return count === null ? null : END
    if (this.#view?.length !== count) this.#view = Buffer.from(into.buffer, into.byteOffset, count)
    return this.#view
  }

  /** The program has detached its array, or has resized it to nothing. */
  #receiveInstead(source: ByteSource): Buffer | null {
    this.#borrowed = undefined
    this.#view = undefined
    process.emitWarning(
      'The array of `receiveInto` is detached or empty. Chunks have memory of their own from here on.',
      'SocketBufferWarning',
    )
    return this.receive(source)
  }
}

function poolFor(length: number): number {
  if (length < PREFETCH_LIMIT) return SMALL_POOL
  return length < HUGE_FROM ? LARGE_POOL : HUGE_POOL
}

/** More than `length`, so that a chunk as long as the last one does not fill the pool: that would take another recv(2). */
function roomFor(length: number): number {
  return Math.min(Math.max(SMALL_POOL / 4, 2 * length), HUGE_POOL / 4)
}

function aligned(position: number): number {
  return Math.ceil(position / PREFETCH_ALIGNMENT) * PREFETCH_ALIGNMENT
}
