// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { outOfRange, unexpectedEnd } from '../../errors.js'
import type { ByteSource } from '../../loop/receive-buffer.js'
import type { InputBuffer } from './input-buffer.js'
import type { Read } from './read.js'

/** Up to this number of bytes a read is served from the buffer: one receive then serves many of them. */
const SMALL = 16_384

/** The least memory of a large read. More follows as bytes come: its length may be one that a peer has made up. */
const FIRST_ROOM = 65_536

/** `readExactly(n)` of a few bytes: more may be received, and is buffered. */
class SmallRead implements Read<Buffer> {
  readonly #length: number

  constructor(length: number) {
    this.#length = length
  }

  attempt(source: ByteSource, buffer: InputBuffer): Buffer | null {
    if (buffer.length < this.#length) {
      const count = buffer.receive(source, Infinity)
      if (count === 0) throw unexpectedEnd(buffer.length, `${this.#length} bytes`)
    }
    return buffer.length < this.#length ? null : buffer.take(this.#length)
  }

  abandon(buffer: InputBuffer): number {
    return buffer.length
  }
}

/** `readExactly(n)` of many bytes: receives into memory that grows with them. */
class LargeRead implements Read<Buffer> {
  readonly #length: number
  #bytes: Buffer = Buffer.alloc(0)
  #count = 0

  constructor(length: number) {
    this.#length = length
  }

  attempt(source: ByteSource, buffer: InputBuffer): Buffer | null {
    const isFirst = this.#count === 0 && buffer.length === 0
    const count = isFirst ? buffer.receive(source, this.#length) : this.#receive(source, buffer)
    if (count === 0) throw unexpectedEnd(this.#count, `${this.#length} bytes`)
    if (buffer.length > 0) this.#takeBuffered(buffer)
    return this.#count < this.#length ? null : this.#bytes
  }

  abandon(buffer: InputBuffer): number {
    buffer.unread(this.#bytes.subarray(0, this.#count))
    return this.#count
  }

  /** Null also where enough was buffered. */
  #receive(source: ByteSource, buffer: InputBuffer): number | null {
    if (buffer.length > 0) this.#takeBuffered(buffer)
    if (this.#count === this.#length) return null
    this.#makeRoom(1)
    const count = source.receiveChunk(this.#bytes, this.#count, this.#bytes.length - this.#count)
    this.#count += count ?? 0
    return count
  }

  #takeBuffered(buffer: InputBuffer): void {
    this.#makeRoom(Math.min(buffer.length, this.#length - this.#count))
    this.#count += buffer.takeInto(this.#bytes, this.#count)
  }

  #makeRoom(more: number): void {
    if (this.#bytes.length - this.#count >= more) return
    const room = Math.max(FIRST_ROOM, 2 * this.#count, this.#count + more)
    const larger = Buffer.allocUnsafeSlow(Math.min(room, this.#length))
    this.#bytes.copy(larger, 0, 0, this.#count)
    this.#bytes = larger
  }
}

/** `readExactly(into)`: receives straight into the array of the program. */
class FillingRead<T extends Uint8Array> implements Read<T> {
  readonly #into: T
  readonly #length: number
  #count = 0

  constructor(into: T) {
    this.#into = into
    this.#length = into.byteLength
  }

  attempt(source: ByteSource, buffer: InputBuffer): T | null {
    const { byteLength } = this.#into
    if (byteLength !== this.#length) throw outOfRange('into.byteLength', `${this.#length} as before`, byteLength)
    if (buffer.length > 0) this.#count += buffer.takeInto(this.#into, this.#count)
    if (this.#count < this.#length) {
      const count = source.receiveChunk(this.#into, this.#count, this.#length - this.#count)
      if (count === 0) throw unexpectedEnd(this.#count, `${this.#length} bytes`)
      this.#count += count ?? 0
    }
    return this.#count < this.#length ? null : this.#into
  }

  /** What the program has detached took its bytes with it. */
  abandon(buffer: InputBuffer): number {
    const isThere = this.#count > 0 && this.#into.byteLength === this.#length
    if (isThere) buffer.unread(Buffer.from(this.#into.subarray(0, this.#count)))
    return this.#count
  }
}

/** A read of so many bytes, or of as many as there is room for in an array. */
export function exactly<T extends Uint8Array>(target: number | T): Read<Buffer | T> {
  if (typeof target !== 'number') return new FillingRead(target)
  return target <= SMALL ? new SmallRead(target) : new LargeRead(target)
}
