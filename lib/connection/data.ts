// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { types } from 'node:util'

import { invalidArgType } from '../errors.js'
import { isUint8Array, partLength } from '../validate.js'

/** What can be written: a string is sent as UTF-8, a view as its bytes. */
export type Data = string | ArrayBufferView | ArrayBuffer

/** Where the bytes to be written begin; those of a string always at the start. */
export function offsetOf(data: Data, offset = 0): number {
  return typeof data === 'string' ? 0 : offset
}

/** How many of the bytes are to be written; of a string always all. */
export function lengthOf(
  data: Data,
  bytes: Uint8Array,
  offset: number | undefined,
  length: number | undefined,
): number {
  return typeof data === 'string' || (offset === undefined && length === undefined)
    ? bytes.length
    : partLength(bytes, offset, length)
}

/** All bytes of what is to be written. */
export function bytesOf(data: Data): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  if (isUint8Array(data)) return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (types.isArrayBuffer(data)) return new Uint8Array(data)
  throw invalidArgType('data', 'a string, an ArrayBuffer or a view of one', data)
}
