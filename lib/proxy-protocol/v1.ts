// Version 1 of the PROXY protocol: one line of text.

// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { isIP } from 'node:net'

import { malformedHeader } from '../errors.js'
import type { InetAddress } from '../model/address.js'
import { bytesOfIp, textOfIp } from './ip.js'
import type { ParsedHeader } from './types.js'

/** Bytes of the longest line, with its CRLF. */
export const V1_LIMIT = 107

const CRLF = '\r\n'
const UNKNOWN = 'PROXY UNKNOWN'
const BEGINNINGS = ['PROXY TCP4 ', 'PROXY TCP6 ', UNKNOWN]
/** A part of a line of addresses; a CR at its end may be that of the CRLF. */
const ADDRESSES = /^[0-9a-fA-F.: ]*\r?$/
const LINE = /^PROXY TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) ([0-9]+) ([0-9]+)$/
const PORT = /^(0|[1-9][0-9]{0,4})$/

/**
 * The header that `bytes` begin with; null where it is not complete.
 *
 * @throws SocketError ERR_PROXY_HEADER, as soon as no bytes that follow could make it one
 */
export function parseV1(bytes: Buffer): ParsedHeader | null {
  const text = bytes.toString('latin1', 0, V1_LIMIT)
  const end = text.indexOf(CRLF)
  if (end >= 0) return { header: headerOf(text.slice(0, end)), length: end + CRLF.length }
  if (text.length === V1_LIMIT) throw malformedHeader(`a line has at most ${V1_LIMIT} bytes`)
  checkBeginning(text)
  return null
}

function checkBeginning(text: string): void {
  const beginning = BEGINNINGS.find((each) => each.startsWith(text) || text.startsWith(each))
  if (beginning === undefined) throw malformedHeader('the protocol must be TCP4, TCP6 or UNKNOWN')
  const rest = text.slice(beginning.length)
  if (beginning === UNKNOWN ? rest !== '' && !/^[ \r]/.test(rest) : !ADDRESSES.test(rest)) {
    throw malformedHeader('the line must have two addresses and two ports')
  }
}

function headerOf(line: string): ParsedHeader['header'] {
  // What follows is to be ignored.
  if (line === UNKNOWN || line.startsWith(`${UNKNOWN} `)) return { version: 1, command: 'PROXY' }
  const [, family, source, destination, sourcePort, destinationPort] = LINE.exec(line) ?? []
  if (family === undefined) throw malformedHeader('the line must have two addresses and two ports')
  return {
    version: 1,
    command: 'PROXY',
    source: addressOf(Number(family), source!, sourcePort!),
    destination: addressOf(Number(family), destination!, destinationPort!),
  }
}

function addressOf(family: number, address: string, port: string): InetAddress {
  if (isIP(address) !== family) throw malformedHeader(`'${address}' is no IPv${family} address`)
  if (!PORT.test(port) || Number(port) > 65_535) throw malformedHeader(`'${port}' is no port`)
  return { address: textOfIp(bytesOfIp(address)), family: family === 4 ? 'IPv4' : 'IPv6', port: Number(port) }
}

/** Where a connection comes from, and where it goes to: the bytes of the addresses, of one length, and the ports. */
export interface InetPair {
  readonly source: { readonly ip: Buffer; readonly port: number }
  readonly destination: { readonly ip: Buffer; readonly port: number }
}

/** UNKNOWN without addresses. */
export function writeV1(pair: InetPair | undefined): Buffer {
  if (!pair) return Buffer.from(UNKNOWN + CRLF)
  const { source, destination } = pair
  const family = source.ip.length === 4 ? 'TCP4' : 'TCP6'
  const addresses = `${textOfIp(source.ip)} ${textOfIp(destination.ip)}`
  return Buffer.from(`PROXY ${family} ${addresses} ${source.port} ${destination.port}${CRLF}`)
}
