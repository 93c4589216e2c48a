// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import type { ByteSource } from '../../loop/receive-buffer.js'

/** The most bytes that one receive takes. */
const MOST = 65_536

const NOTHING: Buffer = Buffer.alloc(0)

/** What reads of this thread receive into, one after the other; what is left of it is copied. */
let scratch: Buffer | undefined

/**
 * The bytes of a connection that were received and have not been read. A connection that waits for input has no memory
 * for it.
 */
export class InputBuffer {
  /** The bytes, behind `#start`: a part of `#storage`, or of the scratch buffer while a read is attempted. */
  #bytes = NOTHING
  #start = 0
  /** Memory of its own, with room for more. */
  #storage = NOTHING

  /** How many bytes there are. */
  get length(): number {
    return this.#bytes.length - this.#start
  }

  /**
   * Receives up to `room` bytes behind those that are there. {@link keep} has to follow before the source is left.
   *
   * @returns how many came; 0 at the peer's end, null when nothing is there.
   */
  receive(source: ByteSource, room: number): number | null {
    scratch ??= Buffer.allocUnsafeSlow(MOST)
    const count = source.receiveChunk(scratch, 0, Math.min(room, MOST))
    if (!count) return count
    if (this.length > 0) this.#append(scratch.subarray(0, count))
    else {
      this.#bytes = Buffer.from(scratch.buffer, 0, count)
      this.#start = 0
    }
    return count
  }

  /** Where `delimiter`, a byte or several, begins; not before `from`. -1 where it is not. */
  indexOf(delimiter: number | Uint8Array, from: number): number {
    const at = this.#bytes.indexOf(delimiter, this.#start + from)
    return at < 0 ? -1 : at - this.#start
  }

  /** The byte at an index. */
  at(index: number): number | undefined {
    return this.#bytes[this.#start + index]
  }

  /** The first bytes as text. They stay. */
  decode(length: number, encoding: BufferEncoding): string {
    return this.#bytes.toString(encoding, this.#start, this.#start + length)
  }

  /** Removes the first bytes, and returns them in memory of their own. */
  take(length: number): Buffer {
    const taken = Buffer.allocUnsafe(length)
    this.takeInto(taken, 0)
    return taken
  }

  /** Moves as many bytes as there is room for into `into`, from `offset` on, and returns their number. */
  takeInto(into: Uint8Array, offset: number): number {
    const count = this.#bytes.copy(into, offset, this.#start)
    this.skip(count)
    return count
  }

  /** Removes the first bytes. */
  skip(length: number): void {
    this.#start += length
    if (this.#start === this.#bytes.length) this.clear()
  }

  /** Removes all bytes. */
  clear(): void {
    this.#bytes = NOTHING
    this.#storage = NOTHING
    this.#start = 0
  }

  /** Puts bytes in front, whose memory is given up to it. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#storage = this.length === 0 ? bytes : Buffer.concat([bytes, this.#bytes.subarray(this.#start)])
    this.#bytes = this.#storage
    this.#start = 0
  }

  /** Removes all bytes and returns them; valid until the next receive. */
  drain(): Buffer {
    const bytes = this.#bytes.subarray(this.#start)
    this.clear()
    return bytes
  }

  /** A read is over, or has to wait: what is left gets memory of its own. */
  keep(): void {
    if (this.length > 0 && this.#bytes.buffer === scratch?.buffer) this.#move(this.length)
  }

  #append(bytes: Buffer): void {
    if (this.#storage.length - this.#bytes.length < bytes.length || this.#storage === NOTHING) {
      this.#move(Math.max(2 * this.length, this.length + bytes.length))
    }
    const end = this.#bytes.length
    bytes.copy(this.#storage, end)
    this.#bytes = this.#storage.subarray(0, end + bytes.length)
  }

  /** Moves the bytes to new memory of `capacity` bytes. */
  #move(capacity: number): void {
    const { length } = this
    this.#storage = Buffer.allocUnsafe(capacity)
    this.#bytes.copy(this.#storage, 0, this.#start)
    this.#bytes = this.#storage.subarray(0, length)
    this.#start = 0
  }
}
