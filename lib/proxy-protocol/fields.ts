// The TLVs that have a name in a header, and those of TLS.

// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { invalidArgValue, malformedHeader } from '../errors.js'
import { checkOptions, integer, string } from '../validate.js'
import { type FoundTlv, bytesOption, kept, readTlvs, writeOthers, writeTlv } from './tlv.js'
import type { ProxySsl, ProxyTlv } from './types.js'

/** Bytes of the longest unique id. */
const UNIQUE_ID_LIMIT = 128

/** How the value of a field is read and written. */
interface Codec {
  readonly type: number
  /** @throws SocketError ERR_PROXY_HEADER */
  read(value: Buffer): unknown
  /** @throws TypeError, RangeError */
  write(value: unknown, name: string): Uint8Array
}

type Codecs = Readonly<Record<string, Codec>>

const text = (type: number): Codec => ({
  type,
  read: (value) => value.toString(),
  write: (value, name) => Buffer.from(string(value, name)),
})

const bytes = (type: number): Codec => ({ type, read: (value) => Buffer.from(value), write: bytesOption })

const SSL_FIELDS: Codecs = {
  version: text(0x21),
  cn: text(0x22),
  cipher: text(0x23),
  sigAlg: text(0x24),
  keyAlg: text(0x25),
  group: text(0x26),
  sigScheme: text(0x27),
  clientCert: bytes(0x28),
}

/** Bytes in front of the fields of TLS: what the client did, and how it was verified. */
const SSL_HEAD = 5

const FIELDS: Codecs = {
  alpn: {
    type: 0x01,
    read: (value) => value.toString('latin1'),
    write(value, name) {
      const protocol = string(value, name)
      if (/[^\0-\xff]/.test(protocol)) throw invalidArgValue(name, value, 'must have characters up to U+00FF only')
      return Buffer.from(protocol, 'latin1')
    },
  },
  authority: text(0x02),
  uniqueId: {
    type: 0x05,
    read(value) {
      if (value.length > UNIQUE_ID_LIMIT) throw malformedHeader('a unique id has at most 128 bytes')
      return Buffer.from(value)
    },
    write(value, name) {
      const id = bytesOption(value, name)
      integer(id.length, 0, UNIQUE_ID_LIMIT, `${name}.length`)
      return id
    },
  },
  ssl: { type: 0x20, read: readSsl, write: writeSsl },
  netns: text(0x30),
}

/** The names of the fields. */
export const FIELD_NAMES: readonly string[] = [...Object.keys(FIELDS), 'tlvs']

const SSL_NAMES = ['client', 'verify', ...Object.keys(SSL_FIELDS), 'tlvs']

function readSsl(value: Buffer): ProxySsl {
  if (value.length < SSL_HEAD) throw malformedHeader('the TLV of TLS is too short')
  const fields = readBy(SSL_FIELDS, readTlvs(value, SSL_HEAD))
  return { client: value[0]!, verify: value.readUInt32BE(1), ...fields }
}

function writeSsl(value: unknown, name: string): Buffer {
  const ssl = checkOptions(value, SSL_NAMES, { name, kind: 'field' }) as ProxySsl
  const head = Buffer.alloc(SSL_HEAD)
  head[0] = integer(ssl.client, 0, 0xff, `${name}.client`)
  head.writeUInt32BE(integer(ssl.verify, 0, 0xffffffff, `${name}.verify`), 1)
  return Buffer.concat([head, ...writeBy(SSL_FIELDS, ssl, name)])
}

/** The first one of a type is its field; all else is left in `tlvs`. */
function readBy(codecs: Codecs, found: readonly ProxyTlv[]): object {
  const fields: Record<string, unknown> = {}
  const others: ProxyTlv[] = []
  for (const tlv of found) {
    const [name, codec] = Object.entries(codecs).find(([, { type }]) => type === tlv.type) ?? []
    if (name === undefined || name in fields) others.push(kept(tlv))
    else fields[name] = codec!.read(tlv.value)
  }
  return others.length === 0 ? fields : { ...fields, tlvs: others }
}

function writeBy(codecs: Codecs, from: object, name: string): Buffer[] {
  const values = from as Readonly<Record<string, unknown>>
  const given = Object.entries(codecs).filter(([key]) => values[key] !== undefined)
  const named = given.map(([key, { type, write }]) => {
    const its = `${name}.${key}`
    return writeTlv(type, write(values[key], its), its)
  })
  return [...named, ...writeOthers(values['tlvs'], `${name}.tlvs`)]
}

/**
 * The fields of a header by their names.
 *
 * @throws SocketError ERR_PROXY_HEADER
 */
export function readFields(found: readonly FoundTlv[]): object {
  return readBy(FIELDS, found)
}

/**
 * The TLVs of a header, which errors call `name`.
 *
 * @throws TypeError, RangeError
 */
export function writeFields(header: object, name: string): Buffer[] {
  return writeBy(FIELDS, header, name)
}
