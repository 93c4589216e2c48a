import { SocketError, illegalConstructor, isExhausted } from '../errors.js'
import { clearTimeout, setTimeout } from '../loop/timers.js'
import { type Address, hostOf, portOf } from '../model/address.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from '../model/inspect.js'
import { ACCEPTS_PER_TURN, Listener } from '../model/listener.js'
import type { Socket } from '../model/socket.js'
import { NONE, READ } from '../native.js'
import { boolean, checkOptions, milliseconds } from '../validate.js'
import { Connection } from './connection.js'
import type { Handlers } from './handlers.js'
import { Loops } from './loops.js'
import type { ConnectionOwner } from './owner.js'

/** How {@link Server.close} ends what is open. */
export interface CloseOptions {
  /** Milliseconds after which what is still open is terminated. **Default:** no limit. */
  readonly timeout?: number | undefined
  /**
   * Whether our halves end at once, behind what has been written. **Default:** false: connections end by themselves.
   */
  readonly end?: boolean | undefined
}

/** Accepts connections and hands them to handlers: made by `listen`. */
export class Server<D = undefined> implements AsyncIterable<Connection<D>>, Disposable, AsyncDisposable {
  /** What each connection's `data` is at first. */
  readonly data: D
  readonly #listener: Listener
  readonly #owner: ConnectionOwner<D>
  readonly #maxConnections: number
  readonly #loops: Loops<D>
  /** Resolves the calls of `close` when the last connection has ended. */
  #onEmpty: (() => void)[] = []
  #paused = false
  #referenced = false
  /** Whether a warning of an accept that failed was emitted, and none has succeeded since. */
  #hasWarned = false

  private constructor(listener: Listener, owner: ConnectionOwner<D>, maxConnections: number, data: D) {
    if (!(listener instanceof Listener)) throw illegalConstructor('Server', 'listen')
    this.#listener = listener
    this.#owner = owner
    this.#maxConnections = maxConnections
    this.data = data
    this.#loops = new Loops({
      open: owner.connections,
      isListening: () => this.isListening,
      onChange: () => this.#updateInterest(),
    })
    owner.poller.watch(listener, READ, this)
    owner.server = this
    this.ref()
  }

  /** @internal */
  static of<D>(listener: Listener, owner: ConnectionOwner<D>, maxConnections: number, data: D): Server<D> {
    return new Server(listener, owner, maxConnections, data)
  }

  /** The listening socket's address; undefined once stopped. */
  get address(): Address | undefined {
    return this.#listener.address
  }

  /** The port; undefined on a Unix socket and once stopped. */
  get port(): number | undefined {
    return portOf(this.address)
  }

  /** The numeric address listened on; undefined on a Unix socket and once stopped. */
  get host(): string | undefined {
    const { address } = this
    return address && 'path' in address ? undefined : hostOf(address)
  }

  /** An alias of {@link host}, as Bun has it. */
  get hostname(): string | undefined {
    return this.host
  }

  /** The path listened on; undefined on TCP and once stopped. */
  get path(): string | undefined {
    const { address } = this
    return address && 'path' in address ? address.path : undefined
  }

  /** An alias of {@link path}, as Bun has it. */
  get unix(): string | undefined {
    return this.path
  }

  /** @internal Whether connections are still accepted. */
  get isListening(): boolean {
    return this.#listener.handle >= 0
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#owner.connections.size
  }

  /** The open connections, in the order in which they were accepted. */
  get clients(): Iterable<Connection<D>> {
    const { connections } = this.#owner
    return { [Symbol.iterator]: () => connections.values() }
  }

  /**
   * Stops accepting, at once; the kernel resets connections that were not accepted. With `closeActive` the open ones
   * are terminated.
   */
  stop(closeActive = false): void {
    this.#listener.close()
    this.onDetached()
    if (closeActive) for (const connection of this.#owner.connections) connection.terminate()
  }

  /**
   * Stops accepting, and resolves when all connections have ended by themselves. With `end: true` our halves end at
   * once, behind what has been written; after `timeout` milliseconds what is still open is terminated.
   *
   * @throws (rejects) TypeError, RangeError for bad options; the server then goes on.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions(options, ['timeout', 'end'])
    const { timeout, end = false } = options
    const limit = timeout === undefined ? undefined : milliseconds(timeout, 'options.timeout')
    boolean(end, 'options.end')
    this.stop()
    if (end) for (const connection of this.#owner.connections) connection.end()
    if (this.connections === 0) return
    const timer = limit === undefined ? undefined : setTimeout(() => this.stop(true), limit).unref()
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve))
    clearTimeout(timer)
  }

  /**
   * Replaces the handlers of all connections, open ones too.
   *
   * @throws TypeError for bad handlers; the old ones then stay.
   */
  reload(options: { socket: Handlers<D> }): void {
    this.#owner.reload(options)
  }

  /** Lets the server keep the process alive while it listens. **Default.** */
  ref(): this {
    if (!this.#referenced && this.isListening) {
      this.#referenced = true
      this.#owner.poller.ref()
    }
    return this
  }

  /** Lets the process end although the server listens. */
  unref(): this {
    if (this.#referenced) {
      this.#referenced = false
      this.#owner.poller.unref()
    }
    return this
  }

  /**
   * Connections in the order in which they are accepted, until the server is stopped. Each is given once: what is open
   * and was accepted before the first loop, or between two, to the next one. Several loops share them. While a loop
   * runs, accepting pauses when 64 wait for it.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Connection<D>, void, void> {
    return this.#loops.iterate()
  }

  /** @internal The listener has been closed. */
  onDetached(): void {
    this.unref()
    this.#owner.leaveContext()
    this.#loops.wake()
  }

  /** @internal No connection could be accepted any more. */
  onMultiplexerClosed(): void {
    this.stop()
  }

  /** The same as `stop(true)`, for `using`. */
  [Symbol.dispose](): void {
    this.stop(true)
  }

  /** The same as `close({ end: true })`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ end: true })
  }

  /** @internal A connection is waiting to be accepted. */
  onEvent(): void {
    for (let turn = 0; turn < ACCEPTS_PER_TURN && !this.#isFull(); turn++) {
      const socket = this.#accept()
      if (!socket) return
      Connection.of<D>(this.#owner, this.data).attachOrRefuse(socket)
    }
    this.#updateInterest()
  }

  /** What the kernel does not let be accepted stays in the backlog, and the poller reports the listener again later. */
  #accept(): Socket | null {
    try {
      const socket = this.isListening ? this.#listener.take() : null
      if (socket) this.#hasWarned = false
      return socket
    } catch (error) {
      if (!(error instanceof SocketError)) throw error
      if (!isExhausted(error)) this.#warn(error)
      return null
    }
  }

  /** Once for an error that lasts. */
  #warn(error: SocketError): void {
    if (!this.#hasWarned) process.emitWarning(error)
    this.#hasWarned = true
  }

  /** @internal */
  onConnectionOpened(connection: Connection<D>): void {
    this.#loops.opened(connection)
  }

  /** @internal */
  onConnectionClosed(connection: Connection<D>): void {
    this.#loops.closed(connection)
    this.#updateInterest()
    if (this.connections > 0) return
    for (const resolve of this.#onEmpty) this.#owner.poller.defer(resolve)
    this.#onEmpty = []
  }

  #isFull(): boolean {
    return this.connections >= this.#maxConnections || this.#loops.isFull
  }

  #updateInterest(): void {
    if (this.#paused === this.#isFull() || !this.isListening) return
    this.#paused = this.#isFull()
    this.#owner.poller.setInterest(this.#listener, this.#paused ? NONE : READ)
  }

  /** @internal */
  [CUSTOM_INSPECT](...how: Inspect): string {
    const read = () => {
      const { address, connections } = this
      return { state: address ? 'listening' : 'stopped', address, connections }
    }
    return summarize('Server', read, how)
  }
}
