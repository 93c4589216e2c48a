import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'

import { callWithoutContext } from '../native.js'

/** The type of our resources, for async_hooks. */
const TYPE = 'm-socket'

/** What node:domain adds to Node once it is loaded. */
const emitters = EventEmitter as { readonly usingDomains?: boolean }
const domains = process as { domain?: { exit(): void } | null | undefined }

/**
 * The asynchronous context of the code that made it: the stores of every AsyncLocalStorage, and the domain of
 * node:domain.
 */
export class AsyncContext extends AsyncResource {
  constructor() {
    super(TYPE)
  }

  /** Calls a function in this context. What it enters by `enterWith()` ends with the call. */
  run<Receiver, A, B, Result>(act: (this: Receiver, a: A, b: B) => Result, receiver: Receiver, a: A, b: B): Result {
    const resource = KEEPS_ENTERED_STORES ? (Object.create(this) as AsyncResource) : this
    return emitters.usingDomains === true
      ? runOutsideDomains(resource, act, receiver, a, b)
      : resource.runInAsyncScope(act, receiver, a, b)
  }
}

/** A function of its own, since its closure would cost each call of {@link AsyncContext.run} a context on the heap. */
function runOutsideDomains<Receiver, A, B, Result>(
  resource: AsyncResource,
  act: (this: Receiver, a: A, b: B) => Result,
  receiver: Receiver,
  a: A,
  b: B,
): Result {
  return outsideDomains(() => resource.runInAsyncScope(act, receiver, a, b))
}

/** A scope enters the domain of its resource, but does not leave that of the caller. */
function outsideDomains<Result>(act: () => Result): Result {
  const outer = domains.domain
  if (outer) domains.domain = null
  try {
    return act()
  } finally {
    // An exception leaves the domains entered that it went through: Domain.run() and emit() have no `finally`.
    for (let inner = domains.domain; inner && inner !== outer; inner = domains.domain) {
      inner.exit()
      if (domains.domain === inner) break
    }
    if (outer) domains.domain = outer
  }
}

/** What node:domain adds to an emitter that is made in a domain. */
interface InDomain {
  readonly domain?: { enter(): void; exit(): void } | null
}

/**
 * Enters the domain of an emitter, whose listener threw: the domain that is entered when an exception reaches Node is
 * the one that gets it. So emit() of node:domain does not leave it, but {@link AsyncContext.run} does.
 */
export function enterDomainOf(emitter: EventEmitter): void {
  if (emitters.usingDomains === true) (emitter as InDomain).domain?.enter()
}

/** Leaves it, where the exception was caught. */
export function exitDomainOf(emitter: EventEmitter): void {
  if (emitters.usingDomains === true) (emitter as InDomain).domain?.exit()
}

/**
 * Whether `enterWith()` writes to the resource whose scope it is called in, so that later scopes of that find the store.
 * So it is where contexts are made by async_hooks: Node 20 and 22. There each call gets a resource of its own, which
 * inherits everything from the one of the context. Elsewhere a resource cannot be inherited from, on Bun and Deno.
 */
const KEEPS_ENTERED_STORES = keepsEnteredStores()

function keepsEnteredStores(): boolean {
  const storage = new AsyncLocalStorage<boolean>()
  const resource = new AsyncResource(TYPE)
  resource.runInAsyncScope(() => storage.enterWith(true))
  const found = resource.runInAsyncScope(() => storage.getStore())
  storage.disable()
  return found === true
}

/**
 * The context without stores and domain, in which what the library shares is made: a timer keeps the stores of the code
 * that made it from being collected. On Bun and Deno it is the context that the module was loaded in.
 */
export const rootContext = outsideDomains(() => {
  let context: AsyncContext | undefined
  callWithoutContext(() => (context = new AsyncContext()))
  return context ?? new AsyncContext()
})
