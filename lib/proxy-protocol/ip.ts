// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { isIPv4 } from 'node:net'

/** The first 12 bytes of an IPv4 address that is mapped to an IPv6 address: RFC 4291, section 2.5.5.2. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex')

/** The 4 or 16 bytes of a numeric address that has been checked: inet_pton(3). A zone is left out. */
export function bytesOfIp(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const [head, tail] = address.replace(/%.*/, '').split('::')
  const [left, right] = [bytesOfGroups(head), bytesOfGroups(tail)]
  const bytes = Buffer.alloc(16)
  bytes.set(left)
  bytes.set(right, 16 - right.length)
  return bytes
}

function bytesOfGroups(groups = ''): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

/** The IPv6 address of an IPv4 address. */
export function mapped(ipv4: Buffer): Buffer {
  return Buffer.concat([MAPPED, ipv4])
}

/** The text of an address of 4 or 16 bytes, as of RFC 5952: inet_ntop(3). */
export function textOfIp(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.subarray(0, 12).equals(MAPPED)) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at))
  const { start, length } = longestZeros(groups)
  const text = groups.map((group) => group.toString(16))
  if (length < 2) return text.join(':')
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`
}

/** The first of several that are as long. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 }
  let length = 0
  for (const [at, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > longest.length) longest = { start: at - length + 1, length }
  }
  return longest
}
