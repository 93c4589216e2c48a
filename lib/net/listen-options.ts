import { inspect } from 'node:util'

import { type MultipathOption, checkMultipath } from '../model/multipath.js'
import { checkUnixFile } from '../model/unix-file.js'
import { SETTABLE_OPTION_NAMES, type SocketOptions, checkOptionValues } from '../options/index.js'

/** The options of `listen` as JavaScript may give them. */
export interface ListenOptions {
  port?: unknown
  host?: string
  path?: string
  fd?: unknown
  handle?: object
  listener?: unknown
  _handle?: object
  backlog?: number
  exclusive?: boolean
  readableAll?: unknown
  writableAll?: unknown
  ipv6Only?: unknown
  reusePort?: unknown
  signal?: AbortSignal
  mode?: unknown
  unlink?: unknown
  proxyProtocol?: unknown
  mptcp?: unknown
}

/**
 * What `listen` takes besides what node:net does: options of the kernel, Multipath TCP, and those of the file of a Unix
 * socket.
 */
export interface Extras extends SocketOptions, MultipathOption {
  mode?: number | undefined
  unlink?: boolean | 'stale' | undefined
}

/** The flags of uv_tcp_bind(), which node:cluster sends to the primary. */
export const IPV6_ONLY = 1
const REUSE_PORT = 2

export function flagsOf({ ipv6Only, reusePort }: ListenOptions): number {
  return (ipv6Only === true ? IPV6_ONLY : 0) | (reusePort === true ? REUSE_PORT : 0)
}

/** `(port | path | handle, backlog)` or `(port, host, backlog)`. */
export function backlogOf(args: readonly unknown[]): number | false {
  return (args.length > 1 && toBacklog(args[1])) || (args.length > 2 && toBacklog(args[2]))
}

function toBacklog(value: unknown): number | false {
  const number = Number(value)
  return number >= 0 ? number : false
}

/** Whether the kernel is to pick a port. */
export function isAnyPort(args: readonly unknown[], options: ListenOptions): boolean {
  if (args.length === 0 || typeof args[0] === 'function' || options.port === null) return true
  return options.port === undefined && 'port' in options
}

/**
 * What is given besides the options of node:net. Of `ipv6Only` and `reusePort` only `true` has an effect, as there.
 *
 * @throws TypeError, RangeError
 */
export function extrasOf(options: ListenOptions): Extras | undefined {
  let extras: Record<string, unknown> | undefined
  for (const name of SETTABLE_OPTION_NAMES) {
    const value = (options as Record<string, unknown>)[name]
    if (value === undefined || ((name === 'ipv6Only' || name === 'reusePort') && value !== true)) continue
    extras ??= {}
    extras[name] = value
  }
  const { path, fd, mode, unlink, mptcp } = options
  if (mptcp !== undefined) {
    checkMultipath(options, path === undefined && fd === undefined, 'options.')
    extras = { ...extras, mptcp }
  }
  if (mode !== undefined || unlink !== undefined) {
    checkUnixFile({ path, mode, unlink }, 'options.')
    extras = { ...extras, mode, unlink }
  }
  if (extras) checkOptionValues(extras)
  return extras
}

/** ERR_INVALID_ARG_VALUE of the options as a whole. */
export function invalidOptions(options: unknown, reason = 'is invalid'): TypeError & { code: string } {
  const found = inspect(options)
  const received = found.length > 128 ? `${found.slice(0, 128)}...` : found
  const error = new TypeError(`The argument 'options' ${reason}. Received ${received}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}
