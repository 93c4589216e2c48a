import { rootContext } from './async-context.js'

type Dns = typeof import('node:dns/promises')

/** Loaded in the root context: node:dns makes a resolver as it is loaded, which keeps the context that it is made in. */
const dns = rootContext.run(process.getBuiltinModule, process, 'node:dns/promises', undefined) as Dns

/**
 * All addresses of a name, by getaddrinfo(3) off the thread: in the order of the resolver if `verbatim`, else in that
 * which is set for node:dns.
 */
export async function addressesOf(name: string, options: { readonly verbatim?: boolean } = {}): Promise<string[]> {
  const found = await dns.lookup(name, { ...options, all: true })
  return found.map(({ address }) => address)
}
