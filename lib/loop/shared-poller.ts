import type { ReadyEvent } from '../model/event.js'
import { Poller } from './poller.js'
import { throwLater } from './timers.js'

/**
 * The poller of a thread, run by Node's loop: for connections with handlers, streams, the iteration of listeners, and
 * the queues of sockets that are in no multiplexer of the program's.
 */
export class SharedPoller extends Poller {
  #references = 0
  /** All its targets have watchers, so a wait never returns events. */
  readonly #waitAgain = (_events?: ReadyEvent[], error?: Error): void => {
    if (error) throwLater(error)
    this.wait(-1, this.#waitAgain)
  }

  constructor() {
    super()
    this.referenced = false
    this.#waitAgain()
  }

  /** Keeps the process alive, until {@link unref} has been called as often. */
  override ref(): void {
    if (this.#references === 0) this.referenced = true
    this.#references++
  }

  override unref(): void {
    if (--this.#references === 0) this.referenced = false
  }
}

let poller: SharedPoller | undefined

/**
 * The shared poller of this thread, opened when it is first needed.
 *
 * @throws SocketError as `new Poller`; the next call then tries again.
 */
export function sharedPoller(): SharedPoller {
  return (poller ??= new SharedPoller())
}
