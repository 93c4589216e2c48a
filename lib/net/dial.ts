import { constants } from 'node:os'
import nodeNet, { isIP } from 'node:net'

import { SocketError, invalidArgType } from '../errors.js'
import { nextTick, setImmediateInContext } from '../loop/timers.js'
import { Socket as ModelSocket } from '../model/socket.js'
import type { SocketOptions } from '../options/index.js'
import { booleanOption, int32Option, numberOption, portNumber, stringOption, stringWithoutNul } from './arguments.js'
import { Attempts } from './attempts.js'
import type { SocketBase } from './base.js'
import { type ErrnoException, exceptionWithHostPort, invalidAddress, ipBlocked } from './errors.js'
import { NODE_MAJOR } from './node-version.js'
import type { SocketHandle } from './handle.js'
import { kernelOptions } from './socket-options.js'
import { type Lookup, type ResolvedAddress, lookUp } from './lookup.js'

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
  _unrefTimer(): void
}

/** One call of `connect()`. */
export interface Dial {
  readonly stream: DialingStream
  readonly handle: SocketHandle
  readonly target: ConnectTarget
  /** What is set of the kernel's options before connect(2). */
  readonly options: SocketOptions | undefined
  readonly host: string
  readonly port: number
  /** Milliseconds after which the next address is tried, too; undefined where only one is tried. */
  readonly attemptTimeout: number | undefined
}

/** As Node's. */
const SHORTEST_ATTEMPT = 10
const ANY_ADDRESS: Readonly<Record<number, string>> = { 4: '0.0.0.0', 6: '::' }

/** Connects to the path of a Unix socket. */
export function dialPath(stream: DialingStream, handle: SocketHandle, target: ConnectTarget): void {
  const path = stringOption(target.path, 'options.path')
  const dial = {
    stream,
    handle,
    target,
    options: kernelOptions(target),
    host: path,
    port: 0,
    attemptTimeout: undefined,
  }
  dialAddress(dial, { address: path, family: 0 })
}

/** Connects to an address, or to those of a name. */
export function dialHost(stream: DialingStream, handle: SocketHandle, target: ConnectTarget): void {
  const dial = { stream, handle, target, options: kernelOptions(target), ...checkTarget(target) }
  const family = isIP(dial.host)
  if (family === 0) return lookUp(dial, (addresses) => dialAll(dial, addresses))
  nextTick(() => {
    if (stream.connecting) dialAddress(dial, { address: dial.host, family })
  })
}

function dialAll(dial: Dial, addresses: ResolvedAddress[]): void {
  dial.stream._unrefTimer()
  if (addresses.length === 1) dialAddress(dial, addresses[0]!)
  else new Attempts(dial, addresses).next()
}

/** In the order in which Node checks them. */
function checkTarget(target: ConnectTarget): Pick<Dial, 'host' | 'port' | 'attemptTimeout'> {
  const host = stringWithoutNul(target.host || 'localhost', NODE_MAJOR < 22 ? 'hostname' : 'options.host')
  const { localAddress, localPort, port } = target
  if (localAddress && !isIP(localAddress)) throw invalidAddress(localAddress)
  if (localPort) numberOption(localPort, 'options.localPort')
  return { host, port: checkPort(port), attemptTimeout: checkAttempts(target) }
}

function checkPort(port: unknown): number {
  if (port === undefined) return 0
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw invalidArgType('options.port', 'one of type number or string', port)
  }
  return portNumber(port, 'Port')
}

function checkAttempts(target: ConnectTarget): number | undefined {
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout: timeout, family, localAddress } = target
  const isOn =
    autoSelectFamily == null
      ? nodeNet.getDefaultAutoSelectFamily()
      : booleanOption(autoSelectFamily, 'options.autoSelectFamily')
  const milliseconds =
    timeout == null
      ? nodeNet.getDefaultAutoSelectFamilyAttemptTimeout()
      : Math.max(SHORTEST_ATTEMPT, int32Option(timeout, 'options.autoSelectFamilyAttemptTimeout', 1))
  const isOfFamily = [4, 6, 'IPv4', 'IPv6'].includes(family as number)
  return isOn && !isOfFamily && !localAddress ? milliseconds : undefined
}

/** Connects the handle of the stream itself. */
export function dialAddress(dial: Dial, to: ResolvedAddress): void {
  const { stream, handle } = dial
  const { address, family } = to
  // For a path Node has neither.
  const at = family === 0 ? ([address, undefined, undefined] as const) : ([address, dial.port, family] as const)
  if (isBlocked(stream, address, family)) {
    stream.emit('connectionAttempt', ...at)
    return void stream.destroy(ipBlocked(address))
  }
  const onOutcome = (error?: SocketError) => {
    if (stream.destroyed) return
    handle.connected()
    if (!error) return stream.onConnected()
    const failure = connectFailure(dial, at[0], at[1], error)
    stream.emit('connectionAttemptFailed', ...at, failure)
    stream.destroy(failure)
  }
  handle.connecting()
  const { socket, error } = tryToOpen(dial, to)
  // What cannot be bound is no attempt, in node:net.
  if (error?.syscall !== 'bind') stream.emit('connectionAttempt', ...at)
  if (!stream.connecting) return socket?.close()
  if (!socket) {
    if (isReportedLater(error!, family)) setImmediateInContext(() => onOutcome(error))
    else stream.destroy(openFailure(dial, to, error!))
    return
  }
  stream.socket = socket
  try {
    handle.awaitConnect(socket, onOutcome)
  } catch (failure) {
    socket.close()
    onOutcome(failure as SocketError)
  }
}

function tryToOpen(dial: Dial, { address, family }: ResolvedAddress): { socket?: ModelSocket; error?: SocketError } {
  try {
    return { socket: openSocket(dial, address, family) }
  } catch (error) {
    return { error: openError(error, family) }
  }
}

/** For a path that is too long there is no system call: libuv gives EINVAL. */
function openError(error: unknown, family: number): SocketError {
  if (error instanceof SocketError) return error
  if (family !== 0) throw error
  return new SocketError('the path is too long', 'EINVAL', { errno: -constants.errno.EINVAL, syscall: 'bind' })
}

export function isBlocked({ blockList }: DialingStream, address: string, family: number): boolean {
  return family !== 0 && blockList !== undefined && blockList.check(address, `ipv${family as 4 | 6}`)
}

/** libuv reports these as the outcome of the connect, also where connect(2) itself returns them. */
function isReportedLater({ code, syscall }: SocketError, family: number): boolean {
  return syscall === 'connect' && (family === 0 || code === 'ECONNREFUSED')
}

/** A socket that is connecting: socket(2), bind(2), connect(2). */
export function openSocket({ target, port, options }: Dial, address: string, family: number): ModelSocket {
  if (family === 0) return ModelSocket.connect({ ...options, path: address })
  const { localAddress, localPort } = target
  const local: { localAddress?: string; localPort?: number; reuseAddress?: boolean } = {}
  if (localAddress) Object.assign(local, { localAddress })
  // As libuv has it for each bind(2).
  if (localPort) Object.assign(local, { localPort, reuseAddress: true })
  return ModelSocket.connect({ ...local, ...options, host: address, port })
}

/** Why a socket could not even begin to connect. */
export function openFailure(
  { target, port }: Dial,
  { address, family }: ResolvedAddress,
  error: SocketError,
): ErrnoException {
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
