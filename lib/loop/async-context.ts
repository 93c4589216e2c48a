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
  /** By what it keeps its stores; undefined where it has none, and where it keeps them otherwise. */
  readonly #stores = KEEPS_ENTERED_STORES ? storesOf(this) : undefined

  constructor() {
    super(TYPE)
  }

  /** Calls a function in this context. What it enters by `enterWith()` ends with the call. */
  run<Receiver, A, B, Result>(act: (this: Receiver, a: A, b: B) => Result, receiver: Receiver, a: A, b: B): Result {
    const resource = KEEPS_ENTERED_STORES ? copyOf(this, this.#stores) : this
    return emitters.usingDomains === true
      ? runOutsideDomains(resource, act, receiver, a, b)
      : resource.runInAsyncScope(act, receiver, a, b)
  }
}

/** A resource that is no resource of its own: it has the ids of another one. */
class Scope {}
Object.setPrototypeOf(Scope.prototype, AsyncResource.prototype)

type Properties = Record<symbol, unknown>

/** Two assignments, as a loop would cost 30 ns; and as inheriting from one of 1,000 contexts would cost 500. */
function copyOf(context: AsyncContext, stores: readonly symbol[] | undefined): AsyncResource {
  const from = context as unknown as Properties
  const scope = new Scope() as Properties
  scope[ID] = from[ID]
  scope[TRIGGER_ID] = from[TRIGGER_ID]
  if (stores) for (const store of stores) scope[store] = from[store]
  return scope as unknown as AsyncResource
}

function storesOf(context: AsyncContext): readonly symbol[] | undefined {
  const isStore = (key: symbol) =>
    key !== ID && key !== TRIGGER_ID && (context as unknown as Properties)[key] !== undefined
  const stores = Object.getOwnPropertySymbols(context).filter(isStore)
  return stores.length === 0 ? undefined : stores
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

/** By what a resource of Node has its ids. */
const [ID, TRIGGER_ID] = Object.getOwnPropertySymbols(new AsyncResource(TYPE)).filter((key) =>
  /async_id/.test(key.description ?? ''),
) as [symbol, symbol]

/**
 * Whether `enterWith()` writes to the resource whose scope it is called in, so that later scopes of that find the store.
 * So it is where contexts are made by async_hooks: Node 20 and 22. There each call gets a resource of its own: a
 * copy of the one of the context.
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
