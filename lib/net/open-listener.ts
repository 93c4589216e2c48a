import { constants } from 'node:os'

import { SocketError, systemError } from '../errors.js'
import type { ListenerOptions } from '../model/bind.js'
import { Listener } from '../model/listener.js'
import * as native from '../native.js'
import { INT_MAX, PATH_SIZE } from '../validate.js'
import { uvException } from './errors.js'
import { type Extras, IPV6_ONLY } from './listen-options.js'
import { ListenerHandle } from './listener-handle.js'
import type { NativeHandle } from './native-handle.js'
import { checkListenPermission } from './permission.js'

const { EACCES, EBADF, EINVAL, ENOTSOCK, EPROTOTYPE } = constants.errno
/** node:net's. */
const DEFAULT_BACKLOG = 511

/** Where `_listen2` of node:net listens: what is not used is null, undefined or -1. */
export interface Where {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
  readonly fd?: number | undefined
  readonly flags?: number | undefined
}

/** What is given besides, and how many connections may wait. */
interface ListenSettings extends Extras {
  readonly backlog: number
}

/** Where it was tried to listen, and what came of it. */
export type Outcome = { readonly where: Where } & ({ readonly handle: ListenerHandle } | { readonly error: Error })

/**
 * Binds and listens.
 *
 * @throws TypeError, RangeError for options; Error ERR_ACCESS_DENIED
 */
export function openListener(where: Where, backlog: unknown, extras: Extras | undefined): Outcome {
  const { address, addressType, fd } = where
  const options = { ...extras, backlog: validBacklog(backlog) }
  if (typeof fd === 'number') return attempt(where, () => ofDescriptor(fd, options.backlog, extras))
  checkListenPermission(addressType === -1 ? address! : '')
  if (addressType === -1) return attempt(where, () => onPath(address!, options))
  if (address !== null) return attempt(where, () => onAddress(where, options))
  const dual = { ...where, address: '::', addressType: 6 }
  const outcome = attempt(dual, () => onAddress(dual, options), true)
  const ipv4 = { ...where, address: '0.0.0.0', addressType: 4 }
  return outcome ?? attempt(ipv4, () => onAddress(ipv4, options))
}

/**
 * Listens on a descriptor that is a duplicate of the one of a handle of Node.
 *
 * @throws SocketError
 */
export function listenerOver(handle: NativeHandle & { readonly fd: number }, backlog: unknown): ListenerHandle {
  const fd = native.check(native.duplicate(handle.fd), 'fcntl')
  return new ListenerHandle(Listener.bind({ fd, backlog: validBacklog(backlog) }), false, undefined, handle)
}

/** The error as node:net has it; that of another system call, such as EPERM of setsockopt(2), stays as it is. */
export function listenError(error: unknown, { address, port }: Where): Error {
  if (!(error instanceof SocketError) || error.errno === undefined) throw error
  return error.syscall === 'setsockopt' ? error : uvException(error.errno, 'listen', address, port ?? undefined)
}

function attempt(where: Where, open: () => ListenerHandle): Outcome
function attempt(where: Where, open: () => ListenerHandle, isFirst: boolean): Outcome | undefined
function attempt(where: Where, open: () => ListenerHandle, isFirst = false): Outcome | undefined {
  try {
    return { where, handle: open() }
  } catch (error) {
    if (isFirst && isOfBind(error)) return undefined
    return { where, error: listenError(error, where) }
  }
}

/** libuv reports EADDRINUSE of bind(2) as an error of listen(2), after which node:net does not go on to IPv4. */
function isOfBind(error: unknown): boolean {
  return error instanceof SocketError && error.syscall !== 'listen' && error.code !== 'EADDRINUSE'
}

/** As node:net: 0 is the default. The kernel takes what is negative for very large: listen(2). */
function validBacklog(backlog: unknown): number {
  const number = Math.trunc(Number(backlog)) || DEFAULT_BACKLOG
  return number < 0 || number > INT_MAX ? INT_MAX : number
}

function onAddress({ address, port, flags = 0, addressType }: Where, options: ListenSettings): ListenerHandle {
  const isIpv6 = addressType === 6
  const ipv6Only = isIpv6 ? (flags & IPV6_ONLY) !== 0 : undefined
  return new ListenerHandle(Listener.bind({ ...options, ipv6Only, host: address, port } as ListenerOptions), true)
}

/** As libuv, the file is removed at the close unless `unlink` says otherwise. */
function onPath(path: string, options: ListenSettings): ListenerHandle {
  const isAbstract = path.startsWith('\0')
  const isTooLong = Buffer.byteLength(path) > (isAbstract ? PATH_SIZE : PATH_SIZE - 1)
  // Node 20 cuts it off there.
  if (isTooLong || (!isAbstract && path.includes('\0'))) throw systemError(EINVAL, 'bind')
  const listener = refusingAsLibuv(() => Listener.bind({ ...options, path } as ListenerOptions))
  return new ListenerHandle(listener, true, options.unlink === undefined ? path : undefined)
}

/** libuv has EACCES for a folder that is missing: uv_pipe_bind(). */
function refusingAsLibuv(bind: () => Listener): Listener {
  try {
    return bind()
  } catch (error) {
    if (error instanceof SocketError && error.code === 'ENOENT') throw systemError(EACCES, 'bind')
    throw error
  }
}

/** node:net has EINVAL for what is no stream socket. */
function ofDescriptor(fd: number, backlog: number, extras: Extras | undefined): ListenerHandle {
  try {
    return new ListenerHandle(Listener.bind({ ...extras, fd, backlog } as ListenerOptions), false)
  } catch (error) {
    if (error instanceof SocketError && NO_SOCKET.has(-error.errno!)) throw systemError(EINVAL, 'listen')
    throw error
  }
}

const NO_SOCKET = new Set([EBADF, ENOTSOCK, EPROTOTYPE])
