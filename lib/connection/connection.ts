import { SocketClosedError, illegalConstructor } from '../errors.js'
import type { ReadyEvent } from '../model/event.js'
import type { Socket } from '../model/socket.js'
import { DEFAULT_SEND_QUEUE_LIMIT, type InterestBits, NONE, type SocketState, WRITE } from '../native.js'
import { milliseconds } from '../validate.js'
import { Adaptable } from './adaptable.js'
import type { ReadyState } from './endpoints.js'
import { type Handlers, callHandler, reportError } from './handlers.js'
import { IdleTimer } from './idle-timer.js'
import type { ConnectionOwner } from './owner.js'
import type { Server } from './server.js'

/** Those whose `error` handler runs, and why they broke: what fails again in there, such as a shutdown, is not reported. */
const failing = new Map<unknown, Error>()

/** A socket with handlers: made by `listen` and `connect`. */
export class Connection<D = undefined> extends Adaptable<D> implements Disposable {
  /** Whatever the program wants to keep with the connection. */
  data: D
  readonly #owner: ConnectionOwner<D>
  #socket: Socket | undefined
  #idle: IdleTimer | undefined
  #closed = false
  #referenced = false

  private constructor(owner: ConnectionOwner<D>, data: D, socket: Socket | undefined) {
    super()
    if (!owner) throw illegalConstructor('Connection', 'listen, connect or adopt')
    this.#owner = owner
    this.data = data
    this.#socket = socket
  }

  /** @internal With a `socket` that may be connecting: {@link attach} or {@link connectFailed} follows. */
  static of<D>(owner: ConnectionOwner<D>, data: D, socket?: Socket): Connection<D> {
    return new Connection(owner, data, socket)
  }

  /** @internal */
  protected override get owner(): ConnectionOwner<D> {
    return this.#owner
  }

  /** @internal */
  protected override get isClosed(): boolean {
    return this.#closed
  }

  /** @internal */
  protected override get isFailing(): boolean {
    return failing.size > 0 && failing.has(this)
  }

  /** @internal The connection is open. What a wait has accepted is `watched` already, with that interest. */
  attach(socket: Socket, watched?: InterestBits): void {
    const { poller, sendQueueLimit, idleTimeout, initialInterest } = this.#owner
    this.#socket = socket
    if (watched === undefined) {
      if (sendQueueLimit !== DEFAULT_SEND_QUEUE_LIMIT) socket.sendQueueLimit = sendQueueLimit
      poller.takeWatch(socket, this.#interest(), this)
    } else poller.watchAccepted(socket, this)
    if (watched !== undefined && watched !== initialInterest) this.updateInterest()
    this.#owner.opened(this)
    this.ref()
    this.timeout(idleTimeout)
    this.#owner.announce(this)
  }

  /** @internal A socket that was accepted and cannot be watched (ENOSPC, ENOMEM) is reset, and `error` is called. */
  refuse(socket: Socket, error: Error): void {
    this.#socket = socket
    socket.reset()
    this.#closed = true
    this.#owner.refused(this, error)
    reportError(this.#owner, this, error)
    this.#owner.finished()
  }

  override get socket(): Socket | undefined {
    return this.#socket
  }

  /** The server that accepted the connection; undefined on a client's. */
  get server(): Server<D> | undefined {
    return this.#owner.server
  }

  /** An alias of {@link server}. */
  get listener(): Server<D> | undefined {
    return this.server
  }

  /** Where the connection is in its life; `'closing'` while what was written is sent after both halves have ended. */
  override get state(): SocketState {
    if (this.#closed) return 'closed'
    return this.#socket ? this.#socket.state : 'connecting'
  }

  /** {@link state} in Bun's numbers. */
  get readyState(): ReadyState {
    if (this.#closed) return 0
    if (this.state === 'connecting') return 2
    return this.#socket!.writeEnded ? -2 : 1
  }

  /** Closes at once, by RST; what is queued is dropped. */
  terminate(): void {
    this.#keepAddresses('terminated')
    this.#socket?.resetByWatcher()
    this.#finish()
  }

  /**
   * Closes the connection when nothing has been received or sent for `ms` milliseconds, up to 100 ms late; 0 disables
   * it. Output that is queued then is discarded, and the peer is reset: it has read nothing for that time. The
   * `timeout` handler is called first, and keeps the connection open by sending something or by setting a time again.
   *
   * @throws RangeError for a negative time, more than 2^31-1 or NaN.
   */
  timeout(ms: number): this {
    const duration = milliseconds(ms, 'ms')
    this.#idle?.stop()
    const isNone = duration === 0 || this.#closed || this.isHandedOver
    this.#idle = isNone ? undefined : new IdleTimer(duration, (timer) => this.#onIdle(timer))
    return this
  }

  /** Lets the open connection keep the process alive. **Default.** */
  ref(): this {
    if (!this.#referenced && !this.#closed) {
      this.#referenced = true
      this.#owner.poller.ref()
    }
    return this
  }

  /** Lets the process end although the connection is open. Queued output still keeps it alive. */
  unref(): this {
    if (this.#referenced) {
      this.#referenced = false
      this.#owner.poller.unref()
    }
    return this
  }

  /** Replaces the handlers of all connections of the same server. Throws TypeError for bad handlers. */
  reload(options: { socket: Handlers<D> }): void {
    this.#owner.reload(options)
  }

  /** The same as {@link end}, for `using`: what was written is delivered. */
  [Symbol.dispose](): void {
    this.end()
  }

  /** @internal There are other handlers: perhaps one for `data`. */
  onReload(): void {
    this.updateInterest()
  }

  /** @internal */
  protected override leavePoller(socket: Socket): void {
    this.timeout(0).unref()
    this.#owner.poller.unwatch(socket)
  }

  /** @internal An adapter has closed the socket that was handed over. */
  override onSocketClosed(error?: Error): void {
    this.#finish(error)
  }

  /** @internal A `writeAll` is pending. */
  get isWriting(): boolean {
    return this.hasPendingBytes
  }

  /** @internal */
  onEvent(event: ReadyEvent, chunk?: Buffer): void {
    this.onReadable(this.#socket!, event, chunk)
    if (event.writable && this.awaitsQueue && !this.#closed && this.onQueueEmpty()) {
      this.#call(this.#owner.handlers.drain, undefined)
      this.adapter?.onDrain?.()
    }
  }

  /** @internal The queue of a closed connection has been sent, or lost. */
  onDetached(isReset = false): void {
    const reason = this.#socket!.lostReason
    if (reason) this.fail(reason)
    else this.#finish(undefined, !isReset)
  }

  /** @internal The program used the socket itself, and got the error that is the connection's. */
  onBroken(error: Error): void {
    this.fail(error)
  }

  /** @internal What is queued is sent by the shared poller. */
  onMultiplexerClosed(): void {
    this.#keepAddresses()
    this.#socket!.close()
    this.#finish(new SocketClosedError('The Multiplexer of the connection was closed'))
  }

  /** @internal Connecting failed. */
  connectFailed(error: Error): void {
    this.#closed = true
    this.failReader(error)
    this.finishWrites(error, false)
    this.#call(this.#owner.handlers.connectError, error)
    this.adapter?.onClose?.(error)
    this.#owner.leaveContext()
  }

  /** Closes, unless the handler sets another time or sends something. */
  #onIdle(timer: IdleTimer): void {
    const socket = this.#socket!
    if (timer.isProgress(socket.bytesSent, socket.unsent) || this.hasUndeliveredInput(socket)) return timer.touch()
    if (this.#closed) return
    const { deadline } = timer
    this.#call(this.#owner.handlers.timeout, undefined)
    if (this.#closed || this.#idle !== timer || timer.deadline !== deadline) return
    this.#keepAddresses('idle timeout')
    // A queue that made no progress for so long would keep the descriptor.
    const isSent = socket.unsent === 0
    if (isSent) socket.closeByWatcher()
    else socket.resetByWatcher()
    this.#finish(undefined, isSent)
  }

  /** @internal */
  protected override touch(): void {
    this.#idle?.touch()
  }

  /** @internal */
  protected override onWrite(socket: Socket, skipsQueue: boolean): void {
    if (!this.#idle) return
    this.#idle.touch()
    const queued = skipsQueue ? 0 : socket.unsent
    this.#idle.trackQueue(queued, queued === 0 ? 0 : socket.bytesSent)
  }

  /** @internal */
  protected override deliver(chunk: Buffer): void {
    this.#call(this.#owner.handlers.data, chunk)
  }

  /** @internal */
  protected override onPeerEnd(): void {
    this.#call(this.#owner.handlers.end, undefined)
    this.answerEnd()
  }

  /** @internal The peer has ended its half: ours ends too, unless it may stay open. */
  protected override answerEnd(): void {
    // It is called again when these have been accepted.
    if (this.#closed || this.isWritePending || this.isHandedOver) return
    if (this.#owner.allowHalfOpen) return this.closeIfEnded()
    if (!this.isEndedByAdapter) return this.#close()
    this.endOutput()
    this.closeIfEnded()
  }

  /** @internal */
  protected override closeIfEnded(): void {
    if (!this.#closed && this.#socket!.readEnded && this.#socket!.writeEnded) this.#close()
  }

  /** Both halves have ended, or end by this: what is queued is sent first. */
  #close(): void {
    this.#keepAddresses()
    this.#socket!.closeByWatcher()
    if (this.#socket!.state === 'closed') this.onDetached()
  }

  /** @internal */
  protected override fail(error: Error): void {
    if (this.#closed || failing.has(this)) return
    failing.set(this, error)
    this.failReader(error)
    this.#call(this.#owner.handlers.error, error)
    failing.delete(this)
    this.#keepAddresses()
    this.#socket?.closeByWatcher()
    this.#finish(error)
  }

  /** The program may terminate it between the error of an adapter's stream and the 'close' of that. */
  #finish(reason = this.adapter?.failure?.(), isSent = false): void {
    if (this.#closed) return
    const error = failing.get(this) ?? reason
    this.#closed = true
    this.#idle?.stop()
    this.unref()
    this.failReader(error)
    this.finishWrites(error, isSent)
    this.#owner.closed(this, error)
    // Never inside another handler of this connection: close comes last.
    this.#owner.poller.defer(() => {
      this.#call(this.#owner.handlers.close, error)
      this.adapter?.onClose?.(error)
      this.#owner.finished(this, error)
    })
  }

  /** Two system calls, and so only where they may be asked for. The reason is that of a close without an error. */
  #keepAddresses(reason?: string): void {
    if (this.#owner.closes(this, reason)) this.#socket?.keepAddresses()
  }

  /** @internal */
  protected override updateInterest(): void {
    if (this.#socket && !this.#closed) this.#owner.poller.setInterest(this.#socket, this.#interest(), this)
  }

  /** Never NONE: the poller would detach the socket as soon as its queue is empty. */
  #interest(): InterestBits {
    const read = this.readInterest()
    if (read === NONE) return WRITE
    return this.awaitsQueue ? ((read | WRITE) as InterestBits) : read
  }

  #call<A>(handler: ((connection: Connection<D>, argument: A) => unknown) | undefined, argument: A): void {
    callHandler(this.#owner, handler, this, argument)
  }
}
