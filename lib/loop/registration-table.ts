import type { Registration, Target } from '../model/event.js'
import { Source } from '../model/source.js'
import { STATE_UNFINISHED, slotOf, state } from '../native.js'

/** Whether a socket has work left that only a multiplexer does: output, input to discard, a shutdown behind a connect. */
export function isUnfinished(handle: number): boolean {
  const bits = state(handle)
  return bits > 0 && (bits & STATE_UNFINISHED) !== 0
}

/** Whether the source has been closed, and its queue is still to be sent. */
export function isClosing({ target, handle }: Registration): boolean {
  return target instanceof Source && target.handle !== handle
}

/** The registrations of one poller, by handle and by target. */
export class RegistrationTable {
  /** By the slot of the native handle. */
  readonly #slots: (Registration | undefined)[] = []
  readonly #descriptors = new Map<object, Registration>()
  /** Sources that are registered only until their queues have been sent. */
  readonly #flushOnly = new Set<Source>()
  #size = 0

  /** How many targets are registered. */
  get size(): number {
    return this.#size
  }

  /** The registration under a native handle, also of a source that has given it up; not once its slot has a new owner. */
  at(handle: number): Registration | undefined {
    const registration = this.#slots[slotOf(handle)]
    return registration?.handle === handle ? registration : undefined
  }

  /** The registration of a target. */
  of(target: Target): Registration | undefined {
    if (!(target instanceof Source)) return this.#descriptors.get(target)
    const registration = this.#slots[slotOf(target.handle)]
    return registration?.target === target ? registration : undefined
  }

  /** Returns the registration that had the slot: its source has been detached, which no batch has reported yet. */
  add(registration: Registration): Registration | undefined {
    const { target, handle } = registration
    const slot = slotOf(handle)
    const displaced = this.#slots[slot]
    this.#slots[slot] = registration
    if (!(target instanceof Source)) this.#descriptors.set(target, registration)
    this.#size++
    return displaced
  }

  delete(registration: Registration): void {
    const { target, handle } = registration
    const slot = slotOf(handle)
    // A later registration may have the slot already.
    if (this.#slots[slot] === registration) this.#slots[slot] = undefined
    if (target instanceof Source) this.#flushOnly.delete(target)
    else this.#descriptors.delete(target)
    this.#size--
  }

  markFlushOnly(source: Source): void {
    this.#flushOnly.add(source)
  }

  isFlushOnly(source: Source): boolean {
    return this.#flushOnly.has(source)
  }

  /** Removes and returns all registrations. */
  clear(): Registration[] {
    const all = this.#slots.filter((registration) => registration !== undefined)
    this.#slots.length = 0
    this.#descriptors.clear()
    this.#flushOnly.clear()
    this.#size = 0
    return all
  }
}
