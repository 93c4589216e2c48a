// The timers and clocks of the library: those that Node had when it was loaded. A program may replace the global ones
// later, as fake timers do, and those of node:timers; Node's own modules keep theirs, too.

import { performance } from 'node:perf_hooks'
import timers from 'node:timers'

import { type AsyncContext, rootContext } from './async-context.js'

// The default export is copied from, since fake timers also replace its properties, and with them the named exports.
const { setTimeout: startTimeout, setImmediate: startImmediate } = timers
/** A reaction to it is a microtask, which cannot be replaced. */
const RESOLVED = Promise.resolve()
export const nextTick = process.nextTick.bind(process)
/** As {@link setTimeout}, in the context of the caller. */
export const setTimeoutInContext = startTimeout
/** As {@link setImmediate}, in the context of the caller. */
export const setImmediateInContext = startImmediate

export const { clearTimeout, clearImmediate } = timers

/** Milliseconds since the process began. */
export const now: () => number = performance.now.bind(performance)

/** Whether a time on the clock of {@link now} has come; Infinity never comes. */
export function isPast(deadline: number): boolean {
  return deadline !== Infinity && now() >= deadline
}

/** Calls back after `milliseconds`, in the root context. */
export function setTimeout(callback: () => void, milliseconds: number): NodeJS.Timeout {
  return rootContext.run(startTimeout, undefined, callback, milliseconds)
}

/** Calls back in the next turn of Node's loop, in the root context. */
export function setImmediate(callback: () => void): NodeJS.Immediate {
  return rootContext.run(startImmediate, undefined, callback, undefined)
}

/** Resolves in the next turn of Node's loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

/** Calls back after the code that runs now, in the root context. */
export function defer(callback: () => void): void {
  rootContext.run(react, undefined, callback, undefined)
}

function react(callback: () => void): void {
  void RESOLVED.then(callback).catch((error: unknown) => throwLater(error))
}

/**
 * Makes an uncaught exception of an error, after the code that runs now: of the domain of `context`, if it has one.
 *
 * What a microtask throws is reported when its domain has been left already.
 */
export function throwLater(error: unknown, context: AsyncContext = rootContext): void {
  context.run(nextTick, undefined, rethrow, error)
}

function rethrow(error: unknown): never {
  throw error
}
