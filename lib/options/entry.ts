import type { Codec } from './codec.js'
import { read, write, type KernelOption } from './raw.js'

/** The family of a socket: IPv4, IPv6 or, 0, Unix. */
export type Family = 4 | 6 | 0

/** What a socket is about to do; `'open'` if it is bound or connected already. */
export type Phase = 'listen' | 'connect' | 'open'

/** An option that can be read. */
export interface ReadableOption<Value> {
  /** Its value now. */
  get(handle: number, family: Family, label: string): Value
}

/** An option that can be set, too. */
export interface SettableOption<Value, Given = Value> extends ReadableOption<Value> {
  /** Whether it has an effect only on a socket that is not bound or connected yet. */
  readonly early?: boolean
  /** The one family that has it; a new socket of another family passes over it. */
  readonly only?: Family
  /** Checks a value, which errors call `label`, as far as it can be told without a socket. */
  check(value: unknown, label: string): void
  /** Checks and sets a value, which errors call `label`. */
  set(handle: number, family: Family, value: Given, label: string): void
}

/** What an option has besides its place and codec. */
export interface EntryDetails extends Pick<SettableOption<unknown>, 'early' | 'only'> {
  /** The place on an IPv6 socket, where it differs. */
  readonly ipv6?: KernelOption
  /** The capability whose lack is EPERM. */
  readonly privilege?: string
}

/** An option that is one option of the kernel's. */
export function entry<Value>(
  level: number,
  constant: number,
  codec: Codec<Value>,
  { ipv6, privilege, ...details }: EntryDetails = {},
): SettableOption<Value> {
  const place = { level, constant }
  const placeOn = (family: Family): KernelOption => (family === 6 && ipv6 !== undefined ? ipv6 : place)
  return {
    ...details,
    get: (handle, family, label) => read(handle, placeOn(family), codec, label),
    check: (value, label) => void codec.encode(value, label),
    set: (handle, family, value, label) => write(handle, placeOn(family), codec, value, label, privilege),
  }
}
