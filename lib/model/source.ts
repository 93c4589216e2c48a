import { SocketClosedError, illegalConstructor } from '../errors.js'
import type { Registrar } from '../loop/registrar.js'
import * as native from '../native.js'
import {
  type OptionName,
  type OptionValue,
  type SettableOptionName,
  type SettableOptions,
  getOption,
  setOption,
} from '../options/index.js'
import { familyOf, toAddress } from './address.js'
import type { LeakGuard } from './leak.js'

/** What {@link Socket} and {@link Listener} have in common: a descriptor and a registration in a multiplexer. */
export abstract class Source {
  /** @internal The native handle; -1 once closed. */
  handle: number
  #poller: Registrar | undefined = undefined
  #guarded = false

  /** @internal */
  protected constructor(handle: number) {
    if (typeof handle !== 'number') throw illegalConstructor(new.target.name, 'its static methods')
    this.handle = handle
  }

  /** @internal Whether a constructor here has made it: no Proxy of one, and nothing that only inherits from the class. */
  static has(value: unknown): value is Source {
    return typeof value === 'object' && value !== null && #poller in value
  }

  /** @internal Closes the handle if the object is collected while open. */
  protected abstract get guard(): LeakGuard<number>

  /** @internal The poller that it is registered with, which refers to it: it needs no guard there. */
  get poller(): Registrar | undefined {
    return this.#poller
  }

  /** @internal */
  enter(poller: Registrar): void {
    this.#poller = poller
    if (this.#guarded) this.guard.unregister(this)
    this.#guarded = false
  }

  /** @internal Has the handle closed when the object is collected. */
  guarded(): this {
    this.#guarded = true
    this.guard.register(this, this.handle)
    return this
  }

  /** The file descriptor, or -1 once closed. It belongs to this object: close it only through {@link close}. */
  get fd(): number {
    return this.handle < 0 ? -1 : Math.max(-1, native.descriptor(this.handle))
  }

  /**
   * Reads an option of the kernel: getsockopt(2).
   *
   * @throws SocketError with the kernel's errno; SocketClosedError once closed; TypeError for an unknown name.
   */
  getOption<K extends OptionName>(name: K): OptionValue<K> {
    return getOption(this.openHandle('getOption'), familyOfHandle(this.handle), name)
  }

  /**
   * Sets an option of the kernel: setsockopt(2). TCP connections inherit those of their listener.
   *
   * @throws SocketError with the kernel's errno, and for EPERM the capability that is needed; SocketClosedError once
   * closed; TypeError, RangeError for an unknown name or a bad value.
   */
  setOption<K extends SettableOptionName>(name: K, value: SettableOptions[K]): void {
    setOption(this.openHandle('setOption'), familyOfHandle(this.handle), name, value)
  }

  /** Closes the descriptor; closing twice is harmless. */
  abstract close(): void

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal The poller has dropped the registration of `handle`; the source may still be open. */
  leave(_handle: number, _failure = 0): void {
    this.#poller = undefined
    if (this.handle >= 0) this.guarded()
  }

  /** @internal Has the queue behind `handle` sent although no multiplexer has it. */
  flushLater(_handle: number): void {}

  /** @internal The handle by which a queue can be reached, also after `close`; -1 once it has been sent. */
  queueHandle(): number {
    return this.handle
  }

  /**
   * @internal The native handle.
   *
   * @throws SocketClosedError once closed.
   */
  openHandle(verb: string): number {
    if (this.handle < 0) throw new SocketClosedError(`${verb}: the ${this.kind} is closed`)
    return this.handle
  }

  /** @internal What errors call it. */
  protected abstract get kind(): string

  /** @internal Gives the handle up: from here on the source is closed. */
  surrender(): number {
    const handle = this.handle
    if (this.#guarded) this.guard.unregister(this)
    this.#guarded = false
    this.handle = -1
    return handle
  }
}

/** A function, since a private method would cost each source a word of memory: the brand of its class. */
function familyOfHandle(handle: number): native.Family {
  return familyOf(toAddress(native.localAddress(handle)))
}
