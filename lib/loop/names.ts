import { rootContext } from './async-context.js'

let dns: Promise<typeof import('node:dns/promises')> | undefined

/** In the root context: node:dns makes a resolver as it is loaded, which keeps the context that it is made in. */
function load(): NonNullable<typeof dns> {
  return import('node:dns/promises')
}

/**
 * All addresses of a name, by getaddrinfo(3) off the thread: in the order of the resolver if `verbatim`, else in that
 * which is set for node:dns.
 */
export async function addressesOf(name: string, options: { readonly verbatim?: boolean } = {}): Promise<string[]> {
  dns ??= rootContext.run(load, undefined, undefined, undefined)
  const { lookup } = await dns
  const found = await lookup(name, { ...options, all: true })
  return found.map(({ address }) => address)
}
