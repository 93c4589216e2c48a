import { Listener, Multiplexer, type ReadyEvent, Socket } from 'm-socket'

/**
 * An echo server as a user would write it: one multiplexer and one buffer for all connections. A connection is not read
 * before its last echo was sent.
 */
export class EchoServer {
  readonly multiplexer = new Multiplexer()
  readonly connections = new Set<Socket>()
  /** The errors of connections that failed. */
  readonly failures: Error[] = []
  /** The number of received bytes. */
  received = 0
  /** The largest number of open connections. */
  peak = 0
  /** Resolves when the server is closed. */
  readonly finished: Promise<void>
  readonly #listeners: readonly Listener[]
  readonly #buffer = new Uint8Array(65536)

  constructor(...listeners: Listener[]) {
    this.#listeners = listeners
    for (const listener of listeners) this.multiplexer.add(listener, 'r')
    this.finished = this.#run()
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    for (const socket of this.connections) socket.reset()
    this.multiplexer.close()
    await this.finished
  }

  async #run(): Promise<void> {
    for await (const events of this.multiplexer) {
      for (const event of events) this.#onEvent(event)
    }
  }

  #onEvent({ target, readable, writable, error }: ReadyEvent): void {
    if (target instanceof Listener) this.#accept(target)
    else if (readable) this.#echo(target as Socket)
    else if (writable || error) this.multiplexer.modify(target, 'r')
  }

  #accept(listener: Listener): void {
    for (let socket = listener.accept(); socket !== null; socket = listener.accept()) {
      this.connections.add(socket)
      this.multiplexer.add(socket, 'r')
    }
    this.peak = Math.max(this.peak, this.connections.size)
  }

  #echo(socket: Socket): void {
    try {
      const count = socket.receive(this.#buffer)
      if (count === null) return
      if (count === 0) return this.#end(socket)
      this.received += count
      const status = socket.send(this.#buffer.subarray(0, count))
      if (status === 'not-sent') throw new Error('the empty queue accepted nothing')
      if (status === 'partially-sent' || status === 'queued') this.multiplexer.modify(socket, 'w')
    } catch (error) {
      this.failures.push(error as Error)
      this.#end(socket)
    }
  }

  #end(socket: Socket): void {
    this.connections.delete(socket)
    socket.close()
  }
}
