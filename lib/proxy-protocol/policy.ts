import { BlockList } from 'node:net'

import { invalidArgType, invalidArgValue, outOfRange } from '../errors.js'
import { throwLater } from '../loop/timers.js'
import type { Address } from '../model/address.js'
import type { Socket } from '../model/socket.js'
import { checkOptions, integer, milliseconds, oneOf } from '../validate.js'

/** How a server reads PROXY headers, with all that can be set. */
export interface ProxyProtocolOptions {
  /**
   * `'require'`: each connection begins with a header; one that does not is reset. `'accept'`: a connection may begin with
   * one, and a peer may then say that it comes from anywhere: give `from`, or let only proxies connect.
   */
  readonly mode: 'require' | 'accept'
  /** Milliseconds for the whole header, from 1. **Default:** 5000. */
  readonly timeout?: number | undefined
  /** Bytes of the longest header, 16 to 65551. **Default:** 4096. */
  readonly limit?: number | undefined
  /**
   * The peers whose headers are believed. Of others no header is read: with `'require'` they are reset, with `'accept'`
   * they are taken as they are. A Unix socket has no address that could be in it. **Default:** all.
   */
  readonly from?: BlockList | undefined
}

/** Whether and how a server reads PROXY headers: a mode, or all options. */
export type ProxyProtocol = 'require' | 'accept' | ProxyProtocolOptions

/** The options, checked and complete. */
export interface HeaderPolicy {
  readonly isRequired: boolean
  readonly timeout: number
  readonly limit: number
  readonly from: BlockList | undefined
}

const MODES = ['require', 'accept'] as const
const KEYS = ['mode', 'timeout', 'limit', 'from']

/** Bytes of the longest header of version 2. */
const LONGEST = 16 + 0xffff

/**
 * Checks the option `proxyProtocol` of a server.
 *
 * @throws TypeError, RangeError
 */
export function headerPolicy(value: unknown, name = 'options.proxyProtocol'): HeaderPolicy | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string') return headerPolicy({ mode: oneOf(value, MODES, name) }, name)
  if (typeof value !== 'object' || value === null) {
    throw invalidArgValue(name, value, `must be 'require', 'accept' or an object`)
  }
  const options = checkOptions(value, KEYS, { name }) as ProxyProtocolOptions
  const { timeout = 5000, limit = 4096, from } = options
  if (milliseconds(timeout, `${name}.timeout`) === 0) throw outOfRange(`${name}.timeout`, '> 0', timeout)
  if (from !== undefined && !isBlockList(from)) throw invalidArgType(`${name}.from`, 'a net.BlockList', from)
  return {
    isRequired: oneOf(options.mode, MODES, `${name}.mode`) === 'require',
    timeout: milliseconds(timeout, `${name}.timeout`),
    limit: integer(limit, 16, LONGEST, `${name}.limit`),
    from,
  }
}

/** Also one of another realm. */
function isBlockList(value: unknown): value is BlockList {
  return value instanceof BlockList || typeof (value as Partial<BlockList> | null)?.check === 'function'
}

/** Whether headers of the peer are believed. What a list throws is an uncaught exception, and the peer is in no list. */
export function isTrusted({ from }: HeaderPolicy, socket: Socket): boolean {
  if (from === undefined) return true
  try {
    return isIn(from, socket.remoteAddress)
  } catch (error) {
    throwLater(error)
    return false
  }
}

function isIn(list: BlockList, address: Address | undefined): boolean {
  if (!address || 'path' in address) return false
  return list.check(address.address.replace(/%.*/, ''), address.family === 'IPv6' ? 'ipv6' : 'ipv4')
}
