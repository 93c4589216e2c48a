import { constants } from 'node:os'

import * as native from '../native.js'
import * as kernel from './constants.js'
import type { ReadableOption } from './entry.js'
import { optionError } from './raw.js'

const { ENOPROTOOPT, EOPNOTSUPP } = constants.errno

/** A part of `struct mptcp_info` is enough. */
const bytes = new Uint8Array(8)

/**
 * Whether a socket is one of Multipath TCP: MPTCP_INFO, Linux 5.16. A connection that has fallen back passes it to TCP,
 * which refuses it by EOPNOTSUPP or ENOPROTOOPT, as does any other socket: `mptcp_getsockopt` in net/mptcp/sockopt.c.
 *
 * @param label what errors call it
 */
export function isMultipath(handle: number, label: string): boolean {
  const length = native.getOption(handle, kernel.SOL_MPTCP, kernel.MPTCP_INFO, bytes)
  if (length >= 0) return true
  if (length === -EOPNOTSUPP || length === -ENOPROTOOPT) return false
  throw optionError(-length, 'getsockopt', label)
}

/** The option that can only be read. */
export const mptcp: ReadableOption<boolean> = { get: (handle, _family, label) => isMultipath(handle, label) }
