import type { LookupAddress } from 'node:dns'

import { rootContext } from './async-context.js'

/** Imported in the root context: node:dns makes a resolver as it is loaded, which keeps the context it is made in. */
const loading = rootContext.run(() => import('node:dns'), undefined, undefined, undefined)

// The default export: a program that replaces `lookup`, by one with a cache say, changes its property.
let dns: Awaited<typeof loading>['default'] | undefined
void loading.then((loaded) => (dns = loaded.default))

/**
 * All addresses of a name, by getaddrinfo(3) off the thread: in the order of the resolver if `verbatim`, else in that
 * which is set for node:dns.
 */
export async function addressesOf(name: string, options: { readonly verbatim?: boolean } = {}): Promise<string[]> {
  const { lookup } = dns ?? (await loading).default
  const found = await new Promise<LookupAddress[]>((resolve, reject) => {
    lookup(name, { ...options, all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })
  return found.map(({ address }) => address)
}
