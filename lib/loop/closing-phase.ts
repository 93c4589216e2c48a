// The phase of Node's loop in which libuv calls close callbacks: the last one of a turn, after that of setImmediate().
// Node's sockets emit 'close' in it.

import * as native from '../native.js'
import { rootContext } from './async-context.js'
import { setImmediate } from './timers.js'

/** What is to be called in the next closing phase. */
let waiting: (() => void)[] = []
/** What is still to be called in the present one. */
let due: (() => void)[] | undefined
/** Whether the runtime has such a phase; undefined before the first call. */
let isOpen: boolean | undefined

/**
 * Calls back in the closing phase of the present turn of Node's loop, or of the next one within that phase; where there
 * is no loop of libuv's, by setImmediate(). The process stays alive until then. It is called in the root context, as by a
 * close callback of Node's: `process.nextTick()` callbacks run after it, an error becomes an uncaught exception, and what
 * comes last is called first.
 */
export function inClosingPhase(callback: () => void): void {
  isOpen ??= rootContext.run(native.openClosingPhase, undefined, callNext, undefined) === 0
  if (!isOpen) setImmediate(callback)
  else if (waiting.push(callback) === 1) native.requestClosingPhase()
}

/** Returns whether there is more to call. Called again when it throws. */
function callNext(): boolean {
  if (!due) {
    due = waiting
    waiting = []
  }
  // libuv keeps what it closes in a stack: `uv__make_close_pending` of libuv's core.c.
  due.pop()?.()
  if (due.length > 0) return true
  due = undefined
  return false
}

/** Calls one after the other; what follows one that throws is called in the next closing phase. */
export function callInTurn([first, ...others]: (() => void)[]): void {
  if (!first) return
  try {
    first()
  } catch (error) {
    if (others.length > 0) inClosingPhase(() => callInTurn(others))
    throw error
  }
  callInTurn(others)
}
