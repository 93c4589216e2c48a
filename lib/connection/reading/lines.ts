import { limitExceeded } from '../../errors.js'
import type { ByteSource } from '../../loop/receive-buffer.js'
import type { InputBuffer } from './input-buffer.js'
import type { Read } from './read.js'

const NEWLINE = 0x0a
const RETURN = 0x0d

/** The longest end of a line, `\r\n`. */
const LONGEST_END = 2

/** In place of a line: the peer has ended. */
export const NO_LINE: unique symbol = Symbol('no line')

/** The lines of a connection, one after the other. */
export class LineRead implements Read<string | typeof NO_LINE> {
  readonly #limit: number
  readonly #encoding: BufferEncoding
  /** How many bytes are known to have no end of a line. */
  #scanned = 0

  constructor(limit: number, encoding: BufferEncoding) {
    this.#limit = limit
    this.#encoding = encoding
  }

  attempt(source: ByteSource, buffer: InputBuffer): string | typeof NO_LINE | null {
    const line = this.#find(buffer)
    if (line !== null) return line
    const count = buffer.receive(source, this.#limit + LONGEST_END - buffer.length)
    if (count === 0) return this.#last(buffer)
    return count === null ? null : this.#find(buffer)
  }

  abandon(buffer: InputBuffer): number {
    this.#scanned = 0
    return buffer.length
  }

  #find(buffer: InputBuffer): string | null {
    const at = buffer.indexOf(NEWLINE, this.#scanned)
    if (at >= 0) return this.#take(buffer, at > 0 && buffer.at(at - 1) === RETURN ? at - 1 : at, at + 1)
    this.#scanned = buffer.length
    const mayEnd = buffer.length === this.#limit + 1 && buffer.at(this.#limit) === RETURN
    if (buffer.length > this.#limit && !mayEnd) throw limitExceeded(this.#limit)
    return null
  }

  /** At the peer's end: a line without an end counts. */
  #last(buffer: InputBuffer): string | typeof NO_LINE {
    const { length } = buffer
    return length === 0 ? NO_LINE : this.#take(buffer, length, length)
  }

  #take(buffer: InputBuffer, length: number, withEnd: number): string {
    if (length > this.#limit) throw limitExceeded(this.#limit)
    const line = buffer.decode(length, this.#encoding)
    buffer.skip(withEnd)
    this.#scanned = 0
    return line
  }
}
