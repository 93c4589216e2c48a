/** The seed of a randomized test, which has to do the same each time that it runs, unless `given` is `random`. */
export function seedOf(given: string | undefined): string {
  return given === 'random' ? String(Math.floor(Math.random() * 2 ** 31)) : (given ?? '12')
}
