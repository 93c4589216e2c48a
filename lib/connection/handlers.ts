import { invalidArgType } from '../errors.js'
import type { AsyncContext } from '../loop/async-context.js'
import { throwLater } from '../loop/timers.js'
import { checkOptions } from '../validate.js'
import type { Connection } from './connection.js'

/**
 * What is called for the connections of a server or for the one of a client: one set of functions for all of them.
 *
 * All are optional and may be async; what they return is ignored, but for a promise that is rejected. If a handler
 * throws or rejects, the error is passed to `error`; where there is none, or where that throws too, it becomes an
 * uncaught exception. The rest of the batch goes on. They run in the asynchronous context of the call of `listen` or
 * `connect`.
 */
export interface Handlers<D = undefined> {
  /** The connection is open. */
  open?(connection: Connection<D>): unknown
  /** Bytes came. The handler may keep the chunk, unless `receiveInto` was given. */
  data?(connection: Connection<D>, chunk: Buffer): unknown
  /** There is room again, after a write that took less than it was given. */
  drain?(connection: Connection<D>): unknown
  /** The peer has ended its half: it sends nothing more, and all that it sent has been delivered. */
  end?(connection: Connection<D>): unknown
  /** The connection is closed: called exactly once, and last. `error` is the reason, if it was an error. */
  close?(connection: Connection<D>, error?: Error): unknown
  /** The connection broke, or a handler threw. A broken connection is closed next. */
  error?(connection: Connection<D>, error: Error): unknown
  /** `connect` failed; its promise is rejected after this. */
  connectError?(connection: Connection<D>, error: Error): unknown
  /**
   * Nothing was received or sent for the time set. The connection is closed next, unless the handler sends something or
   * sets a time again.
   */
  timeout?(connection: Connection<D>): unknown
}

const NAMES = ['open', 'data', 'drain', 'end', 'close', 'error', 'connectError', 'timeout'] as const

/** Names that other libraries have for these handlers. */
const HINTS = { connect: "'open'", message: "'data'", connection: "'open'", onopen: "'open'", ondata: "'data'" }

/** @internal Checks the names and types of handlers. */
export function checkHandlers<D>(value: unknown, name: string): Handlers<D> {
  const handlers = checkOptions(value, NAMES, { name, kind: 'handler', hints: HINTS }) as Handlers<D>
  for (const key of NAMES) {
    const handler: unknown = handlers[key]
    if (handler !== undefined && typeof handler !== 'function') {
      throw invalidArgType(`${name}.${key}`, 'a function', handler)
    }
  }
  return handlers
}

/** @internal What handlers are called by: the object that was given as `socket`, and the context it was given in. */
export interface HandlerOwner<D> {
  readonly handlers: Handlers<D>
  readonly context: AsyncContext
}

/** @internal Calls one of the owner's handlers, and passes what it throws or rejects with to `error`. */
export function callHandler<D, A>(
  { handlers, context }: HandlerOwner<D>,
  handler: ((connection: Connection<D>, argument: A) => unknown) | undefined,
  connection: Connection<D>,
  argument: A,
): void {
  if (!handler) return
  try {
    const result = context.run(handler, handlers, connection, argument)
    if (result !== undefined) catchRejection(result, handlers, context, handler, connection)
  } catch (error) {
    handlerFailed(error, { handlers, context }, handler, connection)
  }
}

/** Ignores what is not a promise: `data: (c, chunk) => c.write(chunk)` returns a number. */
function catchRejection<D>(
  result: unknown,
  handlers: Handlers<D>,
  context: AsyncContext,
  handler: unknown,
  connection: Connection<D>,
): void {
  const then: unknown = (result as PromiseLike<void> | null)?.then
  if (typeof then !== 'function') return
  const onRejected = (error: unknown) => handlerFailed(error, { handlers, context }, handler, connection)
  // Code of the program's, where it is not a promise of the language.
  context.run(then as PromiseLike<void>['then'], result as PromiseLike<void>, undefined, onRejected)
}

function handlerFailed<D>(error: unknown, owner: HandlerOwner<D>, handler: unknown, connection: Connection<D>): void {
  if (handler === owner.handlers.error) throwLater(error, owner.context)
  else reportError(owner, connection, error)
}

/** @internal Passes an error to `error`; where there is none, it becomes an uncaught exception. */
export function reportError<D>(owner: HandlerOwner<D>, connection: Connection<D>, error: unknown): void {
  const { error: handler } = owner.handlers
  if (handler) callHandler(owner, handler, connection, error as Error)
  else throwLater(error, owner.context)
}
