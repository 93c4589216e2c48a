import { invalidState } from '../errors.js'
import type { ReadyEvent, Registration } from '../model/event.js'
import { Source } from '../model/source.js'
import * as native from '../native.js'
import { type MultiplexerStats, WaitCounters } from '../observe/wait-counters.js'
import { attempt, callAccepted, callWatcher } from './call-watcher.js'
import type { Deliver } from './pending-wait.js'
import { Registrar } from './registrar.js'
import { isClosing, isUnfinished } from './registration-table.js'
import { isPast, now } from './timers.js'
import { TurnBudget } from './turn-budget.js'

/**
 * The inside of a multiplexer: one native epoll descriptor, its registrations, and the pending wait. Node's loop refers
 * to a poller, but not to the `Multiplexer` around it, which can be collected while it is open.
 *
 * Making one throws the SocketError of the call that opening failed in.
 */
export class Poller extends Registrar {
  /** Milliseconds that {@link waitSync} polls before it sleeps. */
  spin = 0
  readonly #budget = new TurnBudget()
  readonly #counters = new WaitCounters()
  /** The result of the native `idle` at the end of the last batch; undefined where it is not known. */
  #idle: number | undefined
  /** Callbacks for what is in progress with this poller when it is closed. */
  readonly onClose = new Set<() => void>()

  /**
   * Calls `deliver` once, from Node's loop: with events, or with none when the time is up, when woken, or when closed.
   *
   * `timeout` is in milliseconds, -1 for no limit.
   */
  wait(timeout: number, deliver: Deliver): void {
    this.#refuseSecondWait()
    this.#counters.waits++
    if (!this.#budget.isSpent && !this.batch.isRunning && !this.pending.isWoken) {
      const events = this.#pollAgain()
      if (events || this.closed) return deliver(events ?? [])
    }
    this.pending.begin(timeout, deliver)
  }

  /** The program waits again in the same turn of Node's loop. */
  #pollAgain(): ReadyEvent[] | undefined {
    try {
      this.pending.isBeginning = true
      const count = this.#poll(0)
      this.#budget.spend(count)
      return this.#dispatch(count)
    } finally {
      this.pending.isBeginning = false
    }
  }

  #poll(timeout: number): number {
    return this.prefetches
      ? this.batch.waitAndReceive(this.handle, timeout, this.receiveBuffer)
      : this.batch.wait(this.handle, timeout)
  }

  /** Puts this thread to sleep until there are events or the time is up. Returns `into`, where it is given. */
  waitSync(timeout: number, into?: ReadyEvent[]): ReadyEvent[] {
    this.#refuseSecondWait()
    if (this.batch.isRunning) {
      throw invalidState('Events of this Multiplexer are being handled; it cannot be polled by a handler')
    }
    this.#counters.waits++
    if (this.pending.isWoken) this.#counters.wakeups++
    const deadline = this.pending.isWoken ? 0 : timeout < 0 ? Infinity : now() + timeout
    const spinEnd = this.spin === 0 ? 0 : now() + this.spin
    this.pending.isWoken = false
    for (;;) {
      const left = deadline === Infinity ? native.SLEEP_SLICE : Math.max(0, Math.ceil(deadline - now()))
      const sleep = spinEnd !== 0 && now() < spinEnd ? 0 : Math.min(left, native.SLEEP_SLICE)
      const events = this.#dispatch(this.#poll(sleep), into)
      if (!events && left > 0 && !isPast(deadline) && !this.closed) continue
      // A handler may have begun a wait, which these polls may have taken the edges of.
      this.pending.rearm()
      return events ?? into ?? []
    }
  }

  stats(): MultiplexerStats {
    return { targets: this.registrations.size, ...this.#counters }
  }

  wake(): void {
    if (this.closed) return
    this.pending.isWoken = true
    this.pending.rearm()
  }

  /**
   * Ends a pending wait with no events; the targets leave. Watchers are called, and then `onQueued` for each source with
   * a queue to send.
   */
  close(onQueued: (source: Source, handle: number) => void): void {
    if (this.closed) return
    this.pending.isClosed = true
    this.#budget.clear()
    this.batch.close(this.handle)
    for (const registration of this.registrations.clear()) attempt(() => this.#expel(registration, onQueued))
    for (const callback of this.onClose) attempt(callback)
    this.#finishWait()
  }

  #expel(registration: Registration, onQueued: (source: Source, handle: number) => void): void {
    const { target, handle, watcher } = registration
    this.batch.unread(registration)
    registration.setBits(0)
    if (!(target instanceof Source)) return
    target.leave(handle)
    if (watcher?.onMultiplexerClosed) attempt(() => watcher.onMultiplexerClosed!())
    if (isUnfinished(handle)) onQueued(target, handle)
    // It has been closed, and what it had to send was sent by a flush: no edge comes for it any more.
    else if (isClosing(registration)) native.close(handle)
  }

  #refuseSecondWait(): void {
    if (this.pending.isPending || this.pending.isBeginning)
      throw invalidState('A wait of this Multiplexer is pending already')
  }

  /** The epoll descriptor is readable. Returns whether to be called again, once ticks and microtasks have run. */
  protected override onReadable(): boolean {
    if (this.pending.takeAnswer()) return false
    if (this.pending.isPending) return this.#turn()
    if (!this.closed) this.#dispatch(this.batch.service(this.handle))
    // A handler may have begun a wait.
    this.pending.rearm()
    return false
  }

  protected override onTimer(): void {
    this.#turn()
    this.#budget.end()
  }

  /**
   * Polls, and answers the pending wait if there are events or its time is up. Returns whether to poll again in this turn
   * of Node's loop.
   */
  #turn(): boolean {
    this.pending.disarm()
    if (!this.pending.isPending) return false
    this.#budget.begin()
    this.#idle = undefined
    let events
    try {
      events = this.#pollAgain()
    } catch (error) {
      this.#budget.clear()
      this.#finishWait([], error as Error)
    }
    // It has been answered, or a handler has closed the multiplexer.
    if (!this.pending.isPending) return false
    if (events || this.pending.isOver) this.#finishWait(events)
    else this.pending.rearm(this.#idle)
    return !events && this.#budget.goesOn()
  }

  #finishWait(events: ReadyEvent[] = [], error?: Error): void {
    if (this.pending.isWoken && this.pending.isPending) this.#counters.wakeups++
    this.pending.end()?.(events, error)
  }

  /** Calls the watchers of a batch; returns the events of targets without one, where there are any. */
  #dispatch(count: number, into?: ReadyEvent[]): ReadyEvent[] | undefined {
    native.check(count, 'epoll_wait')
    const batch = this.batch
    let events = into
    let reported = 0
    let called = 0
    if (this.prefetches) batch.assignInput(count, this.registrations, this.receiveBuffer)
    for (let index = 0; index < count; index++) {
      const bits = batch.bits(index)
      if ((bits & (native.ACCEPTED | native.REFUSED)) !== 0) {
        if (called++ === 0) batch.isRunning = true
        this.#accept(index, bits)
        continue
      }
      const registration = batch.registration(index, this.registrations)
      if (!registration) continue
      const isDetached = (bits & native.DETACHED) !== 0
      if (isDetached) this.#detach(registration, batch.failure(index))
      const isReady = registration.setBits(bits)
      if (registration.watcher) {
        if (called++ === 0) batch.isRunning = true
        if (isReady) callWatcher(registration, registration.watcher, batch.takeInput(registration))
        if (isDetached) batch.detachAtEnd(registration.watcher)
      } else if (isReady && called > 0 && isClosing(registration)) registration.setBits(0)
      else if (isReady) (events ??= [])[reported++] = registration
    }
    this.#counters.events += reported + called
    if (called > 0) this.#endBatch()
    // An array whose length is set to 0 and that is filled again would be given new memory each time.
    if (into && into.length > reported) into.length = reported
    return reported > 0 ? events : undefined
  }

  /** A queue that grew again when the kernel had no room to register it again (ENOSPC, ENOMEM) is sent in the background. */
  #detach(registration: Registration, failure: number): void {
    this.forget(registration, failure)
    const { target, handle } = registration
    if (target instanceof Source && isUnfinished(handle)) target.flushLater(handle)
  }

  /** A socket that was accepted before its listener was closed, by a handler of this batch, is reset as the backlog is. */
  #accept(index: number, bits: number): void {
    const { batch, registrations } = this
    const handle = batch.handle(index)
    if ((bits & native.REFUSED) !== 0) {
      const errno = batch.source(index)
      return attempt(() => registrations.at(handle)?.watcher?.onAcceptRefused?.(errno))
    }
    const watcher = batch.acceptor(index, registrations)
    if (watcher?.onAccepted) callAccepted(watcher, handle, batch.unregistered(index))
    else native.reset(handle)
  }

  #endBatch(): void {
    this.batch.end()
    if (this.pending.isCalled || this.closed) native.flushCorked()
    else this.#idle = native.endBatch(this.handle, native.BATCH_SIZE)
  }
}
