import { constants } from 'node:os'

import { invalidArgValue } from '../errors.js'
import * as native from '../native.js'
import { boolean } from '../validate.js'

/** Multipath TCP of a new Internet socket. */
export interface MultipathOption {
  /**
   * Multipath TCP, RFC 8684: socket(2) with IPPROTO_MPTCP. Where the kernel has none, or forbids it, the socket is one of
   * TCP; with a peer that has none the connection is. `getOption('mptcp')` and `info().mptcp` say which. **Default:**
   * false.
   */
  readonly mptcp?: boolean | undefined
}

/** What has no Multipath TCP. */
export interface WithoutMultipath {
  /** Not for a Unix socket, nor for a descriptor. */
  readonly mptcp?: false | undefined
}

/**
 * @internal Checks the option, which errors call by its name behind `prefix`.
 *
 * @throws TypeError for `true` where there is no new Internet socket
 */
export function checkMultipath({ mptcp }: { readonly mptcp?: unknown }, isInternet: boolean, prefix = ''): void {
  if (mptcp === undefined || !boolean(mptcp, `${prefix}mptcp`) || isInternet) return
  throw invalidArgValue(`${prefix}mptcp`, mptcp, 'is for a new socket of an Internet address')
}

const { EACCES, EINVAL, ENOPROTOOPT, EPERM, EPROTONOSUPPORT } = constants.errno

/**
 * Not built in; before Linux 5.6; `net.mptcp.enabled` is 0; forbidden by a security module, or a filter of system calls.
 */
const WITHOUT_MULTIPATH = new Set([EPROTONOSUPPORT, EINVAL, ENOPROTOOPT, EACCES, EPERM])

/**
 * @internal A new socket: socket(2).
 *
 * @throws SocketError EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT.
 */
export function openSocket(family: native.Family, { mptcp = false }: MultipathOption): number {
  const handle = mptcp ? native.openMultipath(family) : native.open(family)
  const isWithout = mptcp && WITHOUT_MULTIPATH.has(-handle)
  return native.check(isWithout ? native.open(family) : handle, 'socket')
}
