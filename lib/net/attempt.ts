import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import { isIP } from 'node:net'

import type { SocketError } from '../errors.js'
import type { SocketConnectOptions } from '../model/connect-options.js'
import { Socket as ModelSocket } from '../model/socket.js'
import type { SocketBase } from './base.js'
import { type ErrnoException, exceptionWithHostPort } from './errors.js'
import { HANDLE } from './fields.js'
import type { SocketHandle } from './handle.js'
import type { Lookup, ResolvedAddress } from './lookup.js'
import { checkConnectPermission, connectDenied, isDenial } from './permission.js'
import type { KernelOptions } from './socket-options.js'
import { UnconnectedHandle } from './unconnected-handle.js'

/** What `connect()` is given, as far as it says where to connect to. */
export interface ConnectTarget {
  readonly port?: unknown
  readonly host?: string | undefined
  readonly path?: unknown
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly family?: unknown
  readonly hints?: number | undefined
  readonly lookup?: Lookup | null | undefined
  readonly autoSelectFamily?: boolean | null | undefined
  readonly autoSelectFamilyAttemptTimeout?: number | null | undefined
}

/** The stream that connects. */
export interface DialingStream extends SocketBase {
  onConnected(): void
  onException(error: unknown): void
  _unrefTimer(): void
}

/** One call of `connect()`. */
export interface Dial {
  readonly stream: DialingStream
  readonly handle: SocketHandle
  readonly target: ConnectTarget
  /** What is set of the kernel's options before connect(2). */
  readonly options: KernelOptions | undefined
  readonly host: string
  readonly port: number
  /** Milliseconds after which the next address is tried, too; undefined where only one is tried. */
  readonly attemptTimeout: number | undefined
}

const ANY_ADDRESS: Readonly<Record<number, string>> = { 4: '0.0.0.0', 6: '::' }

/** Whether the stream still connects by this dial: when it has been destroyed it may connect by another one. */
export function isUnderWay({ stream, handle }: Dial): boolean {
  return stream.connecting && stream[HANDLE] === handle
}

export function isBlocked({ blockList }: DialingStream, address: string, family: number): boolean {
  return family !== 0 && blockList !== undefined && blockList.check(address, `ipv${family as 4 | 6}`)
}

/** A socket that is connecting: socket(2), bind(2), connect(2). */
export function openSocket({ handle, target, port, options }: Dial, address: string, family: number): ModelSocket {
  checkConnectPermission()
  if (family === 0) return begin(handle, { ...options, path: address } as SocketConnectOptions)
  const { localAddress, localPort } = target
  const local: { localAddress?: string; localPort?: number; reuseAddress?: boolean } = {}
  if (localAddress) Object.assign(local, { localAddress })
  // As libuv has it for each bind(2).
  if (localPort) Object.assign(local, { localPort, reuseAddress: true })
  return begin(handle, { ...local, ...options, host: address, port })
}

/** The first attempt is made by the descriptor that the program has given. */
function begin(handle: SocketHandle, options: SocketConnectOptions): ModelSocket {
  const fd = handle instanceof UnconnectedHandle ? handle.take() : undefined
  if (fd === undefined) return ModelSocket.connect(options)
  try {
    return ModelSocket.connectDescriptor(fd, options)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * Keeps the process alive from here on. Returns false where that cannot be, since no poller can be opened: the stream is
 * destroyed.
 */
export function beginToConnect(dial: Dial, to: ResolvedAddress): boolean {
  try {
    dial.handle.connecting()
    return true
  } catch (error) {
    dial.stream.destroy(openFailure(dial, to, error as SocketError))
    return false
  }
}

/** Why a socket could not even begin to connect. */
export function openFailure(
  { target, port }: Dial,
  { address, family }: ResolvedAddress,
  error: SocketError,
): ErrnoException {
  if (isDenial(error)) return connectDenied(address, family === 0 ? undefined : port)
  const errno = error.errno ?? -constants.errno.ECANCELED
  if (family === 0) {
    const failure = exceptionWithHostPort(errno, 'connect', address)
    // As Node says it: a path has neither.
    failure.message += ' - Local (undefined:undefined)'
    return failure
  }
  if (error.syscall === 'bind') {
    const { localAddress = ANY_ADDRESS[family]!, localPort } = target
    // libuv reads the address by the family of the other end.
    const bindErrno = isIP(localAddress) === family ? errno : -constants.errno.EINVAL
    return exceptionWithHostPort(bindErrno, 'bind', localAddress, localPort)
  }
  return exceptionWithHostPort(errno, 'connect', address, port, `${ANY_ADDRESS[family]}:0`)
}

/** Why a connect failed. */
export function connectFailure(
  { target }: Dial,
  address: string,
  port: number | undefined,
  error: SocketError,
): ErrnoException {
  const { localAddress, localPort } = target
  const errno = error.errno ?? -constants.errno.ECANCELED
  if (!localAddress || !localPort) return exceptionWithHostPort(errno, 'connect', address, port)
  const failure = exceptionWithHostPort(errno, 'connect', address, port, `${localAddress}:${localPort}`)
  return Object.assign(failure, { localAddress, localPort })
}
