import { now } from '../loop/timers.js'
import { type Timed, timerWheel } from './timer-wheel.js'

/** Calls its owner when nothing has happened for a time. */
export class IdleTimer implements Timed {
  /** @internal */
  deadline: number
  /** @internal */
  bucket = 0
  /** How many bytes had been sent at the last check. */
  #sent = 0
  /** How many bytes were queued at the last check; 0 where that is not known. */
  #queued = 0
  readonly #duration: number
  readonly #onIdle: (timer: IdleTimer) => void

  /** `duration` is in milliseconds, and begins now. */
  constructor(duration: number, onIdle: (timer: IdleTimer) => void) {
    this.#duration = duration
    this.#onIdle = onIdle
    this.deadline = now() + duration
    timerWheel.add(this)
  }

  /** Something has happened: the time starts again. */
  touch(): void {
    this.deadline = now() + this.#duration
    if (this.bucket === 0) timerWheel.add(this)
  }

  /** `queued` bytes are queued, and `sent` bytes have been sent before them. No event reports when they are sent. */
  trackQueue(queued: number, sent: number): void {
    this.#queued = queued
    this.#sent = sent
  }

  /**
   * Whether queued output has left since the last check. A queue of which that is not known, since corked writes made
   * it, is given the time once more. Once the socket is closed only its queue is counted.
   */
  isProgress(sent: number, queued: number): boolean {
    const isKnown = this.#queued > 0
    const progress = isKnown ? sent !== this.#sent || queued < this.#queued : queued > 0
    this.trackQueue(queued, sent)
    return progress
  }

  stop(): void {
    this.deadline = Infinity
    timerWheel.remove(this)
  }

  /** @internal */
  onTimeout(): void {
    this.#onIdle(this)
  }
}
