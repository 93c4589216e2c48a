// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { invalidArgType, invalidArgValue, malformedHeader } from '../errors.js'
import type { Address, InetAddress } from '../model/address.js'
import { boolean, checkOptions, isUint8Array, numericHost, oneOf, unixPath, validPort } from '../validate.js'
import { FIELD_NAMES } from './fields.js'
import { bytesOfIp, mapped } from './ip.js'
import type { ParsedProxyHeader, ParsedHeader, ProxyHeader } from './types.js'
import { type InetPair, parseV1, writeV1 } from './v1.js'
import { type Pair, SIGNATURE, parseV2, writeV2 } from './v2.js'

/** What a header of version 1 begins with. */
const V1_SIGNATURE = Buffer.from('PROXY ')

/** `length` is that of a header that was parsed. */
const KEYS = ['version', 'command', 'source', 'destination', 'crc32c', ...FIELD_NAMES, 'length']

/**
 * Which version of a header bytes begin with.
 *
 * @returns 0 for none; undefined where more bytes may make it one
 */
export function versionOf(bytes: Buffer): 0 | 1 | 2 | undefined {
  if (beginsWith(bytes, V1_SIGNATURE)) return bytes.length < V1_SIGNATURE.length ? undefined : 1
  if (beginsWith(bytes, SIGNATURE)) return bytes.length < SIGNATURE.length ? undefined : 2
  return 0
}

/** As far as there are bytes. */
function beginsWith(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length)
  return bytes.compare(signature, 0, length, 0, length) === 0
}

/** As {@link parseProxyHeader}. */
export function parseHeader(bytes: Buffer): ParsedHeader | null {
  const version = versionOf(bytes)
  if (version === undefined) return null
  if (version === 0) throw malformedHeader('it does not begin with the signature of version 1 or 2')
  return version === 1 ? parseV1(bytes) : parseV2(bytes)
}

/**
 * Parses the PROXY header that bytes begin with, of version 1 or 2.
 *
 * `length` is how many bytes it has: what follows is the connection's. What it returns are copies. Addresses are written
 * as the kernel's: `'2001:db8::1'`. Those of datagrams are left out, as those of UNKNOWN are. A checksum is checked; of
 * `'LOCAL'` all else that is wrong is ignored. Padding (NOOP) is left out.
 *
 * @returns null while it is not complete: parse again with more bytes
 * @throws SocketError ERR_PROXY_HEADER as soon as no bytes that follow could make it a header; TypeError for anything but
 * a Uint8Array.
 */
export function parseProxyHeader(bytes: Uint8Array): ParsedProxyHeader | null {
  if (!isUint8Array(bytes)) throw invalidArgType('bytes', 'a Buffer or Uint8Array', bytes)
  const parsed = parseHeader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  return parsed && { ...parsed.header, length: parsed.length }
}

/**
 * The bytes of a PROXY header: what a proxy sends before all else.
 *
 * Version 1 has the addresses alone, of the Internet; without them, and for `'LOCAL'`, it is UNKNOWN. Of an IPv4 and an
 * IPv6 address the first is mapped to IPv6. The zone of an IPv6 address is left out, and for `'LOCAL'` both addresses. The
 * checksum is written for `crc32c: true`.
 *
 * @throws TypeError, RangeError for a header that cannot be written: one address without the other, a path beside an
 * Internet address, fields in version 1, more than 65,535 bytes.
 */
export function proxyHeader(header: ProxyHeader): Buffer {
  return writeHeader(header, 'header')
}

/** As {@link proxyHeader}, of what errors call `name`. */
export function writeHeader(header: ProxyHeader, name: string): Buffer {
  checkOptions(header, KEYS, { name, kind: 'field' })
  const { version, command, crc32c = false } = header
  if (version !== 1 && version !== 2) throw invalidArgValue(`${name}.version`, version, 'must be 1 or 2')
  oneOf(command, ['PROXY', 'LOCAL'], `${name}.command`)
  boolean(crc32c, `${name}.crc32c`)
  const checked = pairOf(header, name)
  const pair = command === 'LOCAL' ? undefined : checked
  if (version === 2) return writeV2(header, pair, name)
  checkFieldless(header, name)
  if (pair && 'paths' in pair) {
    throw invalidArgValue(`${name}.source`, header.source, 'must be an Internet address in version 1')
  }
  return writeV1(pair)
}

function checkFieldless(header: ProxyHeader, name: string): void {
  const values = { ...header, tlvs: header.tlvs?.length === 0 ? undefined : header.tlvs } as Record<string, unknown>
  for (const field of [...FIELD_NAMES, 'crc32c']) {
    const value = values[field]
    if (value !== undefined && value !== false) throw invalidArgValue(`${name}.${field}`, value, 'is of version 2 only')
  }
}

function pairOf({ source, destination }: ProxyHeader, name: string): Pair {
  if (source === undefined && destination === undefined) return undefined
  const from = endOf(source, `${name}.source`)
  const to = endOf(destination, `${name}.destination`)
  if (typeof from === 'string' && typeof to === 'string') return { paths: [from, to] }
  if (typeof from === 'string' || typeof to === 'string') {
    throw invalidArgValue(`${name}.destination`, destination, 'must be of the kind of source: a path, or not')
  }
  if (from.ip.length === to.ip.length) return { source: from, destination: to }
  const asIpv6 = ({ ip, port }: InetEnd): InetEnd => ({ ip: ip.length === 4 ? mapped(ip) : ip, port })
  return { source: asIpv6(from), destination: asIpv6(to) }
}

type InetEnd = InetPair['source']

const ADDRESS_KEYS = ['address', 'family', 'port', 'path']

/** The path of a Unix socket, or an Internet address. */
function endOf(end: Address | undefined, name: string): InetEnd | string {
  const reason = 'must be an address, where the other end has one'
  if (end === undefined) throw invalidArgValue(name, end, reason)
  const { path, address, port } = checkOptions(end, ADDRESS_KEYS, { name, kind: 'field' }) as Partial<InetAddress> & {
    path?: unknown
  }
  // An unnamed socket has an empty one.
  if (path !== undefined) return path === '' ? path : unixPath(path, `${name}.path`)
  numericHost(address, `${name}.address`, 'a name cannot be written')
  return { ip: bytesOfIp(address!), port: validPort(port, `${name}.port`) }
}
