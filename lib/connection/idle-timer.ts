import { type Timed, now, timerWheel } from './timer-wheel.js'

/** Calls its owner when nothing has happened for a time. */
export class IdleTimer implements Timed {
  /** @internal */
  deadline: number
  /** @internal */
  bucket = 0
  /** How many bytes had been sent at the last check. */
  #sent = 0
  /** Whether output was queued at the last check. */
  #hadQueue = false
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

  /** Output is queued, and `sent` bytes have been sent before it. No event reports when it is sent. */
  trackQueue(sent: number): void {
    this.#sent = sent
    this.#hadQueue = true
  }

  /** Whether queued output has left since the last call. */
  isProgress(sent: number, queued: number): boolean {
    const progress = this.#hadQueue && sent !== this.#sent
    this.#sent = sent
    this.#hadQueue = queued > 0
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
