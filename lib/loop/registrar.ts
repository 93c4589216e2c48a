import { constants } from 'node:os'

import { SocketClosedError, systemError } from '../errors.js'
import { type Descriptor, Registration, type Watcher } from '../model/event.js'
import { Source } from '../model/source.js'
import * as native from '../native.js'
import { rootContext } from './async-context.js'
import { callDetached } from './call-watcher.js'
import { EventBatch } from './event-batch.js'
import { PendingWait } from './pending-wait.js'
import { ReceiveBuffer } from './receive-buffer.js'
import { RegistrationTable } from './registration-table.js'
import { defer } from './timers.js'

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex, a connection or an iteration)'

/** What a poller watches: one native epoll descriptor, and its registrations. */
export abstract class Registrar {
  /** @internal */
  protected readonly handle = native.openedMultiplexer(
    rootContext.run(native.openMultiplexer, undefined, () => this.onReadable(), undefined),
  )
  readonly registrations = new RegistrationTable()
  /** @internal */
  protected readonly batch = new EventBatch()
  /** For all sources that have no buffer of their own. */
  readonly receiveBuffer = new ReceiveBuffer()
  /** @internal Whether some registration prefetches. */
  protected prefetches = false
  /** @internal */
  protected readonly pending = new PendingWait(this.handle, () => this.onTimer())

  /** @internal The epoll descriptor is readable. Returns whether to be called again, once ticks and microtasks have run. */
  protected abstract onReadable(): boolean

  /** @internal The pending wait is to be answered without an edge. */
  protected abstract onTimer(): void

  get closed(): boolean {
    return this.pending.isClosed
  }

  /** Whether a pending wait keeps the process alive. */
  set referenced(referenced: boolean) {
    this.pending.referenced = referenced
  }

  /** Called for each connection and server. Without effect: the program itself references its Multiplexer. */
  ref(): void {}
  unref(): void {}

  /** `handle` names a source that has given up its own, and is registered only to send its queue. */
  add(source: Source, interest: native.InterestBits, mode: number, handle = source.handle, watcher?: Watcher): void {
    const isListed = native.check(native.add(this.handle, handle, interest, mode), 'epoll_ctl')
    this.prefetches ||= (interest & native.PREFETCH) !== 0
    source.enter(this)
    this.register(new Registration(source, handle, watcher))
    if (isListed !== 0) this.reportReady()
  }

  addDescriptor(target: Descriptor, interest: native.InterestBits, mode: number): void {
    const handle = native.check(native.addDescriptor(this.handle, target.fd, interest, mode), 'epoll_ctl')
    this.register(new Registration(target, handle, undefined))
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

  /** @internal */
  protected register(registration: Registration): void {
    const displaced = this.registrations.add(registration)
    if (displaced) {
      this.forget(displaced)
      callDetached(displaced.watcher)
    }
  }

  modify(registration: Registration, interest: native.InterestBits, mode: number): void {
    const { handle } = registration
    const pending = this.pending
    // The end of a batch, and that of a call of the loop, look at what is ready.
    const isFollowed = !pending.needsRearm || pending.isCalled || this.batch.isRunning
    const idle = isFollowed
      ? native.modify(this.handle, handle, interest, mode)
      : native.setInterest(this.handle, handle, interest, mode, native.BATCH_SIZE)
    native.check(idle, 'epoll_ctl')
    this.prefetches ||= (interest & native.PREFETCH) !== 0
    if (!this.batch.isRunning) pending.rearm(isFollowed ? undefined : idle)
  }

  remove(registration: Registration): void {
    this.batch.unread(registration)
    native.remove(this.handle, registration.handle)
    this.forget(registration)
  }

  /** The target has left natively, for a `failure` perhaps: drops its registration and clears its event. */
  forget(registration: Registration, failure = 0): void {
    registration.setBits(0)
    this.registrations.delete(registration)
    if (registration.target instanceof Source) registration.target.leave(registration.handle, failure)
  }

  /** As {@link forget}, of a listener that goes on elsewhere: its watcher gets what has been accepted so far. */
  giveUp(registration: Registration): void {
    const { watcher } = registration
    this.batch.keepAcceptor(registration)
    this.forget(registration)
    if (!this.batch.isRunning) callDetached(watcher)
    else if (watcher) this.batch.detachAtEnd(watcher)
  }

  /**
   * Calls `watcher` for the events of a source, edge-triggered, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when the source is registered already.
   */
  watch(source: Source, interest: native.InterestBits, watcher: Watcher): void {
    if (this.closed) throw new SocketClosedError('The Multiplexer is closed')
    if (source.handle < 0) throw new SocketClosedError()
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.add(source, interest, native.EDGE, source.handle, watcher)
  }

  /** As {@link watch}, of a source that another watcher has had so far, in this poller or in another one. */
  takeWatch(source: Source, interest: native.InterestBits, watcher: Watcher): void {
    const registration = this.registrations.of(source)
    if (!registration) {
      source.poller?.unwatch(source)
      return this.watch(source, interest, watcher)
    }
    registration.watcher = watcher
    this.modify(registration, interest, native.EDGE)
  }

  /**
   * Has the waits accept the connections of a listener that has a watcher here, at most `count` more. They register the
   * sockets, with an interest and a limit of their send queues, and call `onAccepted` for each.
   *
   * @throws SocketError ENOMEM
   */
  serve(listener: Source, interest: native.InterestBits, queueLimit: number, count: number): void {
    const most = Math.min(count, Number.MAX_SAFE_INTEGER)
    native.check(native.serve(this.handle, listener.handle, interest, queueLimit, most), 'epoll_ctl')
    this.prefetches ||= (interest & native.PREFETCH) !== 0
    this.reportReady()
  }

  /**
   * As {@link watch}, of a socket that a wait has accepted, and registered with an interest; another watcher may have had
   * it since.
   */
  watchAccepted(source: Source, watcher: Watcher): void {
    if (this.closed) throw new SocketClosedError('The Multiplexer is closed')
    const known = source.poller === this ? this.registrations.of(source) : undefined
    if (known) return void (known.watcher = watcher)
    source.enter(this)
    this.register(new Registration(source, source.handle, watcher))
  }

  /** Changes what a source is watched for, unless another watcher than `watcher` has it. */
  setInterest(source: Source, interest: native.InterestBits, watcher?: Watcher): void {
    const registration = this.registrations.of(source)
    if (!registration || (watcher && registration.watcher !== watcher)) return
    this.modify(registration, interest, native.EDGE)
  }

  unwatch(source: Source): void {
    const registration = this.registrations.of(source)
    if (registration) this.remove(registration)
  }

  /** A call may have made a source ready for which there will be no edge: has the pending wait report it. */
  reportReady(): void {
    if (!this.batch.isRunning) this.pending.rearm()
  }

  /** Gives input of the running batch back to a socket that is used before its event has had its turn. */
  unreadInput(source: Source): void {
    if (!this.batch.hasInput) return
    const registration = this.registrations.of(source)
    if (registration) this.batch.unread(registration)
  }

  /** Whether watchers are being called for a batch right now. */
  get inBatch(): boolean {
    return this.batch.isRunning
  }

  /** Calls back when all watchers of the running batch have been called; as a microtask when none is running. */
  defer(callback: () => void): void {
    if (this.batch.isRunning) this.batch.atEnd(callback)
    else defer(callback)
  }
}
