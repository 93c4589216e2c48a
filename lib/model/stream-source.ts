import { isMainThread } from 'node:worker_threads'

import type { SocketError } from '../errors.js'
import { collectFiles } from '../loop/file-transfers.js'
import * as native from '../native.js'
import { getsockopt, setsockopt } from '../options/index.js'
import { type TcpInfo, info, infoInto } from '../options/tcp-info.js'
import { boolean, integer } from '../validate.js'
import { type Address, toAddress } from './address.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from './inspect.js'
import { Source } from './source.js'

/** What is known of a socket that has been closed, or is closed next. */
interface Remains {
  /** The native handle while the queue is being sent, then -1. */
  handle: number
  readonly received: number
  sent: number
  /** What the kernel had not taken when the socket was closed, and may take later. */
  unsent: number
  readonly local: Address | undefined
  readonly remote: Address | undefined
  /** Why the queue was not sent, in the form of the native `failure`; 0 when it was. */
  failure: number
}

/** What the native side counts: bytes received, sent, and not taken by the kernel yet. */
const TOTALS = new Float64Array(3)
const TOTALS_BYTES = new Uint8Array(TOTALS.buffer)

let warnedOfBlocking = false

/** What can be asked of a socket and set on it: its state, addresses, counters, queue and options. */
export abstract class StreamSource extends Source {
  #remains: Remains | undefined = undefined
  #blocking = false

  /** @internal */
  protected override get kind(): string {
    return 'socket'
  }

  /** Bytes in the send queue. */
  get queued(): number {
    const handle = this.queueHandle()
    // EBADF: the queue has been sent, and the event that says so has not been handled.
    return handle < 0 ? 0 : Math.max(0, native.queued(handle))
  }

  /** @internal Bytes that the kernel has not taken: of the send queue, and of files. */
  get unsent(): number {
    const handle = this.queueHandle()
    return handle < 0 ? 0 : Math.max(0, native.unsent(handle))
  }

  /**
   * How many bytes the send queue holds; the last piece may exceed it. **Default:** 65536.
   *
   * @throws SocketClosedError once closed.
   */
  get sendQueueLimit(): number {
    return native.sendQueueLimit(this.openHandle('sendQueueLimit'))
  }

  /**
   * Takes effect with the next send; what is queued stays.
   *
   * @throws TypeError, RangeError for anything but an integer from 0 on; SocketClosedError once closed.
   */
  set sendQueueLimit(bytes: number) {
    integer(bytes, 0, Number.MAX_SAFE_INTEGER, 'sendQueueLimit')
    native.setSendQueueLimit(this.openHandle('sendQueueLimit'), bytes)
  }

  /**
   * `'connecting'` until an event, a use or an earlier read of this property met the outcome; `'closing'` while the
   * queue is sent after {@link close}.
   */
  get state(): native.SocketState {
    if (this.handle < 0) return this.queueHandle() < 0 ? 'closed' : 'closing'
    return native.STATES[stateBits(this) & native.STATE_MASK]!
  }

  /** Whether the peer's end has been received, or reading was shut down here. */
  get readEnded(): boolean {
    return this.handle < 0 || (stateBits(this) & native.STATE_READ_ENDED) !== 0
  }

  /** Whether nothing more is taken to be sent: shut down, closed, or broken. */
  get writeEnded(): boolean {
    return this.handle < 0 || (stateBits(this) & native.STATE_WRITE_ENDED) !== 0
  }

  /**
   * In blocking mode `receive` waits for some data and `send` for all of it to be taken: poll(2). Nothing else waits.
   * **Default:** false. On the main thread the first use emits a process warning, since Node stands still meanwhile.
   */
  get blocking(): boolean {
    return this.#blocking
  }

  /**
   * Takes effect with the next call.
   *
   * @throws TypeError for anything but a boolean; SocketClosedError once closed.
   */
  set blocking(blocking: boolean) {
    boolean(blocking, 'blocking')
    this.openHandle('blocking')
    this.#blocking = blocking
    if (blocking && isMainThread && !warnedOfBlocking) {
      warnedOfBlocking = true
      process.emitWarning(
        'A blocking socket on the main thread stops everything else while it waits. Use it in a worker.',
        'SocketBlockingWarning',
      )
    }
  }

  /** getsockname(2); undefined once closed, unless an error closed it, which was thrown. */
  get localAddress(): Address | undefined {
    return this.handle < 0 ? this.#remains?.local : toAddress(native.localAddress(this.handle))
  }

  /** getpeername(2), also after the peer's reset; undefined before connected, then as {@link localAddress}. */
  get remoteAddress(): Address | undefined {
    return this.handle < 0 ? this.#remains?.remote : toAddress(native.remoteAddress(this.handle))
  }

  /** Bytes received, over the socket's life. */
  get bytesReceived(): number {
    if (this.handle < 0) return this.#remains?.received ?? 0
    native.totals(this.handle, TOTALS_BYTES)
    return TOTALS[0]!
  }

  /** Bytes that the kernel has taken, over the socket's life, and after {@link close} while the queue is sent. */
  get bytesSent(): number {
    const handle = this.queueHandle()
    // EBADF: as in `queued`.
    if (handle < 0 || native.totals(handle, TOTALS_BYTES) < 0) return this.#remains?.sent ?? 0
    return TOTALS[1]!
  }

  /**
   * The bytes of any option: getsockopt(2). `length` is how many bytes the kernel is offered, 0 to 65536.
   * **Default:** 256.
   *
   * @throws as {@link getOption}; RangeError for a number that is no int.
   */
  getsockopt(level: number, name: number, length?: number): Buffer {
    const value = getsockopt(this.openHandle('getsockopt'), level, name, length)
    // SO_ERROR: the socket's pending error, which its owner is still to get.
    this.poller?.reportReady()
    return value
  }

  /**
   * Sets any option; a number or boolean is an int: setsockopt(2).
   *
   * @throws as {@link setOption}.
   */
  setsockopt(level: number, name: number, value: number | boolean | Uint8Array): void {
    setsockopt(this.openHandle('setsockopt'), level, name, value)
  }

  /**
   * What the kernel knows about the TCP connection: TCP_INFO.
   *
   * @throws SocketError ENOTSUP on a Unix socket; SocketClosedError once closed.
   */
  info(): TcpInfo {
    return info(this.openHandle('info'))
  }

  /**
   * As {@link info}, into the caller's array and without allocating, in the order of `TCP_INFO_FIELDS`.
   *
   * @returns how many fields were written; a later one, which this kernel does not give, is NaN.
   * @throws as {@link info}; TypeError for anything but a Float64Array.
   */
  infoInto(into: Float64Array): number {
    return infoInto(this.openHandle('infoInto'), into)
  }

  /** @internal */
  override queueHandle(): number {
    return this.handle < 0 ? (this.#remains?.handle ?? -1) : this.handle
  }

  /** @internal Remembers both addresses for after the close that follows. */
  keepAddresses(): void {
    if (this.handle < 0) return
    const { localAddress: local, remoteAddress: remote } = this
    this.#remains = { handle: -1, received: 0, sent: 0, unsent: 0, local, remote, failure: 0 }
  }

  /** @internal Keeps the counters. */
  override surrender(): number {
    native.totals(this.handle, TOTALS_BYTES)
    const kept = this.#remains
    this.#remains = {
      handle: -1,
      received: TOTALS[0]!,
      sent: TOTALS[1]!,
      unsent: TOTALS[2]!,
      local: kept?.local,
      remote: kept?.remote,
      failure: 0,
    }
    return super.surrender()
  }

  /** @internal Whether the connection broke; a receive throws the reason, after the input that came before. */
  get hasFailed(): boolean {
    return native.failure(this.handle) !== native.NO_FAILURE
  }

  /** @internal As {@link hasFailed}: why. Of an open socket. */
  get failure(): SocketError | undefined {
    const failure = native.failure(this.handle)
    // EBADF, negated, once closed.
    return failure < 0 ? undefined : native.failureError(failure)
  }

  /** @internal Why what was queued when the socket was closed has been lost; undefined when it has not. */
  get lostReason(): Error | undefined {
    const failure = this.#remains?.failure
    return failure ? native.failureError(failure) : undefined
  }

  /** @internal Closing it has lost what was corked, for an errno of send(2). */
  protected setLost(errno: number): void {
    this.#remains!.failure = errno | (native.FAILED_CALLS.indexOf('write') << native.FAILURE_CALL_SHIFT)
  }

  /** @internal Remembers where the queue of a closed socket is, -1 for nowhere. */
  protected setQueueHandle(handle: number): void {
    this.#remains!.handle = handle
  }

  /** @internal A queue that is not empty is sent from elsewhere. */
  override leave(handle: number, failure = 0): void {
    super.leave(handle)
    collectFiles(handle)
    if (this.#remains?.handle !== handle || native.unsent(handle) > 0) return
    this.#remains.handle = -1
    this.#remains.failure = failure
    if (failure === 0) this.setSent()
  }

  /** @internal What was queued when the socket was closed has been sent. */
  protected setSent(): void {
    this.#remains!.sent += this.#remains!.unsent
    this.#remains!.unsent = 0
  }

  /** @internal What is queued still is dropped. */
  protected keepSent(): void {
    this.#remains!.sent = this.bytesSent
  }

  /** @internal */
  [CUSTOM_INSPECT](...how: Inspect): string {
    const read = () => {
      const { state, localAddress, remoteAddress, bytesReceived, bytesSent, queued, fd } = this
      return { state, localAddress, remoteAddress, bytesReceived, bytesSent, queued, fd }
    }
    return summarize('Socket', read, how)
  }
}

/** Reading the state of a socket that connects may find that it has failed. A function, as in source.ts. */
function stateBits({ handle, poller }: StreamSource): number {
  const bits = native.state(handle)
  if ((bits & native.STATE_MASK) === native.STATE_CONNECTING) poller?.reportReady()
  return bits
}
