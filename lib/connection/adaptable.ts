import { SocketClosedError, invalidState } from '../errors.js'
import type { DetachedSocket } from '../model/detached-socket.js'
import type { Socket } from '../model/socket.js'
import type { Adapter } from './adapter.js'
import { PromisedOutput } from './promised-output.js'

/** A connection that something else may read and write from some point on: a stream, a relay, another thread. */
export abstract class Adaptable<D> extends PromisedOutput<D> {
  #adapter: Adapter | undefined

  /** @internal What reads and writes the connection in place of its handlers. */
  protected get adapter(): Adapter | undefined {
    return this.#adapter
  }

  /** @internal */
  protected override get isAdapted(): boolean {
    return this.#adapter !== undefined
  }

  /** @internal */
  protected override get isReadByStream(): boolean {
    return this.#adapter?.isStream === true
  }

  /** @internal Whether the socket is another's. */
  protected get isHandedOver(): boolean {
    return this.#adapter?.hasSocket === true
  }

  /** @internal */
  protected override get isEndedByAdapter(): boolean {
    return this.#adapter?.end !== undefined
  }

  /** @internal */
  protected override endOutput(): void {
    if (this.#adapter?.end) this.#adapter.end()
    else this.shutdown()
  }

  /** @internal The socket that was handed over has been closed, for an error perhaps. */
  abstract onSocketClosed(error?: Error): void

  /** @internal The socket is another's to watch. */
  protected abstract leavePoller(socket: Socket): void

  /** @internal Throws for a connection that is closed or adapted, and for one that is in use unless that ends. */
  checkAdaptable(verb: string, endsUse = false): Socket {
    const { socket } = this
    if (!socket || this.isClosed || this.isFailing) throw new SocketClosedError(`${verb}: the connection is not open`)
    if (this.#adapter || (this.isReadPending && !endsUse))
      throw invalidState(`${verb}: the connection is being read already`)
    if (this.isWritePending && !endsUse) throw invalidState(`${verb}: the connection is being written already`)
    return socket
  }

  /** @internal `adapter` reads and writes the connection from here on. */
  adapt(adapter: Adapter, verb: string): Socket {
    const socket = this.checkAdaptable(verb)
    this.#adapter = adapter
    this.startReader()
    return socket
  }

  /** @internal Gives the socket to an adapter that watches it itself, and calls {@link onSocketClosed} at its end. */
  handOver(adapter: Adapter, verb: string): Socket {
    const socket = this.adapt(adapter, verb)
    adapter.hasSocket = true
    this.unreadBuffered(socket)
    this.leavePoller(socket)
    return socket
  }

  /**
   * Gives the socket up, for {@link Socket.attach} and `adopt` in this thread or another one of the process, as
   * {@link Socket.detach} does. What has not been delivered to a handler or a read, and what was written and not sent,
   * goes with it. The idle timeout does not.
   *
   * Here the connection is closed: of the handlers only `close` is still called, without an error, and a pending read is
   * rejected with a SocketClosedError. A server does not count it any more.
   *
   * @throws as {@link Socket.detach}; Error ERR_INVALID_STATE for a connection that has been adapted.
   */
  detach(): DetachedSocket {
    if (this.socket && this.socket.handle >= 0) this.socket.checkDetachable()
    const socket = this.checkAdaptable('detach', true)
    this.failReader()
    this.rejectWrites('The connection was detached', true)
    this.handOver({}, 'detach')
    socket.keepAddresses()
    try {
      const detached = socket.detach()
      this.onSocketClosed()
      return detached
    } catch (error) {
      this.onSocketClosed(error as Error)
      throw error
    }
  }
}
