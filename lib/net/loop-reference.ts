import { sharedPoller } from '../loop/shared-poller.js'

/** In {@link LoopReference.bits}: whether it was unreferenced, and whether it keeps the process alive now. */
const UNREFERENCED = 1 << 0
const HOLDS = 1 << 1
/** The first bit that a subclass can use. */
export const FREE_BIT = 1 << 2

/** What keeps the process alive while it is active and referenced. */
export abstract class LoopReference {
  /** Its flags, and those of a subclass: a field for each would cost each connection a word. */
  protected bits = 0

  protected abstract get isActive(): boolean

  /** Whether it keeps the process alive even when it is not referenced. */
  protected get isRequest(): boolean {
    return false
  }

  get hasRef(): boolean {
    return (this.bits & UNREFERENCED) === 0
  }

  ref(): void {
    this.bits &= ~UNREFERENCED
    this.updateReference()
  }

  unref(): void {
    this.bits |= UNREFERENCED
    this.updateReference()
  }

  /** To be called when {@link isActive} or {@link isRequest} may have changed. */
  protected updateReference(): void {
    const holds = this.isRequest || ((this.bits & UNREFERENCED) === 0 && this.isActive)
    if (holds === ((this.bits & HOLDS) !== 0)) return
    // There may be no poller, and none can be opened.
    if (holds) sharedPoller().ref()
    else sharedPoller().unref()
    this.bits ^= HOLDS
  }
}
