// Version 2 of the PROXY protocol: binary.

// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { invalidArgValue, malformedHeader, outOfRange } from '../errors.js'
import type { Address, UnixAddress } from '../model/address.js'
import { PATH_SIZE } from '../validate.js'
import { crc32c } from './crc32c.js'
import { readFields, writeFields } from './fields.js'
import { textOfIp } from './ip.js'
import { type FoundTlv, readTlvs, writeTlv } from './tlv.js'
import type { ParsedHeader, ProxyHeader } from './types.js'
import type { InetPair } from './v1.js'

/** What each header begins with. */
export const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** Bytes in front of the addresses. */
const HEAD = 16
/** The length of what follows is 16 bits. */
const LONGEST = 0xffff
const [LOCAL, PROXY] = [0x20, 0x21]
const [UNSPEC, INET, INET6, UNIX] = [0, 1, 2, 3]
const [STREAM, DATAGRAM] = [1, 2]
const [CRC32C, NOOP] = [0x03, 0x04]
const CHECKSUM_SIZE = 4

/** Bytes of both addresses, by their family. */
const ADDRESS_SIZES: readonly number[] = [0, 12, 36, 2 * PATH_SIZE]

/** How many bytes the header has; undefined where these are too few to know it. They begin with the signature. */
export function lengthOfV2(bytes: Buffer): number | undefined {
  return bytes.length < HEAD ? undefined : HEAD + bytes.readUInt16BE(14)
}

/**
 * The header that `bytes` begin with; null where it is not complete. They begin with the signature, or a part of it.
 *
 * @throws SocketError ERR_PROXY_HEADER, as soon as no bytes that follow could make it one
 */
export function parseV2(bytes: Buffer): ParsedHeader | null {
  if (bytes.length > 12) checkCommand(bytes[12]!)
  if (bytes.length > 13 && bytes[12] === PROXY) checkFamily(bytes[13]!)
  const length = lengthOfV2(bytes)
  if (length === undefined || bytes.length < length) return null
  const whole = bytes.subarray(0, length)
  const header = whole[12] === LOCAL ? localHeader(whole) : proxiedHeader(whole)
  return { header, length }
}

function checkCommand(byte: number): void {
  if (byte >> 4 !== 2) throw malformedHeader(`there is no version ${byte >> 4}`)
  if (byte !== PROXY && byte !== LOCAL) throw malformedHeader(`there is no command ${byte & 0xf}`)
}

function checkFamily(byte: number): void {
  if (byte >> 4 > UNIX) throw malformedHeader(`there is no address family ${byte >> 4}`)
  if ((byte & 0xf) > DATAGRAM) throw malformedHeader(`there is no transport protocol ${byte & 0xf}`)
}

/** What is wrong with it has no meaning, but for a checksum. */
function localHeader(bytes: Buffer): ProxyHeader {
  const head: ProxyHeader = { version: 2, command: 'LOCAL' }
  const start = HEAD + (ADDRESS_SIZES[bytes[13]! >> 4] ?? LONGEST)
  let found: FoundTlv[]
  let fields: object
  try {
    found = start > bytes.length ? [] : readTlvs(bytes, start)
    fields = readFields(others(found))
  } catch {
    return head
  }
  return { ...head, ...fields, ...checksumOf(bytes, found) }
}

function proxiedHeader(bytes: Buffer): ProxyHeader {
  const family = bytes[13]! >> 4
  const start = HEAD + ADDRESS_SIZES[family]!
  if (start > bytes.length) throw malformedHeader('it is too short for its addresses')
  const found = readTlvs(bytes, start)
  return {
    version: 2,
    command: 'PROXY',
    ...addressesOf(bytes, family, bytes[13]! & 0xf),
    ...readFields(others(found)),
    ...checksumOf(bytes, found),
  }
}

/** Those of datagrams are not those of a connection. */
function addressesOf(bytes: Buffer, family: number, transport: number): Pick<ProxyHeader, 'source' | 'destination'> {
  if (family === UNSPEC || transport !== STREAM) return {}
  if (family === UNIX) return { source: pathAt(bytes, HEAD), destination: pathAt(bytes, HEAD + PATH_SIZE) }
  const size = family === INET ? 4 : 16
  const ports = HEAD + 2 * size
  const at = (start: number, portAt: number): Address => ({
    address: textOfIp(bytes.subarray(start, start + size)),
    family: family === INET ? 'IPv4' : 'IPv6',
    port: bytes.readUInt16BE(portAt),
  })
  return { source: at(HEAD, ports), destination: at(HEAD + size, ports + 2) }
}

/** A NUL ends a path; an abstract name begins with one, and is filled up with others. */
function pathAt(bytes: Buffer, start: number): UnixAddress {
  const field = bytes.subarray(start, start + PATH_SIZE)
  const nul = field.indexOf(0)
  if (nul > 0) return { path: field.toString('utf8', 0, nul) }
  let end = field.length
  while (end > 0 && field[end - 1] === 0) end--
  return { path: field.toString('utf8', 0, end) }
}

/** Without those that say nothing to the program. */
function others(found: readonly FoundTlv[]): FoundTlv[] {
  return found.filter(({ type }) => type !== CRC32C && type !== NOOP)
}

/** The checksum is that of the header with zeros in its place. */
function checksumOf(bytes: Buffer, found: readonly FoundTlv[]): Pick<ProxyHeader, 'crc32c'> {
  const [checksum, another] = found.filter(({ type }) => type === CRC32C)
  if (!checksum) return {}
  const { value, at } = checksum
  if (another || value.length !== CHECKSUM_SIZE) throw malformedHeader('a checksum is one TLV of 4 bytes')
  const copy = Buffer.from(bytes)
  copy.fill(0, at, at + CHECKSUM_SIZE)
  if (crc32c(copy) !== value.readUInt32BE()) throw malformedHeader('the checksum is wrong')
  return { crc32c: true }
}

/** Both addresses of a header, checked; undefined for none. */
export type Pair = InetPair | { readonly paths: readonly [source: string, destination: string] } | undefined

/**
 * Writes a header, which errors call `name`.
 *
 * @throws TypeError, RangeError
 */
export function writeV2(header: ProxyHeader, pair: Pair, name: string): Buffer {
  const [family, addresses] = blockOf(pair)
  const fields = writeFields(header, name)
  const given = header.tlvs?.findIndex(({ type }) => type === CRC32C) ?? -1
  if (given >= 0) throw invalidArgValue(`${name}.tlvs[${given}].type`, CRC32C, 'is written for crc32c: true')
  const hasChecksum = header.crc32c === true
  if (hasChecksum) fields.push(writeTlv(CRC32C, Buffer.alloc(CHECKSUM_SIZE), name))
  const head = Buffer.alloc(HEAD)
  head.set(SIGNATURE)
  head[12] = header.command === 'LOCAL' ? LOCAL : PROXY
  head[13] = family
  const bytes = Buffer.concat([head, addresses, ...fields])
  const length = bytes.length - HEAD
  if (length > LONGEST) throw outOfRange(`${name}.length`, `<= ${LONGEST} bytes behind the first ${HEAD}`, length)
  bytes.writeUInt16BE(length, 14)
  if (hasChecksum) bytes.writeUInt32BE(crc32c(bytes), bytes.length - CHECKSUM_SIZE)
  return bytes
}

/** The byte of family and transport protocol, and the addresses. */
function blockOf(pair: Pair): [family: number, addresses: Buffer] {
  if (!pair) return [0, Buffer.alloc(0)]
  if ('paths' in pair) {
    const block = Buffer.alloc(2 * PATH_SIZE)
    for (const [at, path] of pair.paths.entries()) block.write(path, at * PATH_SIZE)
    return [(UNIX << 4) | STREAM, block]
  }
  const { source, destination } = pair
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port)
  ports.writeUInt16BE(destination.port, 2)
  const family = source.ip.length === 4 ? INET : INET6
  return [(family << 4) | STREAM, Buffer.concat([source.ip, destination.ip, ports])]
}
