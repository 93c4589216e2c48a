import { IPV6 } from '../native.js'
import { type Codec, credentials, flag, integer, linger, milliseconds, rate, seconds, text, unsigned } from './codec.js'
import { keepAlive, originalDestination, typeOfService } from './compound.js'
import * as kernel from './constants.js'
import { type EntryDetails, type ReadableOption, type SettableOption, entry } from './entry.js'
import { mptcp } from './multipath.js'
import { read } from './raw.js'
import type { OptionValue, ReadonlyOptions, SettableOptionName, SettableOptions } from './types.js'

/** One entry for each option that can be set. */
export type SettableTable = {
  readonly [Name in SettableOptionName]: SettableOption<OptionValue<Name>, SettableOptions[Name]>
}

/** One entry for each option that can only be read. */
export type ReadonlyTable = { readonly [Name in keyof ReadonlyOptions]: ReadableOption<ReadonlyOptions[Name]> }

const RAW = 'CAP_NET_RAW'
const ADMIN = 'CAP_NET_ADMIN'
const ADMIN_OR_RAW = 'CAP_NET_ADMIN or CAP_NET_RAW'

const socket = <Value>(constant: number, codec: Codec<Value>, details?: EntryDetails): SettableOption<Value> =>
  entry(kernel.SOL_SOCKET, constant, codec, details)

const ip = <Value>(ipv4: number, ipv6: number, codec: Codec<Value>, details?: EntryDetails): SettableOption<Value> =>
  entry(kernel.IPPROTO_IP, ipv4, codec, { ...details, ipv6: { level: kernel.IPPROTO_IPV6, constant: ipv6 } })

const tcp = <Value>(constant: number, codec: Codec<Value>, details?: EntryDetails): SettableOption<Value> =>
  entry(kernel.IPPROTO_TCP, constant, codec, details)

/** In the order in which a new socket gets them: typeOfService before priority, which it overwrites. */
export const SETTABLE: SettableTable = {
  typeOfService,

  reuseAddress: socket(kernel.SO_REUSEADDR, flag, { early: true }),
  reusePort: socket(kernel.SO_REUSEPORT, flag, { early: true }),
  sendBufferSize: socket(kernel.SO_SNDBUF, integer()),
  receiveBufferSize: socket(kernel.SO_RCVBUF, integer()),
  keepAlive,
  oobInline: socket(kernel.SO_OOBINLINE, flag),
  priority: socket(kernel.SO_PRIORITY, unsigned, { privilege: ADMIN_OR_RAW }),
  linger: socket(kernel.SO_LINGER, linger),
  receiveLowWater: socket(kernel.SO_RCVLOWAT, integer()),
  bindToDevice: socket(kernel.SO_BINDTODEVICE, text, { privilege: RAW }),
  mark: socket(kernel.SO_MARK, unsigned, { privilege: ADMIN_OR_RAW }),
  busyPoll: socket(kernel.SO_BUSY_POLL, integer(), { privilege: ADMIN }),
  maxPacingRate: socket(kernel.SO_MAX_PACING_RATE, rate),
  incomingCpu: socket(kernel.SO_INCOMING_CPU, integer(-1)),

  freeBind: ip(kernel.IP_FREEBIND, kernel.IPV6_FREEBIND, flag, { early: true }),
  transparent: ip(kernel.IP_TRANSPARENT, kernel.IPV6_TRANSPARENT, flag, { early: true, privilege: ADMIN_OR_RAW }),
  ipv6Only: entry(kernel.IPPROTO_IPV6, kernel.IPV6_V6ONLY, flag, { early: true, only: IPV6 }),

  noDelay: tcp(kernel.TCP_NODELAY, flag),
  maxSegment: tcp(kernel.TCP_MAXSEG, integer()),
  cork: tcp(kernel.TCP_CORK, flag),
  synCount: tcp(kernel.TCP_SYNCNT, integer(), { early: true }),
  deferAccept: tcp(kernel.TCP_DEFER_ACCEPT, seconds),
  windowClamp: tcp(kernel.TCP_WINDOW_CLAMP, integer()),
  quickAck: tcp(kernel.TCP_QUICKACK, flag),
  congestion: tcp(kernel.TCP_CONGESTION, text, { privilege: ADMIN }),
  userTimeout: tcp(kernel.TCP_USER_TIMEOUT, milliseconds),
  fastOpen: tcp(kernel.TCP_FASTOPEN, integer()),
  notSentLowWater: tcp(kernel.TCP_NOTSENT_LOWAT, unsigned),
  fastOpenConnect: tcp(kernel.TCP_FASTOPEN_CONNECT, flag, { early: true }),
}

const PEER = { level: kernel.SOL_SOCKET, constant: kernel.SO_PEERCRED }

/** The options that can only be read. */
export const READONLY: ReadonlyTable = {
  peerCredentials: { get: (handle, _family, label) => read(handle, PEER, credentials, label) },
  mptcp,
  originalDestination,
}
