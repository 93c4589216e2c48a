import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'

import { ADDRCONFIG, currentLookup } from '../loop/names.js'
import { nextTick } from '../loop/timers.js'
import { functionOption } from './arguments.js'
import { type Dial, isUnderWay } from './attempt.js'
import { invalidAddress, invalidAddressFamily } from './errors.js'

/** An address that a name has. `family` is 4 or 6; 0 for a path. */
export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

/** As `dns.lookup`. */
export type Lookup = (
  host: string,
  options: object,
  callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void,
) => void

const FAMILIES: Readonly<Record<string, number>> = { IPv4: 4, IPv6: 6 }

/**
 * Resolves the name of a dial, by the function that the program gave or by that of node:dns. What fails destroys the
 * stream; `onResolved` gets one address, or all in the order in which they are to be tried.
 */
export function lookUp(dial: Dial, onResolved: (addresses: ResolvedAddress[]) => void): void {
  const { stream, target, host } = dial
  if (target.lookup != null) functionOption(target.lookup, 'options.lookup')
  const lookup = (target.lookup ?? currentLookup()) as Lookup
  const options = lookupOptions(target.family, target.hints)
  stream._host = host
  if (dial.attemptTimeout === undefined) {
    lookup(host, options, (error, address, family) => onOne(dial, onResolved, error, address as string, family))
  } else {
    lookup(host, { ...options, all: true }, (error, found) => onAll(dial, onResolved, error, found as LookupAddress[]))
  }
}

function lookupOptions(given: unknown, hints: number | undefined): { family: unknown; hints: number } {
  const family = FAMILIES[given as string] ?? given
  const isOfFamily = family === 4 || family === 6
  return { family, hints: hints || (isOfFamily ? 0 : ADDRCONFIG) }
}

function onOne(
  dial: Dial,
  onResolved: (addresses: ResolvedAddress[]) => void,
  error: Error | null,
  address: string,
  family: number | undefined,
): void {
  const { stream } = dial
  stream.emit('lookup', error, address, family, dial.host)
  if (!isUnderWay(dial)) return
  const failure = error ?? addressFailure(dial, address, family)
  if (failure) destroyLater(dial, failure)
  else onResolved([{ address, family: family! }])
}

function onAll(
  dial: Dial,
  onResolved: (addresses: ResolvedAddress[]) => void,
  error: Error | null,
  given: ArrayLike<LookupAddress>,
): void {
  const { stream } = dial
  if (!isUnderWay(dial)) return
  if (error) {
    stream.emit('lookup', error, undefined, undefined, dial.host)
    return destroyLater(dial, error)
  }
  // A function that ignores the option `all` gives a string, of which node:net takes each letter for an address.
  const found = Array.from(given)
  for (const { address, family } of found) {
    stream.emit('lookup', null, address, family, dial.host)
    if (!isUnderWay(dial)) return
  }
  const usable = found.filter(({ address, family }) => addressFailure(dial, address, family) === undefined)
  if (usable.length > 0) return onResolved(alternate(usable))
  const failure = addressFailure(dial, found[0]?.address, found[0]?.family)
  if (failure) destroyLater(dial, failure)
}

function addressFailure({ target }: Dial, address: unknown, family: unknown): Error | undefined {
  if (typeof address !== 'string' || !isIP(address)) return invalidAddress(address)
  return family === 4 || family === 6 ? undefined : invalidAddressFamily(family, target.host, target.port)
}

/** Each address once; the families take turns, beginning with that of the first. */
function alternate(found: LookupAddress[]): ResolvedAddress[] {
  const unique = found.filter(({ address }, at) => found.findIndex((other) => other.address === address) === at)
  const first = unique.filter(({ family }) => family === unique[0]!.family)
  const second = unique.filter(({ family }) => family !== unique[0]!.family)
  return Array.from({ length: Math.max(first.length, second.length) }, (_, at) => [first[at], second[at]])
    .flat()
    .filter((address) => address !== undefined)
}

/** The program that called `connect()` has not added its listeners yet. */
function destroyLater(dial: Dial, error: Error): void {
  nextTick(() => {
    if (isUnderWay(dial)) dial.stream.destroy(error)
  })
}
