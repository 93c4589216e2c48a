import { constants } from 'node:os'

import { SocketClosedError, systemError } from './errors.js'
import type { Event } from './event.js'
import { type InterestBits, Poller } from './poller.js'
import type { Source } from './source.js'

type Handler = (event: Event) => void

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex or an iteration)'

/** Native mode number of `'edge'`. */
const EDGE = 0

/**
 * The multiplexer behind what needs no multiplexer of the user's: iterating a listener, a Duplex, and the queues of
 * sockets that are in no multiplexer. One for each thread, opened when first needed, and run by Node's loop.
 */
class Home {
  readonly #poller = new Poller()
  readonly #handlers = new Map<Source, Handler>()
  #holders = 0

  constructor() {
    this.#poller.referenced = false
    this.#next()
  }

  /**
   * Calls `handler` with each event of the source, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when somebody watches the source already.
   */
  watch(source: Source, interest: InterestBits, handler: Handler): void {
    if (source.handle < 0) throw new SocketClosedError()
    if (this.isGuest(source)) this.unwatch(source)
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.#poller.add(source, interest, EDGE, source.handle)
    this.#handlers.set(source, handler)
  }

  modify(source: Source, interest: InterestBits): void {
    const registration = this.#poller.registrationOf(source)
    if (registration) this.#poller.modify(registration, interest, EDGE)
  }

  unwatch(source: Source): void {
    this.#handlers.delete(source)
    const registration = this.#poller.registrationOf(source)
    if (registration) this.#poller.remove(registration)
  }

  /** Empties the queue of a socket that nobody else watches; the socket leaves when that is done. */
  empty(source: Source, handle: number): void {
    this.#poller.add(source, 0, EDGE, handle)
  }

  /** Whether the source is here only for its queue, and so free to go elsewhere. */
  isGuest(source: Source): boolean {
    return source.poller === this.#poller && !this.#handlers.has(source)
  }

  /** Keeps the process alive until released as often as held. */
  hold(): void {
    if (this.#holders++ === 0) this.#poller.referenced = true
  }

  release(): void {
    if (--this.#holders === 0) this.#poller.referenced = false
  }

  #next(): void {
    this.#poller.wait(-1, (events) => {
      for (const event of events) this.#dispatch(event)
      this.#next()
    })
  }

  /** What a handler throws is an uncaught exception of its own, and not the end of the batch. */
  #dispatch(event: Event): void {
    const source = event.target as Source
    const handler = this.#handlers.get(source)
    if (source.poller !== this.#poller) this.#handlers.delete(source)
    try {
      handler?.(event)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

let opened: Home | undefined

/** This thread's {@link Home}. */
export function home(): Home {
  return (opened ??= new Home())
}
