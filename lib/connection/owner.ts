import { AsyncContext, rootContext } from '../loop/async-context.js'
import type { Poller } from '../loop/poller.js'
import type { ReceiveBuffer } from '../loop/receive-buffer.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { type InterestBits, PREFETCH, READ } from '../native.js'
import { closesFor, connectionCloses, connectionOpens, isCloseObserved } from '../observe/life.js'
import { checkOptions } from '../validate.js'
import type { Connection } from './connection.js'
import { type Handlers, callHandler, checkHandlers } from './handlers.js'
import type { Server } from './server.js'

/** What all connections of a server, or the one of a client, share. */
export class ConnectionOwner<D> {
  #poller: Poller | undefined
  #receiveBuffer: ReceiveBuffer | undefined
  readonly allowHalfOpen: boolean
  /** Milliseconds; 0 for none. */
  readonly idleTimeout: number
  readonly sendQueueLimit: number
  /** The open connections. */
  readonly connections = new Set<Connection<D>>()
  /** The server; undefined for a client. */
  server: Server<D> | undefined = undefined
  /** The handlers, until {@link reload} replaces them. */
  handlers: Handlers<D>
  /** That of the call of `listen` or `connect`, until the last handler has been called. */
  context = new AsyncContext()
  /** How many connections have ended whose `close` has not been called yet. */
  #closing = 0

  constructor(settings: Settings<D>) {
    this.#poller = settings.poller
    this.#receiveBuffer = settings.receiveBuffer
    this.allowHalfOpen = settings.allowHalfOpen
    this.idleTimeout = settings.idleTimeout
    this.sendQueueLimit = settings.sendQueueLimit
    this.handlers = settings.handlers
  }

  /**
   * Watches the sockets.
   *
   * @throws SocketError where the shared poller is opened by this, and cannot be.
   */
  get poller(): Poller {
    return (this.#poller ??= sharedPoller())
  }

  get receiveBuffer(): ReceiveBuffer {
    return (this.#receiveBuffer ??= this.poller.receiveBuffer)
  }

  /** What a new connection is watched for. */
  get initialInterest(): InterestBits {
    const prefetches = this.handlers.data !== undefined && this.receiveBuffer.keeps
    return prefetches ? ((READ | PREFETCH) as InterestBits) : READ
  }

  /** Replaces the handlers of all connections, open ones too. */
  reload(options: { socket: Handlers<D> }): void {
    checkOptions(options, ['socket'])
    this.handlers = checkHandlers<D>(options.socket, 'options.socket')
    this.server?.onReload()
    for (const connection of this.connections) connection.onReload()
  }

  /** A connection is open. */
  opened(connection: Connection<D>): void {
    this.connections.add(connection)
    this.server?.onConnectionOpened(connection)
  }

  /** A connection that is open can be used: the `open` handler is called. */
  announce(connection: Connection<D>): void {
    connectionOpens(connection, this.context)
    callHandler(this, this.handlers.open, connection, undefined)
  }

  /** A connection is closed next. Returns whether its addresses may be asked for then. */
  closes(connection: Connection<D>, reason?: string): boolean {
    if (reason !== undefined) closesFor(reason, connection)
    const { close, error } = this.handlers
    // An async handler may reject later.
    return close !== undefined || error !== undefined || isCloseObserved()
  }

  /** A connection that was open has ended. */
  closed(connection: Connection<D>, error: Error | undefined): void {
    this.#closing++
    this.connections.delete(connection)
    this.server?.onConnectionClosed(connection, error)
  }

  /** A connection was accepted, and closed before it was open. {@link finished} follows. */
  refused(connection: Connection<D>, error: unknown): void {
    this.#closing++
    this.connections.delete(connection)
    this.server?.onConnectionRefused(connection, error)
  }

  /** The last handler of a connection that has ended has been called: of one that was open, `close`. */
  finished(connection?: Connection<D>, error?: Error): void {
    if (connection) connectionCloses(connection, error, this.context)
    this.#closing--
    this.leaveContext()
  }

  /** A program that keeps what has been closed does not keep the stores of the call that opened it. */
  leaveContext(): void {
    const isDone = this.connections.size === 0 && this.#closing === 0 && this.server?.mayOpen !== true
    if (isDone) this.context = rootContext
  }
}

interface Settings<D> extends Pick<
  ConnectionOwner<D>,
  'allowHalfOpen' | 'idleTimeout' | 'sendQueueLimit' | 'handlers'
> {
  /** Undefined for the shared one of the thread. */
  readonly poller: Poller | undefined
  /** Undefined for that of the poller. */
  readonly receiveBuffer: ReceiveBuffer | undefined
}
