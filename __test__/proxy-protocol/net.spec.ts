// Servers and clients of m-socket/net.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { AsyncLocalStorage } from 'node:async_hooks'

import test, { type ExecutionContext } from 'ava'
import { connect, parseProxyHeader, proxyHeader, toDuplex, toNetSocket, toWeb } from 'm-socket'
import net from 'm-socket/net'

import { PATIENT, Peer } from '../support/proxy-headers.js'
import { openSockets } from '../support/descriptors.js'
import { addressOf } from '../support/pair.js'
import { testServer } from '../support/server.js'
import { sleep } from '../support/timing.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
const CLIENT = ['192.0.2.1', 'IPv4', 56324, '198.51.100.7', 'IPv4', 443]

type Server = ReturnType<typeof net.createServer>
type Socket = InstanceType<typeof net.Socket>

const ends = (socket: Partial<Socket>) => [
  socket.remoteAddress,
  socket.remoteFamily,
  socket.remotePort,
  socket.localAddress,
  socket.localFamily,
  socket.localPort,
]

async function listening(
  t: ExecutionContext,
  server: Server,
  options: object = {},
): Promise<Server & { place: { address: never } }> {
  t.teardown(() => void server.close())
  server.on('connection', (socket) => void socket.on('error', () => {}))
  server.listen({ host: '127.0.0.1', port: 0, ...options })
  await once(server, 'listening')
  const address = server.address()
  const place = { address: typeof address === 'string' ? { path: address } : address }
  return Object.assign(server, { place }) as never
}

for (const [way, created, listened] of [
  ['createServer', { proxyProtocol: PATIENT }, {}],
  ['listen', {}, { proxyProtocol: PATIENT }],
] as const) {
  test(`a_server_has_the_addresses_of_the_client: ${way}`, async (t) => {
    const sockets: Socket[] = []
    const server = await listening(
      t,
      net.createServer(created, (socket) => void sockets.push(socket)),
      listened,
    )
    const peer = await Peer.to(t, server.place)
    await peer.send(`${LINE}data`)
    await until(() => sockets.length === 1)
    const [socket] = sockets
    t.deepEqual(ends(socket!), CLIENT)
    t.deepEqual(socket!.address() as AddressInfo, { address: '198.51.100.7', family: 'IPv4', port: 443 })
    t.is(socket!.proxy!.command, 'PROXY')
    t.is(String(await once(socket!, 'data')), 'data')
    socket!.end('answer')
    await until(() => peer.received === 'answer')
    peer.socket.end()
    await once(socket!, 'close')
    t.is(socket!.remoteAddress, '192.0.2.1')
  })
}

test('a_server_without_the_option_reads_the_header_as_data', async (t) => {
  let text = ''
  const server = await listening(
    t,
    net.createServer((socket) => socket.on('data', (chunk) => void (text += String(chunk)))),
  )
  const peer = await Peer.to(t, server.place)
  await peer.send(LINE)
  await until(() => text === LINE)
  peer.socket.destroy()
  t.pass()
})

test('a_server_that_listens_again_without_the_option_reads_no_headers', async (t) => {
  let text = ''
  const server = net.createServer((socket) => socket.on('data', (chunk) => void (text += String(chunk))))
  await listening(t, server, { proxyProtocol: PATIENT })
  server.close()
  await once(server, 'close')
  const again = await listening(t, server)
  const peer = await Peer.to(t, again.place)
  await peer.send(LINE)
  await until(() => text === LINE)
  peer.socket.destroy()
  t.pass()
})

test('what_awaits_its_header_is_a_connection_of_its_server_and_refused_it_is_none', async (t) => {
  const count = (server: Server): Promise<number> =>
    new Promise((resolve) => void server.getConnections((_, number) => resolve(number)))
  let opened = 0
  const server = await listening(
    t,
    net.createServer(() => opened++),
    { proxyProtocol: PATIENT },
  )
  server.maxConnections = 1
  const dropped = once(server, 'drop')
  const peer = await Peer.to(t, server.place)
  await peer.send('PROXY')
  await Peer.to(t, server.place)
  await dropped
  t.is(await count(server), 1)
  let isClosed = false
  server.close(() => (isClosed = true))
  await sleep(20)
  t.false(isClosed)
  await peer.send('no header')
  t.is(await peer.ended(), 'reset')
  await until(() => isClosed)
  t.is(await count(server), 0)
  t.is(opened, 0)
})

test('the_list_of_a_server_blocks_the_client_of_the_header', async (t) => {
  const blockList = new net.BlockList()
  blockList.addAddress('192.0.2.1')
  const sources: unknown[] = []
  const server = net.createServer({ blockList } as object, (socket) => void sources.push(socket.remoteAddress))
  const { place } = await listening(t, server, { proxyProtocol: PATIENT })
  const blocked = await Peer.to(t, place)
  await blocked.send(LINE)
  // Node 20 has no such option.
  if ('blockList' in server) t.is(await blocked.ended(), 'reset')
  const other = await Peer.to(t, place)
  await other.send(LINE.replace('192.0.2.1', '192.0.2.2'))
  await until(() => sources.includes('192.0.2.2'))
  t.is(sources.length, 'blockList' in server ? 1 : 2)
  for (const peer of [blocked, other]) peer.socket.destroy()
})

test('connection_is_emitted_in_the_context_of_listen_and_what_it_throws_is_uncaught', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const stores: unknown[] = []
  const server = net.createServer(() => void stores.push(storage.getStore()))
  const { place } = await storage.run('of listen', () => listening(t, server, { proxyProtocol: PATIENT }))
  const peer = await storage.run('of another', () => Peer.to(t, place))
  await peer.send(LINE)
  await until(() => stores.length === 1)
  t.deepEqual(stores, ['of listen'])
  peer.socket.destroy()
})

test('a_stream_that_is_paused_at_first_has_what_is_behind_the_header', async (t) => {
  const sockets: Socket[] = []
  const server = net.createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
  const { place } = await listening(t, server, { proxyProtocol: PATIENT })
  const peer = await Peer.to(t, place)
  await peer.send(`${LINE}data`)
  await until(() => sockets.length === 1)
  await sleep(10)
  const came = once(sockets[0]!, 'data')
  sockets[0]!.resume()
  t.is(String((await came)[0]), 'data')
  peer.socket.destroy()
})

test('a_server_on_a_path_has_the_addresses_of_the_client', async (t) => {
  const sockets: Socket[] = []
  const server = net.createServer((socket) => void sockets.push(socket))
  const { place } = await listening(t, server, { path: freePath(t), port: undefined, proxyProtocol: PATIENT })
  const peer = await Peer.to(t, place)
  await peer.send(LINE)
  await until(() => sockets.length === 1)
  t.deepEqual(ends(sockets[0]!), CLIENT)
  peer.socket.destroy()
})

/** A server that takes note of the segments that come. */
async function recorder(t: ExecutionContext) {
  const segments: Buffer[] = []
  const server = await listening(
    t,
    net.createServer((socket) => socket.on('data', (chunk) => segments.push(chunk as Buffer))),
  )
  return {
    segments,
    port: (server.address() as AddressInfo).port,
    text: () => Buffer.concat(segments).toString('latin1'),
  }
}

const proxyProtocol = {
  version: 1,
  command: 'PROXY',
  source: { address: '192.0.2.1', family: 'IPv4', port: 56324 },
  destination: { address: '198.51.100.7', family: 'IPv4', port: 443 },
} as const

test('a_client_sends_its_header_in_one_segment_with_what_was_written', async (t) => {
  const early = await recorder(t)
  const socket = net.connect({ host: '127.0.0.1', port: early.port, proxyProtocol })
  socket.write('one ')
  socket.write('two')
  await until(() => early.text().endsWith('two'))
  t.true(early.segments[0]!.toString().startsWith(`${LINE}one `))
  t.is(early.text(), `${LINE}one two`)
  t.is(socket.bytesWritten, 7)
  socket.destroy()
  const late = await recorder(t)
  const other = net.connect({ host: '127.0.0.1', port: late.port, proxyProtocol }, () => void other.write('hello'))
  await until(() => late.segments.length === 1)
  t.is(late.text(), `${LINE}hello`)
  t.is(other.bytesWritten, 5)
  other.destroy()
})

test('a_client_that_writes_nothing_sends_its_header', async (t) => {
  const { text, port } = await recorder(t)
  const silent = net.connect({ host: '127.0.0.1', port, proxyProtocol })
  await until(() => text() === LINE)
  t.is(silent.bytesWritten, 0)
  silent.destroy()
  const ending = await recorder(t)
  net.connect({ host: '127.0.0.1', port: ending.port, proxyProtocol }).end().resume()
  await until(() => ending.text() === LINE)
})

test('a_client_that_connects_again_sends_the_header_of_that_call', async (t) => {
  const { text, port } = await recorder(t)
  const socket = net.connect({ host: '127.0.0.1', port, proxyProtocol })
  await until(() => text() === LINE)
  socket.destroy()
  await once(socket, 'close')
  socket.connect({ host: '127.0.0.1', port })
  socket.write('none')
  await until(() => text() === `${LINE}none`)
  socket.destroy()
  t.pass()
})

test('a_client_has_its_own_addresses_in_the_header_by_default', async (t) => {
  const { segments, port } = await recorder(t)
  const socket = net.connect({
    host: 'localhost',
    port,
    proxyProtocol: { version: 2, command: 'PROXY', authority: 'a' },
  })
  await until(() => segments.length === 1)
  const { source, destination, authority } = parseProxyHeader(segments[0]!)!
  t.deepEqual(
    [source, destination, authority],
    [
      { address: '127.0.0.1', family: 'IPv4', port: socket.localPort! },
      { address: '127.0.0.1', family: 'IPv4', port },
      'a',
    ],
  )
  socket.destroy()
})

test.serial('bad_options_throw_and_open_nothing', (t) => {
  const before = openSockets().length
  const code = 'ERR_INVALID_ARG_VALUE'
  t.throws(() => net.createServer({ proxyProtocol: 'yes' as never }), { code })
  t.throws(() => net.createServer().listen({ port: 0, proxyProtocol: { mode: 'no' } as never }), { code })
  t.throws(() => net.connect({ port: 1, proxyProtocol: { version: 3 } as never }), { code })
  t.throws(
    () => net.connect({ path: '/a', proxyProtocol: { version: 2, command: 'PROXY', source: proxyProtocol.source } }),
    { code },
  )
  t.is(openSockets().length, before)
})

test('streams_over_a_connection_have_the_addresses_of_the_client', async (t) => {
  const found: unknown[][] = []
  const server = testServer(t, {
    proxyProtocol: PATIENT,
    socket: {
      async open(connection) {
        const { remotePort } = connection
        if (remotePort === 1) {
          const { remoteAddress, localAddress } = await toWeb(connection).opened
          return void found.push([remoteAddress, localAddress])
        }
        const stream = remotePort === 2 ? toDuplex(connection) : toNetSocket(connection)
        stream.on('error', () => {})
        t.teardown(() => void stream.destroy())
        found.push([...ends(stream as never), (stream as { proxy?: { version: number } }).proxy?.version])
        stream.once('data', (chunk) => found.push([String(chunk)]))
      },
    },
  })
  const expected: unknown[][] = [['192.0.2.1:1', '198.51.100.7:443']]
  for (const port of [1, 2, 3]) {
    const peer = await Peer.to(t, server)
    await peer.send(`${LINE.replace('56324', String(port))}data`)
    if (port > 1) expected.push(['192.0.2.1', 'IPv4', port, '198.51.100.7', 'IPv4', 443, 1], ['data'])
    await until(() => found.length === expected.length)
  }
  t.deepEqual(found, expected)
})

test('a_header_of_LOCAL_leaves_a_stream_its_addresses', async (t) => {
  const sockets: Socket[] = []
  const server = net.createServer({ proxyProtocol: PATIENT }, (socket) => void sockets.push(socket))
  const { place } = await listening(t, server)
  const client = await connect({
    ...addressOf(place as never),
    proxyProtocol: { version: 2, command: 'LOCAL' },
  } as never)
  await until(() => sockets.length === 1)
  t.deepEqual(ends(sockets[0]!).slice(0, 3), ['127.0.0.1', 'IPv4', client.localPort])
  t.is(sockets[0]!.proxy!.command, 'LOCAL')
  t.is(proxyHeader(sockets[0]!.proxy!).length, 16)
  client.terminate()
})
