import { constants } from 'node:os'

import { SocketClosedError, invalidArgType, systemError } from '../errors.js'
import { flushInBackground, takeOver } from '../loop/background-flush.js'
import { Poller } from '../loop/poller.js'
import { isUnfinished } from '../loop/registration-table.js'
import * as native from '../native.js'
import type { MultiplexerStats } from '../observe/wait-counters.js'
import { INT_MAX, duration, integer, oneOf, validTimeout } from '../validate.js'
import type { Descriptor, Interest, ReadyEvent, Registration, Target } from './event.js'
import { CUSTOM_INSPECT, type Inspect, summarize } from './inspect.js'
import { LeakGuard } from './leak.js'
import { Source } from './source.js'

/** In the order of their native bits, from 1 on. */
const INTERESTS: readonly Interest[] = ['r', 'w', 'rw']

/**
 * Waits for many sockets at once: epoll(7).
 *
 * It sends the queues of its sockets whenever the kernel has room, and completes their graceful closes, also between
 * waits. A socket is in one multiplexer at a time; a closed one leaves by itself.
 */
export class Multiplexer implements AsyncIterable<ReadyEvent[]>, Disposable {
  readonly #poller = new Poller()

  /**
   * epoll_create1(2), with the sockets given, edge-triggered, for reading and writing.
   *
   * @throws SocketError EMFILE, ENFILE or ENOMEM; ENOSPC or ENOMEM of epoll_ctl(2) when Node's loop cannot watch it; and
   * as {@link add}.
   */
  constructor(...targets: Target[]) {
    const poller = this.#poller
    guard.register(this, poller)
    try {
      for (const target of targets) this.add(target)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Watches a socket, a listener or the descriptor of something else: epoll_ctl(2). Also while a wait is pending.
   *
   * @throws SocketError EEXIST when it is in a multiplexer already; EPERM for what epoll cannot watch (a regular file);
   * EBADF; ENOSPC when `fs.epoll.max_user_watches` is reached; ELOOP or EINVAL for an epoll descriptor that would close
   * a circle or is nested too deep.
   * @throws SocketClosedError when the target or the multiplexer is closed.
   * @throws TypeError for anything but a target, an interest or a mode; RangeError for an `fd` that is no descriptor
   * number.
   */
  add(target: Target, interest: Interest = 'rw', mode: native.Mode = 'edge'): void {
    const bits = interestBits(interest)
    const number = native.MODES.indexOf(oneOf(mode, native.MODES, 'mode'))
    this.#refuseClosed('add')
    if (target instanceof Source) this.#addSource(target, bits, number)
    else this.#addDescriptor(target, bits, number)
  }

  #addSource(source: Source, bits: native.InterestBits, mode: number): void {
    if (source.handle < 0) throw new SocketClosedError('add: the target is closed')
    takeOver(source, () => {
      if (source.poller === this.#poller) throw inUse('this Multiplexer already; use modify()')
      if (source.poller) throw inUse('another multiplexer (a Multiplexer, a Duplex or an iteration of its own)')
      this.#poller.add(source, bits, mode)
    })
  }

  #addDescriptor(target: Descriptor, bits: native.InterestBits, mode: number): void {
    const fd: unknown = (target as Descriptor | null | undefined)?.fd
    if (typeof fd !== 'number') throw noTarget(target)
    integer(fd, 0, INT_MAX, 'target.fd')
    if (this.#poller.registrations.of(target)) throw inUse('this Multiplexer already; use modify()')
    this.#poller.addDescriptor(target, bits, mode)
  }

  /**
   * Changes what a target is watched for, asks the kernel again, and re-arms a one-shot. Arguments that are left out
   * take their defaults.
   *
   * @throws SocketError ENOENT when the target is not in this multiplexer, EBADF when it is a descriptor that was closed;
   * SocketClosedError when one of them is closed; TypeError as {@link add}.
   */
  modify(target: Target, interest: Interest = 'rw', mode: native.Mode = 'edge'): void {
    const bits = interestBits(interest)
    const number = native.MODES.indexOf(oneOf(mode, native.MODES, 'mode'))
    this.#refuseClosed('modify')
    if (target instanceof Source && target.handle < 0) throw new SocketClosedError('modify: the target is closed')
    this.#poller.modify(this.#registrationOf(target), bits, number)
  }

  /**
   * Stops watching a target. One that is closed has left already: removing it is no error.
   *
   * @throws SocketError ENOENT when the target is not in this multiplexer.
   */
  remove(target: Target): void {
    if (this.#poller.closed || (target instanceof Source && target.handle < 0)) return
    this.#poller.remove(this.#registrationOf(target))
    if (target instanceof Source && isUnfinished(target.handle)) flushInBackground(target, target.handle)
  }

  /**
   * Waits, without blocking the thread, for events. Resolves with [] after `timeout` milliseconds, when woken, and when
   * the multiplexer is closed meanwhile. At most 1,000 events at a time, first come first served.
   *
   * A time is rounded up to whole milliseconds, and 2^31-1 at most. **Default:** no limit. While it is referenced
   * ({@link ref}) a pending wait keeps the process alive.
   *
   * @throws (rejects) TypeError for anything but a number; RangeError for a negative time or NaN; Error
   * ERR_INVALID_STATE while another wait is pending; SocketClosedError once closed; SocketError of epoll_wait(2).
   */
  wait(timeout?: number): Promise<ReadyEvent[]> {
    return new Promise((resolve, reject) => {
      const milliseconds = validTimeout(timeout)
      this.#refuseClosed('wait')
      this.#await(milliseconds, resolve, reject)
    })
  }

  #await(milliseconds: number, deliver: (events: ReadyEvent[]) => void, reject: (error: Error) => void): void {
    this.#poller.wait(milliseconds, (events, error) => {
      // The closure refers to `this`, so that a multiplexer is not collected while a wait is pending.
      void this
      if (error) reject(error)
      else deliver(events)
    })
  }

  /**
   * As {@link wait}, but this thread sleeps: for workers and scripts. Signals do not shorten the time: epoll_wait(2) is
   * called again with the rest of it.
   *
   * The events replace what `into` held, when it is given: a loop that always gives the same array allocates nothing.
   * **Default:** a new array.
   *
   * @throws as {@link wait}; TypeError for an `into` that is no array or cannot grow; and Error ERR_INVALID_STATE in a
   * handler that runs for an event of this multiplexer.
   */
  waitSync(timeout?: number, into?: ReadyEvent[]): ReadyEvent[] {
    const milliseconds = validTimeout(timeout)
    if (into !== undefined && !isGrowable(into)) throw invalidArgType('into', 'an array that can grow', into)
    this.#refuseClosed('waitSync')
    return this.#poller.waitSync(milliseconds, into)
  }

  /**
   * Milliseconds (usually a fraction of one: 0.05) that {@link waitSync} polls before it sleeps: an event in that time
   * costs no wake-up, and a core is busy meanwhile. For threads with a core of their own. **Default:** 0.
   */
  get spin(): number {
    return this.#poller.spin
  }

  /** @throws RangeError for a negative time, more than 2^31-1 or NaN. */
  set spin(milliseconds: number) {
    this.#poller.spin = duration(milliseconds, 'spin')
  }

  /** The events that are there now: `waitSync(0)`. */
  poll(): ReadyEvent[] {
    return this.waitSync(0)
  }

  /** What it has done since it was made, and how many targets it has now: a snapshot. */
  stats(): MultiplexerStats {
    return this.#poller.stats()
  }

  /** Ends the pending wait, or else the next one; many calls before it are one. Harmless once closed. */
  wake(): void {
    this.#poller.wake()
  }

  /**
   * Closes the epoll descriptor, and ends a pending wait with []. The targets stay open; the shared poller of the
   * thread sends queues that are not empty. Connections and servers that live in it by the option `multiplexer` are
   * closed. Closing twice is harmless.
   */
  close(): void {
    guard.unregister(this)
    closePoller(this.#poller)
  }

  /** Lets a pending wait keep the process alive. **Default.** */
  ref(): this {
    this.#poller.referenced = true
    return this
  }

  /** Lets the process end although a wait is pending. Queued output still keeps it alive. */
  unref(): this {
    this.#poller.referenced = false
    return this
  }

  /** Waits again and again, until the multiplexer is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<ReadyEvent[]> {
    return {
      next: () => this.#next(),
      return: () => Promise.resolve(DONE),
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  /** One promise a wait: an async generator would make three. */
  #next(): Promise<IteratorResult<ReadyEvent[], void>> {
    return new Promise((resolve, reject) => {
      const deliver = (events: ReadyEvent[]) => resolve(this.#poller.closed ? DONE : { value: events, done: false })
      if (this.#poller.closed) resolve(DONE)
      else this.#await(-1, deliver, reject)
    })
  }

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #registrationOf(target: Target): Registration {
    if (typeof target !== 'object' || target === null) throw noTarget(target)
    const registration = this.#poller.registrations.of(target)
    if (!registration) throw notRegistered()
    return registration
  }

  /** @internal The poller, for connections that live in this multiplexer. */
  pollerFor(verb: string): Poller {
    this.#refuseClosed(verb)
    return this.#poller
  }

  /** @internal */
  [CUSTOM_INSPECT](...how: Inspect): string {
    const read = () => {
      const { closed, registrations } = this.#poller
      return { state: closed ? 'closed' : 'open', targets: registrations.size }
    }
    return summarize('Multiplexer', read, how)
  }

  #refuseClosed(verb: string): void {
    if (this.#poller.closed) throw new SocketClosedError(`${verb}: the Multiplexer is closed`)
  }
}

const DONE: IteratorReturnResult<void> = { value: undefined, done: true }

const guard = new LeakGuard<Poller>('Multiplexer', closePoller)

function interestBits(interest: Interest): native.InterestBits {
  return (INTERESTS.indexOf(oneOf(interest, INTERESTS, 'interest')) + 1) as native.InterestBits
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

function notRegistered(): Error {
  return systemError(constants.errno.ENOENT, 'epoll_ctl', undefined, 'the target is not in this Multiplexer')
}

function closePoller(poller: Poller): void {
  poller.close(flushInBackground)
}
