// Arbitrary PROXY headers, and peers that send their bytes.

import { once } from 'node:events'
import nodeNet from 'node:net'

import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Address, Connection, ListenOptions, ProxyHeader, ProxySsl, ProxyTlv, Server } from 'm-socket'

import { addressOf } from './pair.js'
import { testServer } from './server.js'
import { until } from './waiting.js'

/** As what is parsed. */
const PLAIN = { noNullPrototype: true } as const

const port = fc.integer({ min: 0, max: 65_535 })
const inet4 = fc.record({ address: fc.ipV4(), family: fc.constant('IPv4' as const), port }, PLAIN)
/** As the kernel writes them: what is written and parsed again is the same text. */
const inet6 = fc.record(
  { address: fc.ipV6().map(canonical).filter(isPlain), family: fc.constant('IPv6' as const), port },
  PLAIN,
)
const text = fc.string({ unit: 'binary', maxLength: 40 })
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
/** Names of files, abstract names and the empty one of a socket that has none. */
const path = fc
  .tuple(fc.constantFrom('/', '\0', ''), fc.string({ unit: 'binary', maxLength: 20 }))
  .map(([first, rest]) => (first === '' ? '' : `${first}a${rest.replaceAll('\0', '')}`))
  .map((full) => ({ path: full }))

/** The types that no field has, also within TLS. */
const NAMELESS = [0x00, 0x06, 0x1f, 0x31, 0xe0, 0xef, 0xff]
const tlv: fc.Arbitrary<ProxyTlv> = fc.record({ type: fc.constantFrom(...NAMELESS), value: bytes(60) }, PLAIN)
const tlvs = fc.array(tlv, { minLength: 1, maxLength: 3 })

const ssl: fc.Arbitrary<ProxySsl> = fc.record(
  {
    client: fc.integer({ min: 0, max: 255 }),
    verify: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    version: text,
    cn: text,
    cipher: text,
    sigAlg: text,
    keyAlg: text,
    group: text,
    sigScheme: text,
    clientCert: bytes(50),
    tlvs,
  },
  { requiredKeys: ['client', 'verify'], noNullPrototype: true },
)

const fields = fc.record(
  {
    alpn: bytes(20).map((array) => array.toString('latin1')),
    authority: text,
    uniqueId: bytes(128),
    ssl,
    netns: text,
    crc32c: fc.constant(true),
    tlvs,
  },
  { requiredKeys: [], noNullPrototype: true },
)

type Ends = Pick<ProxyHeader, 'source' | 'destination'>

const pairOf = (address: fc.Arbitrary<Address>): fc.Arbitrary<Ends> =>
  fc.record({ source: address, destination: address }, PLAIN)

const none: fc.Arbitrary<Ends> = fc.constant({})

/** A header of version 1, which has addresses of the Internet or none. */
export const v1Headers: fc.Arbitrary<ProxyHeader> = fc
  .oneof(pairOf(inet4), pairOf(inet6), none)
  .map((ends) => ({ version: 1, command: 'PROXY', ...ends }))

/** A header of version 2. */
export const v2Headers: fc.Arbitrary<ProxyHeader> = fc
  .tuple(fc.constantFrom('PROXY', 'LOCAL'), fc.oneof(pairOf(inet4), pairOf(inet6), pairOf(path), none), fields)
  .map(
    ([command, ends, rest]) => ({ version: 2, command, ...(command === 'LOCAL' ? {} : ends), ...rest }) as ProxyHeader,
  )

export const headers: fc.Arbitrary<ProxyHeader> = fc.oneof(v1Headers, v2Headers)

/** As inet_ntop(3) writes it. */
function canonical(address: string): string {
  return new nodeNet.SocketAddress({ address, family: 'ipv6' }).address
}

/** It also writes the last 32 bits of `::1.2.3.4` so, which was to be the IPv6 address of an IPv4 node: RFC 4291, 2.5.5.1. */
function isPlain(address: string): boolean {
  return !address.includes('.') || address.startsWith('::ffff:')
}

/** `whole` in pieces that end at these positions. */
export function cut(whole: Buffer, ends: readonly number[]): Buffer[] {
  const at = [...new Set(ends.map((end) => end % (whole.length + 1)))].sort((a, b) => a - b)
  return [0, ...at]
    .map((start, index) => whole.subarray(start, at[index] ?? whole.length))
    .filter((it) => it.length > 0)
}

/** As 'require', on a machine that has much else to do. */
export const PATIENT = { mode: 'require', timeout: 100_000 } as const

/** What a server has been given of one connection. */
export interface Seen {
  readonly connection: Connection
  readonly proxy: ProxyHeader | undefined
  readonly source: string
  readonly destination: string
  text: string
  hasEnded: boolean
  isClosed: boolean
}

/** A server, and what it has been given of its connections. */
export interface Watched {
  readonly server: Server
  readonly seen: Seen[]
}

/** A server that reads PROXY headers and takes note of what it is given. */
export function watchedServer(t: ExecutionContext, options: Partial<ListenOptions<undefined>> = {}): Watched {
  const seen: Seen[] = []
  const change = (connection: Connection, by: (it: Seen) => void): void => {
    for (const it of seen) if (it.connection === connection) by(it)
  }
  const server = testServer(t, {
    proxyProtocol: PATIENT,
    ...options,
    socket: {
      open(connection) {
        const { proxy } = connection
        const [source, destination] = endsOf(connection)
        seen.push({ connection, proxy, source, destination, text: '', hasEnded: false, isClosed: false })
      },
      data: (connection, chunk) => change(connection, (it) => (it.text += chunk.toString('latin1'))),
      end: (connection) => change(connection, (it) => (it.hasEnded = true)),
      close: (connection) => change(connection, (it) => (it.isClosed = true)),
      ...options.socket,
    },
  } as ListenOptions<undefined>)
  return { server, seen }
}

/** Both addresses, as `address family port`. */
export function endsOf(connection: Connection): [remote: string, local: string] {
  const { remoteAddress, remoteFamily, remotePort, localAddress, localFamily, localPort } = connection
  return [`${remoteAddress} ${remoteFamily} ${remotePort}`, `${localAddress} ${localFamily} ${localPort}`]
}

/** As {@link endsOf}, of an address. */
export function endOf(address: Address): string {
  return 'path' in address
    ? `${address.path} undefined undefined`
    : `${address.address} ${address.family} ${address.port}`
}

/** A peer that sends bytes as they are, and what it gets. */
export class Peer {
  readonly socket: nodeNet.Socket
  received = ''
  /** How the connection has ended; undefined while it is open. */
  outcome: 'ended' | 'reset' | undefined

  private constructor(socket: nodeNet.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => void (this.received += chunk.toString('latin1')))
    socket.on('end', () => (this.outcome ??= 'ended'))
    socket.on('error', () => (this.outcome = 'reset'))
  }

  /** It is destroyed at the end of the test. */
  static async to(t: ExecutionContext, server: Pick<Server, 'address'>): Promise<Peer> {
    const socket = nodeNet.connect({ ...addressOf(server), allowHalfOpen: true } as nodeNet.NetConnectOpts)
    t.teardown(() => void socket.destroy())
    const peer = new Peer(socket)
    // It may be reset at once.
    await once(socket, 'connect').catch(() => {})
    return peer
  }

  /** Sends each piece in a segment of its own, where the kernel does not join them. */
  async send(...pieces: readonly (Uint8Array | string)[]): Promise<this> {
    const write = (piece: Uint8Array | string) =>
      new Promise<void>((resolve) => void this.socket.write(piece, () => resolve()))
    for (const piece of pieces) if (this.outcome === undefined) await write(piece)
    return this
  }

  async ended(): Promise<'ended' | 'reset'> {
    await until(() => this.outcome !== undefined)
    return this.outcome!
  }
}
