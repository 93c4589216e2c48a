import { channel } from 'node:diagnostics_channel'
import { addAbortListener } from 'node:events'
import { chmodSync, statSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { constants } from 'node:os'

import { invalidArgType, systemError } from '../errors.js'
import { currentLookup } from '../loop/names.js'
import { nextTick } from '../loop/timers.js'
import { Listener } from '../model/listener.js'
import { headerPolicy } from '../proxy-protocol/policy.js'
import { isPath, normalizeArguments, portNumber } from './arguments.js'
import { listenInCluster } from './cluster.js'
import { alreadyListening, errnoException } from './errors.js'
import {
  type Extras,
  type ListenOptions,
  backlogOf,
  extrasOf,
  flagsOf,
  invalidOptions,
  isAnyPort,
} from './listen-options.js'
import { ListenerHandle } from './listener-handle.js'
import { type NativeHandle, isNativeHandle, ownerOf } from './native-handle.js'
import { NODE_MAJOR } from '../node-version.js'
import { CREATED_HEADERS, HANDLE, HEADERS } from './fields.js'
import { type ServerState } from './server-state.js'

const startChannel = channel('tracing:net.server.listen:asyncStart')

/** `Server.prototype.listen`. */
export function listen<S extends ServerState>(this: S, ...args: unknown[]): S {
  const [given, callback] = normalizeArguments(args)
  if (this[HANDLE]) throw alreadyListening()
  const headers = headerPolicy(given.proxyProtocol) ?? this[CREATED_HEADERS]
  if (headers || this[HEADERS]) this[HEADERS] = headers
  if (startChannel.hasSubscribers) startChannel.publish({ server: this, options: given })
  if (callback) this.once('listening', callback)
  const backlog = backlogOf(args)
  const source = sourceOf(given)
  const handle = handleOf(source)
  this._listeningId++
  if (handle) {
    this[HANDLE] = handle
    listenInCluster(this, { address: null, port: -1, addressType: -1 }, backlog, true)
    return this
  }
  listenWith(this, source, args, backlog)
  return this
}

/** The options, or what stands in them for a handle. */
function sourceOf(given: ListenOptions): ListenOptions {
  // They have handles of their own.
  if (HANDLE in given || given instanceof Listener) return given
  const { _handle, handle, listener } = given
  return _handle || handle || (listener instanceof Listener ? listener : given)
}

/**
 * The handle that is there already: one of ours, or of Node.
 *
 * @throws SocketError EEXIST for a listener that is in use
 */
function handleOf(source: object): ListenerHandle | NativeHandle | null {
  if (HANDLE in source) return (source as ServerState)[HANDLE]
  if (source instanceof Listener) return overListener(source)
  const owner = ownerOf(source)
  if (owner) return owner
  return isNativeHandle(source) ? source : takeBound(source)
}

function overListener(listener: Listener): ListenerHandle {
  if (listener.poller) throw systemError(constants.errno.EEXIST, 'listen', listener.address, 'the listener is in use')
  return new ListenerHandle(listener, false)
}

/** The handle of a `BoundSocket`, which newer Nodes have. */
function takeBound(source: object): NativeHandle | null {
  const prototype = Object.getPrototypeOf(source) as object | null
  if (prototype?.constructor.name !== 'BoundSocket') return null
  const key = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'kBoundSocketConsume')
  return key ? (source as unknown as Record<symbol, () => NativeHandle>)[key]!() : null
}

function listenWith(
  server: ServerState,
  options: ListenOptions,
  args: readonly unknown[],
  given: number | false,
): void {
  const { fd, port, path, host } = options
  closeOnAbort(server, options)
  const extras = extrasOf(options)
  if (typeof fd === 'number' && fd >= 0) {
    return listenInCluster(server, { address: null, port: null, addressType: null, fd }, given, false, extras)
  }
  const backlog = options.backlog || given
  const exclusive = options.exclusive || options.reusePort === true
  const anyPort = isAnyPort(args, options)
  if (anyPort || typeof port === 'number' || typeof port === 'string') {
    const number = anyPort ? 0 : portNumber(port, 'options.port')
    const where = { address: null, port: number, addressType: 4, flags: flagsOf(options) }
    if (host) lookUpAndListen(server, host, where, backlog, exclusive, extras)
    else listenInCluster(server, where, backlog, exclusive, extras)
    return
  }
  if (path && isPath(path)) return listenOnPath(server, path, options, backlog, extras)
  const isLacking = !('port' in options || 'path' in options)
  throw invalidOptions(options, isLacking ? 'must have the property "port" or "path"' : undefined)
}

function closeOnAbort(server: ServerState, { signal }: ListenOptions): void {
  if (signal === undefined) return
  if (typeof signal !== 'object' || signal === null || !('aborted' in signal)) {
    throw invalidArgType('options.signal', 'an instance of AbortSignal', signal)
  }
  const close = (): void => void server.close()
  if (signal.aborted) return nextTick(close)
  const listening = addAbortListener(signal, close)
  server.once('close', () => listening[Symbol.dispose]())
}

type Endpoint = { readonly port: number; readonly addressType: number; readonly flags: number }

/** Off the thread: a replaced `dns.lookup` is asked. */
function lookUpAndListen(
  server: ServerState,
  host: string,
  endpoint: Endpoint,
  backlog: unknown,
  exclusive: unknown,
  extras: Extras | undefined,
): void {
  const listeningId = server._listeningId
  const listenOn = (address: string, family: number | undefined): void =>
    listenInCluster(server, { ...endpoint, address, addressType: family || 4 }, backlog, exclusive, extras)
  const done = (error: Error | null, found: string | Found[], family?: number): void => {
    if (listeningId !== server._listeningId) return
    if (error) return void server.emit('error', error)
    if (!Array.isArray(found)) return listenOn(found, family)
    const usable = found.find(({ address }) => !isLinkLocal(address)) ?? found[0]!
    listenOn(usable.address, usable.family)
  }
  // Node 20 asks for one address, with two arguments.
  const lookup = currentLookup()
  if (NODE_MAJOR < 22) lookup(host, done)
  else lookup(host, { all: true }, done)
}

interface Found {
  readonly address: string
  readonly family: number
}

/** fe80::/10, which cannot be bound without a zone. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address) && isIPv6(address)
}

function listenOnPath(
  server: ServerState,
  path: string,
  options: ListenOptions,
  backlog: unknown,
  extras: Extras | undefined,
): void {
  const { readableAll, writableAll, exclusive } = options
  if (path.startsWith('\0') && (readableAll || writableAll)) {
    throw invalidOptions(options, 'can not set readableAll or writableAllt to true when path is abstract unix socket')
  }
  server._pipeName = path
  const where = { address: path, port: -1, addressType: -1 }
  listenInCluster(server, where, backlog, exclusive, extras, { readableAll, writableAll })
  const bits = (readableAll === true ? READABLE_BY_ALL : 0) | (writableAll === true ? WRITABLE_BY_ALL : 0)
  if (server[HANDLE] && bits !== 0) allow(server, path, bits)
}

const READABLE_BY_ALL = 0o444
const WRITABLE_BY_ALL = 0o222

/** As uv_pipe_chmod(). */
function allow(server: ServerState, path: string, bits: number): void {
  try {
    // From the libuv of Node 22 on it sets these bits alone.
    chmodSync(path, NODE_MAJOR < 22 ? (statSync(path).mode & 0o7777) | bits : bits)
  } catch (error) {
    server[HANDLE]?.close()
    server[HANDLE] = null
    const { errno } = error as NodeJS.ErrnoException
    throw errno === undefined ? error : errnoException(errno, 'uv_pipe_chmod')
  }
}
