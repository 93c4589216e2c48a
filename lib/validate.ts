import { isIP } from 'node:net'
import { types } from 'node:util'

import { badPort, invalidArgType, invalidArgValue, outOfRange } from './errors.js'

/** The largest int: of descriptors, and of the timeouts of epoll_wait(2), poll(2) and Node's timers. */
export const INT_MAX = 2 ** 31 - 1

/** The largest unsigned int. */
export const UINT_MAX = 2 ** 32 - 1

/** `sizeof(sun_path)`, unix(7). */
export const PATH_SIZE = 108

/** An integer from 0 to 65535, also as a string of decimal digits: as it comes from an environment variable. */
export function validPort(value: unknown, name = 'port'): number {
  const number = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value
  if (!isIntegerIn(number, 0, 65535)) throw badPort(name, value)
  return number
}

/** A host's name or address: a string that is not empty. */
export function validHost(value: unknown, name = 'host'): string {
  const text = string(value, name)
  if (text === '') throw invalidArgValue(name, value, 'must not be empty')
  if (isBracketed(text)) throw invalidArgValue(name, value, 'must be an IPv6 address without brackets')
  return text
}

/** An IPv6 address as a URL has it. */
function isBracketed(host: unknown): boolean {
  return typeof host === 'string' && host.startsWith('[')
}

/**
 * The family of a numeric address.
 *
 * @param hint what the caller of a name should use instead: `use Listener.bindHost for names`
 */
export function numericHost(value: unknown, name: string, hint: string): 4 | 6 {
  const family = isIP(string(value, name))
  if (family !== 4 && family !== 6) {
    const advice = isBracketed(value) ? ' without brackets' : `; ${hint}`
    throw invalidArgValue(name, value, `must be a numeric IPv4 or IPv6 address${advice}`)
  }
  return family
}

/**
 * The path of a Unix socket, whose bytes fit into `sun_path`: a pathname with the NUL that ends it,
 * or an abstract name, which begins with NUL and is not terminated, unix(7).
 */
export function unixPath(value: unknown, name = 'path'): string {
  const path = string(value, name)
  if (path === '') throw invalidArgValue(name, value, 'must not be empty')
  const abstract = path.startsWith('\0')
  if (!abstract && path.includes('\0')) {
    throw invalidArgValue(name, value, 'must contain NUL only as its first character, which makes it abstract')
  }
  const longest = abstract ? PATH_SIZE : PATH_SIZE - 1
  const length = Buffer.byteLength(path)
  if (length > longest) {
    throw invalidArgValue(name, value, `must have at most ${longest} bytes of UTF-8 and has ${length}`)
  }
  return path
}

/** Milliseconds, rounded up and clamped to an int; -1, no limit, for undefined and Infinity. */
export function validTimeout(value: unknown, name = 'timeout'): number {
  if (value === undefined) return -1
  const milliseconds = number(value, name)
  if (!(milliseconds >= 0)) throw outOfRange(name, '>= 0', value)
  if (milliseconds === Infinity) return -1
  return Math.min(Math.ceil(milliseconds), INT_MAX)
}

/** A duration in milliseconds that fits into an int. */
export function duration(value: unknown, name: string): number {
  const milliseconds = number(value, name)
  if (!(milliseconds >= 0 && milliseconds <= INT_MAX)) throw outOfRange(name, `>= 0 && <= ${INT_MAX}`, value)
  return milliseconds
}

/** A {@link duration}, rounded up to whole milliseconds. */
export function milliseconds(value: unknown, name: string): number {
  return Math.ceil(duration(value, name))
}

/** One of a few strings. */
export function oneOf<T extends string>(value: unknown, allowed: readonly T[], name: string): T {
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) {
    throw invalidArgValue(name, value, `must be one of: ${allowed.map((word) => `'${word}'`).join(', ')}`)
  }
  return found
}

/** An integer from `min` to `max`. */
export function integer(value: unknown, min: number, max: number, name: string): number {
  if (isIntegerIn(value, min, max)) return value
  const candidate = number(value, name)
  if (!Number.isInteger(candidate)) throw outOfRange(name, 'an integer', value)
  throw outOfRange(name, `>= ${min} && <= ${max}`, value)
}

/**
 * How many bytes a part of `bytes` has, that begins at `offset`: `length`, or all that follow.
 *
 * Of a Uint8Array V8 11.3 reads `length` inline; `byteLength` is a call of 13 ns.
 */
export function partLength(bytes: Uint8Array, offset: unknown = 0, length?: unknown): number {
  const rest = bytes.length - integer(offset, 0, bytes.length, 'offset')
  return length === undefined ? rest : integer(length, 0, rest, 'length')
}

/** A Uint8Array, also of another realm, and not a Proxy of one, whose bytes cannot be reached. */
export const isUint8Array: (value: unknown) => value is Uint8Array = types.isUint8Array

/** An AbortSignal, also of another realm or of another implementation, such as jsdom's. */
export function abortSignal(value: unknown, name: string): AbortSignal {
  const signal = value as Partial<AbortSignal> | null
  const isSignal = typeof signal === 'object' && signal !== null && 'aborted' in signal
  if (!isSignal || typeof signal.addEventListener !== 'function') throw invalidArgType(name, 'an AbortSignal', value)
  return value as AbortSignal
}

/** A boolean, and nothing that merely converts to one. */
export function boolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value)
  return value
}

/** A string. */
export function string(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value)
  return value
}

/** A number, NaN included. */
export function number(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
  return value
}

/** How {@link checkOptions} names things in its errors. */
export interface OptionNames {
  /** The object. **Default:** `'options'`. */
  readonly name?: string
  /** What a key of it is. **Default:** `'option'`. */
  readonly kind?: string
  /** By names that other libraries have for a key: its name here, in quotes. */
  readonly hints?: Readonly<Record<string, string>>
}

/** An object, whatever it has. */
export function checkObject(value: unknown, name: string): asserts value is object {
  if (typeof value !== 'object' || value === null) throw invalidArgType(name, 'of type object', value)
}

/** An object whose own keys are all in `known`; another key is an error that suggests the right one, or the nearest. */
export function checkOptions(
  value: unknown,
  known: readonly string[],
  { name = 'options', kind = 'option', hints }: OptionNames = {},
): object {
  checkObject(value, name)
  for (const [key, its] of Object.entries(value)) {
    if (known.includes(key)) continue
    const hint = hints && Object.hasOwn(hints, key) ? ` (did you mean ${hints[key]}?)` : suggest(key, known)
    throw invalidArgValue(`${name}.${key}`, its, `is not a known ${kind}${hint}`)
  }
  return value
}

/** ` (did you mean 'noDelay'?)` for the nearest of `known`, or nothing if none is near. */
export function suggest(word: string, known: readonly string[]): string {
  let nearest: string | undefined
  let least = Math.max(2, Math.floor(word.length / 2)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < least) [nearest, least] = [candidate, distance]
  }
  return nearest === undefined ? '' : ` (did you mean '${nearest}'?)`
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [line, letter] of Array.from(a).entries()) {
    let left = line + 1
    row = row.map((above, column) => {
      if (column === 0) return left
      const diagonal = row[column - 1] ?? 0
      left = Math.min(above + 1, left + 1, diagonal + (letter === b[column - 1] ? 0 : 1))
      return left
    })
  }
  return row[b.length] ?? 0
}

function isIntegerIn(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}
