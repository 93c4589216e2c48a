import { constants } from 'node:os'
import { inspect, types } from 'node:util'

import { SocketClosedError, type SocketError, invalidArgType, systemError } from '../errors.js'
import * as native from '../native.js'
import * as validate from '../validate.js'
import type { Codec, Decoder } from './codec.js'

const { EBADF, EPERM } = constants.errno

const INT_MIN = -(2 ** 31)
/** A handle of nothing, and a value of no bytes. */
const NO_HANDLE = -1
const NOTHING = new Uint8Array(0)
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
 * @throws SocketError with the kernel's errno; ENOTSUP for an option whose value has pointers, or no limit
 */
export function getsockopt(handle: number, level: number, name: number, length = 256): Buffer {
  validate.integer(level, INT_MIN, validate.INT_MAX, 'level')
  validate.integer(name, INT_MIN, validate.INT_MAX, 'name')
  const bytes = Buffer.alloc(validate.integer(length, 0, MAX_LENGTH, 'length'))
  const filled = native.getOption(handle, level, name, bytes)
  if (filled < 0) {
    const isRefused = filled === native.getOption(NO_HANDLE, level, name, NOTHING)
    throw optionError(-filled, 'getsockopt', noteOf(level, name, isRefused))
  }
  return bytes.subarray(0, filled)
}

/**
 * setsockopt(2) of any option.
 *
 * @param value the bytes, or an int, or a boolean for an int that is 0 or 1
 * @throws SocketError with the kernel's errno; ENOTSUP for an option whose value has pointers
 */
export function setsockopt(handle: number, level: number, name: number, value: number | boolean | Uint8Array): void {
  validate.integer(level, INT_MIN, validate.INT_MAX, 'level')
  validate.integer(name, INT_MIN, validate.INT_MAX, 'name')
  const status = native.setOption(handle, level, name, toBytes(value))
  if (status < 0) {
    const isRefused = status === native.setOption(NO_HANDLE, level, name, NOTHING)
    throw optionError(-status, 'setsockopt', noteOf(level, name, isRefused), 'CAP_NET_ADMIN or CAP_NET_RAW')
  }
}

/** The native functions refuse unsafe options (EOPNOTSUPP) before they look at the handle (EBADF). */
function noteOf(level: number, name: number, isRefused: boolean): string {
  const reason = isRefused ? ' is refused: with it the kernel uses memory beyond the bytes of its value' : ''
  return `level ${level}, option ${name}${reason}`
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
  if (errno === EBADF) return new SocketClosedError()
  const denied = privilege !== undefined && errno === EPERM
  return systemError(errno, syscall, undefined, denied ? `${note} needs ${privilege}` : note)
}
