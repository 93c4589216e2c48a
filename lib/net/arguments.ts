import nodeNet from 'node:net'

import { badPort, invalidArgType, invalidArgValue, outOfRange } from '../errors.js'

/** The arguments of `connect` and `listen` in one form: the options, and the callback if there is one. */
export type NormalizedArguments = [options: Record<string, unknown>, callback: (() => void) | null]

/**
 * The mark of Node's own function, which programs call before they call `connect` with what it returned; ours, where it
 * has none.
 */
const NORMALIZED = markOfNode()

function markOfNode(): symbol {
  const { _normalizeArgs: normalize } = nodeNet as { _normalizeArgs?: (args: unknown[]) => object }
  const [mark] = normalize ? Object.getOwnPropertySymbols(normalize([])) : []
  return mark ?? Symbol('normalized arguments')
}

type Marked = NormalizedArguments & { [mark: symbol]: true }

/** `(options)`, `(path)` or `(port, host)`, each with a callback as the last argument. */
export function normalizeArguments(args: readonly unknown[]): NormalizedArguments {
  const [first, second] = args
  if (args.length === 1 && isNormalized(first)) return first
  const last = args[args.length - 1]
  const normalized = [
    optionsOf(args.length, first, second),
    typeof last === 'function' ? (last as () => void) : null,
  ] as unknown as Marked
  normalized[NORMALIZED] = true
  return normalized
}

function isNormalized(value: unknown): value is Marked {
  return Array.isArray(value) && (value as Marked)[NORMALIZED] === true
}

function optionsOf(count: number, first: unknown, second: unknown): Record<string, unknown> {
  if (count === 0) return {}
  if (typeof first === 'object' && first !== null) return first as Record<string, unknown>
  if (isPath(first)) return { path: first }
  return typeof second === 'string' ? { port: first, host: second } : { port: first }
}

/** A string that is no number is the path of a Unix socket. */
export function isPath(value: unknown): value is string {
  return typeof value === 'string' && !(Number(value) >= 0)
}

/** A port of any form that Node takes: a number, or a string of digits in any notation of JavaScript's. */
export function portNumber(port: unknown, name: string): number {
  const isGiven = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  const value = Number(port)
  if (!isGiven || value !== value >>> 0 || value > 65_535) throw badPort(name, port)
  return value
}

export function numberOption(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
  return value
}

export function booleanOption(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value)
  return value
}

export function functionOption<F>(value: F, name: string): F {
  if (typeof value !== 'function') throw invalidArgType(name, 'of type function', value)
  return value
}

/** Undefined also on Node 20, which has no such option. */
export function blockListOption(value: unknown): nodeNet.BlockList | undefined {
  const { isBlockList } = nodeNet.BlockList as { isBlockList?: (value: unknown) => value is nodeNet.BlockList }
  if (!value || !isBlockList) return undefined
  if (!isBlockList(value)) throw invalidArgType('options.blockList', 'an net.BlockList', value)
  return value
}

export function stringOption(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value)
  return value
}

/** A host or path: NUL would end it in C. */
export function stringWithoutNul(value: unknown, name: string): string {
  const text = stringOption(value, name)
  if (text.includes('\0')) throw invalidArgValue(name, value, 'must be a string without null bytes')
  return text
}

export function int32Option(value: unknown, name: string, min: number, max = 2 ** 31 - 1): number {
  const number = numberOption(value, name)
  if (!Number.isInteger(number)) throw outOfRange(name, 'an integer', number)
  if (number < min || number > max) throw outOfRange(name, `>= ${min} && <= ${max}`, number)
  return number
}
