import { sharedPoller } from '../loop/shared-poller.js'

/** What keeps the process alive while it is active and referenced. */
export abstract class LoopReference {
  #referenced = true
  /** Whether it keeps the process alive now. */
  #isHeld = false

  protected abstract get isActive(): boolean

  /** Whether it keeps the process alive even when it is not referenced. */
  protected get isRequest(): boolean {
    return false
  }

  get hasRef(): boolean {
    return this.#referenced
  }

  ref(): void {
    this.#referenced = true
    this.updateReference()
  }

  unref(): void {
    this.#referenced = false
    this.updateReference()
  }

  /** To be called when {@link isActive} or {@link isRequest} may have changed. */
  protected updateReference(): void {
    const isHeld = this.isRequest || (this.#referenced && this.isActive)
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) sharedPoller().ref()
    else sharedPoller().unref()
  }
}
