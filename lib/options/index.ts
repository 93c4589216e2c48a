import { invalidArgValue, invalidState } from '../errors.js'
import type { Family } from '../native.js'
import * as validate from '../validate.js'
import type { Phase } from './entry.js'
import { READONLY, SETTABLE } from './table.js'
import type { OptionName, OptionValue, SettableOptionName, SettableOptions, SocketOptions } from './types.js'

export type { Phase } from './entry.js'
export { getsockopt, setsockopt } from './raw.js'
export type {
  KeepAlive,
  OptionName,
  OptionValue,
  OriginalDestination,
  PeerCredentials,
  ReadonlyOptions,
  SettableOptionName,
  SettableOptions,
  SocketOptions,
} from './types.js'

/** The names of the options that can be set, in the order in which a new socket gets them. */
export const SETTABLE_OPTION_NAMES = Object.keys(SETTABLE) as readonly SettableOptionName[]

/** The names of all options. */
export const OPTION_NAMES = [...Object.keys(SETTABLE), ...Object.keys(READONLY)] as readonly OptionName[]

/**
 * Reads an option of a socket or listener.
 *
 * @throws SocketError with the kernel's errno; TypeError for an unknown name
 */
export function getOption<Name extends OptionName>(handle: number, family: Family, name: Name): OptionValue<Name> {
  if (isKeyOf(READONLY, name)) return READONLY[name].get(handle, family, name) as OptionValue<Name>
  if (isKeyOf(SETTABLE, name)) return SETTABLE[name].get(handle, family, name) as OptionValue<Name>
  throw unknownName(name, OPTION_NAMES)
}

/**
 * Sets an option of a socket or listener.
 *
 * @throws SocketError with the kernel's errno, and for EPERM the privilege that is needed; TypeError or RangeError
 * for an unknown name or a bad value
 */
export function setOption<Name extends SettableOptionName>(
  handle: number,
  family: Family,
  name: Name,
  value: SettableOptions[Name],
): void {
  if (!isKeyOf(SETTABLE, name)) throw unknownName(name, SETTABLE_OPTION_NAMES)
  setEntry(handle, family, name, value, name)
}

/**
 * Sets all the options that are given, in the kernel's order; keys that name no option are left to the caller.
 *
 * @param phase what the socket is about to do; if it is `'open'` already, an option that would come too late to have
 * an effect is an error: ERR_INVALID_STATE
 */
export function applyOptions(handle: number, family: Family, options: SocketOptions, phase: Phase): void {
  for (const name of SETTABLE_OPTION_NAMES) {
    const value = options[name]
    if (value === undefined) continue
    const { early, only } = SETTABLE[name]
    if (only !== undefined && only !== family) continue
    if (early && phase === 'open') throw invalidState(`${name} has to be set before bind or connect`)
    setEntry(handle, family, name, value, `options.${name}`)
  }
}

/** Checks the values of all the options that are given, as far as that is possible without a socket. */
export function checkOptionValues(options: SocketOptions): void {
  for (const name of SETTABLE_OPTION_NAMES) {
    if (options[name] !== undefined) SETTABLE[name].check(options[name], `options.${name}`)
  }
}

/** TypeScript cannot relate the type of a value to a name that is one of many: the signatures of the callers do. */
function setEntry(handle: number, family: Family, name: SettableOptionName, value: unknown, label: string): void {
  SETTABLE[name].set(handle, family, value as never, label)
}

function isKeyOf<Table extends object>(table: Table, name: PropertyKey): name is keyof Table {
  return Object.hasOwn(table, name)
}

function unknownName(name: unknown, known: readonly string[]): TypeError {
  const word = validate.string(name, 'name')
  if (isKeyOf(READONLY, word)) return invalidArgValue('name', word, 'must name an option that can be set')
  return invalidArgValue('name', word, `must be the name of a socket option${validate.suggest(word, known)}`)
}
