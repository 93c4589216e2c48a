import { type InspectOptions, inspect } from 'node:util'

/** The method by which console.log and util.inspect ask an object what to show. */
export const CUSTOM_INSPECT: typeof inspect.custom = inspect.custom

/** What util.inspect calls that method with. */
export type Inspect = [depth: number, options: InspectOptions]

/** `Name { field: value, … }`, without the fields that are undefined; `[Name]` below the depth that was asked for. */
export function summarize(name: string, fields: Record<string, unknown>, [depth, options]: Inspect): string {
  if (depth < 0) return `[${name}]`
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  return `${name} ${inspect(known, { ...options, depth })}`
}
