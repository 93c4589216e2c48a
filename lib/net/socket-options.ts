import { SETTABLE_OPTION_NAMES, type SocketOptions, checkOptionValues } from '../options/index.js'

/** What node:net has options of its own for, which the stream sets once it is connected. */
const SET_BY_STREAM = new Set<string>(['noDelay', 'keepAlive', 'typeOfService'])
const NAMES = new Set<string>(SETTABLE_OPTION_NAMES.filter((name) => !SET_BY_STREAM.has(name)))

/**
 * The options of the kernel among those of a stream or server, checked.
 *
 * @throws TypeError, RangeError for a bad value.
 */
export function kernelOptions(options: object): SocketOptions | undefined {
  let found: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && NAMES.has(name)) (found ??= {})[name] = value
  }
  if (found) checkOptionValues(found)
  return found
}
