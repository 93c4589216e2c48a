import { constants } from 'node:os'

import { SocketClosedError, systemError } from './errors.js'
import type { Watcher } from './event.js'
import { type InterestBits, Poller } from './poller.js'
import type { Source } from './source.js'

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex or an iteration)'

/** Native mode number of `'edge'`. */
const EDGE = 0

/**
 * The multiplexer behind what needs no multiplexer of the user's: iterating a listener, a Duplex, and the queues of
 * sockets that are in no multiplexer. One for each thread, opened when first needed, and run by Node's loop.
 */
class Home {
  readonly #poller = new Poller()
  #holders = 0

  constructor() {
    this.#poller.referenced = false
    this.#next()
  }

  /**
   * Tells `watcher` of the source's events, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when somebody watches the source already.
   */
  watch(source: Source, interest: InterestBits, watcher: Watcher): void {
    if (source.handle < 0) throw new SocketClosedError()
    if (this.isGuest(source)) this.unwatch(source)
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.#poller.add(source, interest, EDGE, source.handle, watcher)
  }

  modify(source: Source, interest: InterestBits): void {
    const registration = this.#poller.registrationOf(source)
    if (registration) this.#poller.modify(registration, interest, EDGE)
  }

  unwatch(source: Source): void {
    const registration = this.#poller.registrationOf(source)
    if (registration) this.#poller.remove(registration)
  }

  /** Empties the queue of a socket that nobody else watches; the socket leaves when that is done. */
  empty(source: Source, handle: number): void {
    this.#poller.add(source, 0, EDGE, handle)
  }

  /** Whether the source is here only for its queue, and so free to go elsewhere. */
  isGuest(source: Source): boolean {
    return source.poller === this.#poller && this.#poller.registrationOf(source)?.watcher === undefined
  }

  /** Keeps the process alive until released as often as held. */
  hold(): void {
    if (this.#holders++ === 0) this.#poller.referenced = true
  }

  release(): void {
    if (--this.#holders === 0) this.#poller.referenced = false
  }

  /** Nobody but watchers is here, so the events themselves are nobody's. */
  #next(): void {
    this.#poller.wait(-1, () => this.#next())
  }
}

let opened: Home | undefined

/** This thread's {@link Home}. */
export function home(): Home {
  return (opened ??= new Home())
}
