import * as native from '../../index.js'
import { illegalConstructor } from '../errors.js'
import type { Guard } from './leak.js'
import type { Poller } from '../loop/poller.js'

/** How many low bits of a native handle are its generation: `GENERATION_BITS` in `src/core/handle.rs`. */
const GENERATION_BITS = 9

/**
 * Milliseconds that a thread sleeps at a stretch: `worker.terminate()` takes effect only where JavaScript runs.
 */
export const SLICE = 250

/** The slot that a native handle names: a small integer, unique among what is open. */
export function slotOf(handle: number): number {
  return handle >>> GENERATION_BITS
}

/** What {@link Socket} and {@link Listener} have in common: a descriptor and a place in a multiplexer. */
export abstract class Source {
  /** @internal The native handle; -1 once closed. */
  handle: number
  #poller: Poller | undefined = undefined
  #guarded = false

  /** @internal */
  protected constructor(handle: number) {
    if (typeof handle !== 'number') throw illegalConstructor(new.target.name, 'its static methods')
    this.handle = handle
  }

  /** @internal Closes it, should nobody refer to it any more while it is open. */
  protected abstract get guard(): Guard<number>

  /** @internal Where it is registered: there somebody refers to it, so that it needs no guard. */
  get poller(): Poller | undefined {
    return this.#poller
  }

  /** @internal */
  enter(poller: Poller): void {
    this.#poller = poller
    if (this.#guarded) this.guard.forget(this)
    this.#guarded = false
  }

  /** @internal Has it closed when it becomes garbage. */
  guarded(): this {
    this.#guarded = true
    this.guard.watch(this, this.handle)
    return this
  }

  /** The file descriptor, or -1 once closed. It stays this object's: close it only through {@link close}. */
  get fd(): number {
    return this.handle < 0 ? -1 : Math.max(-1, native.descriptor(this.handle))
  }

  /** Closes the descriptor; closing twice is harmless. */
  abstract close(): void

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal The poller has let go of what was registered under the handle; it may still be open. */
  left(_handle: number): void {
    this.#poller = undefined
    if (this.handle >= 0) this.guarded()
  }

  /** @internal Gives the handle up: from here on the source is closed. */
  surrender(): number {
    const handle = this.handle
    if (this.#guarded) this.guard.forget(this)
    this.#guarded = false
    this.handle = -1
    return handle
  }
}
