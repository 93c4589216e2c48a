import { readFileSync } from 'node:fs'

/** Resident bytes. Node reads /proc/self/stat, which an emulator may answer with zeroes. */
export function residentBytes(): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1])
}

/** How far the memory of the two below can grow. */
export const MOST = 64

/** ES2024: memory that changes its length. */
export function resizable(length: number, maxByteLength = MOST): ArrayBuffer & { resize(length: number): void } {
  return Reflect.construct(ArrayBuffer, [length, { maxByteLength }])
}

/** ES2024: shared memory that grows. */
export function growable(length: number, maxByteLength = MOST): SharedArrayBuffer & { grow(length: number): void } {
  return Reflect.construct(SharedArrayBuffer, [length, { maxByteLength }])
}

/** Sends the memory of an array elsewhere, and returns the array, which has none now. */
export function detach<T extends Uint8Array>(array: T): T {
  structuredClone(array, { transfer: [array.buffer as ArrayBuffer] })
  return array
}
