import { isLogging } from '../observe/log.js'

/** What a collected owner left open, and the stack at which it was opened. */
class Traced<T> {
  readonly stack = new Error('opened here').stack

  constructor(readonly remains: T) {}
}

/**
 * Closes what its owner left open when it was collected, and emits a process warning: the last resort, not a way to
 * work.
 *
 * Callbacks of a FinalizationRegistry run as tasks of their own, so they may run JavaScript.
 */
export class LeakGuard<T> {
  readonly #kind: string
  readonly #close: (remains: T) => void
  readonly #registry = new FinalizationRegistry<T | Traced<T>>((remains) => this.#onCollected(remains))

  /** `close` closes what an owner of this kind has left open. */
  constructor(kind: 'Socket' | 'Listener' | 'Multiplexer', close: (remains: T) => void) {
    this.#kind = kind
    this.#close = close
  }

  register(owner: object, remains: T): void {
    this.#registry.register(owner, isLogging ? new Traced(remains) : remains, owner)
  }

  unregister(owner: object): void {
    this.#registry.unregister(owner)
  }

  #onCollected(remains: T | Traced<T>): void {
    const isTraced = remains instanceof Traced
    this.#close(isTraced ? remains.remains : remains)
    process.emitWarning(
      `A ${this.#kind} was garbage-collected while open; it has been closed. Call close(), or declare it with \`using\`.`,
      {
        type: 'SocketLeakWarning',
        detail: isTraced ? remains.stack : 'Run with NODE_DEBUG=m-socket to see where it was opened.',
      },
    )
  }
}
