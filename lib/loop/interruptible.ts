/** A loop of the program's over a generator. */
export interface Loop {
  /** Whether the program has ended it, so that the generator has to return. */
  readonly ended: boolean
}

/**
 * A generator whose `return` and `throw` end its loop, and call `interrupt`. By itself a generator that awaits something
 * goes on until it yields, and what it then yields goes to a `next` that the program may have given up.
 */
export function interruptible<T>(
  generate: (loop: Loop) => AsyncGenerator<T, void, void>,
  interrupt: () => void,
): AsyncGenerator<T, void, void> {
  const loop = { ended: false }
  const end = (): void => {
    loop.ended = true
    interrupt()
  }
  const generator = generate(loop)
  const { return: finish, throw: fail } = generator
  generator.return = (value) => {
    end()
    return finish.call(generator, value)
  }
  generator.throw = (error: unknown) => {
    end()
    return fail.call(generator, error)
  }
  return generator
}
