import { illegalConstructor, isExhausted, systemError } from '../errors.js'
import { clearTimeout, setTimeout } from '../loop/timers.js'
import type { Address } from '../model/address.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from '../model/inspect.js'
import { Listener } from '../model/listener.js'
import { Socket } from '../model/socket.js'
import { type InterestBits, READ } from '../native.js'
import { acceptingPauses, connectionRefused, serverStops } from '../observe/life.js'
import { ServerCounters, type ServerStats } from '../observe/server-counters.js'
import { type GateOwner, HeaderGate } from '../proxy-protocol/gate.js'
import type { HeaderPolicy } from '../proxy-protocol/policy.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { boolean, checkOptions, milliseconds } from '../validate.js'
import { Accepting } from './accepting.js'
import { Connection } from './connection.js'
import { setProxy } from './endpoints.js'
import type { Handlers } from './handlers.js'
import { Loops } from './loops.js'
import type { CloseOptions } from './options.js'
import type { ConnectionOwner } from './owner.js'
import { ServerAddress } from './server-address.js'

/** What a server has besides its listener and its handlers. */
export interface ServerSettings<D> {
  readonly maxConnections: number
  readonly data: D
  readonly headers: HeaderPolicy | undefined
}

/** Accepts connections and hands them to handlers: made by `listen`. */
export class Server<D = undefined>
  extends ServerAddress
  implements AsyncIterable<Connection<D>>, Disposable, AsyncDisposable
{
  /** What each connection's `data` is at first. */
  readonly data: D
  readonly #listener: Listener
  readonly #owner: ConnectionOwner<D>
  readonly #maxConnections: number
  readonly #loops: Loops<D>
  readonly #counters = new ServerCounters()
  readonly #accepting: Accepting<D>
  /** Reads the PROXY headers of the connections, where they have any. */
  readonly #gate: HeaderGate | undefined
  /** Resolves the calls of `close` when the last connection has ended. */
  #onEmpty: (() => void)[] = []
  #referenced = false

  private constructor(listener: Listener, owner: ConnectionOwner<D>, settings: ServerSettings<D>) {
    super()
    if (!(listener instanceof Listener)) throw illegalConstructor('Server', 'listen')
    const { maxConnections, data, headers } = settings
    this.#listener = listener
    this.#owner = owner
    this.#maxConnections = maxConnections
    this.data = data
    this.#gate = headers && new HeaderGate(headers, this.#keeper())
    this.#loops = new Loops({
      open: owner.connections,
      isListening: () => this.mayOpen,
      onChange: () => this.#accepting.onRoomChanged(),
    })
    owner.poller.watch(listener, READ, this)
    this.#accepting = new Accepting({ listener, owner, room: () => this.#room })
    owner.server = this
    this.ref()
  }

  /** @internal */
  static of<D>(listener: Listener, owner: ConnectionOwner<D>, settings: ServerSettings<D>): Server<D> {
    return new Server(listener, owner, settings)
  }

  /** The listening socket's address; undefined once stopped. */
  get address(): Address | undefined {
    return this.#listener.address
  }

  /** @internal Whether connections are still accepted. */
  get isListening(): boolean {
    return this.#listener.handle >= 0
  }

  /** @internal Whether a connection may still be opened: accepted, or when its PROXY header comes. */
  get mayOpen(): boolean {
    return this.isListening || this.#awaited > 0
  }

  /** How many accepted sockets await their PROXY headers. */
  get #awaited(): number {
    return this.#gate?.size ?? 0
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

  /** What it has done since it began, and what is open now: a snapshot, for which the open connections are asked. */
  stats(): ServerStats {
    return this.#counters.stats(this.#owner.connections)
  }

  /**
   * Stops accepting, at once. Connections that no handler was given are reset; on a Unix socket the peer gets an end
   * instead where it has sent nothing. What awaits its PROXY header is opened when it comes. With `closeActive` the open
   * ones are terminated, and those.
   */
  stop(closeActive = false): void {
    serverStops(this)
    this.#listener.close()
    this.onDetached()
    if (closeActive) this.#gate?.clear()
    if (closeActive) for (const connection of this.#owner.connections) connection.terminate()
  }

  /**
   * Stops accepting, and resolves when all connections have ended by themselves. With `end: true` our halves end at
   * once, behind what has been written; after `timeout` milliseconds what is still open is terminated. In a handler it
   * stops when all handlers of the batch have run, which opens the connections that have been accepted already.
   *
   * @throws (rejects) TypeError, RangeError for bad options; the server then goes on.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions(options, ['timeout', 'end'])
    const { timeout, end = false } = options
    const limit = timeout === undefined ? undefined : milliseconds(timeout, 'options.timeout')
    boolean(end, 'options.end')
    const stopped = this.#stopAfterBatch()
    if (stopped) await stopped
    if (end) this.#gate?.clear()
    if (end) for (const connection of this.#owner.connections) connection.end()
    if (this.#isEmpty) return
    const timer = limit === undefined ? undefined : setTimeout(() => this.stop(true), limit).unref()
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve))
    clearTimeout(timer)
  }

  /** Connections that the running batch has accepted would be reset. */
  #stopAfterBatch(): Promise<void> | undefined {
    const { poller } = this.#owner
    if (!poller.inBatch || !this.isListening) return void this.stop()
    return new Promise((resolve) =>
      poller.defer(() => {
        this.stop()
        resolve()
      }),
    )
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

  /** @internal A wait has accepted a connection. */
  onAccepted(handle: number, errno: number): void {
    this.#accepting.onAccepted()
    const { interest } = this.#accepting
    const socket = Socket.of(handle)
    if (this.#gate && errno === 0) this.#gate.await(socket, interest)
    else this.#open(socket, interest, errno)
    this.#accepting.onRoomChanged()
  }

  #open(socket: Socket, interest: InterestBits | undefined, errno = 0, header?: ProxyHeader): void {
    const connection = Connection.of<D>(this.#owner, this.data)
    if (header) setProxy(connection, header)
    try {
      if (errno !== 0) throw systemError(errno, 'epoll_ctl')
      connection.attach(socket, interest)
    } catch (error) {
      connection.refuse(socket, error as Error)
    }
  }

  /** What comes of those that await their PROXY headers. */
  #keeper(): GateOwner {
    const owner = this.#owner
    return {
      get poller() {
        return owner.poller
      },
      admit: (socket, header) => this.#open(socket, this.#accepting.interest, 0, header),
      refuse: (error) => this.#onHeaderRefused(error),
    }
  }

  /** A connection was reset, for want of a header that may be believed. No handler gets to know of it. */
  #onHeaderRefused(error: Error): void {
    this.#countRefused(error)
    this.#onGone()
    if (this.mayOpen) return
    this.#loops.wake()
    this.#owner.leaveContext()
  }

  /** @internal The kernel does not let a connection be accepted. The listener is looked at again later. */
  onAcceptRefused(errno: number): void {
    const error = systemError(errno, 'accept4')
    acceptingPauses(this, error)
    if (isExhausted(error)) this.#counters.acceptPauses++
    else this.#accepting.onFailed(error)
  }

  /** @internal Never called: waits accept what they would report. */
  onEvent(): void {}

  /** @internal */
  onConnectionOpened(connection: Connection<D>): void {
    this.#loops.opened(connection)
    if (this.connections >= this.#maxConnections) acceptingPauses(this, 'maxConnections')
  }

  /** @internal */
  onConnectionClosed(connection: Connection<D>, error: Error | undefined): void {
    this.#counters.ended(connection, error)
    this.#left(connection)
  }

  /** @internal */
  onConnectionRefused(connection: Connection<D>, error: unknown): void {
    this.#countRefused(error)
    this.#left(connection)
  }

  #countRefused(error: unknown): void {
    this.#counters.refused++
    connectionRefused(this, error)
  }

  #left(connection: Connection<D>): void {
    this.#loops.closed(connection)
    this.#onGone()
  }

  get #isEmpty(): boolean {
    return this.connections === 0 && this.#awaited === 0
  }

  /** There is a connection less. */
  #onGone(): void {
    this.#accepting.onRoomChanged()
    if (!this.#isEmpty) return
    for (const resolve of this.#onEmpty) this.#owner.poller.defer(resolve)
    this.#onEmpty = []
  }

  /** @internal There are other handlers: perhaps one for `data`. */
  onReload(): void {
    this.#accepting.onReload()
  }

  /** How many more connections may be open. */
  get #room(): number {
    return Math.max(0, Math.min(this.#maxConnections - this.connections - this.#awaited, this.#loops.room))
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
