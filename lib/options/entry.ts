import { type Family, IPV6 } from '../native.js'
import type { Codec } from './codec.js'
import { type KernelOption, read, write } from './raw.js'

/** An option that can be read. */
export interface ReadableOption<Value> {
  /** Its value now. */
  get(handle: number, family: Family, label: string): Value
}

/** An option that can be set, too. */
export interface SettableOption<Value, Given = Value> extends ReadableOption<Value> {
  /** Whether it has an effect only on a socket that is not bound or connected yet. */
  readonly early?: boolean
  /** The one family that has it; on a new socket of another family it is ignored. */
  readonly only?: Family
  /** Checks a value, which errors call `label`, as far as that is possible without a socket. */
  check(value: unknown, label: string): void
  /** Checks and sets a value, which errors call `label`. */
  set(handle: number, family: Family, value: Given, label: string): void
}

/** What an option has besides its level, constant and codec. */
export interface EntryDetails extends Pick<SettableOption<unknown>, 'early' | 'only'> {
  /** The option on an IPv6 socket, where it differs. */
  readonly ipv6?: KernelOption
  /** The capability whose lack is EPERM. */
  readonly privilege?: string
}

/** An option that is one option of the kernel. */
export function entry<Value>(
  level: number,
  constant: number,
  codec: Codec<Value>,
  { ipv6, privilege, ...details }: EntryDetails = {},
): SettableOption<Value> {
  const option = { level, constant }
  const optionOn = (family: Family): KernelOption => (family === IPV6 && ipv6 !== undefined ? ipv6 : option)
  return {
    ...details,
    get: (handle, family, label) => read(handle, optionOn(family), codec, label),
    check: (value, label) => void codec.encode(value, label),
    set: (handle, family, value, label) => write(handle, optionOn(family), codec, value, label, privilege),
  }
}
