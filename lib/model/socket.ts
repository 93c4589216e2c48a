import { constants } from 'node:os'

import { type SocketError, invalidArgType, invalidState, outOfRange, systemError } from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import { flush } from '../loop/file-transfers.js'
import { isUnfinished } from '../loop/registration-table.js'
import * as native from '../native.js'
import { checkOptionValues } from '../options/index.js'
import { INT_MAX, integer, isUint8Array, oneOf, partLength } from '../validate.js'
import { type Address, type SockAddr, familyOf, toAddress } from './address.js'
import { type SocketConnectOptions, connectHandle, socketAddresses } from './connect-options.js'
import { type DetachedSocket, idOf, targetOf, toTarget } from './detached-socket.js'
import { LeakGuard } from './leak.js'
import { openSocket } from './multipath.js'
import { PassingSource } from './passing-source.js'

const { EAGAIN, EBUSY, ENOENT } = constants.errno

const EMPTY = new Uint8Array(0)
const PROBE = new Uint8Array(1)

const guard = new LeakGuard<number>('Socket', native.close)

/** A non-blocking TCP or Unix stream socket: socket(2), connect(2), recv(2), send(2). */
export class Socket extends PassingSource {
  /** Where it connects to, for the error of a connect that fails. */
  readonly #remote: Address | SockAddr | undefined

  private constructor(handle: number, remote?: Address | SockAddr) {
    super(handle)
    this.#remote = remote
  }

  /** @internal */
  static of(handle: number): Socket {
    return new Socket(handle)
  }

  /** @internal */
  protected override get guard(): LeakGuard<number> {
    return guard
  }

  /** @internal */
  protected override get target(): Address | undefined {
    return toTarget(this.#remote)
  }

  /**
   * Starts to connect, and never waits: socket(2), bind(2) where a local address is given, connect(2).
   *
   * The socket is `'connecting'` at once, and takes data to send. The outcome is reported as readiness: writable when
   * connected, an event with `error` when not; the first use of a failed socket throws the reason.
   *
   * @throws TypeError, RangeError for bad options.
   * @throws SocketError of socket(2), setsockopt(2) or bind(2), such as EADDRINUSE, EADDRNOTAVAIL or EMFILE.
   */
  static connect(options: SocketConnectOptions): Socket {
    const { remote, local } = socketAddresses(options)
    const handle = openSocket(remote.family, options)
    try {
      connectHandle(handle, remote.family, remote, local, options)
    } catch (error) {
      native.close(handle)
      throw error
    }
    return new Socket(handle, remote).guarded()
  }

  /**
   * @internal As {@link connect}, by a stream socket of the program's that is not connected yet, and may be bound. It is
   * taken over as by {@link adopt}.
   *
   * @throws as {@link connect}; SocketError EBADF, ENOTSOCK, EPROTOTYPE, EEXIST as {@link adopt}, EISCONN (connected, or
   * a listener), EALREADY (connecting). After any of them the descriptor is the caller's, and stays open.
   */
  static connectDescriptor(fd: number, options: SocketConnectOptions): Socket {
    const { remote, local } = socketAddresses(options)
    // Adopting changes flags of the descriptor, which has to stay as it was when an option is wrong.
    checkOptionValues(options)
    const handle = native.checkOwned(native.adoptUnconnected(integer(fd, 0, INT_MAX, 'fd')), 'connect', fd)
    try {
      connectHandle(handle, familyOf(toAddress(native.localAddress(handle))), remote, local, options)
    } catch (error) {
      native.disown(handle)
      throw error
    }
    return new Socket(handle, remote).guarded()
  }

  /**
   * Takes over a connected (or connecting) stream socket, and makes it non-blocking and close-on-exec: fcntl(2).
   *
   * @throws SocketError EBADF, ENOTSOCK, EPROTOTYPE (not a stream), ENOTCONN, EEXIST (a Socket or Listener of this
   * process has it already, also of another thread, or a multiplexer of this thread watches it); the descriptor then
   * stays as it was. TypeError, RangeError for anything but a descriptor number.
   */
  static adopt(fd: number): Socket {
    const handle = native.adoptSocket(integer(fd, 0, INT_MAX, 'fd'))
    return new Socket(native.checkOwned(handle, 'adopt', fd)).guarded()
  }

  /**
   * Takes over a socket that has been detached, in this thread or another one of the process, once. It is as it was, with
   * what was unread and queued; an end that was received before is reported again.
   *
   * @throws Error ERR_INVALID_STATE when it has been attached already, when the thread that detached it has ended, and for
   * an object of another process; TypeError for anything but a {@link DetachedSocket} or a copy of one; SocketError ENFILE.
   */
  static attach(detached: DetachedSocket): Socket {
    const handle = native.attach(idOf(detached))
    if (handle === -ENOENT) throw invalidState('attach: the socket is gone: it was attached, or its thread has ended')
    native.check(handle, 'attach')
    const socket = new Socket(handle, targetOf(detached)).guarded()
    if (isUnfinished(handle)) flushInBackground(socket, handle)
    return socket
  }

  /**
   * Receives into `into`, or into `length` bytes of it from `offset` on, without waiting: recv(2).
   *
   * @returns how many bytes came; 0 when the peer has ended (`into` is not touched); null when nothing is there now.
   * @throws SocketError why the connection broke, after all data that came before; the socket is then closed.
   * @throws SocketClosedError once closed.
   * @throws TypeError for anything but a Uint8Array; RangeError when `into` (or the part) is empty, detached or too
   * short: ERR_OUT_OF_RANGE.
   */
  receive(into: Uint8Array, offset?: number, length?: number): number | null {
    this.poller?.unreadInput(this)
    let count = this.#receive(into, offset, length)
    while (count === -EAGAIN && this.blocking) {
      this.#sleep(false)
      count = this.#receive(into, offset, length)
    }
    if (count > 0) return count
    return count === -EAGAIN ? null : this.#nothingReceived('receive', count, into)
  }

  #receive(into: Uint8Array, offset: number | undefined, length: number | undefined): number {
    if (offset === undefined && length === undefined) return native.receive(this.handle, into)
    if (!isUint8Array(into)) return native.NOT_BYTES
    const part = partLength(into, offset, length)
    if (part === 0) throw outOfRange('length', '>= 1', part)
    return native.receive(this.handle, into, offset ?? 0, part)
  }

  /** @internal As {@link receive}, into a part of a pool, which needs no checks. */
  receiveChunk(pool: Uint8Array, offset: number, length: number): number | null {
    this.poller?.unreadInput(this)
    const count = native.receive(this.handle, pool, offset, length)
    if (count > 0) return count
    if (count !== -EAGAIN) return this.#nothingReceived('receive', count, pool)
    return this.blocking ? this.receive(pool, offset, length) : null
  }

  /**
   * As {@link receive}, but the bytes stay: MSG_PEEK.
   *
   * @throws as {@link receive}.
   */
  peek(into: Uint8Array): number | null {
    this.poller?.unreadInput(this)
    let count = native.peek(this.handle, into)
    while (count === -EAGAIN && this.blocking) {
      this.#sleep(false)
      count = native.peek(this.handle, into)
    }
    if (count > 0) return count
    return count === -EAGAIN ? null : this.#nothingReceived('peek', count, into)
  }

  /** @internal Why the connect failed, which the first use throws; undefined if it has not. */
  connectFailure(): SocketError | undefined {
    try {
      this.peek(PROBE)
      return undefined
    } catch (error) {
      return error as SocketError
    }
  }

  #nothingReceived(verb: string, count: number, into: Uint8Array): 0 {
    if (count === native.NOT_BYTES) throw invalidArgType('into', 'a Uint8Array', into)
    this.openHandle(verb)
    if (into.byteLength === 0) throw outOfRange('into.byteLength', '>= 1 (it is empty or detached)', into.byteLength)
    if (count < 0) throw count === -EBUSY ? systemError(EBUSY, 'read') : this.#fail(-count)
    return 0
  }

  /** @internal Gives back bytes that have been received: the next receive gets them first. */
  unread(chunk: Uint8Array): void {
    native.unread(this.handle, chunk)
  }

  /**
   * Sends without waiting: send(2), or sendmsg(2) for all pieces of an array in one call. What the kernel does not take
   * is copied into the send queue, and is sent as soon as the kernel has room. Strings are sent as UTF-8. `offset` and
   * `length` choose a part of one array, without a view of it having to be made.
   *
   * `'sent'`, `'partially-sent'` and `'queued'` mean that the caller has nothing more to do, and may reuse its buffer.
   * `'not-sent'`: nothing was taken, the queue is full; try again when writable. `'closed'`: nothing was taken, nothing
   * can be sent any more.
   *
   * @throws SocketError the reason why connecting failed, once; ENOBUFS or ENOMEM, with nothing taken: a multiplexer
   * reports the socket as writable when it is time to try again, after 100 ms. ENOMEM is also thrown when the kernel has
   * taken a part, and there is no memory for the rest: the socket is then closed, by RST.
   * @throws TypeError for other data; RangeError for a part that is not within the array.
   */
  send(data: Uint8Array | string | readonly Uint8Array[], offset?: number, length?: number): native.SendStatus {
    const status =
      offset === undefined && length === undefined ? this.#send(data) : this.#sendPart(data, offset, length)
    if (status === 0) return 'sent'
    if (status > 0) {
      if (this.blocking && status < native.SEND_CLOSED) {
        return status === native.NOT_SENT ? this.#sendRest(data, offset, length) : this.#sendRest()
      }
      if (status < native.NOT_SENT) flushInBackground(this, this.handle)
      else if (status === native.SEND_CLOSED) this.poller?.reportReady()
      return native.SEND_STATUSES[status]!
    }
    if (status === native.NOT_BYTES) {
      throw invalidArgType('data', 'a Uint8Array, a string or an array of Uint8Arrays', data)
    }
    if (this.handle < 0) return 'closed'
    throw this.reasonFor(-status, 'write')
  }

  #send(data: Uint8Array | string | readonly Uint8Array[]): number {
    if (typeof data === 'string') return native.send(this.handle, Buffer.from(data))
    return Array.isArray(data)
      ? native.sendPieces(this.handle, data as Uint8Array[])
      : native.send(this.handle, data as Uint8Array)
  }

  #sendPart(data: unknown, offset: number | undefined, length: number | undefined): number {
    if (!isUint8Array(data)) {
      throw invalidArgType('data', 'a Uint8Array, where a part of it is to be sent', data)
    }
    return native.send(this.handle, data, offset ?? 0, partLength(data, offset, length))
  }

  /**
   * Blocking mode: sleeps until the queue has been sent, then sends what it had no room for. An empty send returns
   * `'closed'` if the connection broke meanwhile.
   */
  #sendRest(
    data: Uint8Array | string | readonly Uint8Array[] = EMPTY,
    offset?: number,
    length?: number,
  ): native.SendStatus {
    while (flush(this.handle, true) === 0) this.#sleep(true)
    return this.send(data, offset, length)
  }

  /** Puts this thread to sleep until the socket is ready, for one slice at most. */
  #sleep(write: boolean): void {
    native.sleepOn(this.handle, write, native.SLEEP_SLICE)
  }

  /**
   * @internal Sends as much of a part that has been checked as there is room for, to the byte. With `cork`, a small
   * write waits in the queue for a flush.
   *
   * @returns how many bytes were taken; an errno, negated, when nothing can be sent any more: ENOMEM when there was no
   * memory for a queue without limit, and else EPIPE
   */
  write(bytes: Uint8Array, cork: boolean, offset = 0, length = bytes.length): number {
    const taken =
      length === bytes.length
        ? native.write(this.handle, bytes, cork)
        : native.write(this.handle, bytes, cork, offset, length)
    if (taken < 0) this.poller?.reportReady()
    return taken
  }

  /**
   * Tries to empty the send queue now, without waiting in any mode; the multiplexer does so by itself.
   *
   * @returns whether the queue is empty
   */
  flush(): boolean {
    const handle = this.queueHandle()
    if (handle < 0) return true
    const flushed = flush(handle)
    if (this.handle < 0) this.#leaveIfClosed(handle)
    // The connection broke, or is writable again.
    else if (flushed !== 0) this.poller?.reportReady()
    return flushed !== 0
  }

  /** A flush that sends the whole queue of a closing socket closes it; its multiplexer may not be waited for. */
  #leaveIfClosed(handle: number): void {
    const { poller } = this
    const registration = native.queued(handle) < 0 ? poller?.registrations.at(handle) : undefined
    if (!poller || !registration) return
    poller.forget(registration)
    const { watcher } = registration
    if (watcher?.onDetached) poller.defer(() => watcher.onDetached!())
  }

  /**
   * Ends one half of the connection or both: shutdown(2). Writing ends after the queue has been sent, and the peer
   * then reads the end; reading ends at once, and further input is discarded.
   *
   * @throws SocketError ENOTCONN when the connection is gone; the reason why connecting failed.
   * @throws SocketClosedError once closed; TypeError for another half.
   */
  shutdown(how: native.ShutdownHow = 'write'): void {
    oneOf(how, native.HALVES, 'how')
    this.poller?.unreadInput(this)
    const result = native.shutdown(this.openHandle('shutdown'), native.HALVES.indexOf(how))
    if (result < 0) throw this.reasonFor(-result, 'shutdown')
    // A queue that goes first, and input that is dropped as it comes, need a poller.
    const needsPoller = how !== 'write' || this.unsent > 0 || this.state === 'connecting'
    if (needsPoller) flushInBackground(this, this.handle)
    if (how !== 'write') this.poller?.reportReady()
  }

  /** @internal Why a call failed: the connection is dead, which closes the socket, or only it was refused, as EBUSY. */
  override reasonFor(errno: number, syscall: string): Error {
    return this.hasFailed && errno !== EBUSY ? this.#fail(errno) : systemError(errno, syscall)
  }

  /** The connection is dead: closes what is left of it, and returns the reason, which its watcher gets too. */
  #fail(errno: number): Error {
    const { poller } = this
    const watcher = poller?.registrations.of(this)?.watcher
    const failure = native.failure(this.handle)
    this.keepAddresses()
    this.closeByWatcher()
    const error =
      failure === native.NO_FAILURE ? systemError(errno, 'read') : native.failureError(failure, this.#remote)
    if (watcher?.onBroken) poller!.defer(() => watcher.onBroken!(error))
    return error
  }
}
