import { type InspectOptions, inspect } from 'node:util'

/** The method by which console.log and util.inspect ask an object what to show. */
export const CUSTOM_INSPECT: typeof inspect.custom = inspect.custom

/** What util.inspect calls that method with. */
export type Inspect = [depth: number, options: InspectOptions]

/**
 * `Name { field: value, … }`, without the fields that are undefined; `[Name]` below the depth that was asked for.
 *
 * @param read gives the fields; it throws for a Proxy and for what only inherits from the class, which have no private
 * fields: they are shown without any.
 */
export function summarize(name: string, read: () => Record<string, unknown>, [depth, options]: Inspect): string {
  if (depth < 0) return `[${name}]`
  const known = Object.fromEntries(Object.entries(attempt(read)).filter(([, value]) => value !== undefined))
  return `${name} ${inspect(known, { ...options, depth })}`
}

function attempt(read: () => Record<string, unknown>): Record<string, unknown> {
  try {
    return read()
  } catch {
    return {}
  }
}
