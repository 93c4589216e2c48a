// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { invalidArgType, malformedHeader, outOfRange } from '../errors.js'
import { checkOptions, integer, isUint8Array } from '../validate.js'
import type { ProxyTlv } from './types.js'

/** Bytes of a type and a length. */
const HEAD = 3
/** The length of a value is 16 bits. */
const LONGEST = 0xffff

/** A field, and where its value begins in what it was read from. */
export interface FoundTlv extends ProxyTlv {
  readonly at: number
}

/**
 * The fields in `bytes` from `start` on, with values that are parts of it.
 *
 * @throws SocketError ERR_PROXY_HEADER where one exceeds `bytes`
 */
export function readTlvs(bytes: Buffer, start: number): FoundTlv[] {
  const found: FoundTlv[] = []
  for (let at = start; at < bytes.length;) {
    const head = at + HEAD
    const end = head <= bytes.length ? head + bytes.readUInt16BE(at + 1) : Infinity
    if (end > bytes.length) throw malformedHeader('a TLV is longer than what is left for it')
    found.push({ type: bytes[at]!, value: bytes.subarray(head, end), at: head })
    at = end
  }
  return found
}

/** `name` is what errors call the value. */
export function writeTlv(type: number, value: Uint8Array, name: string): Buffer {
  if (value.length > LONGEST) throw outOfRange(`${name}.length`, `<= ${LONGEST}`, value.length)
  const head = Buffer.from([type, value.length >> 8, value.length & 0xff])
  return Buffer.concat([head, value])
}

/** A copy that the program may keep: without the rest of the header. */
export function kept({ type, value }: ProxyTlv): ProxyTlv {
  return { type, value: Buffer.from(value) }
}

/**
 * Fields that have no names here.
 *
 * @throws TypeError, RangeError
 */
export function writeOthers(tlvs: unknown, name: string): Buffer[] {
  if (tlvs === undefined) return []
  if (!Array.isArray(tlvs)) throw invalidArgType(name, 'an instance of Array', tlvs)
  return tlvs.map((tlv: unknown, at) => {
    const each = `${name}[${at}]`
    const { type, value } = checkOptions(tlv, ['type', 'value'], { name: each, kind: 'field' }) as ProxyTlv
    return writeTlv(integer(type, 0, 255, `${each}.type`), bytesOption(value, `${each}.value`), `${each}.value`)
  })
}

/** A Uint8Array. */
export function bytesOption(value: unknown, name: string): Uint8Array {
  if (!isUint8Array(value)) throw invalidArgType(name, 'a Buffer or Uint8Array', value)
  return value
}
