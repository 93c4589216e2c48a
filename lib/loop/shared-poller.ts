import { Host } from './host.js'
import { Poller } from './poller.js'
import type { Source } from '../model/source.js'

/**
 * The multiplexer behind what needs no multiplexer of the user's: connections with handlers, a Duplex, iterating a
 * listener, and the queues of sockets that are in no multiplexer. One for each thread, opened when first needed, and run by Node's loop.
 */
class Home extends Host {
  #holders = 0
  /** Nobody but watchers is here, so the events themselves are nobody's. */
  readonly #next = (): void => this.poller.wait(-1, this.#next)

  constructor() {
    super(new Poller())
    this.poller.referenced = false
    this.#next()
  }

  /** Empties the queue of a socket that nobody else watches; the socket leaves when that is done. */
  empty(source: Source, handle: number): void {
    this.poller.addGuest(source, handle)
  }

  override hold(): void {
    if (this.#holders++ === 0) this.poller.referenced = true
  }

  override release(): void {
    if (--this.#holders === 0) this.poller.referenced = false
  }
}

let opened: Home | undefined

/** This thread's {@link Home}. */
export function home(): Home {
  return (opened ??= new Home())
}
