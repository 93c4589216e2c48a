import type { ReadyEvent } from '../model/event.js'
import * as native from '../native.js'
import { LoopStatus } from './loop-status.js'
import { isPast, now } from './timers.js'
import { WakeTimer } from './wake-timer.js'

/** Answers a wait: with events, or with the error of epoll_wait(2). */
export type Deliver = (events: ReadyEvent[], error?: Error) => void

/** The wait of a poller that has not been answered yet, and what answers it when no edge comes. */
export class PendingWait {
  readonly #multiplexer: number
  readonly #status: LoopStatus
  #deliver: Deliver | undefined
  /** On the clock of {@link now}, in milliseconds. */
  #deadline = Infinity
  #referenced = true
  readonly #timer: WakeTimer
  /** Whether a wait polls before it is pending: a handler that this calls cannot begin another one. */
  isBeginning = false
  /** Whether it is to be answered whatever comes. */
  isWoken = false
  /** Whether the multiplexer is closed. */
  isClosed = false

  constructor(multiplexer: number, onWake: () => void) {
    this.#multiplexer = multiplexer
    this.#status = new LoopStatus(multiplexer)
    this.#timer = new WakeTimer(onWake)
  }

  /** Whether a wait has begun and has not been answered. */
  get isPending(): boolean {
    return this.#deliver !== undefined
  }

  /** Whether its time is up, or it was woken. */
  get isOver(): boolean {
    return this.isWoken || isPast(this.#deadline)
  }

  /** Whether the loop is calling: what it is asked is answered at the end of the call. */
  get isCalled(): boolean {
    return this.#status.isCalling
  }

  /** Whether a call may make a source ready that it would not report without {@link rearm}. */
  get needsRearm(): boolean {
    return this.isPending && !this.#timer.isImmediate && !this.isClosed
  }

  /** Whether it keeps the process alive. */
  set referenced(referenced: boolean) {
    this.#referenced = referenced
    if (!this.isPending || this.isClosed) return
    this.#status.referenced = referenced
    this.#timer.setReferenced(referenced)
  }

  /** `timeout` is in milliseconds, -1 for no limit. */
  begin(timeout: number, deliver: Deliver): void {
    this.#deliver = deliver
    this.#deadline = timeout < 0 ? Infinity : now() + timeout
    if (this.#referenced) this.#status.referenced = true
    this.rearm()
  }

  /**
   * Has it answered when no edge comes. Events that are known already are reported after one turn of Node's loop, so that
   * timers and other handles get theirs. `idle` is the result of the native `idle`, where it is known.
   */
  rearm(idle?: number): void {
    if (!this.needsRearm) return
    if (this.isWoken || this.#isReady(idle)) this.#timer.setImmediate(this.#referenced)
    else if (this.#deadline === Infinity) this.#timer.clearTimeout()
    else this.#timer.setTimeout(this.#deadline - now(), this.#referenced)
  }

  /** Within a call of the loop it is asked, and answers by {@link takeAnswer}. */
  #isReady(idle: number | undefined): boolean {
    if (idle !== undefined) return idle === 0
    return !this.#status.ask() && native.idle(this.#multiplexer, native.BATCH_SIZE) === 0
  }

  /** Whether the loop is calling because there are events for which no edge comes: they are reported in its next turn. */
  takeAnswer(): boolean {
    const isReady = this.#status.takeAnswer()
    if (isReady && this.needsRearm) this.#timer.setImmediate(this.#referenced)
    return isReady
  }

  /** The poller polls: what was to answer it otherwise is not needed. */
  disarm(): void {
    this.#timer.clear()
    this.#status.takeAnswer()
  }

  /** Ends the wait: returns what answers it, undefined when none is pending. */
  end(): Deliver | undefined {
    this.disarm()
    this.isWoken = false
    const deliver = this.#deliver
    this.#deliver = undefined
    if (deliver && !this.isClosed) this.#status.referenced = false
    return deliver
  }
}
