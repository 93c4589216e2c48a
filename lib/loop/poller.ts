import { constants } from 'node:os'

import { SocketClosedError, invalidState, systemError } from '../errors.js'
import { type Descriptor, type ReadyEvent, Registration, type Target, type Watcher } from '../model/event.js'
import { Source } from '../model/source.js'
import * as native from '../native.js'
import { attempt, callWatcher } from './call-watcher.js'
import { BATCH_SIZE, EventBatch } from './event-batch.js'
import { ReceiveBuffer } from './receive-buffer.js'
import { RegistrationTable } from './registration-table.js'
import { TurnBudget } from './turn-budget.js'
import { WakeTimer } from './wake-timer.js'

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex, a connection or an iteration)'

type Deliver = (events: ReadyEvent[]) => void

/** A wait that has not been answered yet. */
interface PendingWait {
  readonly deliver: Deliver
  /** On the clock of performance.now(), in milliseconds. */
  readonly deadline: number
}

/**
 * The inside of a multiplexer: one native epoll descriptor, its registrations, and the pending wait. Node's loop refers
 * to a poller, but not to the `Multiplexer` around it, which can be collected while it is open.
 */
export class Poller {
  readonly #handle: number
  readonly #registrations = new RegistrationTable()
  readonly #batch = new EventBatch()
  /** For all sources that have no buffer of their own. */
  readonly receiveBuffer = new ReceiveBuffer()
  /** Whether some registration prefetches. */
  #prefetches = false
  /** Whether watchers are being called for a batch right now. */
  #inBatch = false
  /** Callbacks for the end of the running batch. */
  readonly #atBatchEnd: (() => void)[] = []
  /** Milliseconds that {@link waitSync} polls before it sleeps. */
  spin = 0
  #pending: PendingWait | undefined
  readonly #timer = new WakeTimer(() => this.#turn())
  readonly #budget = new TurnBudget()
  #woken = false
  #closed = false
  #referenced = true

  constructor() {
    this.#handle = native.check(
      native.openMultiplexer(() => this.#onReadable()),
      'epoll_create1',
    )
  }

  get closed(): boolean {
    return this.#closed
  }

  /** How many targets are registered. */
  get size(): number {
    return this.#registrations.size
  }

  /** Whether a pending wait keeps the process alive. */
  set referenced(referenced: boolean) {
    this.#referenced = referenced
    if (!this.#pending) return
    this.#setReferenced(referenced)
    this.#timer.clear()
    this.#rearm()
  }

  /** Called for each connection and server. Without effect: the program itself references its Multiplexer. */
  ref(): void {}

  unref(): void {}

  registrationOf(target: Target): Registration | undefined {
    return this.#registrations.of(target)
  }

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
    this.#registrations.markFlushOnly(source)
  }

  removeFlushOnly(source: Source): void {
    const registration = this.#registrations.isFlushOnly(source) ? this.registrationOf(source) : undefined
    if (registration) this.remove(registration)
  }

  #register(registration: Registration): void {
    this.#registrations.add(registration)
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

  /** The target has left natively: drops its registration and clears its event. */
  forget(registration: Registration): void {
    registration.setBits(0)
    this.#registrations.delete(registration)
    if (registration.target instanceof Source) registration.target.leave(registration.handle)
  }

  /**
   * Calls `watcher` for the events of a source, edge-triggered, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when the source is registered already.
   */
  watch(source: Source, interest: native.InterestBits, watcher: Watcher): void {
    if (source.handle < 0) throw new SocketClosedError()
    source.poller?.removeFlushOnly(source)
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.add(source, interest, native.EDGE, source.handle, watcher)
  }

  /** Changes what a watcher's source is watched for. */
  setInterest(source: Source, interest: native.InterestBits): void {
    const registration = this.registrationOf(source)
    if (registration) this.modify(registration, interest, native.EDGE)
  }

  unwatch(source: Source): void {
    const registration = this.registrationOf(source)
    if (registration) this.remove(registration)
  }

  /**
   * Calls `deliver` once, from Node's loop: with events, or with none when the time is up, when woken, or when closed.
   *
   * `timeout` is in milliseconds, -1 for no limit.
   */
  wait(timeout: number, deliver: Deliver): void {
    this.#refuseSecondWait()
    if (!this.#budget.isSpent && !this.#inBatch && !this.#woken) {
      const events = this.#pollAgain()
      if (events || this.#closed) return deliver(events ?? [])
    }
    this.#pending = { deliver, deadline: timeout < 0 ? Infinity : performance.now() + timeout }
    if (this.#referenced) this.#setReferenced(true)
    this.#rearm()
  }

  /** The program waits again in the same turn of Node's loop. */
  #pollAgain(): ReadyEvent[] | undefined {
    const count = this.#poll(0)
    this.#budget.spend(count)
    return this.#dispatch(count)
  }

  #poll(timeout: number): number {
    return this.#prefetches
      ? this.#batch.waitAndReceive(this.#handle, timeout, this.receiveBuffer)
      : this.#batch.wait(this.#handle, timeout)
  }

  /** Puts this thread to sleep until there are events or the time is up. Returns `into`, where it is given. */
  waitSync(timeout: number, into?: ReadyEvent[]): ReadyEvent[] {
    this.#refuseSecondWait()
    if (this.#inBatch) {
      throw invalidState('Events of this Multiplexer are being handled; it cannot be polled by a handler')
    }
    const deadline = this.#woken ? 0 : timeout < 0 ? Infinity : performance.now() + timeout
    const spinEnd = this.spin === 0 ? 0 : performance.now() + this.spin
    this.#woken = false
    for (;;) {
      const left = deadline === Infinity ? native.SLEEP_SLICE : Math.max(0, Math.ceil(deadline - performance.now()))
      const sleep = spinEnd !== 0 && performance.now() < spinEnd ? 0 : Math.min(left, native.SLEEP_SLICE)
      const events = this.#dispatch(this.#poll(sleep), into)
      if (events || left === 0 || isPast(deadline) || this.#closed) return events ?? into ?? []
    }
  }

  wake(): void {
    if (this.#closed) return
    this.#woken = true
    this.#rearm()
  }

  /** Ends a pending wait with no events; the targets leave. `onQueued` is called for those with a queue to send. */
  close(onQueued: (source: Source, handle: number) => void): void {
    if (this.#closed) return
    this.#closed = true
    this.#budget.clear()
    this.#batch.close(this.#handle)
    for (const registration of this.#registrations.clear()) {
      const { target, handle } = registration
      this.#batch.unread(registration)
      registration.setBits(0)
      if (target instanceof Source) {
        target.leave(handle)
        if (native.queued(handle) > 0) onQueued(target, handle)
      }
    }
    this.#finishWait()
  }

  #refuseSecondWait(): void {
    if (this.#pending) throw invalidState('A wait of this Multiplexer is pending already')
  }

  /** The epoll descriptor is readable. */
  #onReadable(): void {
    if (this.#pending) this.#turn()
    else this.#dispatch(this.#batch.service(this.#handle))
  }

  /** Polls, and answers the pending wait if there are events or its time is up. */
  #turn(): void {
    this.#timer.clear()
    if (!this.#pending) return
    const events = this.#pollForTurn()
    // A handler may have closed the multiplexer.
    if (!this.#pending) return
    if (events || this.#woken || isPast(this.#pending.deadline)) this.#finishWait(events)
    else this.#rearm()
  }

  /** Where only watchers were called, polls again for what happened meanwhile. */
  #pollForTurn(): ReadyEvent[] | undefined {
    this.#budget.begin()
    for (;;) {
      const events = this.#pollAgain()
      if (events || this.#budget.isSpent) return events
    }
  }

  #finishWait(events: ReadyEvent[] = []): void {
    this.#timer.clear()
    this.#woken = false
    const pending = this.#pending
    if (!pending) return
    this.#pending = undefined
    if (this.#referenced) this.#setReferenced(false)
    pending.deliver(events)
  }

  /**
   * Has a pending wait answered when no edge comes. Events that are known already are reported after one turn of Node's
   * loop, so that timers and other handles get theirs.
   */
  #rearm(): void {
    if (!this.#pending || this.#timer.isImmediate || this.#closed) return
    const idle = this.#woken ? 0 : native.idle(this.#handle, BATCH_SIZE)
    if (idle === 0) return this.#timer.setImmediate(this.#referenced)
    const { deadline } = this.#pending
    if (deadline === Infinity && idle < 0) return this.#timer.clearTimeout()
    const left = Math.min(deadline - performance.now(), idle < 0 ? Infinity : idle)
    this.#timer.setTimeout(left, this.#referenced)
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
    if (this.#prefetches) batch.assignInput(count, this.#registrations, this.receiveBuffer)
    for (let index = 0; index < count; index++) {
      const registration = this.#registrations.at(batch.handle(index))
      if (!registration) continue
      const bits = batch.bits(index)
      const isDetached = (bits & native.DETACHED) !== 0
      if (isDetached) this.forget(registration)
      const isReady = registration.setBits(bits)
      if (registration.watcher) {
        if (called++ === 0) this.#inBatch = true
        callWatcher(registration, registration.watcher, isReady, isDetached, batch.takeInput(registration))
      } else if (isReady) (events ??= [])[reported++] = registration
    }
    if (called > 0) this.#endBatch()
    // An array whose length is set to 0 and that is filled again would be given new memory each time.
    if (into && into.length > reported) into.length = reported
    return reported > 0 ? events : undefined
  }

  /** Gives input of the running batch back to a socket that is used before its event has had its turn. */
  unreadInput(source: Source): void {
    if (!this.#batch.hasInput) return
    const registration = this.registrationOf(source)
    if (registration) this.#batch.unread(registration)
  }

  /** Whether watchers are being called for a batch right now. */
  get inBatch(): boolean {
    return this.#inBatch
  }

  /** Calls back when all watchers of the running batch have been called; as a microtask when none is running. */
  defer(callback: () => void): void {
    if (this.#inBatch) this.#atBatchEnd.push(callback)
    else queueMicrotask(callback)
  }

  #endBatch(): void {
    // A callback may add others.
    for (const callback of this.#atBatchEnd) attempt(callback)
    if (this.#atBatchEnd.length > 0) this.#atBatchEnd.length = 0
    this.#inBatch = false
    this.#batch.hasInput = false
    native.flushCorked()
  }
}

function isPast(deadline: number): boolean {
  return deadline !== Infinity && performance.now() >= deadline
}
