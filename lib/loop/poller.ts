import { constants } from 'node:os'

import { SocketClosedError, invalidState, systemError } from '../errors.js'
import { type Descriptor, type ReadyEvent, Registration, type Watcher } from '../model/event.js'
import { Source } from '../model/source.js'
import * as native from '../native.js'
import { rootContext } from './async-context.js'
import { attempt, callDetached, callWatcher } from './call-watcher.js'
import { BATCH_SIZE, EventBatch } from './event-batch.js'
import { type Deliver, PendingWait } from './pending-wait.js'
import { ReceiveBuffer } from './receive-buffer.js'
import { RegistrationTable, isClosing, isUnfinished } from './registration-table.js'
import { defer, isPast, now } from './timers.js'
import { TurnBudget } from './turn-budget.js'

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex, a connection or an iteration)'

/**
 * The inside of a multiplexer: one native epoll descriptor, its registrations, and the pending wait. Node's loop refers
 * to a poller, but not to the `Multiplexer` around it, which can be collected while it is open.
 *
 * Making one throws the SocketError of the call that opening failed in.
 */
export class Poller {
  readonly #handle = native.openedMultiplexer(
    rootContext.run(native.openMultiplexer, undefined, () => this.#onReadable(), undefined),
  )
  readonly registrations = new RegistrationTable()
  readonly #batch = new EventBatch()
  /** For all sources that have no buffer of their own. */
  readonly receiveBuffer = new ReceiveBuffer()
  /** Whether some registration prefetches. */
  #prefetches = false
  /** Milliseconds that {@link waitSync} polls before it sleeps. */
  spin = 0
  readonly #pending = new PendingWait(() => this.#onTimer())
  readonly #budget = new TurnBudget()
  #woken = false
  #closed = false
  #referenced = true
  /** Callbacks for what is in progress with this poller when it is closed. */
  readonly onClose = new Set<() => void>()

  get closed(): boolean {
    return this.#closed
  }

  /** Whether a pending wait keeps the process alive. */
  set referenced(referenced: boolean) {
    this.#referenced = referenced
    if (!this.#pending.isPending) return
    this.#setReferenced(referenced)
    this.#pending.clearTimer()
    this.#rearm()
  }

  /** Called for each connection and server. Without effect: the program itself references its Multiplexer. */
  ref(): void {}
  unref(): void {}

  /** `handle` names a source that has given up its own, and is registered only to send its queue. */
  add(source: Source, interest: native.InterestBits, mode: number, handle = source.handle, watcher?: Watcher): void {
    native.check(native.add(this.#handle, handle, interest, mode), 'epoll_ctl')
    this.#prefetches ||= (interest & native.PREFETCH) !== 0
    source.enter(this)
    this.#register(new Registration(source, handle, watcher))
  }

  addDescriptor(target: Descriptor, interest: native.InterestBits, mode: number): void {
    const handle = native.check(native.addDescriptor(this.#handle, target.fd, interest, mode), 'epoll_ctl')
    this.#register(new Registration(target, handle, undefined))
  }

  /** Registers a source only to connect it and to send its queue: it leaves when that is done, or when it is added. */
  addFlushOnly(source: Source, handle: number): void {
    this.add(source, native.NONE, native.EDGE, handle)
    this.registrations.markFlushOnly(source)
  }

  /** Returns whether there was such a registration. */
  removeFlushOnly(source: Source): boolean {
    const registration = this.registrations.isFlushOnly(source) ? this.registrations.of(source) : undefined
    if (registration) this.remove(registration)
    return registration !== undefined
  }

  #register(registration: Registration): void {
    const displaced = this.registrations.add(registration)
    if (displaced) {
      this.forget(displaced)
      callDetached(displaced.watcher)
    }
    this.#rearm()
  }

  modify(registration: Registration, interest: native.InterestBits, mode: number): void {
    native.check(native.modify(this.#handle, registration.handle, interest, mode), 'epoll_ctl')
    this.#prefetches ||= (interest & native.PREFETCH) !== 0
    this.#rearm()
  }

  remove(registration: Registration): void {
    this.#batch.unread(registration)
    native.remove(this.#handle, registration.handle)
    this.forget(registration)
  }

  /** The target has left natively, for a `failure` perhaps: drops its registration and clears its event. */
  forget(registration: Registration, failure = 0): void {
    registration.setBits(0)
    this.registrations.delete(registration)
    if (registration.target instanceof Source) registration.target.leave(registration.handle, failure)
  }

  /**
   * Calls `watcher` for the events of a source, edge-triggered, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when the source is registered already.
   */
  watch(source: Source, interest: native.InterestBits, watcher: Watcher): void {
    if (this.#closed) throw new SocketClosedError('The Multiplexer is closed')
    if (source.handle < 0) throw new SocketClosedError()
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.add(source, interest, native.EDGE, source.handle, watcher)
  }

  /** Changes what a watcher's source is watched for. */
  setInterest(source: Source, interest: native.InterestBits): void {
    const registration = this.registrations.of(source)
    if (registration) this.modify(registration, interest, native.EDGE)
  }

  unwatch(source: Source): void {
    const registration = this.registrations.of(source)
    if (registration) this.remove(registration)
  }

  /**
   * Calls `deliver` once, from Node's loop: with events, or with none when the time is up, when woken, or when closed.
   *
   * `timeout` is in milliseconds, -1 for no limit.
   */
  wait(timeout: number, deliver: Deliver): void {
    this.#refuseSecondWait()
    if (!this.#budget.isSpent && !this.#batch.isRunning && !this.#woken) {
      const events = this.#pollAgain()
      if (events || this.#closed) return deliver(events ?? [])
    }
    this.#pending.begin(timeout, deliver)
    if (this.#referenced) this.#setReferenced(true)
    this.#rearm()
  }

  /** The program waits again in the same turn of Node's loop. */
  #pollAgain(): ReadyEvent[] | undefined {
    try {
      this.#pending.isBeginning = true
      const count = this.#poll(0)
      this.#budget.spend(count)
      return this.#dispatch(count)
    } finally {
      this.#pending.isBeginning = false
    }
  }

  #poll(timeout: number): number {
    return this.#prefetches
      ? this.#batch.waitAndReceive(this.#handle, timeout, this.receiveBuffer)
      : this.#batch.wait(this.#handle, timeout)
  }

  /** Puts this thread to sleep until there are events or the time is up. Returns `into`, where it is given. */
  waitSync(timeout: number, into?: ReadyEvent[]): ReadyEvent[] {
    this.#refuseSecondWait()
    if (this.#batch.isRunning) {
      throw invalidState('Events of this Multiplexer are being handled; it cannot be polled by a handler')
    }
    const deadline = this.#woken ? 0 : timeout < 0 ? Infinity : now() + timeout
    const spinEnd = this.spin === 0 ? 0 : now() + this.spin
    this.#woken = false
    for (;;) {
      const left = deadline === Infinity ? native.SLEEP_SLICE : Math.max(0, Math.ceil(deadline - now()))
      const sleep = spinEnd !== 0 && now() < spinEnd ? 0 : Math.min(left, native.SLEEP_SLICE)
      const events = this.#dispatch(this.#poll(sleep), into)
      if (!events && left > 0 && !isPast(deadline) && !this.#closed) continue
      // A handler may have begun a wait, which these polls may have taken the edges of.
      this.#rearm()
      return events ?? into ?? []
    }
  }

  wake(): void {
    if (this.#closed) return
    this.#woken = true
    this.#rearm()
  }

  /**
   * Ends a pending wait with no events; the targets leave. Watchers are called, and then `onQueued` for each source with
   * a queue to send.
   */
  close(onQueued: (source: Source, handle: number) => void): void {
    if (this.#closed) return
    this.#closed = true
    this.#budget.clear()
    this.#batch.close(this.#handle)
    for (const registration of this.registrations.clear()) attempt(() => this.#expel(registration, onQueued))
    for (const callback of this.onClose) attempt(callback)
    this.#finishWait()
  }

  #expel(registration: Registration, onQueued: (source: Source, handle: number) => void): void {
    const { target, handle, watcher } = registration
    this.#batch.unread(registration)
    registration.setBits(0)
    if (!(target instanceof Source)) return
    target.leave(handle)
    if (watcher?.onMultiplexerClosed) attempt(() => watcher.onMultiplexerClosed!())
    if (isUnfinished(handle)) onQueued(target, handle)
    // It has been closed, and what it had to send was sent by a flush: no edge comes for it any more.
    else if (isClosing(registration)) native.close(handle)
  }

  #refuseSecondWait(): void {
    if (this.#pending.isPending || this.#pending.isBeginning)
      throw invalidState('A wait of this Multiplexer is pending already')
  }

  /** The epoll descriptor is readable. Returns whether to be called again, once ticks and microtasks have run. */
  #onReadable(): boolean {
    if (this.#pending.isPending) return this.#turn()
    if (!this.#closed) this.#dispatch(this.#batch.service(this.#handle))
    return false
  }

  #onTimer(): void {
    this.#turn()
    this.#budget.end()
  }

  /**
   * Polls, and answers the pending wait if there are events or its time is up. Returns whether to poll again in this turn
   * of Node's loop.
   */
  #turn(): boolean {
    this.#pending.clearTimer()
    if (!this.#pending.isPending) return false
    this.#budget.begin()
    let events
    try {
      events = this.#pollAgain()
    } catch (error) {
      this.#budget.clear()
      this.#finishWait([], error as Error)
    }
    // It has been answered, or a handler has closed the multiplexer.
    if (!this.#pending.isPending) return false
    if (events || this.#woken || this.#pending.isOver) this.#finishWait(events)
    else this.#rearm()
    return !events && this.#budget.goesOn()
  }

  #finishWait(events: ReadyEvent[] = [], error?: Error): void {
    this.#woken = false
    const deliver = this.#pending.end()
    if (!deliver) return
    if (this.#referenced) this.#setReferenced(false)
    deliver(events, error)
  }

  /**
   * Has a pending wait answered when no edge comes. Events that are known already are reported after one turn of Node's
   * loop, so that timers and other handles get theirs.
   */
  #rearm(): void {
    const pending = this.#pending
    if (!pending.isPending || pending.isImmediate || this.#closed) return
    pending.arm(this.#woken || native.idle(this.#handle, BATCH_SIZE) === 0, this.#referenced)
  }

  /** A call may have made a source ready for which there will be no edge: has the pending wait report it. */
  reportReady(): void {
    if (!this.#batch.isRunning) this.#rearm()
  }

  #setReferenced(referenced: boolean): void {
    if (!this.#closed) native.setReferenced(this.#handle, referenced)
  }

  /** Calls the watchers of a batch; returns the events of targets without one, where there are any. */
  #dispatch(count: number, into?: ReadyEvent[]): ReadyEvent[] | undefined {
    native.check(count, 'epoll_wait')
    const batch = this.#batch
    let events = into
    let reported = 0
    let called = 0
    if (this.#prefetches) batch.assignInput(count, this.registrations, this.receiveBuffer)
    for (let index = 0; index < count; index++) {
      const registration = this.registrations.at(batch.handle(index))
      if (!registration) continue
      const bits = batch.bits(index)
      const isDetached = (bits & native.DETACHED) !== 0
      if (isDetached) this.forget(registration, batch.failure(index))
      const isReady = registration.setBits(bits)
      if (registration.watcher) {
        if (called++ === 0) batch.isRunning = true
        if (isReady) callWatcher(registration, registration.watcher, batch.takeInput(registration))
        if (isDetached) batch.detachAtEnd(registration.watcher)
      } else if (isReady && called > 0 && isClosing(registration)) registration.setBits(0)
      else if (isReady) (events ??= [])[reported++] = registration
    }
    if (called > 0) this.#endBatch()
    // An array whose length is set to 0 and that is filled again would be given new memory each time.
    if (into && into.length > reported) into.length = reported
    return reported > 0 ? events : undefined
  }

  /** Gives input of the running batch back to a socket that is used before its event has had its turn. */
  unreadInput(source: Source): void {
    if (!this.#batch.hasInput) return
    const registration = this.registrations.of(source)
    if (registration) this.#batch.unread(registration)
  }

  /** Whether watchers are being called for a batch right now. */
  get inBatch(): boolean {
    return this.#batch.isRunning
  }

  /** Calls back when all watchers of the running batch have been called; as a microtask when none is running. */
  defer(callback: () => void): void {
    if (this.#batch.isRunning) this.#batch.atEnd(callback)
    else defer(callback)
  }

  #endBatch(): void {
    this.#batch.end()
    native.flushCorked()
  }
}
