import { type Timed, now, wheel } from './timer-wheel.js'

/** Tells its owner when nothing has happened for a time. */
export class IdleTimer implements Timed {
  /** @internal */
  deadline: number
  /** @internal */
  bucket = 0
  /** What had been sent when this was last looked at, and whether something was queued then. */
  #sent = 0
  #hadQueue = false
  readonly #span: number
  readonly #onIdle: (timer: IdleTimer) => void

  /** `span` is in milliseconds, and begins now. */
  constructor(span: number, onIdle: (timer: IdleTimer) => void) {
    this.#span = span
    this.#onIdle = onIdle
    this.deadline = now() + span
    wheel.watch(this)
  }

  /** Something has happened: the time begins anew. */
  touch(): void {
    this.deadline = now() + this.#span
    if (this.bucket === 0) wheel.watch(this)
  }

  /** Output is queued, after so many bytes that have been sent. Nobody is told when it leaves. */
  watchQueue(sent: number): void {
    this.#sent = sent
    this.#hadQueue = true
  }

  /** Whether queued output has left since this was last asked. */
  isProgress(sent: number, queued: number): boolean {
    const progress = this.#hadQueue && sent !== this.#sent
    this.#sent = sent
    this.#hadQueue = queued > 0
    return progress
  }

  stop(): void {
    this.deadline = Infinity
    wheel.forget(this)
  }

  /** @internal */
  onTimeout(): void {
    this.#onIdle(this)
  }
}
