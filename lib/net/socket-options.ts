import { type MultipathOption, checkMultipath } from '../model/multipath.js'
import { SETTABLE_OPTION_NAMES, type SocketOptions, checkOptionValues } from '../options/index.js'

/** What node:net has options of its own for, which the stream sets once it is connected. */
const SET_BY_STREAM = new Set<string>(['noDelay', 'keepAlive', 'typeOfService'])
const NAMES = new Set<string>(['mptcp', ...SETTABLE_OPTION_NAMES.filter((name) => !SET_BY_STREAM.has(name))])

/** What a socket takes besides where it connects to. */
export type KernelOptions = SocketOptions & MultipathOption

/**
 * The options of the kernel among those of a stream that connects to a path, or to a host; checked.
 *
 * @throws TypeError, RangeError for a bad value.
 */
export function kernelOptions(options: object, to: 'path' | 'host'): KernelOptions | undefined {
  let found: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && NAMES.has(name)) (found ??= {})[name] = value
  }
  if (!found) return undefined
  checkOptionValues(found)
  checkMultipath(found, to === 'host', 'options.')
  return found
}
