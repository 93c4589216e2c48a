import type { Connection } from './connection.js'
import { invalidArgType, throwLater } from '../errors.js'
import { options } from '../validate.js'

/** What a handler returns: nothing, or a promise of it. */
export type Answer = void | Promise<void>

/**
 * What happens to the connections of a server or to one of a client: one set of functions for all of them.
 *
 * All may be left out, and all may be async. What one throws or rejects with goes to `error`, or, where there is none
 * or where that throws too, becomes an uncaught exception; the rest of the batch goes on.
 */
export interface Handlers<D = undefined> {
  /** The connection stands. */
  open?(connection: Connection<D>): Answer
  /** Bytes came. The chunk is the handler's to keep, unless `receiveInto` says otherwise. */
  data?(connection: Connection<D>, chunk: Buffer): Answer
  /** After a write that took less than it was given: there is room again. */
  drain?(connection: Connection<D>): Answer
  /** The peer has ended: it sends nothing more, all that it sent has been told. */
  end?(connection: Connection<D>): Answer
  /** The connection is gone: exactly once, and last. `error` is why, where it did not end in peace. */
  close?(connection: Connection<D>, error?: Error): Answer
  /** The connection broke, or a handler threw. A broken connection is closed next. */
  error?(connection: Connection<D>, error: Error): Answer
  /** No connection came about; the promise of `connect` is rejected after this. */
  connectError?(connection: Connection<D>, error: Error): Answer
  /** Nothing came or went for the time set. The connection is closed next, unless this sends something or sets a time anew. */
  timeout?(connection: Connection<D>): Answer
}

const NAMES = ['open', 'data', 'drain', 'end', 'close', 'error', 'connectError', 'timeout'] as const

/** @internal The handlers in force: `reload` puts others in their place. */
export interface HandlerSlot<D> {
  current: Handlers<D>
}

/** @internal */
export function checkHandlers<D>(value: unknown, name: string): Handlers<D> {
  const handlers = options(value, NAMES, name) as Handlers<D>
  for (const key of NAMES) {
    const handler: unknown = handlers[key]
    if (handler !== undefined && typeof handler !== 'function')
      throw invalidArgType(`${name}.${key}`, 'a function', handler)
  }
  return handlers
}

/** @internal Calls one of `handlers`, and tells its `error` of what it throws or rejects with. */
export function callHandler<D, A>(
  handlers: Handlers<D>,
  handler: ((connection: Connection<D>, argument: A) => Answer) | undefined,
  connection: Connection<D>,
  argument: A,
): void {
  if (!handler) return
  try {
    const answer = handler.call(handlers, connection, argument)
    if (answer !== undefined) watchAnswer(answer, handlers, handler, connection)
  } catch (error) {
    handlerFailed(error, handlers, handler, connection)
  }
}

/** Only a promise is an answer: `data: (c, chunk) => c.write(chunk)` returns a number. */
function watchAnswer<D>(answer: unknown, handlers: Handlers<D>, handler: unknown, connection: Connection<D>): void {
  if (typeof (answer as PromiseLike<void> | null)?.then !== 'function') return
  ;(answer as PromiseLike<void>).then(undefined, (error: unknown) =>
    handlerFailed(error, handlers, handler, connection),
  )
}

function handlerFailed<D>(error: unknown, handlers: Handlers<D>, handler: unknown, connection: Connection<D>): void {
  if (handler === handlers.error) throwLater(error)
  else reportError(handlers, connection, error)
}

/** @internal Tells `error`; where there is none, the error is an uncaught exception. */
export function reportError<D>(handlers: Handlers<D>, connection: Connection<D>, error: unknown): void {
  if (handlers.error) callHandler(handlers, handlers.error, connection, error as Error)
  else throwLater(error)
}
