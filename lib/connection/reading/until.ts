import { limitExceeded, unexpectedEnd } from '../../errors.js'
import type { ByteSource } from '../../loop/receive-buffer.js'
import type { InputBuffer } from './input-buffer.js'
import type { Read } from './read.js'

/** `readUntil`: up to a delimiter, which is included. */
export class UntilRead implements Read<Buffer> {
  readonly #delimiter: Uint8Array
  readonly #limit: number
  /** How many bytes are known not to begin a delimiter. */
  #scanned = 0

  constructor(delimiter: Uint8Array, limit: number) {
    this.#delimiter = delimiter
    this.#limit = limit
  }

  attempt(source: ByteSource, buffer: InputBuffer): Buffer | null {
    const found = this.#find(buffer)
    if (found) return found
    const count = buffer.receive(source, this.#limit - buffer.length)
    if (count === 0) throw unexpectedEnd(buffer.length, 'the delimiter')
    return count === null ? null : this.#find(buffer)
  }

  abandon(buffer: InputBuffer): number {
    return buffer.length
  }

  #find(buffer: InputBuffer): Buffer | null {
    const { length } = this.#delimiter
    const at = buffer.indexOf(length === 1 ? this.#delimiter[0]! : this.#delimiter, this.#scanned)
    const end = at < 0 ? buffer.length : at + length
    if (end > this.#limit || (at < 0 && end === this.#limit)) throw limitExceeded(this.#limit)
    if (at >= 0) return buffer.take(end)
    this.#scanned = Math.max(0, buffer.length - length + 1)
    return null
  }
}
