import { type Loop, interruptible } from '../loop/interruptible.js'
import type { Connection } from './connection.js'

/** How many connections wait for the loops before accepting pauses. */
const BACKLOG = 64

/** What the loops need of their server. */
interface LoopServer<D> {
  /** The open connections, in the order in which they were accepted. */
  readonly open: ReadonlySet<Connection<D>>
  isListening(): boolean
  /** There may be room for more connections, or none any more. */
  onChange(): void
}

/** The loops over a server: they share its connections, and each connection is given to one of them, once. */
export class Loops<D> {
  readonly #server: LoopServer<D>
  /** How many loops run. */
  #running = 0
  /** What no loop has taken yet; empty while none runs. */
  readonly #waiting: Connection<D>[] = []
  /**
   * The open connections that have been given to a loop or are waiting for one: none before the first loop, so that a
   * server that is not iterated needs no memory for it.
   */
  readonly #offered = new Set<Connection<D>>()
  /** Resolves the loops that wait for a connection. */
  #onOffer: (() => void)[] = []

  constructor(server: LoopServer<D>) {
    this.#server = server
  }

  /** How many connections may still be accepted: without limit while no loop runs. */
  get room(): number {
    return this.#running === 0 ? Infinity : Math.max(0, BACKLOG - this.#waiting.length)
  }

  /** A connection has been accepted. */
  opened(connection: Connection<D>): void {
    if (this.#running > 0) this.#offer(connection)
  }

  /** A connection has ended. */
  closed(connection: Connection<D>): void {
    this.#offered.delete(connection)
  }

  #offer(connection: Connection<D>): void {
    if (this.#offered.has(connection)) return
    this.#offered.add(connection)
    this.#waiting.push(connection)
    this.wake()
  }

  /** Has the loops that wait look again. */
  wake(): void {
    for (const resolve of this.#onOffer.splice(0)) resolve()
  }

  /** A new loop: first what was accepted before it, or between two loops. */
  iterate(): AsyncGenerator<Connection<D>, void, void> {
    return interruptible(
      (loop) => this.#iterate(loop),
      () => this.wake(),
    )
  }

  async *#iterate(loop: Loop): AsyncGenerator<Connection<D>, void, void> {
    this.#begin()
    try {
      while (!loop.ended) {
        const connection = this.#take()
        this.#server.onChange()
        if (connection) yield connection
        else if (!this.#server.isListening()) return
        else await new Promise<void>((resolve) => this.#onOffer.push(resolve))
      }
    } finally {
      this.#end()
      this.#server.onChange()
    }
  }

  #begin(): void {
    if (this.#running++ > 0) return
    for (const connection of this.#server.open) this.#offer(connection)
  }

  /** What no loop has taken is left to the next one. */
  #end(): void {
    if (--this.#running > 0) return
    for (const connection of this.#waiting.splice(0)) this.#offered.delete(connection)
  }

  /** The next connection; of a server that was stopped one that is open still. */
  #take(): Connection<D> | undefined {
    for (;;) {
      const connection = this.#waiting.shift()
      if (!connection || this.#server.isListening() || this.#offered.has(connection)) return connection
    }
  }
}
