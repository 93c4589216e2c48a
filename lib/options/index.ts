import { invalidArgValue, invalidState } from '../errors.js'
import type { Family } from '../native.js'
import * as validate from '../validate.js'
import { READONLY, SETTABLE } from './table.js'
import type { OptionName, OptionValue, SettableOptionName, SettableOptions, SocketOptions } from './types.js'

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
 * Sets all the options that are given on a new socket, in the kernel's order; keys that name no option are left to the
 * caller.
 */
export function applyOptions(handle: number, family: Family, options: SocketOptions): void {
  for (const name of givenOptions(options, family)) setEntry(handle, family, name, options[name], `options.${name}`)
}

/**
 * As {@link applyOptions}, on a socket that is bound or connected already: all are set, or none.
 *
 * @returns sets them back to what they were
 * @throws as {@link setOption}; Error ERR_INVALID_STATE for an option that would come too late to have an effect
 */
export function changeOptions(handle: number, family: Family, options: SocketOptions): () => void {
  const names = givenOptions(options, family)
  for (const name of names) {
    if (SETTABLE[name].early) throw invalidState(`${name} has to be set before bind or connect`)
    SETTABLE[name].check(options[name], `options.${name}`)
  }
  const restores: (() => void)[] = []
  const restore = (): void => {
    for (const undo of restores.splice(0).reverse()) undo()
  }
  try {
    for (const name of names) {
      restores.push(remember(handle, family, name))
      setEntry(handle, family, name, options[name], `options.${name}`)
    }
  } catch (error) {
    restore()
    throw error
  }
  return restore
}

/** The names of the options that are given and that the family has. */
function givenOptions(options: SocketOptions, family: Family): SettableOptionName[] {
  return SETTABLE_OPTION_NAMES.filter(
    (name) => options[name] !== undefined && (SETTABLE[name].only ?? family) === family,
  )
}

/** Sets an option back; one that cannot be read, or that the kernel does not take back, stays. */
function remember(handle: number, family: Family, name: SettableOptionName): () => void {
  let value: unknown
  try {
    value = SETTABLE[name].get(handle, family, name)
  } catch {
    return () => {}
  }
  const before = REMEMBERED[name]?.(value as number) ?? value
  return () => {
    try {
      setEntry(handle, family, name, before, name)
    } catch {
      // The error of the change is the one to report.
    }
  }
}

/** What an option has to be set to, where that is not what is read: socket(7), and `do_tcp_getsockopt` in the kernel. */
const REMEMBERED: Partial<Record<SettableOptionName, (value: number) => number>> = {
  sendBufferSize: (doubled) => doubled / 2,
  receiveBufferSize: (doubled) => doubled / 2,
  maxSegment: (size) => (size === DEFAULT_SEGMENT ? 0 : size),
}

/** TCP_MSS_DEFAULT, which is read where nothing is set. */
const DEFAULT_SEGMENT = 536

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

function isKeyOf<Table extends object>(table: Table, name: unknown): name is keyof Table {
  return typeof name === 'string' && Object.hasOwn(table, name)
}

function unknownName(name: unknown, known: readonly string[]): TypeError {
  const word = validate.string(name, 'name')
  if (isKeyOf(READONLY, word)) return invalidArgValue('name', word, 'must name an option that can be set')
  return invalidArgValue('name', word, `must be the name of a socket option${validate.suggest(word, known)}`)
}
