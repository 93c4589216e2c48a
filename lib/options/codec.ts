import { SocketAddress } from 'node:net'

import { invalidArgType, invalidArgValue } from '../errors.js'
import * as validate from '../validate.js'
import type { OriginalDestination, PeerCredentials } from './types.js'

/** Converts a value to the bytes of the kernel and back. All platforms of this package are little-endian. */
export interface Codec<Value> {
  /** The size of the kernel's value, in bytes. */
  readonly size: number
  /** The value in the bytes of the kernel. */
  decode(bytes: Buffer): Value
  /** The bytes for the kernel; throws if `value`, which errors call `name`, is no such value. */
  encode(value: unknown, name: string): Uint8Array
}

/** A codec of what can only be read. */
export type Decoder<Value> = Omit<Codec<Value>, 'encode'>

/** An unsigned long of all ones: no limit. */
const UNLIMITED = 2n ** 64n - 1n
/** `IFNAMSIZ` and `TCP_CA_NAME_MAX`, which the kernel silently cuts a longer name to. */
const NAME_SIZE = 16

/** An int that is 0 or 1. */
export const flag: Codec<boolean> = {
  size: 4,
  decode: (bytes) => bytes.readInt32LE() !== 0,
  encode: (value, name) => int(validate.boolean(value, name) ? 1 : 0),
}

/** An int that is at least `min`. */
export function integer(min = 0, max = validate.INT_MAX): Codec<number> {
  return {
    size: 4,
    decode: (bytes) => bytes.readInt32LE(),
    encode: (value, name) => int(validate.integer(value, min, max, name)),
  }
}

/** An unsigned int. */
export const unsigned: Codec<number> = {
  size: 4,
  decode: (bytes) => bytes.readUInt32LE(),
  encode: (value, name) => int(validate.integer(value, 0, validate.UINT_MAX, name)),
}

/** Milliseconds, also in the kernel. */
export const milliseconds: Codec<number> = {
  size: 4,
  decode: (bytes) => bytes.readInt32LE(),
  encode: (value, name) => int(validate.milliseconds(value, name)),
}

/** Milliseconds that are seconds in the kernel, rounded up. */
export const seconds: Codec<number> = {
  size: 4,
  decode: (bytes) => bytes.readInt32LE() * 1000,
  encode: (value, name) => int(toSeconds(value, name)),
}

/** A short name, which may come back without its NUL. */
export const text: Codec<string> = {
  size: NAME_SIZE,
  decode: (bytes) => bytes.toString('utf8').replace(/\0.*$/s, ''),
  encode: (value, name) => {
    const bytes = Buffer.from(`${validate.string(value, name)}\0`)
    if (bytes.length > NAME_SIZE || bytes.indexOf(0) !== bytes.length - 1) {
      throw invalidArgValue(name, value, `must have at most ${NAME_SIZE - 1} bytes and no NUL`)
    }
    return bytes
  },
}

/** Bytes a second: an unsigned long, Infinity for no limit. */
export const rate: Codec<number> = {
  size: 8,
  decode: (bytes) => {
    const value = bytes.readBigUInt64LE()
    return value === UNLIMITED ? Infinity : Number(value)
  },
  encode: (value, name) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(
      value === Infinity ? UNLIMITED : BigInt(validate.integer(value, 0, Number.MAX_SAFE_INTEGER, name)),
    )
    return bytes
  },
}

/** `struct linger`: two ints, on or off and the seconds. */
export const linger: Codec<false | number> = {
  size: 8,
  decode: (bytes) => (bytes.readInt32LE() === 0 ? false : bytes.readInt32LE(4) * 1000),
  encode: (value, name) => {
    if (value === false) return Buffer.alloc(8)
    if (typeof value !== 'number') throw invalidArgType(name, 'false or of type number', value)
    return Buffer.concat([int(1), int(toSeconds(value, name))])
  },
}

/** `struct ucred`: the IDs, a user of all ones where there is none. */
export const credentials: Decoder<PeerCredentials | null> = {
  size: 12,
  decode: (bytes) => {
    const uid = bytes.readUInt32LE(4)
    return uid === validate.UINT_MAX ? null : { pid: bytes.readInt32LE(), uid, gid: bytes.readUInt32LE(8) }
  },
}

/** `struct sockaddr_in`: family, port and address, the latter two big-endian. */
export const destination4: Decoder<OriginalDestination> = {
  size: 16,
  decode: (bytes) => ({ address: bytes.subarray(4, 8).join('.'), family: 'IPv4', port: bytes.readUInt16BE(2) }),
}

/** `struct sockaddr_in6`: family, port, flow, address, scope. */
export const destination6: Decoder<OriginalDestination> = {
  size: 28,
  decode: (bytes) => {
    const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(8 + group * 2).toString(16))
    const { address } = new SocketAddress({ address: groups.join(':'), family: 'ipv6' })
    return { address, family: 'IPv6', port: bytes.readUInt16BE(2) }
  },
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return bytes
}

function toSeconds(value: unknown, name: string): number {
  return Math.ceil(validate.milliseconds(value, name) / 1000)
}
