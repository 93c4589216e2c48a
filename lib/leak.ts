import { debuglog } from 'node:util'

import * as native from '../index.js'

type Kind = 'Socket' | 'Listener' | 'Multiplexer'

interface Remains {
  readonly kind: Kind
  readonly handle: number
  readonly stack: string | undefined
  readonly finish: (handle: number) => void
}

const tracing = debuglog('m-socket')

/**
 * Closes what nobody refers to any more, and says so: the last resort, not a way to work.
 *
 * Callbacks of a FinalizationRegistry run as tasks of their own, so they may run JavaScript.
 */
class Guard {
  readonly #registry = new FinalizationRegistry<Remains>((remains) => {
    remains.finish(remains.handle)
    warn(remains)
  })

  watch(owner: object, kind: Kind, handle: number, finish: (handle: number) => void = native.close): void {
    const stack = tracing.enabled ? new Error('opened here').stack : undefined
    this.#registry.register(owner, { kind, handle, stack, finish }, owner)
  }

  forget(owner: object): void {
    this.#registry.unregister(owner)
  }
}

function warn({ kind, stack }: Remains): void {
  process.emitWarning(`A ${kind} was garbage-collected while open; it has been closed. Call close(), or declare it with \`using\`.`, {
    type: 'SocketLeakWarning',
    detail: stack ?? 'Run with NODE_DEBUG=m-socket to see where it was opened.',
  })
}

export const guard = new Guard()
