import { sharedPoller } from '../loop/shared-poller.js'

/** What keeps the process alive while it is active and referenced. */
export abstract class LoopReference {
  #referenced = true
  /** Whether it keeps the process alive now. */
  #isHeld = false

  protected abstract get isActive(): boolean

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

  /** To be called when {@link isActive} may have changed. */
  protected updateReference(): void {
    const isHeld = this.#referenced && this.isActive
    if (isHeld === this.#isHeld) return
    // There may be no poller, and none can be opened.
    if (isHeld) sharedPoller().ref()
    else sharedPoller().unref()
    this.#isHeld = isHeld
  }
}
