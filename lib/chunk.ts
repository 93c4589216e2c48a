// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { invalidArgType } from './errors.js'
import type { Socket } from './socket.js'
import { integer } from './validate.js'

/** Bytes that one recv(2) asks for. */
const SIZE = 65536

/** From here on a chunk is handed over rather than copied. */
const LARGE = SIZE / 2

/** Receives chunks: the receiver's to keep, or views of a buffer of the program's. */
export class Chunker {
  readonly #borrowed: Uint8Array | undefined
  #view: Buffer | undefined
  #spare: Buffer | undefined
  #filled = false

  constructor(borrowed?: Uint8Array) {
    this.#borrowed = borrowed
  }

  /** Whether the last receive came back full, so that more may wait. */
  get wasFilled(): boolean {
    return this.#filled
  }

  /** What waits; empty at the peer's end, null when nothing waits. */
  receive(socket: Socket): Buffer | null {
    const into = this.#borrowed ?? (this.#spare ??= Buffer.allocUnsafeSlow(SIZE))
    const count = socket.receive(into)
    this.#filled = count === into.byteLength
    if (count === null) return null
    if (this.#borrowed) return this.#viewOf(into, count)
    const chunk = (into as Buffer).subarray(0, count)
    if (count < LARGE) return Buffer.from(chunk)
    this.#spare = undefined
    return chunk
  }

  /** Chunks of one length are one view: nobody keeps a borrowed one. */
  #viewOf(into: Uint8Array, count: number): Buffer {
    if (this.#view?.length !== count) this.#view = Buffer.from(into.buffer, into.byteOffset, count)
    return this.#view
  }
}

/** What can be written: a string is sent as UTF-8, of a view its bytes. */
export type Writable = string | ArrayBufferView | ArrayBuffer

/** The bytes of what is to be written, or a part of them; of a string always all. */
export function bytesOf(data: Writable, offset = 0, length?: number): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  const bytes = data instanceof Uint8Array ? data : viewOf(data)
  if (offset === 0 && length === undefined) return bytes
  integer(offset, 0, bytes.byteLength, 'offset')
  const end = length === undefined ? bytes.byteLength : offset + integer(length, 0, bytes.byteLength - offset, 'length')
  return bytes.subarray(offset, end)
}

function viewOf(data: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  throw invalidArgType('data', 'a string, an ArrayBuffer or a view of one', data)
}
