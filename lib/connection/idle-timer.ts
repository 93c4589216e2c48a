import { type Timed, now, timerWheel } from './timer-wheel.js'

/** Calls its owner when nothing has happened for a time. */
export class IdleTimer implements Timed {
  /** @internal */
  deadline: number
  /** @internal */
  bucket = 0
  /** How much had been sent at the last check, and how much was queued then; 0 where that is not known. */
  #sent = 0
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

  /** So much output is queued, after so many bytes that have been sent. No event says when it leaves. */
  trackQueue(queued: number, sent: number): void {
    this.#queued = queued
    this.#sent = sent
  }

  /**
   * Whether queued output has left since the last check. A queue of which that is not known, since corked writes made it,
   * is given the time once more. Once the socket is closed only its queue is counted.
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
