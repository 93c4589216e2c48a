// Counts the calls between JavaScript and the addon. To be imported before `m-socket`: the functions of the addon are
// replaced as it is loaded.

import { basename } from 'node:path'

type Native = Record<string, unknown>
type AnyFunction = (...args: unknown[]) => unknown

/** What the addon calls, in the list of crossings. */
export const CALLBACK = 'callback'

let crossings: string[] | undefined

function countCallsOf(name: string, target: AnyFunction): AnyFunction {
  return function (this: unknown, ...args: unknown[]): unknown {
    crossings?.push(name)
    const counted = args.map((arg) => (typeof arg === 'function' ? countCallsOf(CALLBACK, arg as AnyFunction) : arg))
    return target.apply(this, counted)
  }
}

/** Node loads an addon by process.dlopen(), which fills in the exports of a module. */
const { dlopen } = process
process.dlopen = (module: { exports: Native }, path: string, ...rest): void => {
  dlopen(module, path, ...rest)
  if (!basename(path).startsWith('m-socket.')) return
  for (const [name, value] of Object.entries(module.exports)) {
    if (typeof value === 'function') module.exports[name] = countCallsOf(name, value as AnyFunction)
  }
}

/** The names of the functions that are called across the seam from here on, until {@link stopCounting}. */
export function startCounting(): void {
  crossings = []
}

/** What has been called since {@link startCounting}, in order. */
export function stopCounting(): string[] {
  const counted = crossings ?? []
  crossings = undefined
  return counted
}

/** What `act` calls. */
export function crossingsOf(act: () => unknown): string[] {
  startCounting()
  act()
  return stopCounting()
}
