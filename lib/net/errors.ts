// Errors as node:net makes them: the same codes, messages and properties.

import { getSystemErrorMap, getSystemErrorName } from 'node:util'

import { SocketError } from '../errors.js'

/** An error of a system call, as Node's. */
export interface ErrnoException extends Error {
  errno: number
  code: string
  syscall: string
  address?: string
  port?: number
  localAddress?: string
  localPort?: number
}

/** `read ECONNRESET`. `errno` is negative. */
export function errnoException(errno: number, syscall: string): ErrnoException {
  return withErrno(`${syscall} ${getSystemErrorName(errno)}`, errno, syscall)
}

/** `connect ECONNREFUSED 127.0.0.1:80`, and ` - Local (127.0.0.1:1234)` if `local` is given. */
export function exceptionWithHostPort(
  errno: number,
  syscall: string,
  address: string | undefined,
  port?: number | null,
  local?: string,
): ErrnoException {
  const from = local ? ` - Local (${local})` : ''
  const error = withErrno(`${syscall} ${getSystemErrorName(errno)}${target(address, port)}${from}`, errno, syscall)
  return withAddress(error, address, port)
}

/** `listen EADDRINUSE: address already in use 127.0.0.1:80`. */
export function uvException(errno: number, syscall: string, address?: string | null, port?: number): ErrnoException {
  const [code, text] = getSystemErrorMap().get(errno) ?? [getSystemErrorName(errno), 'unknown error']
  const message = `${syscall} ${code}: ${text}${target(address ?? undefined, port)}`
  // The properties in Node's order; where there is no address, it has null.
  const error = Object.assign(new Error(message), { code, errno, syscall })
  return withAddress(error, address as string | undefined, port)
}

function withErrno(message: string, errno: number, syscall: string): ErrnoException {
  return Object.assign(new Error(message), { errno, code: getSystemErrorName(errno), syscall })
}

export function withAddress(error: ErrnoException, address: string | undefined, port?: number | null): ErrnoException {
  if (address !== undefined) error.address = address
  if (port) error.port = port
  return error
}

function target(address: string | undefined, port: number | null | undefined): string {
  if (port && port > 0) return ` ${address}:${port}`
  return address ? ` ${address}` : ''
}

type Coded<E extends Error> = E & { code: string }

function coded<E extends Error>(error: E, code: string): Coded<E> {
  return Object.assign(error, { code })
}

export const socketClosed = () => coded(new Error('Socket is closed'), 'ERR_SOCKET_CLOSED')

export const closedBeforeConnection = () =>
  coded(new Error('Socket closed before the connection was established'), 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION')

export const connectionTimeout = () => coded(new Error('Socket connection timeout'), 'ERR_SOCKET_CONNECTION_TIMEOUT')

export const invalidAddress = (address: unknown) =>
  coded(new TypeError(`Invalid IP address: ${String(address)}`), 'ERR_INVALID_IP_ADDRESS')

export const ipBlocked = (address: string) =>
  coded(new Error(`IP(${address}) is blocked by net.BlockList`), 'ERR_IP_BLOCKED')

export const invalidHandleType = () =>
  coded(new TypeError('This handle type cannot be sent'), 'ERR_INVALID_HANDLE_TYPE')

export const alreadyListening = () =>
  coded(new Error('Listen method has been called more than once without closing.'), 'ERR_SERVER_ALREADY_LISTEN')

export const notRunning = () => coded(new Error('Server is not running.'), 'ERR_SERVER_NOT_RUNNING')

/** The message that Node gives to a write after the peer's end. */
export const endedByPeer = () => coded(new Error('This socket has been ended by the other party'), 'EPIPE')

export function missingArguments(...names: string[]): Coded<TypeError> {
  const list = names.map((name) => `"${name}"`).join(' or ')
  return coded(new TypeError(`The ${list} argument must be specified`), 'ERR_MISSING_ARGS')
}

export function invalidAddressFamily(family: unknown, host: string | undefined, port: unknown): Coded<RangeError> {
  const error = new RangeError(`Invalid address family: ${String(family)} ${host}:${String(port)}`)
  return Object.assign(coded(error, 'ERR_INVALID_ADDRESS_FAMILY'), { host, port })
}

/** Several attempts that failed: as Node's, without a message, with the code of the first. */
export function attemptsFailed(errors: Error[]): AggregateError & { code: string } {
  const error = new AggregateError(errors)
  Object.defineProperty(error, 'code', {
    value: (errors[0] as Partial<ErrnoException>).code,
    configurable: true,
    enumerable: true,
    writable: true,
  })
  return error as AggregateError & { code: string }
}

/** An error of ours as node:net would give it: by the call that it came from, whatever call of ours it broke first. */
export function toNodeError(error: unknown, syscall: string): Error {
  if (!(error instanceof SocketError) || error.errno === undefined) return error as Error
  return errnoException(error.errno, syscall)
}
