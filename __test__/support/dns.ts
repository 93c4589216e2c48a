import dns from 'node:dns'

import type { ExecutionContext } from 'ava'

/** The result of a lookup: addresses in order, an error, or a promise of addresses. */
export type LookupResult = readonly string[] | Error | Promise<readonly string[]>

/** Replaces the lookup of node:dns until the end of the test; returns the list of the names that were looked up. */
export function mockLookup(t: ExecutionContext, names: Readonly<Record<string, LookupResult>>): string[] {
  const lookedUp: string[] = []
  const { lookup } = dns
  const find = async (name: string): Promise<{ address: string; family: number }[]> => {
    lookedUp.push(name)
    const found = await names[name]
    if (!found) throw new Error(`the test did not expect a lookup of ${name}`)
    if (found instanceof Error) throw found
    return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
  const mock = (name: string, _: unknown, done: (error: unknown, addresses?: unknown) => void): void =>
    void find(name).then((addresses) => done(null, addresses), done)
  // The property alone, as programs replace it.
  dns.lookup = mock as unknown as typeof lookup
  t.teardown(() => void (dns.lookup = lookup))
  return lookedUp
}
