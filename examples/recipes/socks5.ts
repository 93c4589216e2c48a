// A SOCKS5 proxy, RFC 1928 and 1929: [SOCKS_USER=name:password] node socks5.ts [HOST PORT]
import { createHash, timingSafeEqual } from 'node:crypto'
import process from 'node:process'
import { type Connection, connect, listen, relay } from 'm-socket'

/** Milliseconds: for the request, to connect, and without a byte. */
const [REQUEST, CONNECT, IDLE] = [10_000, 10_000, 3_600_000]
/** Replies; for any other error it is a general failure, 1. */
const CODES: Record<string, number> = { EACCES: 2, ENETUNREACH: 3, EHOSTUNREACH: 4, ENOTFOUND: 4, ECONNREFUSED: 5 }
type Read = (length: number) => Promise<Buffer>

const user = process.env['SOCKS_USER']
const [host = '127.0.0.1', port = 1080] = process.argv.slice(2)
// Half-open: the client may end its half before there is a connection to pass that on to.
const server = listen({ host, port, allowHalfOpen: true, maxConnections: 5000, socket: { open: serve } })
process.once('SIGTERM', () => server.close({ timeout: 10_000 }))
console.log(`Listening on ${server.host} port ${server.port}`)

async function serve(client: Connection): Promise<void> {
  const signal = AbortSignal.timeout(REQUEST)
  const read = (length: number) => client.readExactly(length, { signal })
  try {
    await authenticate(client, read)
    const upstream = await connect({ ...(await target(read)), connectTimeout: CONNECT })
    client.write(reply(0))
    await relay(client, upstream, { idleTimeout: IDLE }).finally(() => upstream.terminate())
  } catch (error) {
    const { message, code = '', answer = reply(CODES[code] ?? 1) } = error as Error & { code?: string; answer?: Buffer }
    console.error(`${client.remoteAddress}: ${message}`)
    client.write(answer)
    client.shutdown('both')
  }
}

async function authenticate(client: Connection, read: Read): Promise<void> {
  const method = user === undefined ? 0 : 2
  const [version, count = 0] = await read(2)
  if (version !== 5) throw refusal('not SOCKS5', Buffer.alloc(0))
  if (!(await read(count)).includes(method)) throw refusal('no acceptable method', Buffer.of(5, 0xff))
  client.write(Buffer.of(5, method))
  if (user === undefined) return
  const given = `${await read((await read(2))[1]!)}:${await read((await read(1))[0]!)}`
  if (!timingSafeEqual(hash(given), hash(user))) throw refusal('wrong user or password', Buffer.of(1, 1))
  client.write(Buffer.of(1, 0))
}

async function target(read: Read): Promise<{ host: string; port: number }> {
  const [, command, , type = 0] = await read(4)
  if (command !== 1) throw refusal('not CONNECT', reply(7))
  const length = type === 3 ? (await read(1))[0] : { 1: 4, 4: 16 }[type]
  if (!length) throw refusal('not an address', reply(8))
  const bytes = await read(length)
  const host = { 1: bytes.join('.'), 3: `${bytes}`, 4: bytes.toString('hex').replaceAll(/.{4}(?=.)/g, '$&:') }[type]!
  return { host, port: (await read(2)).readUInt16BE() }
}

const refusal = (message: string, answer: Buffer) => Object.assign(new Error(message), { answer })
/** As OpenSSH does, without the address that we connect from: no client of CONNECT needs it. */
const reply = (code: number) => Buffer.of(5, code, 0, 1, 0, 0, 0, 0, 0, 0)
const hash = (text: string) => createHash('sha256').update(text).digest()
