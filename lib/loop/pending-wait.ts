import type { ReadyEvent } from '../model/event.js'
import { isPast, now } from './timers.js'
import { WakeTimer } from './wake-timer.js'

/** Answers a wait: with events, or with the error of epoll_wait(2). */
export type Deliver = (events: ReadyEvent[], error?: Error) => void

/** The wait of a poller that has not been answered yet, and what answers it when no edge comes. */
export class PendingWait {
  #deliver: Deliver | undefined
  /** On the clock of {@link now}, in milliseconds. */
  #deadline = Infinity
  readonly #timer: WakeTimer
  /** Whether a wait polls before it is pending: a handler that this calls cannot begin another one. */
  isBeginning = false

  constructor(onWake: () => void) {
    this.#timer = new WakeTimer(onWake)
  }

  /** Whether a wait has begun and has not been answered. */
  get isPending(): boolean {
    return this.#deliver !== undefined
  }

  /** Whether its time is up. */
  get isOver(): boolean {
    return isPast(this.#deadline)
  }

  /** Whether it is answered in the next turn of the loop already. */
  get isImmediate(): boolean {
    return this.#timer.isImmediate
  }

  /** `timeout` is in milliseconds, -1 for no limit. */
  begin(timeout: number, deliver: Deliver): void {
    this.#deliver = deliver
    this.#deadline = timeout < 0 ? Infinity : now() + timeout
  }

  /** Wakes the poller in the next turn of the loop when events are `ready`, or else when the time of the wait is up. */
  arm(ready: boolean, referenced: boolean): void {
    if (ready) this.#timer.setImmediate(referenced)
    else if (this.#deadline === Infinity) this.#timer.clearTimeout()
    else this.#timer.setTimeout(this.#deadline - now(), referenced)
  }

  clearTimer(): void {
    this.#timer.clear()
  }

  /** Ends the wait: returns what answers it, undefined when none is pending. */
  end(): Deliver | undefined {
    this.#timer.clear()
    const deliver = this.#deliver
    this.#deliver = undefined
    return deliver
  }
}
