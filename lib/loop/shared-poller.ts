import { type ReadyEvent, Registration, type Watcher } from '../model/event.js'
import type { Source } from '../model/source.js'
import * as native from '../native.js'
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

  /** Relays two sockets, which are in no poller. A detached event of each reports that the relay is over. */
  relay(one: Source, other: Source, watcher: Watcher): void {
    native.check(native.relay(this.handle, one.handle, other.handle), 'epoll_ctl')
    for (const socket of [one, other]) {
      socket.enter(this)
      this.register(new Registration(socket, socket.handle, watcher))
    }
    // What was received before may have ended the relay already.
    this.reportReady()
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
