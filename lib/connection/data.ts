// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { types } from 'node:util'

import { invalidArgType } from '../errors.js'
import { isUint8Array, partLength } from '../validate.js'

/** What can be written: a string is sent as UTF-8, a view as its bytes. */
export type Data = string | ArrayBufferView | ArrayBuffer

const EXPECTED = 'a string, an ArrayBuffer or a view of one'

/** Where the bytes to be written begin; those of a string always at the start. */
export function offsetOf(data: unknown, offset = 0): number {
  return typeof data === 'string' ? 0 : offset
}

/** How many of the bytes are to be written; of a string always all. */
export function lengthOf(
  data: unknown,
  bytes: Uint8Array,
  offset: number | undefined,
  length: number | undefined,
): number {
  return typeof data === 'string' || (offset === undefined && length === undefined)
    ? bytes.length
    : partLength(bytes, offset, length)
}

/** All bytes of what is to be written; undefined for what is no {@link Data}. */
export function viewOf(data: unknown): Uint8Array | undefined {
  if (typeof data === 'string') return Buffer.from(data)
  if (isUint8Array(data)) return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return types.isArrayBuffer(data) ? new Uint8Array(data) : undefined
}

/** As {@link viewOf}. @throws TypeError */
export function bytesOf(data: unknown, name = 'data'): Uint8Array {
  const bytes = viewOf(data)
  if (bytes === undefined) throw invalidArgType(name, EXPECTED, data)
  return bytes
}

/** The bytes of an array of pieces, of which no part can be chosen. @throws TypeError */
export function piecesOf(data: unknown, offset?: number, length?: number): Uint8Array[] {
  if (!Array.isArray(data))
    throw invalidArgType('data', 'a string, an ArrayBuffer, a view of one, or an array of these', data)
  if (offset !== undefined || length !== undefined)
    throw invalidArgType('data', `${EXPECTED}, where a part of it is to be written`, data)
  return Array.from(data, (piece, index) => bytesOf(piece, `data[${index}]`))
}

/** As {@link bytesOf}, of pieces too. @throws TypeError */
export function allBytesOf(data: unknown, offset?: number, length?: number): Uint8Array {
  return viewOf(data) ?? Buffer.concat(piecesOf(data, offset, length))
}

/** How many bytes the pieces have. */
export function totalLength(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((total, piece) => total + piece.length, 0)
}
