import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'

import type { ExecutionContext } from 'ava'

/** What a look-up answers: addresses in order, or an error; after it has been waited for. */
export type LookupResult = readonly string[] | Error | Promise<readonly string[]>

/** Has node:dns answer for some names, in this process and for the test; tells which it was asked for. */
export function mockLookup(t: ExecutionContext, names: Readonly<Record<string, LookupResult>>): string[] {
  const asked: string[] = []
  const { lookup } = dns
  const answer = async (name: string): Promise<{ address: string; family: number }[]> => {
    asked.push(name)
    const found = await names[name]
    if (!found) throw new Error(`the test knows no ${name}`)
    if (found instanceof Error) throw found
    return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
  install(answer as unknown as typeof lookup)
  t.teardown(() => install(lookup))
  return asked
}

/** `import { lookup } from 'node:dns/promises'` sees it too. */
function install(lookup: typeof dns.lookup): void {
  dns.lookup = lookup
  syncBuiltinESMExports()
}
