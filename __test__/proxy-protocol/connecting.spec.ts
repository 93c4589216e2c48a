import { once } from 'node:events'
import nodeNet from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { type ConnectOptions, type ProxyHeader, connect, parseProxyHeader, relay } from 'm-socket'

import { addressOf } from '../support/pair.js'
import { watchedServer } from '../support/proxy-headers.js'
import { openSockets } from '../support/descriptors.js'
import { testServer } from '../support/server.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

const SOURCE = { address: '192.0.2.1', family: 'IPv4', port: 56324 } as const
const TARGET = { address: '198.51.100.7', family: 'IPv4', port: 443 } as const

/** A server of node:net that takes note of the segments that come. */
async function recorder(t: ExecutionContext, where: object = { host: '127.0.0.1', port: 0 }) {
  const segments: Buffer[] = []
  const server = nodeNet.createServer((socket) => {
    socket.on('data', (segment: Buffer) => void segments.push(segment)).on('error', () => {})
    t.teardown(() => void socket.destroy())
  })
  server.listen(where)
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const bound = server.address()
  const at = typeof bound === 'string' ? { path: bound } : { host: bound!.address, port: bound!.port }
  return { segments, at: at as { host: string; port: number }, text: () => Buffer.concat(segments).toString('latin1') }
}

test('the_header_is_sent_before_all_else_with_the_addresses_of_the_connection', async (t) => {
  for (const version of [1, 2] as const) {
    const { segments, at, text } = await recorder(t)
    const client = await connect({ ...at, proxyProtocol: { version, command: 'PROXY' } })
    client.write('data')
    await until(() => text().endsWith('data'))
    const own = { address: '127.0.0.1', family: 'IPv4' } as const
    const parsed = parseProxyHeader(segments[0]!)!
    t.deepEqual(parsed.source, { ...own, port: client.localPort! })
    t.deepEqual(parsed.destination, { ...own, port: at.port })
    t.is(text().length, parsed.length + 4)
    client.terminate()
  }
})

test('what_open_writes_leaves_in_one_segment_with_the_header', async (t) => {
  const { segments, at } = await recorder(t)
  const proxyProtocol = { version: 1, command: 'PROXY', source: SOURCE, destination: TARGET } as const
  const client = await connect({
    ...at,
    proxyProtocol,
    socket: {
      open(connection) {
        connection.write('GET /')
        connection.write(' HTTP/1.1')
      },
    },
  })
  await until(() => segments.length > 0)
  t.is(segments[0]!.toString(), 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1')
  client.terminate()
})

test('one_address_may_be_given_and_the_other_one_is_that_of_the_connection', async (t) => {
  const { at, text } = await recorder(t)
  const client = await connect({ ...at, proxyProtocol: { version: 1, command: 'PROXY', source: SOURCE } })
  await until(() => text().endsWith('\n'))
  t.is(text(), `PROXY TCP4 192.0.2.1 127.0.0.1 56324 ${at.port}\r\n`)
  client.terminate()
})

test('LOCAL_and_a_path_in_version_1_are_without_addresses', async (t) => {
  const { at, text } = await recorder(t)
  const client = await connect({ ...at, proxyProtocol: { version: 1, command: 'LOCAL' } })
  await until(() => text() === 'PROXY UNKNOWN\r\n')
  client.terminate()
  const path = freePath(t)
  const unix = await recorder(t, { path })
  const local = await connect({ path, proxyProtocol: { version: 1, command: 'PROXY' } })
  await until(() => unix.text() === 'PROXY UNKNOWN\r\n')
  local.terminate()
  t.pass()
})

test('over_a_path_both_addresses_are_paths_unless_both_are_given', async (t) => {
  const path = freePath(t)
  const { segments } = await recorder(t, { path })
  const own = await connect({ path, proxyProtocol: { version: 2, command: 'PROXY' } })
  await until(() => segments.length === 1)
  t.deepEqual(parseProxyHeader(segments[0]!)!.destination, { path })
  t.deepEqual(parseProxyHeader(segments[0]!)!.source, { path: '' })
  own.terminate()
  const given = await connect({
    path,
    proxyProtocol: { version: 2, command: 'PROXY', source: SOURCE, destination: TARGET },
  })
  await until(() => segments.length === 2)
  t.deepEqual(parseProxyHeader(segments[1]!)!.source, SOURCE)
  given.terminate()
  const half = { path, proxyProtocol: { version: 2, command: 'PROXY', source: SOURCE } } as const
  await t.throwsAsync(connect(half), { code: 'ERR_INVALID_ARG_VALUE', message: /options\.proxyProtocol\.destination/ })
})

test.serial('a_header_that_cannot_be_written_is_refused_before_anything_is_opened', async (t) => {
  const before = openSockets().length
  let calls = 0
  const socket = { connectError: () => calls++ }
  for (const [proxyProtocol, code] of [
    ['accept', 'ERR_INVALID_ARG_TYPE'],
    [true, 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
    [{ version: 2 }, 'ERR_INVALID_ARG_VALUE'],
    [{ version: 1, command: 'PROXY', alpn: 'h2' }, 'ERR_INVALID_ARG_VALUE'],
    [{ version: 1, command: 'PROXY', source: { path: '/a' } }, 'ERR_INVALID_ARG_VALUE'],
    [{ version: 2, command: 'PROXY', source: { ...SOURCE, port: -1 } }, 'ERR_SOCKET_BAD_PORT'],
  ] as const) {
    const options = { host: '127.0.0.1', port: 1, socket, proxyProtocol: proxyProtocol as unknown as ProxyHeader }
    await t.throwsAsync(connect(options), { code })
  }
  t.is(openSockets().length, before)
  t.is(calls, 0)
})

test('what_is_changed_while_it_connects_is_not_sent', async (t) => {
  const { at, text } = await recorder(t)
  const proxyProtocol = { version: 1, command: 'PROXY', source: SOURCE, destination: TARGET } as ProxyHeader
  const connecting = connect({ ...at, proxyProtocol })
  Object.assign(proxyProtocol, { version: 2, source: undefined })
  const client = await connecting
  await until(() => text().endsWith('\n'))
  t.is(text(), 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n')
  client.terminate()
})

test('a_large_header_arrives_whole', async (t) => {
  const { server, seen } = watchedServer(t, { proxyProtocol: { mode: 'require', limit: 65_551 } })
  const tlvs = [{ type: 0xe0, value: Buffer.alloc(65_532, 'v') }]
  const options = { proxyProtocol: { version: 2, command: 'LOCAL', tlvs }, sendQueueLimit: 1 } as const
  const client = await connect({ ...addressOf(server), ...options } as ConnectOptions<undefined>)
  client.end('data')
  await until(() => seen[0]?.hasEnded === true)
  t.is(seen[0]!.text, 'data')
  t.true(seen[0]!.proxy!.tlvs![0]!.value.equals(tlvs[0]!.value))
})

test('a_relay_hands_on_who_the_client_is', async (t) => {
  const { server, seen } = watchedServer(t)
  const proxy = testServer(t, {
    allowHalfOpen: true,
    socket: {
      async open(client) {
        const { remoteAddress: address, remoteFamily: family, remotePort: port } = client
        const source = { address: address!, family: family!, port: port! }
        const proxyProtocol: ProxyHeader = { version: 2, command: 'PROXY', source, crc32c: true }
        const upstream = await connect({ ...addressOf(server), proxyProtocol } as ConnectOptions<undefined>)
        await relay(client, upstream).catch(() => {})
      },
    },
  })
  const client = await connect(addressOf(proxy) as { host: string; port: number })
  client.write('through')
  await until(() => seen[0]?.text === 'through')
  t.is(seen[0]!.source, `127.0.0.1 IPv4 ${client.localPort}`)
  t.is(seen[0]!.destination, `127.0.0.1 IPv4 ${server.port}`)
  client.end()
})
