import { Duplex } from 'node:stream'

import { AsyncContext, enterDomainOf, rootContext } from '../loop/async-context.js'

const CONTEXT = Symbol('context')

/** A stream whose listeners are called in the asynchronous context of its maker; also when another one reads or destroys it. */
export abstract class ContextDuplex extends Duplex {
  declare [CONTEXT]: AsyncContext | undefined

  /**
   * Calls the listeners in the context of {@link enterContext}. An array of the arguments would cost as much as the
   * context.
   */
  override emit(event: string | symbol, ...args: unknown[]): boolean
  override emit(event: string | symbol, argument?: unknown): boolean {
    const context = this[CONTEXT]
    if (context === undefined || (event !== 'error' && this.listenerCount(event) === 0)) {
      if (event === 'close') leaveContext(this)
      return Duplex.prototype.emit.apply(this, arguments as unknown as [string])
    }
    let isListened
    try {
      isListened =
        arguments.length <= 2
          ? context.run(emitEvent, this, event, argument)
          : // A rest parameter would be an array in each call.
            context.run(emitEventWith, this, event, Array.prototype.slice.call(arguments, 1))
    } catch (error) {
      enterDomainOf(this)
      throw error
    }
    if (event === 'close') leaveContext(this)
    return isListened
  }
}

/** The context of the code that runs now is the one that events come in. */
export function enterContext(stream: ContextDuplex): void {
  stream[CONTEXT] = new AsyncContext()
}

/** A program that keeps the stream does not keep the stores of the call that made it. */
function leaveContext(stream: ContextDuplex): void {
  if (stream[CONTEXT] !== undefined) stream[CONTEXT] = rootContext
}

/** The context that the listeners of a stream are called in. */
export function contextOf(stream: ContextDuplex): AsyncContext {
  return stream[CONTEXT] ?? rootContext
}

/** What `make` makes keeps the stores of the stream, and not those of the caller; these only while it has none. */
export function inContextOf<T>(stream: ContextDuplex, make: () => T): T {
  return stream[CONTEXT] ? stream[CONTEXT].run(make, undefined, undefined, undefined) : make()
}

/** Most events of streams have one argument, or none. */
function emitEvent(this: ContextDuplex, event: string | symbol, argument: unknown): boolean {
  return argument === undefined
    ? Duplex.prototype.emit.call(this, event)
    : Duplex.prototype.emit.call(this, event, argument)
}

function emitEventWith(this: ContextDuplex, event: string | symbol, args: unknown[]): boolean {
  return Duplex.prototype.emit.call(this, event, ...args)
}
