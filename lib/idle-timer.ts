import { type Timed, now, wheel } from './wheel.js'

/** Tells its owner when nothing has happened for a time. */
export class IdleTimer implements Timed {
  /** @internal */
  deadline: number
  /** @internal */
  bucket = 0
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

  stop(): void {
    this.deadline = Infinity
    wheel.forget(this)
  }

  /** @internal */
  onTimeout(): void {
    this.#onIdle(this)
  }
}
