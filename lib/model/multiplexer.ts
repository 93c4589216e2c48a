import { constants } from 'node:os'

import * as native from '../../index.js'
import { SocketClosedError, invalidArgType, systemError } from '../errors.js'
import type { Descriptor, Event, Interest, Mode, Registration, Target } from './event.js'
import { home } from '../loop/shared-poller.js'
import { Host } from '../loop/host.js'
import { Guard } from './leak.js'
import { type InterestBits, Poller } from '../loop/poller.js'
import { Source } from './source.js'
import { integer, oneOf, span, timeout as validTimeout } from '../validate.js'

/** In the order of their native bits: read 1, write 2. */
const INTERESTS: readonly Interest[] = ['r', 'w', 'rw']
/** In the order of their native numbers. */
const MODES: readonly Mode[] = ['edge', 'level', 'oneshot']

/**
 * Waits for many sockets at once: epoll(7).
 *
 * It empties the send queues of its sockets whenever they can be written to, and completes their graceful closes, also
 * between waits. A socket is in one multiplexer at a time; a closed one leaves by itself.
 */
export class Multiplexer implements AsyncIterable<Event[]>, Disposable {
  readonly #poller = new Poller()

  /**
   * epoll_create1(2), with the sockets given, edge-triggered, for reading and writing.
   *
   * @throws SocketError EMFILE, ENFILE or ENOMEM; and as {@link add}.
   */
  constructor(...targets: Target[]) {
    const poller = this.#poller
    guard.watch(this, poller)
    try {
      for (const target of targets) this.add(target)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Watches a socket, a listener or somebody else's descriptor: epoll_ctl(2). Also while a wait is pending.
   *
   * @throws SocketError EEXIST when it is in a multiplexer already; EPERM for what epoll cannot watch (a regular file);
   * EBADF; ENOSPC when `fs.epoll.max_user_watches` is reached.
   * @throws SocketClosedError when the target or the multiplexer is closed.
   */
  add(target: Target, interest: Interest = 'rw', mode: Mode = 'edge'): void {
    const bits = interestBits(interest)
    const number = MODES.indexOf(oneOf(mode, MODES, 'mode'))
    this.#refuseClosed('add')
    if (target instanceof Source) this.#addSource(target, bits, number)
    else this.#addDescriptor(target, bits, number)
  }

  #addSource(source: Source, bits: InterestBits, mode: number): void {
    if (source.handle < 0) throw new SocketClosedError('add: the target is closed')
    source.poller?.dismissGuest(source)
    if (source.poller === this.#poller) throw inUse('this Multiplexer already; use modify()')
    if (source.poller) throw inUse('another multiplexer (a Multiplexer, a Duplex or an iteration of its own)')
    this.#poller.add(source, bits, mode)
  }

  #addDescriptor(target: Descriptor, bits: InterestBits, mode: number): void {
    const fd: unknown = (target as Descriptor | null | undefined)?.fd
    if (typeof fd !== 'number') throw noTarget(target)
    integer(fd, 0, 2 ** 31 - 1, 'target.fd')
    if (this.#poller.registrationOf(target)) throw inUse('this Multiplexer already; use modify()')
    this.#poller.watch(target, bits, mode)
  }

  /**
   * Changes what a target is watched for, asks the kernel anew, and re-arms a one-shot. What was left out is the default.
   *
   * @throws SocketError ENOENT when the target is not in this multiplexer.
   */
  modify(target: Target, interest: Interest = 'rw', mode: Mode = 'edge'): void {
    const bits = interestBits(interest)
    const number = MODES.indexOf(oneOf(mode, MODES, 'mode'))
    this.#refuseClosed('modify')
    if (target instanceof Source && target.handle < 0) throw new SocketClosedError('modify: the target is closed')
    this.#poller.modify(this.#registrationOf(target), bits, number)
  }

  /**
   * Lets a target go. One that is closed has left already: removing it is no error.
   *
   * @throws SocketError ENOENT when the target is not in this multiplexer.
   */
  remove(target: Target): void {
    if (this.#poller.closed || (target instanceof Source && target.handle < 0)) return
    this.#poller.remove(this.#registrationOf(target))
    if (target instanceof Source && native.queued(target.handle) > 0) home().empty(target, target.handle)
  }

  /**
   * Waits, without blocking the thread, until there is news, or `timeout` milliseconds have passed: [] then. Also [] when
   * woken, and when the multiplexer is closed meanwhile. At most 1,000 events at a time, first come first told.
   *
   * A time is rounded up to whole milliseconds, and 2^31-1 at most. **Default:** without end. While it is referenced
   * ({@link ref}) a pending wait keeps the process alive.
   *
   * @throws (rejects) RangeError for a negative time or NaN; Error ERR_INVALID_STATE while another wait is pending;
   * SocketClosedError once closed.
   */
  wait(timeout?: number): Promise<Event[]> {
    return new Promise((resolve) => {
      const milliseconds = validTimeout(timeout)
      this.#refuseClosed('wait')
      this.#await(milliseconds, resolve)
    })
  }

  #await(milliseconds: number, deliver: (events: Event[]) => void): void {
    this.#poller.wait(milliseconds, (events) => {
      // The closure refers to `this`: a multiplexer is no garbage while it is waited for.
      void this
      deliver(events)
    })
  }

  /**
   * As {@link wait}, but this thread sleeps: for workers and scripts. Signals do not shorten the time: epoll_wait(2) is
   * begun anew with what is left.
   *
   * The events come in `into`, in place of all that it held, when it is given: a loop that always gives the same array
   * allocates nothing. **Default:** a new array.
   *
   * @throws as {@link wait}; TypeError for an `into` that is no array or cannot grow; and Error ERR_INVALID_STATE in a
   * handler that is being told of an event of this multiplexer.
   */
  waitSync(timeout?: number, into?: Event[]): Event[] {
    const milliseconds = validTimeout(timeout)
    if (into !== undefined && !isGrowable(into)) throw invalidArgType('into', 'an array that can grow', into)
    this.#refuseClosed('waitSync')
    return this.#poller.waitSync(milliseconds, into)
  }

  /**
   * Milliseconds (a fraction of one, usually: 0.05) that {@link waitSync} asks the kernel again and again before it
   * sleeps: the first news costs no wake-up then, and a core is busy meanwhile. For who has a core to give to one thread.
   * **Default:** 0.
   */
  get spin(): number {
    return this.#poller.spin
  }

  /** @throws RangeError for a negative time, more than 2^31-1 or NaN. */
  set spin(milliseconds: number) {
    this.#poller.spin = span(milliseconds, 'spin')
  }

  /** What is ready now: `waitSync(0)`. */
  poll(): Event[] {
    return this.waitSync(0)
  }

  /** Ends the pending wait, or else the next one; many calls before it are one. Harmless once closed. */
  wake(): void {
    this.#poller.wake()
  }

  /**
   * Closes the epoll descriptor, and ends a pending wait with []. The targets stay open; queues that are not empty go on
   * being sent by Node's loop. Closing twice is harmless.
   */
  close(): void {
    guard.forget(this)
    shut(this.#poller)
  }

  /** Lets a pending wait keep the process alive, as it does at first. */
  ref(): this {
    this.#poller.referenced = true
    return this
  }

  /** Lets the process end although a wait is pending. Queued output still holds it. */
  unref(): this {
    this.#poller.referenced = false
    return this
  }

  /** Waits again and again, until the multiplexer is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Event[], void> {
    return {
      next: () => this.#next(),
      return: () => Promise.resolve(DONE),
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  /** One promise a wait: an async generator would make three. */
  #next(): Promise<IteratorResult<Event[], void>> {
    return new Promise((resolve) => {
      if (this.#poller.closed) resolve(DONE)
      else this.#await(-1, (events) => resolve(this.#poller.closed ? DONE : { value: events, done: false }))
    })
  }

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #registrationOf(target: Target): Registration {
    if (typeof target !== 'object' || target === null) throw noTarget(target)
    const registration = this.#poller.registrationOf(target)
    if (!registration) throw stranger()
    return registration
  }

  /** @internal Where connections live whose program runs this multiplexer. */
  host(): Host {
    this.#refuseClosed('listen')
    return new Host(this.#poller)
  }

  #refuseClosed(verb: string): void {
    if (this.#poller.closed) throw new SocketClosedError(`${verb}: the Multiplexer is closed`)
  }
}

const DONE: IteratorReturnResult<void> = { value: undefined, done: true }

const guard = new Guard<Poller>('Multiplexer', shut)

function interestBits(interest: Interest): InterestBits {
  return (INTERESTS.indexOf(oneOf(interest, INTERESTS, 'interest')) + 1) as InterestBits
}

function isGrowable(value: unknown): boolean {
  return Array.isArray(value) && Object.isExtensible(value)
}

function noTarget(value: unknown): Error {
  return invalidArgType('target', 'a Socket, a Listener or an object with a number fd', value)
}

function inUse(where: string): Error {
  return systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, `the target is in ${where}`)
}

function stranger(): Error {
  return systemError(constants.errno.ENOENT, 'epoll_ctl', undefined, 'the target is not in this Multiplexer')
}

function shut(poller: Poller): void {
  poller.close((source, handle) => home().empty(source, handle))
}
