import { types } from 'node:util'

import { invalidArgType } from '../errors.js'
import * as native from '../native.js'
import { IPPROTO_TCP, TCP_INFO } from './constants.js'
import { isMultipath } from './multipath.js'
import { optionError } from './raw.js'

/** By their numbers in net/tcp_states.h, from 1 on. */
const TCP_STATES: readonly TcpState[] = [
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
]

/** By their numbers in linux/tcp.h. */
const CONGESTION_STATES: readonly TcpCongestionState[] = ['open', 'disorder', 'cwr', 'recovery', 'loss']

/** A state of RFC 793. */
export type TcpState =
  | 'established'
  | 'syn-sent'
  | 'syn-received'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'time-wait'
  | 'closed'
  | 'close-wait'
  | 'last-ack'
  | 'listen'
  | 'closing'

/** What the congestion control does: nothing special, or which kind of trouble it sees. */
export type TcpCongestionState = 'open' | 'disorder' | 'cwr' | 'recovery' | 'loss'

/**
 * `struct tcp_info` of linux/tcp.h, up to Linux 6.7; of its fields only two that the kernel never fills are left out.
 *
 * A number that this kernel is too old to give is NaN.
 */
export interface TcpInfo {
  /** The state of RFC 793; `infoInto` writes its number in net/tcp_states.h, 1 to 11. */
  readonly state: TcpState
  /** What the congestion control does; `infoInto` writes its number in linux/tcp.h, 0 to 4. */
  readonly congestionState: TcpCongestionState
  /** Retransmission timeouts in a row. */
  readonly retransmits: number
  /** Unanswered probes, keep-alive or zero window. */
  readonly probes: number
  /** How often the timer has been doubled. */
  readonly backoff: number
  /** Bits: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN, 16 ECN seen, 32 data in the SYN acknowledged. */
  readonly options: number
  /** The shift of the window that the peer advertises. */
  readonly sendWindowScale: number
  /** The shift of the window that we advertise. */
  readonly receiveWindowScale: number
  /** 1 if `deliveryRate` was limited by us, since we had nothing to send, else 0. */
  readonly deliveryRateAppLimited: number
  /** Why Fast Open did not work: 1 no cookie, 2 data not acknowledged, 3 SYN retransmitted; 0 it did, or unknown. */
  readonly fastOpenClientFail: number
  /** The retransmission timeout, microseconds. */
  readonly rto: number
  /** The timeout of delayed acknowledgements, microseconds. */
  readonly ato: number
  /** The largest segment that we send, bytes. */
  readonly sendMss: number
  /** The largest segment that the peer seems to send, bytes. */
  readonly receiveMss: number
  /** Segments sent and not acknowledged; of a listener, connections that wait to be accepted. */
  readonly unacked: number
  /** Segments acknowledged out of order; of a listener, its backlog. */
  readonly sacked: number
  /** Segments taken for lost. */
  readonly lost: number
  /** Segments retransmitted and not acknowledged yet. */
  readonly retrans: number
  /** Milliseconds since data was sent. */
  readonly lastDataSent: number
  /** Milliseconds since data was received. */
  readonly lastDataReceived: number
  /** Milliseconds since an acknowledgement was received. */
  readonly lastAckReceived: number
  /** The largest packet on the path, bytes. */
  readonly pathMtu: number
  /** How far the receive window may grow now, bytes. */
  readonly receiveSsthresh: number
  /** The smoothed round-trip time, microseconds. */
  readonly rtt: number
  /** The deviation of the round-trip time, microseconds. */
  readonly rttvar: number
  /** Where slow start ends, segments; 2147483647 until there was a loss. */
  readonly sendSsthresh: number
  /** The congestion window, segments. */
  readonly sendCwnd: number
  /** The largest segment that we advertise, bytes. */
  readonly advMss: number
  /** How far segments are reordered on the path, segments. */
  readonly reordering: number
  /** The round-trip time that the receiver estimates, microseconds. */
  readonly receiveRtt: number
  /** The receive buffer that is being tuned for, bytes. */
  readonly receiveSpace: number
  /** Segments retransmitted, ever. */
  readonly totalRetrans: number
  /** The sending rate that is paced to, bytes a second; Infinity for none. */
  readonly pacingRate: number
  /** The bound of `pacingRate`, bytes a second; Infinity for none. */
  readonly maxPacingRate: number
  /** Bytes that the peer has acknowledged. */
  readonly bytesAcked: number
  /** Bytes received, which the program may not have read yet. */
  readonly bytesReceived: number
  /** Segments sent. */
  readonly segmentsOut: number
  /** Segments received. */
  readonly segmentsIn: number
  /** Bytes in the send buffer that have not been sent. */
  readonly notSentBytes: number
  /** The least round-trip time in a recent window, microseconds; 4294967295 until there is one. */
  readonly minRtt: number
  /** Segments with data received. */
  readonly dataSegmentsIn: number
  /** Segments with data sent. */
  readonly dataSegmentsOut: number
  /** The most recent rate at which the peer got our data, bytes a second. */
  readonly deliveryRate: number
  /** Time with data to send, microseconds. */
  readonly busyTime: number
  /** Of `busyTime`, the part held up by the peer's window, microseconds. */
  readonly receiveWindowLimited: number
  /** Of `busyTime`, the part held up by our send buffer, microseconds. */
  readonly sendBufferLimited: number
  /** Segments with data delivered, retransmissions included. Linux 4.18. */
  readonly delivered: number
  /** Of those, the ones whose acknowledgement echoed congestion (ECN). Linux 4.18. */
  readonly deliveredCe: number
  /** Bytes sent, retransmissions included. Linux 4.19. */
  readonly bytesSent: number
  /** Bytes retransmitted. Linux 4.19. */
  readonly bytesRetrans: number
  /** Duplicates that the peer reported. Linux 4.19. */
  readonly dsackDuplicates: number
  /** How often reordering was seen. Linux 4.19. */
  readonly reorderSeen: number
  /** Packets received out of order. Linux 5.4. */
  readonly receiveOutOfOrder: number
  /** The peer's window, scaled, bytes. Linux 5.4. */
  readonly sendWindow: number
  /** Our window, scaled, bytes. Linux 6.2. */
  readonly receiveWindow: number
  /** How often a new path was tried. Linux 6.2. */
  readonly rehash: number
  /** Retransmission timeouts, ever. Linux 6.7. */
  readonly totalRto: number
  /** Recoveries after such timeouts. Linux 6.7. */
  readonly totalRtoRecoveries: number
  /** Time spent in such recoveries, milliseconds. Linux 6.7. */
  readonly totalRtoTime: number
  /**
   * Whether it is Multipath TCP, of whose first path the numbers are: `getOption('mptcp')`. `infoInto` does not write it.
   */
  readonly mptcp: boolean
}

/** The name of a number of {@link TcpInfo}. */
type FieldName = Exclude<keyof TcpInfo, 'mptcp'>

/** Name, offset and bytes of a field, and of a bit field its shift and mask. */
type Field = readonly [name: FieldName, offset: number, size: 1 | 2 | 4 | 8, shift?: number, mask?: number]

const FIELDS: readonly Field[] = [
  ['state', 0, 1],
  ['congestionState', 1, 1],
  ['retransmits', 2, 1],
  ['probes', 3, 1],
  ['backoff', 4, 1],
  ['options', 5, 1],
  ['sendWindowScale', 6, 1, 0, 0xf],
  ['receiveWindowScale', 6, 1, 4, 0xf],
  ['deliveryRateAppLimited', 7, 1, 0, 0x1],
  ['fastOpenClientFail', 7, 1, 1, 0x3],
  ['rto', 8, 4],
  ['ato', 12, 4],
  ['sendMss', 16, 4],
  ['receiveMss', 20, 4],
  ['unacked', 24, 4],
  ['sacked', 28, 4],
  ['lost', 32, 4],
  ['retrans', 36, 4],
  ['lastDataSent', 44, 4],
  ['lastDataReceived', 52, 4],
  ['lastAckReceived', 56, 4],
  ['pathMtu', 60, 4],
  ['receiveSsthresh', 64, 4],
  ['rtt', 68, 4],
  ['rttvar', 72, 4],
  ['sendSsthresh', 76, 4],
  ['sendCwnd', 80, 4],
  ['advMss', 84, 4],
  ['reordering', 88, 4],
  ['receiveRtt', 92, 4],
  ['receiveSpace', 96, 4],
  ['totalRetrans', 100, 4],
  ['pacingRate', 104, 8],
  ['maxPacingRate', 112, 8],
  ['bytesAcked', 120, 8],
  ['bytesReceived', 128, 8],
  ['segmentsOut', 136, 4],
  ['segmentsIn', 140, 4],
  ['notSentBytes', 144, 4],
  ['minRtt', 148, 4],
  ['dataSegmentsIn', 152, 4],
  ['dataSegmentsOut', 156, 4],
  ['deliveryRate', 160, 8],
  ['busyTime', 168, 8],
  ['receiveWindowLimited', 176, 8],
  ['sendBufferLimited', 184, 8],
  ['delivered', 192, 4],
  ['deliveredCe', 196, 4],
  ['bytesSent', 200, 8],
  ['bytesRetrans', 208, 8],
  ['dsackDuplicates', 216, 4],
  ['reorderSeen', 220, 4],
  ['receiveOutOfOrder', 224, 4],
  ['sendWindow', 228, 4],
  ['receiveWindow', 232, 4],
  ['rehash', 236, 4],
  ['totalRto', 240, 2],
  ['totalRtoRecoveries', 242, 2],
  ['totalRtoTime', 244, 4],
]

/** The names of the fields in the order in which `Socket.infoInto` writes them. */
export const TCP_INFO_FIELDS: readonly Exclude<keyof TcpInfo, 'mptcp'>[] = FIELDS.map(([name]) => name)

const bytes = new Uint8Array(248)
const view = new DataView(bytes.buffer)
const numbers = new Float64Array(FIELDS.length)

/**
 * What the kernel knows of a TCP socket: TCP_INFO.
 *
 * @throws SocketError ENOTSUP on a Unix socket
 */
export function info(handle: number): TcpInfo {
  infoInto(handle, numbers)
  const found: Record<string, number | string | boolean | undefined> = {}
  for (const [index, name] of TCP_INFO_FIELDS.entries()) found[name] = numbers[index]
  found.state = TCP_STATES[Number(found.state) - 1]
  found.congestionState = CONGESTION_STATES[Number(found.congestionState)]
  found.mptcp = isMultipath(handle, 'MPTCP_INFO')
  return found as unknown as TcpInfo
}

/**
 * As {@link info}, but writes numbers in the order of {@link TCP_INFO_FIELDS}, as many as fit, and allocates nothing.
 *
 * @returns how many of them the kernel gave; those after are NaN
 */
export function infoInto(handle: number, into: Float64Array): number {
  if (!types.isFloat64Array(into)) throw invalidArgType('into', 'an instance of Float64Array', into)
  const length = native.getOption(handle, IPPROTO_TCP, TCP_INFO, bytes)
  if (length < 0) throw optionError(-length, 'getsockopt', 'TCP_INFO')
  const fitting = Math.min(into.length, FIELDS.length)
  let given = 0
  for (let index = 0; index < fitting; index++) {
    const field = FIELDS[index]!
    if (field[1] + field[2] > length) into[index] = NaN
    else {
      into[index] = read(field)
      given = index + 1
    }
  }
  return given
}

/** Little-endian; 64 bits of ones are no limit. Indexed, as to destructure would allocate an iterator. */
function read(field: Field): number {
  const offset = field[1]
  const size = field[2]
  if (size === 1) return (view.getUint8(offset) >> (field[3] ?? 0)) & (field[4] ?? 0xff)
  if (size === 2) return view.getUint16(offset, true)
  const low = view.getUint32(offset, true)
  if (size === 4) return low
  const high = view.getUint32(offset + 4, true)
  return low === 0xffffffff && high === 0xffffffff ? Infinity : high * 2 ** 32 + low
}
