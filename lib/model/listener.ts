import { constants } from 'node:os'

import { SocketClosedError, SocketError, isExhausted, systemError } from '../errors.js'
import { type Loop, interruptible } from '../loop/interruptible.js'
import type { Registrar } from '../loop/registrar.js'
import { addressesOf } from '../loop/names.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { nextTurn } from '../loop/timers.js'
import * as native from '../native.js'
import { validHost } from '../validate.js'
import { type Address, toAddress } from './address.js'
import { type InetListenerOptions, type ListenerOptions, checkNamedListener, openListener } from './bind.js'
import type { Registration } from './event.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from './inspect.js'
import { LeakGuard } from './leak.js'
import { Socket } from './socket.js'
import { Source } from './source.js'
import { type UnixFile, removeNew } from './unix-file.js'

const EAGAIN = constants.errno.EAGAIN
/** @internal How many connections are accepted before other sockets get their turn. */
export const ACCEPTS_PER_TURN = 64

const guard = new LeakGuard<number>('Listener', native.close)

/** A listening TCP or Unix socket: socket(2), bind(2), listen(2), accept4(2). */
export class Listener extends Source implements AsyncIterable<Socket>, Disposable {
  #referenced = true
  /** Ends the pending step of an iteration. */
  #onReadable: (() => void) | undefined
  #isPollerReferenced = false

  /** What is removed at the close. */
  readonly #file: UnixFile | undefined

  private constructor(handle: number, file?: UnixFile) {
    super(handle)
    this.#file = file
    this.guarded()
  }

  /** @internal */
  protected override get guard(): LeakGuard<number> {
    return guard
  }

  /** @internal */
  protected override get kind(): string {
    return 'listener'
  }

  /**
   * Listens at once on a numeric address, a path, or a descriptor that another program opened. SO_REUSEADDR is on
   * by default, so that a restarted server gets its port back.
   *
   * @throws TypeError, RangeError for bad options; a name as host says to use {@link bindHost}.
   * @throws SocketError EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE and other errors of socket(2), setsockopt(2), bind(2)
   * and listen(2); with `fd`, EBADF, ENOTSOCK, EPROTOTYPE, EINVAL, EEXIST, and the descriptor stays as it was.
   */
  static override bind(options: ListenerOptions = {}): Listener {
    const { handle, file } = openListener(options)
    return new Listener(handle, file)
  }

  /**
   * @internal As {@link bind} with an `fd`, which has to listen already.
   *
   * @throws SocketError EINVAL if it does not.
   */
  static adopt(fd: number): Listener {
    return new Listener(native.checkOwned(native.adoptListener(fd, native.OWN_BACKLOG), 'listen', fd))
  }

  /**
   * As {@link bind}, and `host` may be a name, resolved by node:dns off the thread: each of its addresses is tried in
   * turn, and the first that can be bound is listened on.
   *
   * @throws (rejects) AggregateError with one error per address when none can be bound; node:dns's error when the
   * name has no address.
   */
  static async bindHost(options: InetListenerOptions & { readonly host: string }): Promise<Listener> {
    checkNamedListener(options)
    const host = validHost(options.host, 'host')
    const addresses = await addressesOf(host)
    const errors: Error[] = []
    for (const address of addresses) {
      try {
        return Listener.bind({ ...options, host: address })
      } catch (error) {
        if (!(error instanceof SocketError)) throw error
        errors.push(error)
      }
    }
    throw new AggregateError(errors, `bind ${host}: none of its ${errors.length} addresses can be listened on`)
  }

  /**
   * The next connection, or null when none is waiting: accept4(2). Connections that died in the backlog are skipped.
   *
   * @throws SocketError EMFILE, ENFILE, ENOBUFS, ENOMEM: the process or the system is exhausted. Any other code, such
   * as EPERM (a firewall rule, a seccomp filter): the kernel refuses to accept. In both cases the connection stays in
   * the backlog, and a multiplexer reports the listener again after 100 ms.
   * @throws SocketClosedError once closed.
   */
  accept(): Socket | null {
    return this.take()?.guarded() ?? null
  }

  /** @internal As {@link accept}, for a caller that refers to the socket for as long as it is open. */
  take(): Socket | null {
    const handle = native.accept(this.handle)
    if (handle >= 0) return Socket.of(handle)
    if (handle === -EAGAIN) return null
    if (this.handle < 0) throw new SocketClosedError('accept: the listener is closed')
    throw systemError(-handle, 'accept4')
  }

  /** Where it listens: getsockname(2); undefined once closed. */
  get address(): Address | undefined {
    return toAddress(native.localAddress(this.handle))
  }

  /**
   * Closes the descriptor; the kernel resets connections that were not accepted. With `unlink: true` the path is removed
   * first. Closing twice is harmless.
   */
  override close(): void {
    if (this.handle < 0) return
    // Before the descriptor: a file whose socket is closed is stale, and any process may replace it.
    this.#file?.remove()
    this.#leave(native.close, (poller, registration) => {
      poller.forget(registration)
      registration.watcher?.onDetached?.()
    })
  }

  /**
   * Closes the listener, but not its descriptor, which is the caller's from here on. It still listens, without blocking,
   * and is close-on-exec; the file of a Unix socket stays, also with `unlink: true`. It leaves its multiplexer. A server
   * that has it stops, as by `stop()`: its connections go on, and those that have been accepted are opened.
   *
   * @returns the number of the descriptor
   * @throws SocketClosedError once closed.
   */
  detach(): number {
    const fd = native.descriptor(this.openHandle('detach'))
    this.#leave(native.disown, (poller, registration) => poller.giveUp(registration))
    return fd
  }

  /** The listener leaves its multiplexer, and a pending iteration ends. */
  #leave(giveUp: (handle: number) => number, forget: (poller: Registrar, registration: Registration) => void): void {
    const { poller } = this
    const registration = poller?.registrations.of(this)
    giveUp(this.surrender())
    if (registration) forget(poller!, registration)
    this.#onReadable?.()
  }

  /** @internal Closes what was made for nothing: the file of a Unix socket goes too. */
  discard(): void {
    const { address } = this
    if (address && 'path' in address) removeNew(address.path)
    this.close()
  }

  /** Lets a pending iteration keep the process alive. **Default.** */
  ref(): this {
    this.#referenced = true
    this.#setReference(this.#onReadable !== undefined)
    return this
  }

  /** Lets the process end although an iteration is pending. */
  unref(): this {
    this.#referenced = false
    this.#setReference(false)
    return this
  }

  /**
   * Connections as they come, until the listener is closed; a `break` leaves it open.
   * At the limit of descriptors (EMFILE), and without memory, an iteration waits until there are some again.
   *
   * @throws (rejects) SocketError EEXIST when the listener is in a multiplexer, or is being iterated already; what else
   * {@link accept} throws, and the listener stays open.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Socket, void, void> {
    return interruptible(
      (loop) => this.#iterate(loop),
      () => this.#onReadable?.(),
    )
  }

  async *#iterate(loop: Loop): AsyncGenerator<Socket, void, void> {
    if (this.handle < 0) return
    sharedPoller().watch(this, native.NONE, { onEvent: () => this.#onReadable?.() })
    try {
      for (let accepts = 1; this.handle >= 0 && !loop.ended; accepts++) {
        const socket = this.#acceptUnlessExhausted()
        if (socket) yield socket
        else await this.#untilReadable()
        // In a flood of connections microtasks alone would starve the event loop.
        if (accepts % ACCEPTS_PER_TURN === 0) await nextTurn()
      }
    } finally {
      sharedPoller().unwatch(this)
    }
  }

  #acceptUnlessExhausted(): Socket | null {
    try {
      return this.accept()
    } catch (error) {
      if (isExhausted(error)) return null
      throw error
    }
  }

  async #untilReadable(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onReadable = resolve
      sharedPoller().setInterest(this, native.READ)
      this.#setReference(this.#referenced)
    })
    this.#onReadable = undefined
    this.#setReference(false)
    // Between two steps connections wait in the backlog.
    if (this.handle >= 0) sharedPoller().setInterest(this, native.NONE)
  }

  #setReference(referenced: boolean): void {
    if (referenced === this.#isPollerReferenced) return
    this.#isPollerReferenced = referenced
    if (referenced) sharedPoller().ref()
    else sharedPoller().unref()
  }

  /** @internal */
  [CUSTOM_INSPECT](...how: Inspect): string {
    const read = () => {
      const state = this.handle < 0 ? 'closed' : 'listening'
      return { state, address: this.address, fd: this.fd }
    }
    return summarize('Listener', read, how)
  }
}
