// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import type { Registration, Watcher } from '../model/event.js'
import * as native from '../native.js'
import { attempt } from './call-watcher.js'
import { collectFiles } from './file-transfers.js'
import { allocatePool } from './pool.js'
import type { ReceiveBuffer } from './receive-buffer.js'
import type { RegistrationTable } from './registration-table.js'

/** Offsets within an event of the batch. */
const BITS = 1
const START = 2
const LENGTH = 3

/** What one native wait wrote: events as int32, and the input that it received for those that prefetch. */
export class EventBatch {
  readonly #ints = new Int32Array(native.EVENT_INTS * native.BATCH_SIZE)
  readonly #bytes = new Uint8Array(this.#ints.buffer)
  /** The pool that the input of this batch was received into; its length is 0 once a handler has detached it. */
  #pool: Buffer | undefined
  /** The memory of the pool. */
  #memory: ArrayBuffer | undefined
  /** Where the input ends in the pool. */
  #end = 0
  /** The multiplexer that has received it. */
  #multiplexer = -1
  /** Whether the batch has input that has not been delivered yet. */
  hasInput = false
  /** Whether watchers are being called for the batch right now. */
  isRunning = false
  /** Watchers of listeners whose descriptors a handler of this batch has given up, by their handles. */
  readonly #outgoing = new Map<number, Watcher>()
  /** Callbacks for the end of the batch. */
  readonly #atEnd: (() => void)[] = []

  /** Waits without prefetching: epoll_wait(2). */
  wait(multiplexer: number, timeout: number): number {
    return native.wait(multiplexer, timeout, this.#bytes)
  }

  /** As {@link wait}, and receives the input of sources that prefetch. */
  waitAndReceive(multiplexer: number, timeout: number, into: ReceiveBuffer): number {
    const pool = into.pool()
    this.#pool = pool
    this.#memory = into.memory
    this.#multiplexer = multiplexer
    return native.wait(multiplexer, timeout, this.#bytes, pool, into.used)
  }

  /** Sends queues and completes closes. The batch then has only the sources that were detached. */
  service(multiplexer: number): number {
    return native.service(multiplexer, this.#bytes)
  }

  /** Whose event it is; undefined for a source that is gone, and for the progress of files, which is taken note of. */
  registration(index: number, registrations: RegistrationTable): Registration | undefined {
    const handle = this.#ints[native.EVENT_INTS * index]!
    if (this.bits(index) !== native.FILE) return registrations.at(handle)
    collectFiles(handle)
    return undefined
  }

  handle(index: number): number {
    return this.#ints[native.EVENT_INTS * index]!
  }

  bits(index: number): number {
    return this.#ints[native.EVENT_INTS * index + BITS]!
  }

  /** Of a source that was detached: the failure that dropped its queue, 0 for none. */
  failure(index: number): number {
    return this.#ints[native.EVENT_INTS * index + START]!
  }

  /** Of a socket that was accepted: the handle of its listener. Of a listener: the errno of accept4(2). */
  source(index: number): number {
    return this.#ints[native.EVENT_INTS * index + START]!
  }

  /** The watcher of the listener of a socket that was accepted; undefined when a handler has closed that. */
  acceptor(index: number, registrations: RegistrationTable): Watcher | undefined {
    const listener = this.source(index)
    return registrations.at(listener)?.watcher ?? this.#outgoing.get(listener)
  }

  /** A listener is given up: what the running batch has accepted of it is its watcher's still. */
  keepAcceptor({ handle, watcher }: Registration): void {
    if (this.isRunning && watcher) this.#outgoing.set(handle, watcher)
  }

  /** Of a socket that was accepted: the errno for which it could not be registered, 0 for none. */
  unregistered(index: number): number {
    return this.#ints[native.EVENT_INTS * index + LENGTH]!
  }

  /**
   * Notes at each registration where its input is, so that a handler that acts on another connection, before the event
   * of that one has had its turn, does not overtake its input.
   */
  assignInput(count: number, registrations: RegistrationTable, from: ReceiveBuffer): void {
    let end = 0
    for (let index = 0; index < count; index++) {
      const at = native.EVENT_INTS * index
      const length = this.#ints[at + LENGTH]!
      if (length === 0 || (this.#ints[at + BITS]! & native.ACCEPTED) !== 0) continue
      const registration = registrations.at(this.#ints[at]!)
      if (registration) registration.inputAt = at
      end = this.#ints[at + START]! + length
    }
    this.hasInput = end > 0
    this.#end = end
    if (this.hasInput) from.advance(end)
  }

  /** The input of a registration as a chunk; undefined when it has none, or has had it. */
  takeInput(registration: Registration): Buffer | undefined {
    const at = registration.inputAt
    if (at < 0) return undefined
    registration.inputAt = -1
    if (this.#pool!.length === 0) this.#recover()
    return Buffer.from(this.#memory!, this.#ints[at + START]!, this.#ints[at + LENGTH]!)
  }

  /** Gives input that has not been delivered back to its socket: the next receive gets it first. */
  unread(registration: Registration): void {
    const chunk = this.takeInput(registration)
    if (chunk !== undefined) native.unread(registration.handle, chunk)
  }

  /** Calls back when all watchers of the running batch have been called. */
  atEnd(callback: () => void): void {
    this.#atEnd.push(callback)
  }

  /**
   * Calls a watcher whose source has left, when all others have been called: by then no registration is left of what has
   * left natively, and a queue that the watcher fills gets one.
   */
  detachAtEnd(watcher: Watcher): void {
    this.#atEnd.push(() => watcher.onDetached?.())
  }

  /** All watchers have been called. */
  end(): void {
    // A callback may add others.
    for (const callback of this.#atEnd) attempt(callback)
    if (this.#atEnd.length > 0) this.#atEnd.length = 0
    if (this.#outgoing.size > 0) this.#outgoing.clear()
    this.isRunning = false
    this.hasInput = false
  }

  /** Closes the multiplexer. Input that has not been delivered can still be given back. */
  close(multiplexer: number): void {
    if (this.hasInput && this.#pool!.length === 0) this.#recover()
    native.closeMultiplexer(multiplexer)
  }

  /** The input of this batch once more: the multiplexer keeps a copy until its next wait. */
  #recover(): void {
    const pool = allocatePool(this.#end)
    native.prefetched(this.#multiplexer, pool)
    this.#pool = pool
    this.#memory = pool.buffer as ArrayBuffer
  }
}
