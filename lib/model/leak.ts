import { debuglog } from 'node:util'

/** What an owner that is gone has left, and where it was opened. */
class Traced<T> {
  readonly stack = new Error('opened here').stack

  constructor(readonly what: T) {}
}

/** Bun's debuglog() does not say whether it is enabled. */
const isTracing = debuglog('m-socket').enabled ?? /\bm-socket\b/.test(process.env['NODE_DEBUG'] ?? '')

/**
 * Closes what nobody refers to any more, and says so: the last resort, not a way to work.
 *
 * Callbacks of a FinalizationRegistry run as tasks of their own, so they may run JavaScript.
 */
export class Guard<T> {
  readonly #kind: string
  readonly #finish: (what: T) => void
  readonly #registry = new FinalizationRegistry<T | Traced<T>>((remains) => this.#close(remains))

  /** `finish` closes what an owner of this kind has left. */
  constructor(kind: 'Socket' | 'Listener' | 'Multiplexer', finish: (what: T) => void) {
    this.#kind = kind
    this.#finish = finish
  }

  watch(owner: object, what: T): void {
    this.#registry.register(owner, isTracing ? new Traced(what) : what, owner)
  }

  forget(owner: object): void {
    this.#registry.unregister(owner)
  }

  #close(remains: T | Traced<T>): void {
    const isTraced = remains instanceof Traced
    this.#finish(isTraced ? remains.what : remains)
    process.emitWarning(
      `A ${this.#kind} was garbage-collected while open; it has been closed. Call close(), or declare it with \`using\`.`,
      {
        type: 'SocketLeakWarning',
        detail: isTraced ? remains.stack : 'Run with NODE_DEBUG=m-socket to see where it was opened.',
      },
    )
  }
}
