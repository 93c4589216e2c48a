import { constants } from 'node:os'
import { inspect, types } from 'node:util'

import { SocketClosedError, type SocketError, invalidArgType, systemError } from '../errors.js'
import * as native from '../native.js'
import * as validate from '../validate.js'
import type { Codec, Decoder } from './codec.js'

const INT_MIN = -(2 ** 31)
/** The most bytes that {@link getsockopt} offers the kernel. */
const MAX_LENGTH = 65_536

/** An option of the kernel: its level and its constant. */
export interface KernelOption {
  /** The level, such as SOL_SOCKET. */
  readonly level: number
  /** The constant, such as SO_MARK. */
  readonly constant: number
}

/** getsockopt(2) of one option, decoded; `label` is what errors call it. */
export function read<Value>(
  handle: number,
  { level, constant }: KernelOption,
  decoder: Decoder<Value>,
  label: string,
): Value {
  const bytes = Buffer.alloc(decoder.size)
  const length = native.getOption(handle, level, constant, bytes)
  if (length < 0) throw optionError(-length, 'getsockopt', label)
  return decoder.decode(bytes.subarray(0, length))
}

/** setsockopt(2) of one option; `label` is what errors call the value, `privilege` what EPERM means. */
export function write<Value>(
  handle: number,
  { level, constant }: KernelOption,
  codec: Codec<Value>,
  value: unknown,
  label: string,
  privilege?: string,
): void {
  const status = native.setOption(handle, level, constant, codec.encode(value, label))
  if (status < 0) throw optionError(-status, 'setsockopt', `${label} ${inspect(value)}`, privilege)
}

/**
 * getsockopt(2) of any option, as the bytes that the kernel gave.
 *
 * @param length how many bytes the kernel is offered
 * @throws SocketError with the kernel's errno
 */
export function getsockopt(handle: number, level: number, name: number, length = 256): Buffer {
  validate.integer(level, INT_MIN, validate.INT_MAX, 'level')
  validate.integer(name, INT_MIN, validate.INT_MAX, 'name')
  const bytes = Buffer.alloc(validate.integer(length, 0, MAX_LENGTH, 'length'))
  const filled = native.getOption(handle, level, name, bytes)
  if (filled < 0) throw optionError(-filled, 'getsockopt', `level ${level}, option ${name}`)
  return bytes.subarray(0, filled)
}

/**
 * setsockopt(2) of any option.
 *
 * @param value the bytes, or an int, or a boolean for an int that is 0 or 1
 * @throws SocketError with the kernel's errno
 */
export function setsockopt(handle: number, level: number, name: number, value: number | boolean | Uint8Array): void {
  validate.integer(level, INT_MIN, validate.INT_MAX, 'level')
  validate.integer(name, INT_MIN, validate.INT_MAX, 'name')
  const status = native.setOption(handle, level, name, toBytes(value))
  if (status < 0)
    throw optionError(-status, 'setsockopt', `level ${level}, option ${name}`, 'CAP_NET_ADMIN or CAP_NET_RAW')
}

function toBytes(value: unknown): Uint8Array {
  if (types.isUint8Array(value)) return value
  if (typeof value !== 'number' && typeof value !== 'boolean') {
    throw invalidArgType('value', 'of type number or boolean or an instance of Uint8Array', value)
  }
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(validate.integer(Number(value), INT_MIN, validate.UINT_MAX, 'value') | 0)
  return bytes
}

/** What a failed call means. A handle is the descriptor's from birth to close, so EBADF means that it was closed. */
export function optionError(errno: number, syscall: string, note: string, privilege?: string): SocketError {
  if (errno === constants.errno.EBADF) return new SocketClosedError()
  const denied = privilege !== undefined && errno === constants.errno.EPERM
  return systemError(errno, syscall, undefined, denied ? `${note} needs ${privilege}` : note)
}
