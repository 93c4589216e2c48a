import type { LookupAddress } from 'node:dns'

import { rootContext } from './async-context.js'

/**
 * Loaded in the root context: node:dns makes a resolver as it is loaded, which keeps the context that it is made in. A
 * program that replaces `lookup`, by one with a cache say, changes a property of this object.
 */
const dns = rootContext.run(() => process.getBuiltinModule('node:dns'), undefined, undefined, undefined)

/**
 * All addresses of a name, by getaddrinfo(3) off the thread: in the order of the resolver if `verbatim`, else in that
 * which is set for node:dns.
 */
export async function addressesOf(name: string, options: { readonly verbatim?: boolean } = {}): Promise<string[]> {
  const found = await new Promise<LookupAddress[]>((resolve, reject) => {
    dns.lookup(name, { ...options, all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })
  return found.map(({ address }) => address)
}

/** The `lookup` of node:dns that is in force now. */
export function currentLookup(): typeof dns.lookup {
  return dns.lookup
}

/** Only families that this machine has addresses of: getaddrinfo(3), AI_ADDRCONFIG. */
export const { ADDRCONFIG } = dns
