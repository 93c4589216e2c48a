import { runInNewContext } from 'node:vm'

import * as fc from 'fast-check'

import { detach, growable, resizable } from '../memory.js'

/** A value in JSON, so that a failing sequence can be printed and kept: its kind, and a number that says which. */
export type Value = readonly [kind: Kind, which: number]

export type Kind = keyof typeof MAKERS

const NUMBERS = [
  0,
  1,
  2,
  3,
  4,
  5,
  6,
  7,
  16,
  64,
  100,
  255,
  256,
  2048,
  65535,
  65536,
  -0,
  -1,
  -2,
  0.5,
  1.5,
  -0.5,
  1e-9,
  1e9,
  1e21,
  Number.NaN,
  Infinity,
  -Infinity,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  -(2 ** 31) - 1,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 32 + 64,
  2 ** 33,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  2 ** 63,
  2 ** 64,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
]

const STRINGS = [
  '',
  '0',
  '1',
  '80',
  'x',
  'rw',
  'r',
  'edge',
  'oneshot',
  'write',
  'both',
  ' 1',
  '-1',
  '1e3',
  'é',
  '\0',
  '\0name',
  'a\0b',
  '127.0.0.1',
  '::1',
  '::',
  '0.0.0.0',
  '1.2.3',
  '::1%lo',
  'noDelay',
  'keepAlive',
  '__proto__',
  'constructor',
  'x'.repeat(200),
]

/** Bytes around each array: nothing may write there. */
export const GUARD = 64
const GUARD_BYTE = 0xa5

const foreign = runInNewContext('({ Uint8Array, SharedArrayBuffer, object: () => ({}), array: () => [] })') as {
  Uint8Array: Uint8ArrayConstructor
  object(): object
  array(): unknown[]
}

/** Kinds of values, by the number that says which of them. */
const MAKERS = {
  number: (which: number): unknown => NUMBERS[which % NUMBERS.length],
  bigint: (which: number): unknown => [0n, 1n, -1n, 2n ** 31n, 2n ** 64n][which % 5],
  string: (which: number): unknown => STRINGS[which % STRINGS.length],
  other: (which: number): unknown => [undefined, null, true, false, Symbol('x'), () => {}, /x/, new Date(0)][which % 8],
  object: (which: number): unknown =>
    [
      {},
      [],
      foreign.object(),
      foreign.array(),
      Object.create(null),
      { length: 8 },
      { fd: -1 },
      { handle: 0 },
      new Proxy({}, {}),
      new Map(),
    ][which % 10],
  bytes: (which: number): unknown => guarded(new ArrayBuffer(2 * GUARD + which), which),
  shared: (which: number): unknown => guarded(new SharedArrayBuffer(2 * GUARD + which), which),
  foreignBytes: (which: number): unknown => new foreign.Uint8Array(which),
  resized: (which: number): unknown => {
    const buffer = resizable(32, 64)
    const view = new Uint8Array(buffer, which % 16, 16)
    buffer.resize(which % 32)
    return view
  },
  grown: (which: number): unknown => {
    const buffer = growable(8, 64)
    const view = new Uint8Array(buffer as unknown as ArrayBuffer)
    buffer.grow(8 + (which % 56))
    return view
  },
  detached: (which: number): unknown => detach(new Uint8Array(which)),
  view: (which: number): unknown =>
    [
      new Float64Array(2),
      new DataView(new ArrayBuffer(8)),
      new Int32Array(4),
      new ArrayBuffer(8),
      Buffer.alloc(8),
      new BigInt64Array(2),
    ][which % 6],
  proxied: (which: number): unknown => new Proxy(new Uint8Array(which), {}),
  pieces: (which: number): unknown =>
    [
      [],
      [new Uint8Array(which)],
      [new Uint8Array(1), 'x'],
      Array(2000).fill(new Uint8Array(1)),
      [detach(new Uint8Array(4))],
      [undefined],
      Array.from({ length: 5 }),
    ][which % 7],
} as const

function guarded(buffer: ArrayBuffer | SharedArrayBuffer, length: number): Uint8Array {
  const all = new Uint8Array(buffer as ArrayBuffer)
  all.fill(GUARD_BYTE, 0, GUARD)
  all.fill(GUARD_BYTE, GUARD + length)
  return new Uint8Array(buffer as ArrayBuffer, GUARD, length)
}

/** The value that a description stands for. */
export function make([kind, which]: Value): unknown {
  return MAKERS[kind](which)
}

/** Whether something has written beside an array that {@link make} has made. */
export function isOverrun(value: unknown): boolean {
  // A proxy of an array is none.
  if (!ArrayBuffer.isView(value) || value.byteOffset !== GUARD) return false
  const { buffer, byteLength } = value
  if (buffer.byteLength !== 2 * GUARD + byteLength) return false
  const all = new Uint8Array(buffer)
  return [...all.subarray(0, GUARD), ...all.subarray(GUARD + byteLength)].some((byte) => byte !== GUARD_BYTE)
}

/** Any value at all. */
export const anything: fc.Arbitrary<Value> = fc.tuple(
  fc.constantFrom(...(Object.keys(MAKERS) as Kind[])),
  fc.oneof(fc.nat(60), fc.nat(5000)),
)

/** Numbers of every kind. */
export const anyNumber: fc.Arbitrary<Value> = fc.tuple(fc.constant('number' as const), fc.nat(NUMBERS.length - 1))

/** Arrays of bytes, usable ones. */
export const anyBytes: fc.Arbitrary<Value> = fc.tuple(
  fc.constantFrom('bytes', 'shared'),
  fc.oneof(fc.nat(64), fc.nat(5000)),
)
