// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import * as native from '../../index.js'
import { Chunker } from './receive-buffer.js'
import { invalidState, systemError, throwLater } from '../errors.js'
import { type Descriptor, type Event, LEFT, Registration, type Target, type Watcher } from '../model/event.js'
import { SLICE, Source, slotOf } from '../model/source.js'

/** How many events one wait tells at most. */
export const BATCH = 1000

/** Native interest bits: 1 read, 2 write, 4 receive ahead; 0 only empties a queue. */
export type InterestBits = 0 | 1 | 2 | 3 | 5 | 7

const AHEAD = 4

/** What a batch says of an event, as int32: its handle, its bits, and where in the inbox its input begins and how long it is. */
const EVENT_LENGTH = 4
const BITS = 1
const START = 2
const LENGTH = 3

/** From so many events on, it pays to look again before Node's loop does: its own epoll_wait(2) on ours is dearer. */
const BUSY = 2

/** After so many looks or events other handles of Node's loop get their turn. */
const LOOKS_PER_TURN = 4
const EVENTS_PER_TURN = 256

type Deliver = (events: Event[]) => void

/** Native mode number of `'edge'`. */
const EDGE = 0

/** A wait that has not been answered yet. */
interface Pending {
  readonly deliver: Deliver
  /** On the clock of performance.now(), in milliseconds. */
  readonly deadline: number
}

/**
 * What a multiplexer is made of: the part that Node's loop refers to.
 *
 * A {@link Multiplexer} that nobody refers to is garbage although its poller is not; its finalizer then closes
 * the poller.
 */
export class Poller {
  readonly #handle: number
  /** By the slot of the native handle. */
  readonly #registrations: (Registration | undefined)[] = []
  readonly #foreign = new Map<object, Registration>()
  readonly #guests = new Set<Source>()
  /** What waits until the watchers of a batch have been told. */
  readonly #deferred: (() => void)[] = []
  #inBatch = false
  /** Makes the chunks of the watchers that keep them. */
  readonly chunker = new Chunker()
  /** Whether some watcher has its input received by the wait that tells of it. */
  #receives = false
  /** What the running batch has been received into. */
  #inbox: ArrayBuffer | undefined
  /** Whether the running batch has input that has not been told yet. */
  hasInput = false
  readonly #batch = new Int32Array(EVENT_LENGTH * BATCH)
  readonly #bytes = new Uint8Array(this.#batch.buffer)
  /** Milliseconds that {@link waitSync} looks again and again before it sleeps. */
  spin = 0
  #pending: Pending | undefined
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  /** How often this turn of Node's loop may look again, and how many events it may still tell. */
  #looksLeft = 0
  #eventsLeft = 0
  #woken = false
  #closed = false
  #referenced = true

  constructor() {
    this.#handle = check(
      native.openMultiplexer(() => this.#onReady()),
      'epoll_create1',
    )
  }

  get closed(): boolean {
    return this.#closed
  }

  get pending(): boolean {
    return this.#pending !== undefined
  }

  /** Whether a pending wait keeps the process alive. */
  set referenced(referenced: boolean) {
    this.#referenced = referenced
    if (!this.#pending) return
    this.#hold(referenced)
    // A timer or immediate that was armed before is armed anew, as the new setting says.
    this.#disarm()
    this.#rearm()
  }

  registrationOf(target: Target, handle = target instanceof Source ? target.handle : -1): Registration | undefined {
    if (!(target instanceof Source)) return this.#foreign.get(target)
    const registration = this.#registrations[slotOf(handle)]
    return registration?.target === target ? registration : undefined
  }

  /** `handle` names a source that has given its own up, and is here only to empty its queue. */
  add(source: Source, interest: InterestBits, mode: number, handle = source.handle, watcher?: Watcher): void {
    check(native.add(this.#handle, handle, interest, mode), 'epoll_ctl')
    this.#receives ||= (interest & AHEAD) !== 0
    source.enter(this)
    this.#register(source, handle, watcher)
  }

  /** Takes in a source only to connect it and to empty its queue: it leaves when that is done, or when somebody wants it. */
  addGuest(source: Source, handle: number): void {
    this.add(source, 0, EDGE, handle)
    this.#guests.add(source)
  }

  dismissGuest(source: Source): void {
    const registration = this.#guests.has(source) ? this.registrationOf(source) : undefined
    if (registration) this.remove(registration)
  }

  watch(target: Descriptor, interest: InterestBits, mode: number): void {
    const handle = check(native.addDescriptor(this.#handle, target.fd, interest, mode), 'epoll_ctl')
    this.#foreign.set(target, this.#register(target, handle))
  }

  #register(target: Target, handle: number, watcher?: Watcher): Registration {
    const registration = new Registration(target, handle, watcher)
    this.#registrations[slotOf(handle)] = registration
    this.#rearm()
    return registration
  }

  modify(registration: Registration, interest: InterestBits, mode: number): void {
    check(native.modify(this.#handle, registration.handle, interest, mode), 'epoll_ctl')
    this.#receives ||= (interest & AHEAD) !== 0
    this.#rearm()
  }

  remove(registration: Registration): void {
    this.#putBack(registration)
    native.remove(this.#handle, registration.handle)
    this.forget(registration)
  }

  /** The target has left natively: drops it here, and takes back what its event says. */
  forget(registration: Registration): void {
    registration.write(0)
    const { target } = registration
    this.#registrations[slotOf(registration.handle)] = undefined
    if (target instanceof Source) {
      this.#guests.delete(target)
      target.left(registration.handle)
    } else this.#foreign.delete(target)
  }

  /**
   * Calls `deliver` once, from Node's loop: with news, or with nothing when the time is up, when woken, or when closed.
   *
   * `timeout` is in milliseconds, -1 without end.
   */
  wait(timeout: number, deliver: Deliver): void {
    this.#refuseSecondWait()
    if (this.#looksLeft > 0 && !this.#inBatch && !this.#woken) {
      const events = this.#lookAgain()
      if (events || this.#closed) return deliver(events ?? [])
    }
    this.#pending = { deliver, deadline: timeout < 0 ? Infinity : performance.now() + timeout }
    if (this.#referenced) this.#hold(true)
    this.#rearm()
  }

  /** The program is back for more before Node's loop is: in the same turn of it. */
  #lookAgain(): Event[] | undefined {
    const count = this.#ask(0)
    this.#spend(count)
    return this.#collect(count)
  }

  #ask(timeout: number): number {
    if (!this.#receives) return native.wait(this.#handle, timeout, this.#bytes)
    const inbox = this.chunker.inbox()
    this.#inbox = this.chunker.memory
    return native.wait(this.#handle, timeout, this.#bytes, inbox, this.chunker.used)
  }

  /** Takes what was told off what one turn of Node's loop may tell. */
  #spend(count: number): void {
    this.#eventsLeft -= count
    this.#looksLeft = count < BUSY || this.#eventsLeft <= 0 ? 0 : this.#looksLeft - 1
  }

  /** Sleeps this thread until there is news or the time is up. `into` begins anew, and is what is returned. */
  waitSync(timeout: number, into?: Event[]): Event[] {
    this.#refuseSecondWait()
    if (this.#inBatch)
      throw invalidState('Events of this Multiplexer are being handled; it cannot be polled by a handler')
    const deadline = this.#woken ? 0 : timeout < 0 ? Infinity : performance.now() + timeout
    const awake = this.spin === 0 ? 0 : performance.now() + this.spin
    this.#woken = false
    for (;;) {
      const left = deadline === Infinity ? SLICE : Math.max(0, Math.ceil(deadline - performance.now()))
      const sleep = awake !== 0 && performance.now() < awake ? 0 : Math.min(left, SLICE)
      const events = this.#collect(this.#ask(sleep), into)
      if (events || left === 0 || isOver(deadline) || this.#closed) return events ?? into ?? []
    }
  }

  wake(): void {
    if (this.#closed) return
    this.#woken = true
    this.#rearm()
  }

  /** Ends a pending wait with nothing; the targets leave. Those whose queues are not empty are told to `orphaned`. */
  close(orphaned: (source: Source, handle: number) => void): void {
    if (this.#closed) return
    this.#closed = true
    this.#looksLeft = 0
    native.closeMultiplexer(this.#handle)
    for (const registration of this.#registrations) {
      if (!registration) continue
      const { target, handle } = registration
      this.#putBack(registration)
      registration.write(0)
      if (target instanceof Source) {
        target.left(handle)
        if (native.queued(handle) > 0) orphaned(target, handle)
      }
    }
    this.#registrations.length = 0
    this.#foreign.clear()
    this.#finish()
  }

  #refuseSecondWait(): void {
    if (this.#pending) throw invalidState('A wait of this Multiplexer is pending already')
  }

  /** The epoll descriptor is readable. */
  #onReady(): void {
    if (this.#pending) this.#turn()
    else this.#collect(native.service(this.#handle, this.#bytes))
  }

  /** Looks for news without sleeping, and answers the pending wait if there is any or its time is up. */
  #turn(): void {
    this.#disarm()
    if (!this.#pending) return
    const events = this.#look()
    // A handler may have closed the multiplexer.
    if (!this.#pending) return
    if (events || this.#woken || isOver(this.#pending.deadline)) this.#finish(events)
    else this.#rearm()
  }

  /** What has happened; where only watchers are told, what happened meanwhile too, some times over. */
  #look(): Event[] | undefined {
    this.#looksLeft = LOOKS_PER_TURN
    this.#eventsLeft = EVENTS_PER_TURN
    for (;;) {
      const events = this.#lookAgain()
      if (events || this.#looksLeft === 0) return events
    }
  }

  #finish(events: Event[] = []): void {
    this.#disarm()
    this.#woken = false
    const pending = this.#pending
    if (!pending) return
    this.#pending = undefined
    if (this.#referenced) this.#hold(false)
    pending.deliver(events)
  }

  /**
   * Sees to it that a pending wait is answered even when no edge comes: news that is known already waits one turn
   * of Node's loop, so that timers and other handles get theirs.
   */
  #rearm(): void {
    if (!this.#pending || this.#immediate || this.#closed) return
    const idle = this.#woken ? 0 : native.idle(this.#handle, BATCH)
    if (idle === 0) {
      this.#immediate = setImmediate(() => this.#turn())
      if (!this.#referenced) this.#immediate.unref()
      return
    }
    clearTimeout(this.#timer)
    const { deadline } = this.#pending
    if (deadline === Infinity && idle < 0) return
    const left = Math.min(deadline - performance.now(), idle < 0 ? Infinity : idle)
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, Math.ceil(left)))
    if (!this.#referenced) this.#timer.unref()
  }

  #disarm(): void {
    if (this.#timer) clearTimeout(this.#timer)
    if (this.#immediate) clearImmediate(this.#immediate)
    this.#timer = undefined
    this.#immediate = undefined
  }

  #hold(holds: boolean): void {
    if (!this.#closed) native.setReferenced(this.#handle, holds)
  }

  /** Turns the native batch into events, where there are any, and tells the watchers theirs. */
  #collect(count: number, into?: Event[]): Event[] | undefined {
    check(count, 'epoll_wait')
    let events = into
    let news = 0
    let told = 0
    if (this.#receives) this.#assign(count)
    for (let at = 0; at < EVENT_LENGTH * count; at += EVENT_LENGTH) {
      const handle = this.#batch[at]!
      const bits = this.#batch[at + BITS]!
      const registration = this.#registrations[slotOf(handle)]
      if (registration?.handle !== handle) continue
      if ((bits & LEFT) !== 0) this.forget(registration)
      const isNews = registration.write(bits)
      if (registration.watcher) {
        if (told++ === 0) this.#inBatch = true
        const chunk = registration.at < 0 ? undefined : this.#cut(registration)
        tell(registration, registration.watcher, isNews, (bits & LEFT) !== 0, chunk)
      } else if (isNews) (events ??= [])[news++] = registration
    }
    if (told > 0) this.#endBatch()
    // Set to 0 and filled again, it would be given new memory each time.
    if (into && into.length > news) into.length = news
    return news > 0 ? events : undefined
  }

  /** Notes for whom the batch brings input, so that nobody who acts on them before their turn overtakes it. */
  #assign(count: number): void {
    let end = 0
    for (let at = 0; at < EVENT_LENGTH * count; at += EVENT_LENGTH) {
      const length = this.#batch[at + LENGTH]!
      if (length === 0) continue
      this.#registrations[slotOf(this.#batch[at]!)]!.at = at
      end = this.#batch[at + START]! + length
    }
    this.hasInput = end > 0
    if (this.hasInput) this.chunker.came(end)
  }

  /** What has been received for a watcher, which is told of it now. */
  #cut(registration: Registration): Buffer {
    const start = this.#batch[registration.at + START]!
    const length = this.#batch[registration.at + LENGTH]!
    registration.at = -1
    return Buffer.from(this.#inbox!, start, length)
  }

  /** Gives back what has been received for a source that somebody acts on before its turn. */
  putBack(source: Source): void {
    const registration = this.registrationOf(source)
    if (registration) this.#putBack(registration)
  }

  #putBack(registration: Registration): void {
    if (registration.at >= 0) native.unread(registration.handle, this.#cut(registration))
  }

  /** Whether watchers are being told of a batch right now. */
  get inBatch(): boolean {
    return this.#inBatch
  }

  /** Calls back when all watchers of the running batch have been told. */
  atBatchEnd(callback: () => void): void {
    this.#deferred.push(callback)
  }

  #endBatch(): void {
    // What one does at its end may give others, or itself, more to do.
    for (const callback of this.#deferred) attempt(callback)
    if (this.#deferred.length > 0) this.#deferred.length = 0
    this.#inBatch = false
    this.hasInput = false
    native.flushCorked()
  }
}

/** What a watcher throws is an uncaught exception of its own, and not the end of the batch. */
function tell(
  registration: Registration,
  watcher: Watcher,
  isNews: boolean,
  hasLeft: boolean,
  chunk: Buffer | undefined,
): void {
  try {
    if (isNews) watcher.onEvent(registration, chunk)
  } catch (error) {
    throwLater(error)
  }
  if (hasLeft) tellLeft(watcher)
}

/** Apart, since its closure would cost each call of {@link tell} a context on the heap. */
function tellLeft(watcher: Watcher): void {
  attempt(() => watcher.onLeft?.())
}

function attempt(act: () => void): void {
  try {
    act()
  } catch (error) {
    throwLater(error)
  }
}

function isOver(deadline: number): boolean {
  return deadline !== Infinity && performance.now() >= deadline
}

function check(result: number, syscall: string): number {
  if (result < 0) throw systemError(-result, syscall)
  return result
}
