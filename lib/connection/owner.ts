import type { Poller } from '../loop/poller.js'
import type { ReceiveBuffer } from '../loop/receive-buffer.js'
import { checkOptions } from '../validate.js'
import type { Connection } from './connection.js'
import { type Handlers, checkHandlers } from './handlers.js'
import type { Server } from './server.js'

/** What all connections of a server, or the one of a client, share. */
export class ConnectionOwner<D> {
  /** Watches the sockets. */
  readonly poller: Poller
  readonly receiveBuffer: ReceiveBuffer
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

  constructor(settings: Pick<ConnectionOwner<D>, Setting>) {
    this.poller = settings.poller
    this.receiveBuffer = settings.receiveBuffer
    this.allowHalfOpen = settings.allowHalfOpen
    this.idleTimeout = settings.idleTimeout
    this.sendQueueLimit = settings.sendQueueLimit
    this.handlers = settings.handlers
  }

  /** Replaces the handlers of all connections, open ones too. */
  reload(options: { socket: Handlers<D> }): void {
    checkOptions(options, ['socket'])
    this.handlers = checkHandlers<D>(options.socket, 'options.socket')
    for (const connection of this.connections) connection.onReload()
  }

  /** A connection is open. */
  opened(connection: Connection<D>): void {
    this.connections.add(connection)
    this.server?.onConnectionOpened(connection)
  }

  /** A connection has ended. */
  closed(connection: Connection<D>): void {
    this.connections.delete(connection)
    this.server?.onConnectionClosed(connection)
  }
}

type Setting = 'poller' | 'receiveBuffer' | 'allowHalfOpen' | 'idleTimeout' | 'sendQueueLimit' | 'handlers'
