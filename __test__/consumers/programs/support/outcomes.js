// What the programs share. They are copied to where their packages are: nothing here imports from the repository.

import { createHash } from 'node:crypto'

/** The events of an emitter, in their order. */
export function logOf(emitter, ...names) {
  const log = []
  for (const name of names) emitter.on(name, () => log.push(name))
  return log
}

/** What a promise comes to, as an outcome: `resolved`, or the code of its error, or its message where it has none. */
export async function ending(promise) {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    return codeOf(error)
  }
}

export function codeOf(error) {
  return error.code ?? `${error.name}: ${error.message}`
}

/** The code of the next error of an emitter. */
export async function errorOf(emitter) {
  return codeOf((await event(emitter, 'error'))[0])
}

export function sha256() {
  return createHash('sha256')
}

/** Resolves with the arguments of the next event of that name, whatever errors come before it. */
export function event(emitter, name) {
  return new Promise((resolve) => emitter.once(name, (...args) => resolve(args)))
}
