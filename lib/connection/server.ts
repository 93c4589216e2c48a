import { Chunker } from '../loop/receive-buffer.js'
import { Connection, type ConnectionOwner } from './connection.js'
import { SocketError, illegalConstructor, invalidArgType } from '../errors.js'
import { type HandlerSlot, type Handlers, checkHandlers } from './handlers.js'
import { home } from '../loop/shared-poller.js'
import type { Host } from '../loop/host.js'
import { Listener } from '../model/listener.js'
import { Multiplexer } from '../model/multiplexer.js'
import { SETTABLE_OPTION_NAMES, type SocketOptions } from '../options/index.js'
import type { Socket } from '../model/socket.js'
import {
  boolean,
  integer,
  milliseconds,
  numericHost,
  options as checkOptions,
  port as validPort,
  unixPath,
} from '../validate.js'

const NONE = 0
const READ = 1

/** How many connections one turn accepts before the others of its batch get theirs. */
const ACCEPTS_PER_TURN = 64

/** How many accepted connections wait for a `for await` before accepting pauses. */
const ITERATION_BACKLOG = 64

/** What `listen` and `connect` have in common. */
export interface ConnectionOptions<D> extends SocketOptions {
  /** What happens to the connections. */
  readonly socket?: Handlers<D> | undefined
  /** What each connection's `data` is at first. */
  readonly data?: D | undefined
  /** Whether our half stays open when the peer's ends. **Default:** false: `end` is answered by our end. */
  readonly allowHalfOpen?: boolean | undefined
  /** Milliseconds of silence until a connection is closed, after its `timeout` handler was called; 0 never. **Default:** 0. */
  readonly idleTimeout?: number | undefined
  /** Bytes that wait in the queue of each connection at most. **Default:** 65536. */
  readonly highWaterMark?: number | undefined
  /** Chunks are then views of this array, good only until the `data` handler returns. **Default:** chunks to keep. */
  readonly receiveInto?: Uint8Array | undefined
  /** A multiplexer that the program waits for itself. **Default:** this thread's own, run by Node's loop. */
  readonly multiplexer?: Multiplexer | undefined
}

/** Where and how {@link listen} listens. */
export interface ListenOptions<D> extends ConnectionOptions<D> {
  /** A numeric address, or `'localhost'` for 127.0.0.1. **Default:** `'::'`, IPv4 and IPv6 together. */
  readonly hostname?: string | undefined
  /** 0 to 65535; 0 lets the kernel pick one. **Default:** 0. */
  readonly port?: number | undefined
  /** The path of a Unix socket instead; abstract when it begins with `\0`. */
  readonly unix?: string | undefined
  /** A listening descriptor to take over instead. */
  readonly fd?: number | undefined
  /** How many connections may wait to be accepted. **Default:** 511. */
  readonly backlog?: number | undefined
  /** At so many connections accepting pauses: more wait in the kernel's backlog. **Default:** no limit. */
  readonly maxConnections?: number | undefined
}

/** @internal */
export const CONNECTION_KEYS = [
  'socket',
  'data',
  'allowHalfOpen',
  'idleTimeout',
  'highWaterMark',
  'receiveInto',
  'multiplexer',
  ...SETTABLE_OPTION_NAMES,
]
const KEYS = [...CONNECTION_KEYS, 'hostname', 'port', 'unix', 'fd', 'backlog', 'maxConnections']

/**
 * Listens, and gives the connections to handlers. The port is known when it returns.
 *
 * TCP_NODELAY is on unless `noDelay: false`.
 *
 * @throws TypeError, RangeError for bad options; a name as hostname says to use `Listener.bindHost`.
 * @throws SocketError EADDRINUSE and the like, as `Listener.bind`.
 */
export function listen<D = undefined>(options: ListenOptions<D>): Server<D> {
  checkOptions(options, KEYS)
  const owned = ownership<D>(options)
  const { maxConnections } = options
  const most =
    maxConnections === undefined ? Infinity : integer(maxConnections, 1, 2 ** 31 - 1, 'options.maxConnections')
  const listener = bind(options)
  try {
    return Server.of(listener, owned, most, options.data as D)
  } catch (error) {
    if (options.fd === undefined) listener.close()
    else listener.disown()
    throw error
  }
}

/** @internal */
export type Ownership<D> = Omit<ConnectionOwner<D>, 'closed' | 'server'> & { readonly highWaterMark: number }

/** @internal The checked options that connections live by. */
export function ownership<D>(options: ConnectionOptions<D>): Ownership<D> {
  const { receiveInto, multiplexer, allowHalfOpen = false, idleTimeout = 0, highWaterMark = 65536 } = options
  if (receiveInto !== undefined && !(receiveInto instanceof Uint8Array && receiveInto.byteLength > 0)) {
    throw invalidArgType('options.receiveInto', 'a Uint8Array of at least one byte', receiveInto)
  }
  if (multiplexer !== undefined && !(multiplexer instanceof Multiplexer)) {
    throw invalidArgType('options.multiplexer', 'a Multiplexer', multiplexer)
  }
  const host = multiplexer ? multiplexer.host() : home()
  return {
    host,
    handlers: { current: checkHandlers<D>(options.socket === undefined ? {} : options.socket, 'options.socket') },
    chunker: receiveInto ? new Chunker(receiveInto) : host.chunker,
    allowHalfOpen: boolean(allowHalfOpen, 'options.allowHalfOpen'),
    idleTimeout: milliseconds(idleTimeout, 'options.idleTimeout'),
    highWaterMark: integer(highWaterMark, 0, Number.MAX_SAFE_INTEGER, 'options.highWaterMark'),
  }
}

/** What listens: made by {@link listen}. */
export class Server<D = undefined> implements AsyncIterable<Connection<D>>, Disposable, AsyncDisposable {
  /** @internal */
  readonly host: Host
  /** @internal */
  readonly handlers: HandlerSlot<D>
  /** @internal */
  readonly chunker: Chunker
  /** @internal */
  readonly allowHalfOpen: boolean
  /** @internal */
  readonly idleTimeout: number
  readonly #listener: Listener
  /** @internal */
  readonly server = this
  /** What each connection's `data` is at first. */
  readonly data: D
  readonly #highWaterMark: number
  readonly #maxConnections: number
  readonly #connections = new Set<Connection<D>>()
  readonly #accepted: Connection<D>[] = []
  /** How many loops iterate, and those that wait for a connection. */
  #loops = 0
  #waiting: (() => void)[] = []
  #emptied: (() => void)[] = []
  #paused = false
  #holding = false

  private constructor(listener: Listener, owned: Ownership<D>, maxConnections: number, data: D) {
    if (!(listener instanceof Listener)) throw illegalConstructor('Server', 'listen')
    this.#listener = listener
    this.host = owned.host
    this.handlers = owned.handlers
    this.chunker = owned.chunker
    this.allowHalfOpen = owned.allowHalfOpen
    this.idleTimeout = owned.idleTimeout
    this.#highWaterMark = owned.highWaterMark
    this.#maxConnections = maxConnections
    this.data = data
    this.host.watch(listener, READ, this)
    this.ref()
  }

  /** @internal */
  static of<D>(listener: Listener, owned: Ownership<D>, maxConnections: number, data: D): Server<D> {
    return new Server(listener, owned, maxConnections, data)
  }

  /** The listening socket's address; undefined once stopped. */
  get address(): Listener['address'] {
    return this.#listener.address
  }

  /** The port; undefined on a Unix socket and once stopped. */
  get port(): number | undefined {
    const address = this.address
    return address && 'port' in address ? address.port : undefined
  }

  /** The numeric address listened on; undefined on a Unix socket and once stopped. */
  get hostname(): string | undefined {
    const address = this.address
    return address && 'address' in address ? address.address : undefined
  }

  /** The path listened on; undefined on TCP and once stopped. */
  get unix(): string | undefined {
    const address = this.address
    return address && 'path' in address ? address.path : undefined
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#connections.size
  }

  /** Stops accepting, at once; connections that nobody accepted are reset. With `closeActive` the open ones are terminated. */
  stop(closeActive = false): void {
    this.#listener.close()
    this.unref()
    this.#wakeLoops()
    if (closeActive) for (const connection of this.#connections) connection.terminate()
  }

  /**
   * Stops accepting, ends all connections, and waits until the peers have ended too; after `timeout` milliseconds what is
   * left is terminated. **Default:** no such limit.
   */
  async close({ timeout }: { timeout?: number } = {}): Promise<void> {
    const limit = timeout === undefined ? undefined : milliseconds(timeout, 'timeout')
    this.stop()
    for (const connection of this.#connections) connection.end()
    if (this.#connections.size === 0) return
    const timer = limit === undefined ? undefined : setTimeout(() => this.stop(true), limit).unref()
    await new Promise<void>((resolve) => this.#emptied.push(resolve))
    clearTimeout(timer)
  }

  /** Puts other handlers in the place of those in force, for all connections, open ones too. */
  reload({ socket }: { socket: Handlers<D> }): void {
    this.handlers.current = checkHandlers<D>(socket, 'socket')
    for (const connection of this.#connections) connection.onReload()
  }

  /** Lets the server keep the process alive while it listens, as it does at first. */
  ref(): this {
    if (!this.#holding && this.#listener.fd >= 0) {
      this.#holding = true
      this.host.hold()
    }
    return this
  }

  /** Lets the process end although the server listens. */
  unref(): this {
    if (this.#holding) {
      this.#holding = false
      this.host.release()
    }
    return this
  }

  /**
   * Connections as they are accepted, until the server is stopped; accepting pauses while 64 wait for the loop. Several loops
   * share them.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Connection<D>, void, void> {
    this.#loops++
    try {
      for (;;) {
        const connection = this.#accepted.shift()
        this.#watchFor()
        if (connection) yield connection
        else if (this.#listener.fd < 0) return
        else await new Promise<void>((resolve) => this.#waiting.push(resolve))
      }
    } finally {
      if (--this.#loops === 0) this.#accepted.length = 0
      this.#watchFor()
    }
  }

  #wakeLoops(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** The same as `stop(true)`, for `using`. */
  [Symbol.dispose](): void {
    this.stop(true)
  }

  /** The same as {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal Somebody waits to be accepted. */
  onEvent(): void {
    for (let turn = 0; turn < ACCEPTS_PER_TURN && !this.#isFull(); turn++) {
      const socket = this.#accept()
      if (!socket) return
      this.#admit(socket)
    }
    this.#watchFor()
  }

  /** An exhausted process leaves those who wait in the backlog; the multiplexer tells of them again. */
  #accept(): Socket | null {
    try {
      return this.#listener.fd < 0 ? null : this.#listener.take()
    } catch (error) {
      if (error instanceof SocketError) return null
      throw error
    }
  }

  #admit(socket: Socket): void {
    socket.sendQueueLimit = this.#highWaterMark
    const connection = Connection.of<D>(this, this.data)
    this.#connections.add(connection)
    if (!connection.attachOrRefuse(socket)) return
    if (this.#loops > 0) this.#accepted.push(connection)
    if (this.#waiting.length > 0) this.#wakeLoops()
  }

  /** @internal */
  closed(connection: Connection<D>): void {
    this.#connections.delete(connection)
    this.#watchFor()
    if (this.#connections.size > 0) return
    for (const resolve of this.#emptied) this.host.defer(resolve)
    this.#emptied = []
  }

  #isFull(): boolean {
    return this.#connections.size >= this.#maxConnections || this.#accepted.length >= ITERATION_BACKLOG
  }

  #watchFor(): void {
    if (this.#paused === this.#isFull() || this.#listener.fd < 0) return
    this.#paused = this.#isFull()
    this.host.modify(this.#listener, this.#paused ? NONE : READ)
  }
}

function bind<D>(options: ListenOptions<D>): Listener {
  const { hostname, port, unix, fd, backlog } = options
  checkPlace(options)
  const place = {
    ...(hostname === undefined ? {} : { host: hostname === 'localhost' ? '127.0.0.1' : hostname }),
    ...(port === undefined ? {} : { port }),
    ...(unix === undefined ? {} : { path: unix }),
    ...(fd === undefined ? {} : { fd }),
    ...(backlog === undefined ? {} : { backlog }),
  }
  return Listener.bind({ ...(unix === undefined ? { noDelay: true } : {}), ...socketOptions(options), ...place })
}

/** Refuses by the names that {@link listen} gives them what {@link Listener.bind} would refuse by its own. */
function checkPlace<D>({ hostname, port, unix, fd }: ListenOptions<D>): void {
  const places = [unix, fd, hostname ?? port].filter((it) => it !== undefined)
  if (places.length > 1)
    throw invalidArgType('options', 'either fd, or unix, or hostname and port', { hostname, port, unix, fd })
  if (hostname !== undefined && hostname !== 'localhost')
    numericHost(hostname, 'options.hostname', 'use Listener.bindHost for names')
  if (port !== undefined) validPort(port, 'options.port')
  if (unix !== undefined) unixPath(unix, 'options.unix')
  if (fd !== undefined) integer(fd, 0, 2 ** 31 - 1, 'options.fd')
}

/** @internal Only what is an option of the kernel's. */
export function socketOptions(options: SocketOptions): SocketOptions {
  return Object.fromEntries(
    SETTABLE_OPTION_NAMES.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  )
}
