/**
 * Has `return` and `throw` of a generator call `interrupt` first: by itself a generator that awaits something goes on
 * until it yields, and what it then yields goes to a `next` that the program may have given up.
 */
export function interruptible<T>(
  generator: AsyncGenerator<T, void, void>,
  interrupt: () => void,
): AsyncGenerator<T, void, void> {
  const { return: finish, throw: fail } = generator
  generator.return = (value) => {
    interrupt()
    return finish.call(generator, value)
  }
  generator.throw = (error: unknown) => {
    interrupt()
    return fail.call(generator, error)
  }
  return generator
}
