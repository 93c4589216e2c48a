import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'

/** The resident set size in bytes. Not from Node, which reads /proc/self/stat: an emulator may report zeroes there. */
export function residentBytes(): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1])
}

/** The default `maxByteLength` of the buffers below. */
export const MAX_BYTE_LENGTH = 64

/** A resizable ArrayBuffer (ES2024, not in our `lib` setting). */
export function resizable(
  length: number,
  maxByteLength = MAX_BYTE_LENGTH,
): ArrayBuffer & { resize(length: number): void } {
  return Reflect.construct(ArrayBuffer, [length, { maxByteLength }])
}

/** A growable SharedArrayBuffer (ES2024, not in our `lib` setting). */
export function growable(
  length: number,
  maxByteLength = MAX_BYTE_LENGTH,
): SharedArrayBuffer & { grow(length: number): void } {
  return Reflect.construct(SharedArrayBuffer, [length, { maxByteLength }])
}

/** Detaches the buffer of an array and returns the array. */
export function detach<T extends Uint8Array>(array: T): T {
  structuredClone(array, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

/**
 * Detaches memory that its owner has protected, past its own methods; returns false where the runtime has no way: from
 * Node 24 on, and in Deno, `markAsUntransferable` gives it a detach key.
 */
export function detachProtected(buffer: ArrayBufferLike): boolean {
  try {
    const { transfer } = ArrayBuffer.prototype as unknown as { transfer?: () => ArrayBuffer }
    if (transfer) transfer.call(buffer)
    else nativeDetach(buffer)
  } catch {
    // It is protected.
  }
  return buffer.byteLength === 0
}

/** Node 20 has no `transfer`: V8's own function. */
function nativeDetach(buffer: ArrayBufferLike): void {
  setFlagsFromString('--allow-natives-syntax')
  // oxlint-disable-next-line no-new-func
  new Function('buffer', '%ArrayBufferDetach(buffer)')(buffer)
}
