import type { Pieces } from './pending-write.js'

/** A write that waits in the stream. */
export interface BufferedWrite {
  readonly chunk: Uint8Array | string
  readonly encoding: string
}

/** Up to so many bytes several writes are sent as one array: of those that are arrays, and of all of them. */
const MAX_COPIED = 1024
const MAX_JOINED = 65_536

export function bytesOf(chunk: Uint8Array | string, encoding: string): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding as BufferEncoding) : chunk
}

export function lengthOfWrite(chunk: Uint8Array | string, encoding: string): number {
  if (typeof chunk !== 'string') return chunk.byteLength
  return encoding === 'latin1' ? chunk.length : Buffer.byteLength(chunk, encoding as BufferEncoding)
}

export function lengthOfWrites(writes: readonly BufferedWrite[]): number {
  let sum = 0
  for (const { chunk, encoding } of writes) sum += lengthOfWrite(chunk, encoding)
  return sum
}

/** The bytes of `writes`, which are `length`. Empty ones are left out: the last write of node:http is one. */
export function piecesOf(writes: readonly BufferedWrite[], length: number): Pieces {
  const filled = writes.filter(({ chunk }) => chunk.length > 0)
  if (filled.length === 1) return bytesOf(filled[0]!.chunk, filled[0]!.encoding)
  return isJoined(filled, length) ? join(filled, length) : filled.map(({ chunk, encoding }) => bytesOf(chunk, encoding))
}

/** Strings have to be written somewhere; an array that is large costs more to copy than as a piece of its own. */
function isJoined(writes: readonly BufferedWrite[], length: number): boolean {
  if (length > MAX_JOINED) return false
  let copied = 0
  for (const { chunk } of writes) if (typeof chunk !== 'string') copied += chunk.byteLength
  return copied <= MAX_COPIED
}

function join(writes: readonly BufferedWrite[], length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length)
  let offset = 0
  for (const { chunk, encoding } of writes) {
    if (typeof chunk === 'string') offset += bytes.write(chunk, offset, encoding as BufferEncoding)
    else {
      bytes.set(chunk, offset)
      offset += chunk.byteLength
    }
  }
  return bytes
}
