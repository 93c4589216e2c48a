import { invalidArgType } from '../errors.js'
import { IPV6, UNIX } from '../native.js'
import * as validate from '../validate.js'
import { destination4, destination6, flag, integer, seconds } from './codec.js'
import * as kernel from './constants.js'
import type { ReadableOption, SettableOption } from './entry.js'
import { read, write } from './raw.js'
import type { KeepAlive, OptionValue, OriginalDestination, SettableOptions } from './types.js'

const ENABLED = { level: kernel.SOL_SOCKET, constant: kernel.SO_KEEPALIVE }
const IDLE = { level: kernel.IPPROTO_TCP, constant: kernel.TCP_KEEPIDLE }
const INTERVAL = { level: kernel.IPPROTO_TCP, constant: kernel.TCP_KEEPINTVL }
const COUNT = { level: kernel.IPPROTO_TCP, constant: kernel.TCP_KEEPCNT }

/** One switch and three numbers; the numbers go first, so that one that is refused switches nothing on. */
export const keepAlive: SettableOption<OptionValue<'keepAlive'>, SettableOptions['keepAlive']> = {
  get(handle, family, label) {
    if (!read(handle, ENABLED, flag, label)) return false
    if (family === UNIX) return true
    return readNumbers(handle, label)
  },
  check(value, label) {
    if (typeof value === 'boolean') return
    const { idle, interval, count } = checkKeepAlive(value, label)
    if (idle !== undefined) seconds.encode(idle, `${label}.idle`)
    if (interval !== undefined) seconds.encode(interval, `${label}.interval`)
    if (count !== undefined) integer().encode(count, `${label}.count`)
  },
  set(handle, family, value, label) {
    this.check(value, label)
    const before = typeof value === 'boolean' || family === UNIX ? {} : readNumbers(handle, label)
    try {
      if (typeof value !== 'boolean') writeNumbers(handle, value, label)
      write(handle, ENABLED, flag, value !== false, label)
    } catch (error) {
      writeNumbers(handle, before, label)
      throw error
    }
  },
}

function readNumbers(handle: number, label: string): Required<KeepAlive> {
  return {
    idle: read(handle, IDLE, seconds, label),
    interval: read(handle, INTERVAL, seconds, label),
    count: read(handle, COUNT, integer(), label),
  }
}

function writeNumbers(handle: number, { idle, interval, count }: KeepAlive, label: string): void {
  if (idle !== undefined) write(handle, IDLE, seconds, idle, `${label}.idle`)
  if (interval !== undefined) write(handle, INTERVAL, seconds, interval, `${label}.interval`)
  if (count !== undefined) write(handle, COUNT, integer(), count, `${label}.count`)
}

const TOS = { level: kernel.IPPROTO_IP, constant: kernel.IP_TOS }
const TCLASS = { level: kernel.IPPROTO_IPV6, constant: kernel.IPV6_TCLASS }

const BYTE = integer(0, 255)

/** On IPv6 both: a dual-stack socket whose peer speaks IPv4 sends IP_TOS. */
export const typeOfService: SettableOption<number> = {
  get: (handle, family, label) => read(handle, family === IPV6 ? TCLASS : TOS, integer(), label),
  check: (value, label) => void BYTE.encode(value, label),
  set(handle, family, value, label) {
    write(handle, TOS, BYTE, value, label)
    if (family === IPV6) write(handle, TCLASS, BYTE, value, label)
  },
}

const ORIGINAL4 = { level: kernel.IPPROTO_IP, constant: kernel.SO_ORIGINAL_DST }
const ORIGINAL6 = { level: kernel.IPPROTO_IPV6, constant: kernel.IP6T_SO_ORIGINAL_DST }

/** A dual-stack socket whose peer speaks IPv4 is found by netfilter's IPv4 half only. */
export const originalDestination: ReadableOption<OriginalDestination> = {
  get(handle, family, label) {
    if (family === IPV6) {
      try {
        return read(handle, ORIGINAL6, destination6, label)
      } catch {
        // The error to report is the one of the second attempt.
      }
    }
    return read(handle, ORIGINAL4, destination4, label)
  },
}

function checkKeepAlive(value: unknown, label: string): KeepAlive {
  if (typeof value !== 'object' || value === null) throw invalidArgType(label, 'of type boolean or object', value)
  return validate.checkOptions(value, ['idle', 'interval', 'count'], { name: label })
}
