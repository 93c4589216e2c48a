import { constants } from 'node:os'
import nodeNet, { isIP } from 'node:net'

import { SocketError, invalidArgType } from '../errors.js'
import { nextTick, setImmediateInContext } from '../loop/timers.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import { booleanOption, int32Option, numberOption, portNumber, stringOption, stringWithoutNul } from './arguments.js'
import {
  type ConnectTarget,
  type Dial,
  type DialingStream,
  beginToConnect,
  connectFailure,
  isBlocked,
  isUnderWay,
  openFailure,
  openSocket,
} from './attempt.js'
import { Attempts } from './attempts.js'
import { exceptionWithHostPort, invalidAddress, ipBlocked } from './errors.js'
import { HANDLE } from './fields.js'
import type { SocketHandle } from './handle.js'
import { NODE_MAJOR } from '../node-version.js'
import { kernelOptions } from './socket-options.js'
import { type ResolvedAddress, lookUp } from './lookup.js'

/** As Node's. */
const SHORTEST_ATTEMPT = 10

/** Connects to the path of a Unix socket. */
export function dialPath(stream: DialingStream, handle: SocketHandle, target: ConnectTarget): void {
  const path = stringOption(target.path, 'options.path')
  const dial = {
    stream,
    handle,
    target,
    options: kernelOptions(target, 'path'),
    host: path,
    port: 0,
    attemptTimeout: undefined,
  }
  dialAddress(dial, { address: path, family: 0 })
}

/** Connects to an address, or to those of a name. */
export function dialHost(stream: DialingStream, handle: SocketHandle, target: ConnectTarget): void {
  const dial = { stream, handle, target, options: kernelOptions(target, 'host'), ...checkTarget(target) }
  const family = isIP(dial.host)
  if (family === 0) return lookUp(dial, (addresses) => dialAll(dial, addresses))
  nextTick(() => {
    if (isUnderWay(dial)) dialAddress(dial, { address: dial.host, family })
  })
}

function dialAll(dial: Dial, addresses: ResolvedAddress[]): void {
  dial.stream._unrefTimer()
  if (addresses.length === 1 || isTaken(dial)) dialAddress(dial, addresses[0]!)
  else if (beginToConnect(dial, addresses[0]!)) new Attempts(dial, addresses).next()
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
  if (isTaken(dial)) {
    stream.emit('connectionAttempt', ...at)
    return connectAgain(dial, address, at[1])
  }
  const onOutcome = (error?: SocketError) => {
    if (stream[HANDLE] !== handle) return
    handle.connected()
    if (!error) return stream.onConnected()
    const failure = connectFailure(dial, at[0], at[1], error)
    stream.emit('connectionAttemptFailed', ...at, failure)
    stream.destroy(failure)
  }
  if (!beginToConnect(dial, to)) return
  const { socket, error } = tryToOpen(dial, to)
  // What cannot be bound is no attempt, in node:net.
  if (error?.syscall !== 'bind') stream.emit('connectionAttempt', ...at)
  if (!isUnderWay(dial)) return socket?.close()
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

/** Whether an earlier `connect()` is under way, or has connected. */
function isTaken({ handle }: Dial): boolean {
  return handle.isConnecting || handle.socket !== undefined
}

/** What connect(2) returns for such a socket: 0 if it is one whose connect has ended since. */
function connectAgain({ stream, handle }: Dial, address: string, port: number | undefined): void {
  if (!handle.isConnecting && !handle.isUnix && !stream.server) {
    setImmediateInContext(() => {
      if (stream.connecting) stream.onConnected()
    })
    return
  }
  const errno = handle.isConnecting ? constants.errno.EALREADY : constants.errno.EISCONN
  const local = stream._getsockname()
  stream.destroy(exceptionWithHostPort(-errno, 'connect', address, port, `${local.address}:${local.port}`))
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

/** libuv reports these as the outcome of the connect, also where connect(2) itself returns them. */
function isReportedLater({ code, syscall }: SocketError, family: number): boolean {
  return syscall === 'connect' && (family === 0 || code === 'ECONNREFUSED')
}
