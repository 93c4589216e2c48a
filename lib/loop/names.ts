import { rootContext } from './async-context.js'

/** Imported in the root context: node:dns makes a resolver as it is loaded, which keeps the context it is made in. */
const loading = rootContext.run(() => import('node:dns/promises'), undefined, undefined, undefined)

let dns: Awaited<typeof loading> | undefined
void loading.then((loaded) => (dns = loaded))

/**
 * All addresses of a name, by getaddrinfo(3) off the thread: in the order of the resolver if `verbatim`, else in that
 * which is set for node:dns.
 */
export async function addressesOf(name: string, options: { readonly verbatim?: boolean } = {}): Promise<string[]> {
  const { lookup } = dns ?? (await loading)
  const found = await lookup(name, { ...options, all: true })
  return found.map(({ address }) => address)
}
