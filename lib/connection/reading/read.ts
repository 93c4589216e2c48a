import { SocketClosedError } from '../../errors.js'
import type { ByteSource, ReceiveBuffer } from '../../loop/receive-buffer.js'
import type { InputBuffer } from './input-buffer.js'

/** One read of a connection, which may take several receives. */
export interface Read<T> {
  /**
   * Takes what is buffered, and then receives, once.
   *
   * @returns the result; null while more has to come.
   * @throws what receiving throws; what concerns this read alone.
   */
  attempt(source: ByteSource, buffer: InputBuffer): T | null
  /**
   * It ends without a result: what it has taken can be read again.
   *
   * @returns how many bytes had come.
   */
  abandon?(buffer: InputBuffer): number
}

/** `connection.read(into)`. */
export class PlainRead implements Read<number> {
  readonly #into: Uint8Array

  constructor(into: Uint8Array) {
    this.#into = into
  }

  attempt(source: ByteSource, buffer: InputBuffer): number | null {
    return buffer.length > 0 && this.#into.length > 0 ? buffer.takeInto(this.#into, 0) : source.receive(this.#into)
  }
}

/** The chunks of a `for await` over a connection. */
export class ChunkRead implements Read<Buffer> {
  readonly #memory: ReceiveBuffer

  constructor(memory: ReceiveBuffer) {
    this.#memory = memory
  }

  attempt(source: ByteSource, buffer: InputBuffer): Buffer | null {
    return buffer.length > 0 ? buffer.take(buffer.length) : this.#memory.receive(source)
  }
}

/** In place of a socket: nothing is there now. */
export const NOTHING_NOW: ByteSource = { receive: () => null, receiveChunk: () => null }

/** In place of a socket that was closed after the peer's end. */
export const ENDED: ByteSource = { receive: () => 0, receiveChunk: () => 0 }

/** In place of a socket that was closed. */
export const CLOSED: ByteSource = { receive: refuse, receiveChunk: refuse }

function refuse(): never {
  throw new SocketClosedError('read: the connection is closed')
}
