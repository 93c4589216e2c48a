import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'

import * as native from '../../index.js'
import { type Address, type Place, bind, connect, familyOf, inetPlace, toAddress, unixPlace } from './address.js'
import { SocketClosedError, invalidArgType, outOfRange, systemError } from '../errors.js'
import { home } from '../loop/shared-poller.js'
import { Guard } from './leak.js'
import {
  type OptionName,
  type OptionValue,
  SETTABLE_OPTION_NAMES,
  type SettableOptionName,
  type SettableOptions,
  type SocketOptions,
  applyOptions,
  getOption,
  getsockopt,
  setOption,
  setsockopt,
} from '../options/index.js'
import { SLICE, Source } from './source.js'
import { type TcpInfo, info, infoInto } from '../options/tcp-info.js'
import { boolean, integer, oneOf, options as checkOptions, partLength } from '../validate.js'

/** What became of the data given to {@link Socket.send}. */
export type SendStatus = 'sent' | 'partially-sent' | 'queued' | 'not-sent' | 'closed'

/** Where a socket is in its life. */
export type SocketState = 'connecting' | 'open' | 'closing' | 'closed'

/** Which half {@link Socket.shutdown} ends. */
export type ShutdownHow = 'read' | 'write' | 'both'

/** Where {@link Socket.connect} connects to, and from where. */
export interface SocketConnectOptions extends SocketOptions {
  /** A numeric IPv4 or IPv6 address (`fe80::1%eth0` too). **Default:** `'127.0.0.1'`. */
  readonly host?: string | undefined
  /** 0 to 65535. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of host and port; abstract when it begins with `\0`. */
  readonly path?: string | undefined
  /** The numeric address to connect from. **Default:** the kernel's choice. */
  readonly localAddress?: string | undefined
  /** The port to connect from. **Default:** 0, the kernel's choice. */
  readonly localPort?: number | undefined
}

const EAGAIN = constants.errno.EAGAIN
/** What the native side returns for an argument that is no Uint8Array. */
const NOT_BYTES = -(2 ** 31)

const STATUSES: readonly SendStatus[] = ['sent', 'partially-sent', 'queued', 'not-sent', 'closed']
const STATES: readonly SocketState[] = ['connecting', 'open', 'closing', 'closed']
const HOWS: readonly ShutdownHow[] = ['read', 'write', 'both']
/** By what the native side says that a socket died of. */
const CALLS = ['read', 'write', 'connect'] as const

const NOTHING = new Uint8Array(0)

/** What is left of a socket that has been closed. */
interface Remains {
  /** The native handle while the queue goes out, then -1. */
  handle: number
  readonly received: number
  readonly sent: number
}

/** What the native side counts: bytes received and sent. */
const TOTALS = new Float64Array(2)
const TOTALS_BYTES = new Uint8Array(TOTALS.buffer)

/** @internal What takes a name. */
export const NAME_HINT = 'resolve names first, as node:dns does'
/** By family: the local address that leaves the choice to the kernel. */
const ANYWHERE = { 4: '0.0.0.0', 6: '::' } as const

const CONNECT_KEYS = ['host', 'port', 'path', 'localAddress', 'localPort', ...SETTABLE_OPTION_NAMES]

const guard = new Guard<number>('Socket', native.close)

let warnedOfBlocking = false

/** A non-blocking TCP or Unix stream socket: socket(2), connect(2), recv(2), send(2). */
export class Socket extends Source {
  /** Where it was to connect to, for the error that says that it could not. */
  readonly #remote: Place | undefined
  #remains: Remains | undefined = undefined
  #blocking = false

  private constructor(handle: number, remote?: Place) {
    super(handle)
    this.#remote = remote
  }

  /** @internal */
  static of(handle: number): Socket {
    return new Socket(handle)
  }

  /** @internal */
  protected override get guard(): Guard<number> {
    return guard
  }

  /**
   * Starts to connect, and never waits: socket(2), bind(2) where a local address is given, connect(2).
   *
   * The socket is `'connecting'` at once, and takes data to send. The outcome comes as readiness: writable when
   * connected, an event with `error` when not; the first use of a failed socket throws the reason.
   *
   * @throws TypeError, RangeError for bad options.
   * @throws SocketError of socket(2), setsockopt(2) or bind(2), such as EADDRINUSE, EADDRNOTAVAIL or EMFILE.
   */
  static connect(options: SocketConnectOptions): Socket {
    checkOptions(options, CONNECT_KEYS)
    const remote = remotePlace(options)
    const local = localPlace(options, remote)
    const socket = new Socket(must(native.open(remote.family), 'socket'), remote).guarded()
    try {
      applyOptions(socket.handle, remote.family, options, 'connect')
      if (local) must(bind(socket.handle, local), 'bind', local)
      must(connect(socket.handle, remote), 'connect', remote)
    } catch (error) {
      socket.close()
      throw error
    }
    return socket
  }

  /**
   * Takes over a connected (or connecting) stream socket, made non-blocking and close-on-exec: fcntl(2).
   *
   * @throws SocketError EBADF, ENOTSOCK, EPROTOTYPE (not a stream), ENOTCONN, EEXIST (this library has it already);
   * the descriptor then stays as it was.
   */
  static adopt(fd: number): Socket {
    return new Socket(must(native.adoptSocket(integer(fd, 0, 2 ** 31 - 1, 'fd')), 'adopt')).guarded()
  }

  /**
   * Receives into `into`, or into `length` bytes of it from `offset` on, without waiting: recv(2).
   *
   * @returns how many bytes came; 0 when the peer has ended (and `into` is not touched); null when nothing waits now.
   * @throws SocketError why the connection ended, after all data that came before; the socket is closed then.
   * @throws SocketClosedError once closed.
   * @throws RangeError when `into` (or the part) is empty, detached or too short: ERR_OUT_OF_RANGE.
   */
  receive(into: Uint8Array, offset?: number, length?: number): number | null {
    this.#recall()
    let count = this.#receive(into, offset, length)
    while (count === -EAGAIN && this.#blocking) {
      this.#sleep(false)
      count = this.#receive(into, offset, length)
    }
    if (count > 0) return count
    return count === -EAGAIN ? null : this.#nothingReceived('receive', count, into)
  }

  /** What the running batch has received for a handler that has not been called yet comes first. */
  #recall(): void {
    const { poller } = this
    if (poller?.hasInput) poller.putBack(this)
  }

  #receive(into: Uint8Array, offset: number | undefined, length: number | undefined): number {
    if (offset === undefined && length === undefined) return native.receive(this.handle, into)
    if (!(into instanceof Uint8Array)) return NOT_BYTES
    const part = partLength(into, offset, length)
    if (part === 0) throw outOfRange('length', '>= 1', part)
    return native.receive(this.handle, into, offset ?? 0, part)
  }

  /** As {@link receive}, but the bytes stay: MSG_PEEK. */
  peek(into: Uint8Array): number | null {
    this.#recall()
    let count = native.peek(this.handle, into)
    while (count === -EAGAIN && this.#blocking) {
      this.#sleep(false)
      count = native.peek(this.handle, into)
    }
    if (count > 0) return count
    return count === -EAGAIN ? null : this.#nothingReceived('peek', count, into)
  }

  #nothingReceived(verb: string, count: number, into: Uint8Array): 0 {
    if (count === NOT_BYTES) throw invalidArgType('into', 'a Uint8Array', into)
    this.#openHandle(verb)
    if (into.byteLength === 0) throw outOfRange('into.byteLength', '>= 1 (it is empty or detached)', into.byteLength)
    if (count < 0) throw this.#fail(-count)
    return 0
  }

  /**
   * Sends without waiting: send(2), or sendmsg(2) for all pieces of an array in one call. What the kernel does not take is copied
   * into the send queue, and goes out by itself. Strings are sent as UTF-8; of one array, `offset` and `length` choose a
   * part, without a view of it having to be made.
   *
   * `'sent'`, `'partially-sent'` and `'queued'` mean that the caller has nothing more to do, and may reuse its buffer.
   * `'not-sent'`: nothing was taken, the queue is full; try again when writable. `'closed'`: nothing was taken, nothing
   * can be sent any more.
   *
   * @throws SocketError why connecting failed, once; ENOBUFS or ENOMEM, with nothing taken.
   * @throws RangeError for a part that is not within the array.
   */
  send(data: Uint8Array | string | readonly Uint8Array[], offset?: number, length?: number): SendStatus {
    const status =
      offset === undefined && length === undefined ? this.#send(data) : this.#sendPart(data, offset, length)
    if (status === 0) return 'sent'
    if (status > 0) {
      if (this.#blocking && status < 4) return status === 3 ? this.#sendRest(data, offset, length) : this.#sendRest()
      if (this.poller === undefined && status < 3) home().empty(this, this.handle)
      return STATUSES[status]!
    }
    if (status === NOT_BYTES) throw invalidArgType('data', 'a Uint8Array, a string or an array of Uint8Arrays', data)
    if (this.handle < 0) return 'closed'
    throw native.failure(this.handle) < 0 ? systemError(-status, 'write') : this.#fail(-status)
  }

  /**
   * Blocking mode: sleeps until the queue has gone out, then sends what it had no room for; of nothing, `send` still
   * tells what became of the connection.
   */
  #sendRest(data: Uint8Array | string | readonly Uint8Array[] = NOTHING, offset?: number, length?: number): SendStatus {
    while (native.flush(this.handle) === 0) this.#sleep(true)
    return this.send(data, offset, length)
  }

  /**
   * Sleeps this thread until the socket is ready, by slices: between them V8 can end the worker.
   */
  #sleep(write: boolean): void {
    native.sleepOn(this.handle, write, SLICE)
  }

  #send(data: Uint8Array | string | readonly Uint8Array[]): number {
    if (typeof data === 'string') return native.send(this.handle, Buffer.from(data))
    return Array.isArray(data)
      ? native.sendPieces(this.handle, data as Uint8Array[])
      : native.send(this.handle, data as Uint8Array)
  }

  #sendPart(
    data: Uint8Array | string | readonly Uint8Array[],
    offset: number | undefined,
    length: number | undefined,
  ): number {
    if (!(data instanceof Uint8Array))
      throw invalidArgType('data', 'a Uint8Array, where a part of it is to be sent', data)
    return native.send(this.handle, data, offset ?? 0, partLength(data, offset, length))
  }

  /** @internal Gives back what has been received and is not wanted now: it comes first again. */
  putBack(chunk: Uint8Array): void {
    native.unread(this.handle, chunk)
  }

  /**
   * @internal What there is room for of a part that has been checked, to the byte: how many bytes were taken, -1 when
   * nothing can be sent any more.
   */
  write(bytes: Uint8Array, gather: boolean, offset = 0, length = bytes.length): number {
    const whole = length === bytes.length
    const taken = whole
      ? native.write(this.handle, bytes, gather)
      : native.write(this.handle, bytes, gather, offset, length)
    return taken < 0 ? -1 : taken
  }

  /** Tries to empty the send queue now, in no mode waiting; tells whether it is empty. The multiplexer does so by itself. */
  flush(): boolean {
    const handle = this.#lastHandle()
    return handle < 0 || native.flush(handle) !== 0
  }

  /** Bytes in the send queue. */
  get queued(): number {
    const handle = this.#lastHandle()
    return handle < 0 ? 0 : native.queued(handle)
  }

  /** How many bytes the send queue takes; the last piece may go over. **Default:** 65536. */
  get sendQueueLimit(): number {
    return native.sendQueueLimit(this.#openHandle('sendQueueLimit'))
  }

  /** Takes effect with the next send; what is queued stays. */
  set sendQueueLimit(bytes: number) {
    integer(bytes, 0, Number.MAX_SAFE_INTEGER, 'sendQueueLimit')
    native.setSendQueueLimit(this.#openHandle('sendQueueLimit'), bytes)
  }

  /**
   * Ends one half of the connection or both: shutdown(2). Writing ends after the queue has gone out, and the peer
   * then reads its end; reading ends at once, and what still comes is dropped.
   *
   * @throws SocketError ENOTCONN when the connection is gone.
   */
  shutdown(how: ShutdownHow = 'write'): void {
    oneOf(how, HOWS, 'how')
    this.#recall()
    const result = native.shutdown(this.#openHandle('shutdown'), HOWS.indexOf(how))
    if (result < 0) throw native.failure(this.handle) < 0 ? systemError(-result, 'shutdown') : this.#fail(-result)
    // What has to happen before a half ends, and input that is to be dropped, needs somebody to watch the socket.
    const waits = how !== 'write' || this.queued > 0 || this.state === 'connecting'
    if (waits && this.poller === undefined) home().empty(this, this.handle)
  }

  /**
   * Closes gracefully, without waiting: what is queued goes out first, and holds the process until it has.
   * Closing twice is harmless.
   */
  override close(): void {
    const { poller } = this
    if (this.handle < 0) return
    const registration = poller?.registrationOf(this)
    const handle = this.surrender()
    const closed = native.close(handle)
    if (closed === 0) {
      if (registration) poller?.forget(registration)
      return
    }
    this.#remains!.handle = handle
    registration?.write(0)
    if (closed === 2) home().empty(this, handle)
  }

  /** Closes at once, by RST on TCP; what is queued is dropped: SO_LINGER 0, close(2). */
  reset(): void {
    const registration = this.poller?.registrationOf(this)
    const handle = this.handle < 0 ? this.#lastHandle() : this.surrender()
    if (handle < 0) return
    this.#remains!.handle = -1
    native.reset(handle)
    if (registration) this.poller?.forget(registration)
  }

  /** @internal Keeps the counters. */
  override surrender(): number {
    native.totals(this.handle, TOTALS_BYTES)
    this.#remains = { handle: -1, received: TOTALS[0]!, sent: TOTALS[1]! }
    return super.surrender()
  }

  /** @internal */
  override left(handle: number): void {
    super.left(handle)
    if (this.#remains?.handle === handle) this.#remains.handle = -1
  }

  /**
   * `'connecting'` until an event, a use or an earlier look at this property met the outcome; `'closing'` while the queue goes out after {@link close}.
   */
  get state(): SocketState {
    if (this.handle < 0) return this.#lastHandle() < 0 ? 'closed' : 'closing'
    return STATES[native.state(this.handle) & 3]!
  }

  /** Whether the peer's end has been received, or reading was shut down here. */
  get readEnded(): boolean {
    return this.handle < 0 || (native.state(this.handle) & 4) !== 0
  }

  /** Whether nothing more is taken to be sent: shut down, closed, or broken. */
  get writeEnded(): boolean {
    return this.handle < 0 || (native.state(this.handle) & 8) !== 0
  }

  /**
   * In blocking mode {@link receive} waits for some data and {@link send} for all of it to be taken: poll(2). Nothing
   * else waits. **Default:** false. On the main thread a process warning tells, once, that Node stands still meanwhile.
   */
  get blocking(): boolean {
    return this.#blocking
  }

  /** Takes effect with the next call. */
  set blocking(blocking: boolean) {
    boolean(blocking, 'blocking')
    this.#openHandle('blocking')
    this.#blocking = blocking
    if (blocking && isMainThread && !warnedOfBlocking) {
      warnedOfBlocking = true
      process.emitWarning(
        'A blocking socket on the main thread stops everything else while it waits. Use it in a worker.',
        'SocketBlockingWarning',
      )
    }
  }

  /** getsockname(2); undefined once closed. */
  get localAddress(): Address | undefined {
    return toAddress(native.localAddress(this.handle))
  }

  /** getpeername(2); undefined before connected and once closed. */
  get remoteAddress(): Address | undefined {
    return toAddress(native.remoteAddress(this.handle))
  }

  /** Bytes received, over the socket's life. */
  get bytesReceived(): number {
    if (this.handle < 0) return this.#remains?.received ?? 0
    native.totals(this.handle, TOTALS_BYTES)
    return TOTALS[0]!
  }

  /** Bytes that the kernel has taken, over the socket's life; what the queue sends after {@link close} is not counted. */
  get bytesSent(): number {
    if (this.handle < 0) return this.#remains?.sent ?? 0
    native.totals(this.handle, TOTALS_BYTES)
    return TOTALS[1]!
  }

  /** Reads an option of the kernel: getsockopt(2). */
  getOption<K extends OptionName>(name: K): OptionValue<K> {
    return getOption(this.#openHandle('getOption'), this.#family(), name)
  }

  /** Sets an option of the kernel: setsockopt(2). */
  setOption<K extends SettableOptionName>(name: K, value: SettableOptions[K]): void {
    setOption(this.#openHandle('setOption'), this.#family(), name, value)
  }

  /** The bytes of any option: getsockopt(2). */
  getsockopt(level: number, name: number, length?: number): Buffer {
    return getsockopt(this.#openHandle('getsockopt'), level, name, length)
  }

  /** Sets any option; a number or boolean is an int: setsockopt(2). */
  setsockopt(level: number, name: number, value: number | boolean | Uint8Array): void {
    setsockopt(this.#openHandle('setsockopt'), level, name, value)
  }

  /** What the kernel knows about the TCP connection: TCP_INFO. */
  info(): TcpInfo {
    return info(this.#openHandle('info'))
  }

  /** As {@link info}, into the caller's array and without allocating; returns how many fields were written. */
  infoInto(into: Float64Array): number {
    return infoInto(this.#openHandle('infoInto'), into)
  }

  #family(): 4 | 6 | 0 {
    return familyOf(this.localAddress)
  }

  /** The handle that is still good for the queue, also after `close`. */
  #lastHandle(): number {
    return this.handle < 0 ? (this.#remains?.handle ?? -1) : this.handle
  }

  #openHandle(verb: string): number {
    if (this.handle < 0) throw new SocketClosedError(`${verb}: the socket is closed`)
    return this.handle
  }

  /** The connection is dead: closes what is left of it, and says why. */
  #fail(errno: number): Error {
    const failure = native.failure(this.handle)
    const syscall = CALLS[failure >> 16] ?? 'read'
    this.close()
    return systemError(
      failure < 0 ? errno : failure & 0xffff,
      syscall,
      syscall === 'connect' ? this.#remote : undefined,
    )
  }
}

function remotePlace(options: SocketConnectOptions): Place {
  if (options.path !== undefined) {
    const inet = [options.host, options.port, options.localAddress, options.localPort]
    if (inet.some((value) => value !== undefined))
      throw invalidArgType('options', 'either path, or host and port', options)
    return unixPlace(options.path)
  }
  const { host = '127.0.0.1', port } = options
  return inetPlace(host, port, NAME_HINT)
}

function localPlace({ localAddress, localPort = 0 }: SocketConnectOptions, remote: Place): Place | undefined {
  if (remote.family === 0 || (localAddress === undefined && localPort === 0)) return undefined
  const address = localAddress === undefined ? ANYWHERE[remote.family] : localAddress
  return inetPlace(address, localPort, NAME_HINT, { host: 'localAddress', port: 'localPort' })
}

function must(result: number, syscall: string, place?: Place): number {
  if (result < 0) throw systemError(-result, syscall, place)
  return result
}
