import nodeNet from 'node:net'

import test from 'ava'
import {
  type Connection,
  Listener,
  Multiplexer,
  type ProxyHeader,
  SocketError,
  connect,
  listen,
  proxyHeader,
  relay,
} from 'm-socket'

import { collectGarbage } from '../support/garbage.js'
import { addressOf, freeAddress, inetAddressOf } from '../support/pair.js'
import { PATIENT, Peer, watchedServer } from '../support/proxy-headers.js'
import { openSockets } from '../support/descriptors.js'
import { testServer } from '../support/server.js'
import { assertIdle, nextTurn, sleep } from '../support/timing.js'
import { freePath } from '../support/unix.js'
import { until, waitUntil } from '../support/waiting.js'

const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
const [CLIENT, TARGET] = ['192.0.2.1 IPv4 56324', '198.51.100.7 IPv4 443']
const BINARY = proxyHeader({
  version: 2,
  command: 'PROXY',
  source: { address: '2001:db8::1', family: 'IPv6', port: 1 },
  destination: { address: '2001:db8::2', family: 'IPv6', port: 2 },
  authority: 'example.org',
  crc32c: true,
})
/** A header of `bytes` bytes, from 19 on. */
const padded = (bytes: number): Buffer =>
  proxyHeader({ version: 2, command: 'LOCAL', tlvs: [{ type: 0xe0, value: Buffer.alloc(bytes - 19) }] })

const trusting = (address: string): nodeNet.BlockList => {
  const list = new nodeNet.BlockList()
  list.addAddress(address)
  return list
}

test('open_is_called_with_the_addresses_of_the_client_and_data_with_what_is_behind_the_header', async (t) => {
  const { server, seen } = watchedServer(t)
  const peer = await Peer.to(t, server)
  await peer.send(`${LINE}GET /`)
  await until(() => seen[0]?.text === 'GET /')
  const { connection, proxy, source, destination } = seen[0]!
  t.deepEqual([source, destination], [CLIENT, TARGET])
  t.deepEqual(proxy, {
    version: 1,
    command: 'PROXY',
    source: { address: '192.0.2.1', family: 'IPv4', port: 56324 },
    destination: { address: '198.51.100.7', family: 'IPv4', port: 443 },
  })
  t.deepEqual(connection.socket!.remoteAddress, peer.socket.address() as object)
  await peer.send(' HTTP/1.1')
  await until(() => seen[0]!.text === 'GET / HTTP/1.1')
  connection.write('answer')
  await until(() => peer.received === 'answer')
  connection.end('bye')
  t.is(await peer.ended(), 'ended')
  peer.socket.end()
  await until(() => seen[0]!.isClosed)
  t.deepEqual([connection.remoteAddress, connection.localPort], ['192.0.2.1', 443])
})

test('the_addresses_can_be_read_up_to_the_last_handler', async (t) => {
  const read: (string | undefined)[] = []
  const { server } = watchedServer(t, {
    socket: {
      close: ({ remoteAddress, localAddress, proxy }) => void read.push(remoteAddress, localAddress, proxy?.authority),
    },
  })
  const peer = await Peer.to(t, server)
  await peer.send(BINARY)
  peer.socket.end()
  await until(() => read.length > 0)
  t.deepEqual(read, ['2001:db8::1', '2001:db8::2', 'example.org'])
})

test('a_header_may_come_byte_by_byte', async (t) => {
  for (const header of [Buffer.from(LINE), BINARY]) {
    const { server, seen } = watchedServer(t)
    const peer = await Peer.to(t, server)
    for (const byte of header) {
      t.is(seen.length, 0)
      await peer.send(Buffer.from([byte]))
      await nextTurn()
    }
    await until(() => seen.length === 1)
    t.is(seen[0]!.text, '')
    await peer.send('x')
    await until(() => seen[0]!.text === 'x')
    t.is(seen[0]!.connection.proxy!.version, header === BINARY ? 2 : 1)
  }
})

for (const [title, proxyProtocol] of [
  ['require', PATIENT],
  ['accept', { ...PATIENT, mode: 'accept' }],
] as const) {
  test(`UNKNOWN_and_LOCAL_keep_the_addresses_of_the_connection (${title})`, async (t) => {
    const { server, seen } = watchedServer(t, { proxyProtocol })
    for (const bytes of ['PROXY UNKNOWN\r\n', proxyHeader({ version: 2, command: 'LOCAL' })]) {
      const peer = await Peer.to(t, server)
      await peer.send(bytes)
      await until(() => seen.length > 0)
      const { proxy, source, destination } = seen.pop()!
      t.is(source, `127.0.0.1 IPv4 ${peer.socket.localPort}`)
      t.is(destination, `127.0.0.1 IPv4 ${server.port}`)
      t.is(proxy!.source, undefined)
    }
  })
}

test.serial('what_is_no_header_is_reset_and_the_server_goes_on', async (t) => {
  const before = openSockets().length
  const { server, seen } = watchedServer(t)
  const limit = 4096
  for (const bytes of [
    'GET / HTTP/1.1\r\n',
    'PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}`,
    Buffer.from('0d0a0d0a000d0a515549540a3111000c', 'hex'),
    Buffer.from('0d0a0d0a000d0a515549540a214100', 'hex'),
    Buffer.from('0d0a0d0a000d0a515549540a2000000703000400000000', 'hex'),
    padded(limit + 1),
    padded(limit + 1).subarray(0, 16),
  ]) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    t.is(await peer.ended(), 'reset', String(bytes))
  }
  const peer = await Peer.to(t, server)
  await peer.send(padded(limit), 'x')
  await until(() => seen[0]?.text === 'x')
  t.is(seen.length, 1)
  // The listener, and both ends of the last connection.
  await until(() => openSockets().length === before + 3)
})

test('a_peer_that_ends_before_its_header_is_not_opened', async (t) => {
  const { server, seen } = watchedServer(t)
  for (const bytes of ['', 'PROX', LINE.slice(0, -1), BINARY.subarray(0, 40)]) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    peer.socket.end()
    t.is(await peer.ended(), 'reset')
  }
  t.is(seen.length, 0)
})

for (const mode of ['require', 'accept'] as const) {
  test(`a_header_that_never_ends_is_reset_at_the_deadline (${mode})`, async (t) => {
    const { server, seen } = watchedServer(t, { proxyProtocol: { mode, timeout: 50 } })
    const peer = await Peer.to(t, server)
    await peer.send(LINE.slice(0, 20))
    t.is(await peer.ended(), 'reset')
    t.is(seen.length, 0)
    const slow = await Peer.to(t, server)
    while (slow.outcome === undefined) {
      await slow.send(slow.socket.bytesWritten === 0 ? 'PROXY UNKNOWN ' : 'x')
      await sleep(5)
    }
    t.is(seen.length, 0)
    t.is(server.connections, 0)
  })
}

test('a_peer_that_sends_nothing_is_reset_at_the_deadline_with_require_and_opened_with_accept', async (t) => {
  const required = watchedServer(t, { proxyProtocol: { mode: 'require', timeout: 50 } })
  t.is(await (await Peer.to(t, required.server)).ended(), 'reset')
  t.is(required.seen.length, 0)
  const { server, seen } = watchedServer(t, { proxyProtocol: { mode: 'accept', timeout: 50 } })
  for (const bytes of ['', 'PRO', '\r\n\r\n']) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    await until(() => seen.length > 0)
    const opened = seen[0]!
    opened.connection.write('220 ready\r\n')
    await until(() => peer.received === '220 ready\r\n')
    await peer.send('HELO')
    await until(() => opened.text === `${bytes}HELO`)
    t.is(opened.source, `127.0.0.1 IPv4 ${peer.socket.localPort}`)
    t.is(seen.pop()!.proxy, undefined)
  }
})

test('with_accept_a_peer_without_a_header_is_taken_as_it_is_at_once', async (t) => {
  const { server, seen } = watchedServer(t, { proxyProtocol: { mode: 'accept', timeout: 100_000 } })
  for (const pieces of [
    ['GET / HTTP/1.1\r\n'],
    ['P', 'OST / HTTP/1.1\r\n'],
    ['\r\n', '\r\n\0\r\nQUIT\r'],
    ['PROXY', 'ES'],
  ]) {
    const peer = await Peer.to(t, server)
    for (const piece of pieces) {
      await peer.send(piece)
      await nextTurn()
    }
    await until(() => seen[0]?.text === pieces.join(''))
    t.is(seen[0]!.source, `127.0.0.1 IPv4 ${peer.socket.localPort}`)
    t.is(seen.pop()!.proxy, undefined)
  }
  const ending = await Peer.to(t, server)
  await ending.send('PROX')
  ending.socket.end()
  await until(() => seen[0]?.isClosed === true)
  t.deepEqual([seen[0]!.text, seen[0]!.hasEnded], ['PROX', true])
  const silent = await Peer.to(t, server)
  silent.socket.end()
  await until(() => seen[1]?.isClosed === true)
  t.deepEqual([seen[1]!.text, seen[1]!.hasEnded], ['', true])
})

test('the_end_of_the_peer_is_reported_behind_the_header_and_what_is_behind_it', async (t) => {
  for (const receiveInto of [undefined, new Uint8Array(16)]) {
    for (const rest of ['', 'rest', 'x'.repeat(5000)]) {
      const { server, seen } = watchedServer(t, receiveInto ? { receiveInto } : {})
      const peer = await Peer.to(t, server)
      peer.socket.end(LINE + rest)
      await until(() => seen[0]?.isClosed === true)
      t.deepEqual([seen[0]!.text, seen[0]!.hasEnded], [rest, true])
    }
  }
})

test('a_peer_that_is_not_in_the_list_is_reset_with_require_and_its_header_is_data_with_accept', async (t) => {
  const from = trusting('192.0.2.99')
  const required = watchedServer(t, { proxyProtocol: { mode: 'require', from } })
  const refused = await Peer.to(t, required.server)
  t.is(await refused.ended(), 'reset')
  t.is(required.seen.length, 0)
  const { server, seen } = watchedServer(t, { proxyProtocol: { mode: 'accept', from } })
  const peer = await Peer.to(t, server)
  await until(() => seen.length === 1)
  await peer.send(LINE)
  await until(() => seen[0]!.text === LINE)
  t.is(seen[0]!.source, `127.0.0.1 IPv4 ${peer.socket.localPort}`)
  t.is(seen[0]!.proxy, undefined)
})

test('a_peer_in_the_list_is_believed_also_as_an_IPv4_address_that_is_mapped', async (t) => {
  const from = trusting('127.0.0.1')
  const { server, seen } = watchedServer(t, { host: '::', proxyProtocol: { mode: 'require', from } })
  const socket = nodeNet.connect(server.port!, '127.0.0.1')
  t.teardown(() => void socket.destroy())
  socket.write(LINE)
  await until(() => seen[0]?.source === CLIENT)
  const other = nodeNet.connect(server.port!, '::1')
  t.teardown(() => void other.destroy())
  const failed = new Promise((resolve) => other.on('error', resolve))
  other.write(LINE)
  await failed
  t.is(seen.length, 1)
})

test('a_Unix_socket_has_headers_and_is_in_no_list', async (t) => {
  const { server, seen } = watchedServer(t, { path: freePath(t), proxyProtocol: 'require' })
  const peer = await Peer.to(t, server)
  await peer.send(`${LINE}data`)
  await until(() => seen[0]?.text === 'data')
  t.deepEqual([seen[0]!.source, seen[0]!.destination], [CLIENT, TARGET])
  const other = await Peer.to(t, server)
  await other.send(proxyHeader({ version: 2, command: 'PROXY', source: { path: '/a' }, destination: { path: '\0b' } }))
  await until(() => seen.length === 2)
  t.deepEqual([seen[1]!.source, seen[1]!.destination], ['/a undefined undefined', '\0b undefined undefined'])
  const list = { mode: 'require', from: trusting('127.0.0.1') } as const
  const listed = watchedServer(t, { path: freePath(t), proxyProtocol: list })
  const refused = await Peer.to(t, listed.server)
  await refused.ended()
  t.is(listed.seen.length, 0)
})

test('a_listener_is_served_with_headers', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1' })
  const { server, seen } = watchedServer(t, { listener, host: undefined } as object)
  const peer = await Peer.to(t, server)
  await peer.send(LINE)
  await until(() => seen.length === 1)
  t.is(seen[0]!.source, CLIENT)
})

test('what_awaits_its_header_counts_for_maxConnections', async (t) => {
  const { server, seen } = watchedServer(t, { maxConnections: 2 })
  const [first, second, third] = [await Peer.to(t, server), await Peer.to(t, server), await Peer.to(t, server)]
  await third!.send(LINE)
  await nextTurn()
  await sleep(20)
  t.deepEqual([seen.length, server.connections], [0, 0])
  await first!.send('no header')
  t.is(await first!.ended(), 'reset')
  await until(() => seen.length === 1)
  await second!.send(LINE)
  await until(() => seen.length === 2)
  t.is(server.connections, 2)
  const fourth = await Peer.to(t, server)
  await fourth.send(LINE)
  await sleep(20)
  t.is(seen.length, 2)
  seen[0]!.connection.end()
  third!.socket.end()
  await until(() => seen.length === 3)
})

test('a_loop_gets_connections_once_their_headers_have_come', async (t) => {
  const server = testServer(t, { proxyProtocol: PATIENT })
  const sources: (string | undefined)[] = []
  const loop = (async () => {
    for await (const connection of server) {
      sources.push(connection.remoteAddress)
      for await (const chunk of connection) connection.write(chunk)
      connection.end()
      if (sources.length === 2) return
    }
  })()
  for (const line of [LINE, LINE.replace('192.0.2.1', '192.0.2.2')]) {
    const peer = await Peer.to(t, server)
    await peer.send(line.slice(0, 10), line.slice(10), 'echo')
    await until(() => peer.received === 'echo')
    peer.socket.end()
    t.is(await peer.ended(), 'ended')
  }
  await loop
  t.deepEqual(sources, ['192.0.2.1', '192.0.2.2'])
})

test('stop_leaves_what_awaits_its_header_and_close_waits_for_it', async (t) => {
  const { server, seen } = watchedServer(t)
  const [one, other] = [await Peer.to(t, server), await Peer.to(t, server)]
  await one.send('PROXY')
  await until(() => seen.length === 0)
  await sleep(20)
  let isClosed = false
  const closed = server.close().then(() => (isClosed = true))
  const loop = server[Symbol.asyncIterator]()
  const given = loop.next()
  await sleep(20)
  t.false(isClosed)
  await one.send(LINE.slice(5))
  await until(() => seen.length === 1)
  t.is(((await given).value as Connection).remoteAddress, '192.0.2.1')
  one.socket.end()
  await until(() => seen[0]!.isClosed)
  t.false(isClosed)
  const next = loop.next()
  await other.send('nothing of the kind')
  t.is(await other.ended(), 'reset')
  await closed
  t.true((await next).done)
})

for (const [title, stop] of Object.entries({
  'stop(true)': (server: { stop(all: boolean): void }) => server.stop(true),
  'close({ end: true })': (server: { close(options: object): Promise<void> }) => void server.close({ end: true }),
  'close({ timeout })': (server: { close(options: object): Promise<void> }) => void server.close({ timeout: 10 }),
})) {
  test(`what_awaits_its_header_is_reset: ${title}`, async (t) => {
    const { server, seen } = watchedServer(t)
    const peer = await Peer.to(t, server)
    await peer.send('PROXY TCP4')
    await sleep(20)
    stop(server as never)
    t.is(await peer.ended(), 'reset')
    t.is(seen.length, 0)
  })
}

test('a_multiplexer_of_the_program_is_waited_for_and_resets_what_awaits_when_it_is_closed', async (t) => {
  const multiplexer = new Multiplexer()
  const { server, seen } = watchedServer(t, { multiplexer })
  const peer = await Peer.to(t, server)
  await peer.send(`${LINE}data`)
  await waitUntil(multiplexer, () => seen[0]?.text === 'data')
  t.is(seen[0]!.source, CLIENT)
  const waiting = await Peer.to(t, server)
  await waiting.send('PROXY')
  await multiplexer.wait(20)
  multiplexer.close()
  t.is(await waiting.ended(), 'reset')
})

test('what_comes_behind_a_header_is_read_by_promises_and_by_a_relay', async (t) => {
  const target = testServer(t, { socket: { data: (connection, chunk) => void connection.write(chunk) } })
  const into = Buffer.alloc(10)
  const read: unknown[] = []
  const server = testServer(t, {
    proxyProtocol: PATIENT,
    socket: {
      async open(connection) {
        if (connection.remotePort === 1)
          return void read.push(await connection.read(into), into.toString('latin1', 0, 4))
        await relay(connection, await connect(addressOf(target) as { host: string; port: number })).catch(() => {})
      },
    },
  })
  const reading = await Peer.to(t, server)
  await reading.send(`${LINE.replace('56324', '1')}data`)
  await until(() => read.length === 2)
  t.deepEqual(read, [4, 'data'])
  const relayed = await Peer.to(t, server)
  await relayed.send(`${LINE}there and back`)
  await until(() => relayed.received === 'there and back')
  t.pass()
})

test('open_may_close_pause_and_adapt_the_connection', async (t) => {
  const acts: ((connection: Connection) => void)[] = [
    (connection) => connection.terminate(),
    (connection) => void connection.end('bye'),
    (connection) => void connection.pause(),
    (connection) => void (connection.socket!.receive(Buffer.alloc(2)), connection.end('read')),
  ]
  let text = ''
  const server = testServer(t, {
    proxyProtocol: PATIENT,
    socket: {
      open: (connection) => acts.shift()!(connection),
      data: (_, chunk) => void (text += chunk.toString()),
    },
  })
  const [reset, ended, paused, reading] = [
    await Peer.to(t, server),
    await Peer.to(t, server),
    await Peer.to(t, server),
    await Peer.to(t, server),
  ]
  await reset!.send(`${LINE}1`)
  t.is(await reset!.ended(), 'reset')
  await ended!.send(`${LINE}2`)
  await until(() => ended!.received === 'bye' && text === '2')
  await paused!.send(`${LINE}3`)
  await sleep(20)
  t.is(text, '2')
  const [connection] = [...server.clients]
    .filter(({ remoteAddress, state }) => remoteAddress === '192.0.2.1' && state === 'open')
    .slice(-1)
  connection!.resume()
  await until(() => text === '23')
  await reading!.send(`${LINE}4567`)
  await until(() => reading!.received === 'read' && text === '2367')
})

test('handlers_that_throw_harm_no_other_connection', async (t) => {
  const errors: string[] = []
  const { server, seen } = watchedServer(t, {
    socket: {
      open() {
        throw new Error('from open')
      },
      error: (_, error) => void errors.push(error.message),
    },
  })
  const peer = await Peer.to(t, server)
  await peer.send(LINE)
  await until(() => errors.length === 1)
  t.deepEqual([errors, seen.length], [['from open'], 0])
})

test('reload_while_a_header_is_awaited_gives_the_connection_the_new_handlers', async (t) => {
  const server = testServer(t, { proxyProtocol: PATIENT, socket: {} })
  const peer = await Peer.to(t, server)
  await peer.send('PROXY TCP4 192.')
  await sleep(20)
  let text = ''
  server.reload({ socket: { data: (_, chunk) => void (text += chunk.toString()) } })
  await peer.send(`${LINE.slice(15)}data`)
  await until(() => text === 'data')
  t.pass()
})

test.serial('a_reset_peer_costs_nothing_and_no_descriptor_is_left', async (t) => {
  const before = openSockets().length
  const { server, seen } = watchedServer(t)
  for (const bytes of ['', 'PROXY', BINARY.subarray(0, 30)]) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    await sleep(5)
    peer.socket.resetAndDestroy()
  }
  await until(() => openSockets().length === before + 1)
  t.is(seen.length, 0)
  await server.close()
  await collectGarbage()
  t.is(openSockets().length, before)
})

test.serial('awaiting_takes_no_time_of_the_processor', async (t) => {
  const { server } = watchedServer(t, { proxyProtocol: { mode: 'require', timeout: 60_000 } })
  const peer = await Peer.to(t, server)
  await peer.send('PROXY TCP4 ')
  await sleep(20)
  await assertIdle(t, () => sleep(300))
})

test('without_the_option_a_connection_has_no_header_and_no_field_for_it', async (t) => {
  const { server, seen } = watchedServer(t, { proxyProtocol: undefined })
  const peer = await Peer.to(t, server)
  await peer.send(LINE)
  await until(() => seen[0]?.text === LINE)
  t.is(seen[0]!.connection.proxy, undefined)
  t.false('proxy' in seen[0]!.connection)
})

test.serial('bad_options_are_refused', (t) => {
  const cases: [unknown, string, RegExp][] = [
    ['required', 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol/],
    [true, 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol/],
    [null, 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol/],
    [{}, 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol\.mode/],
    [{ mode: 'both' }, 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol\.mode/],
    [{ mode: 'accept', timeot: 5 }, 'ERR_INVALID_ARG_VALUE', /did you mean 'timeout'/],
    [{ mode: 'accept', timeout: 0 }, 'ERR_OUT_OF_RANGE', /options\.proxyProtocol\.timeout/],
    [{ mode: 'accept', timeout: Infinity }, 'ERR_OUT_OF_RANGE', /options\.proxyProtocol\.timeout/],
    [{ mode: 'accept', timeout: '5' }, 'ERR_INVALID_ARG_TYPE', /options\.proxyProtocol\.timeout/],
    [{ mode: 'accept', limit: 15 }, 'ERR_OUT_OF_RANGE', /options\.proxyProtocol\.limit/],
    [{ mode: 'accept', limit: 65_552 }, 'ERR_OUT_OF_RANGE', /options\.proxyProtocol\.limit/],
    [{ mode: 'accept', from: ['10.0.0.1'] }, 'ERR_INVALID_ARG_TYPE', /options\.proxyProtocol\.from/],
    [{ version: 1, command: 'PROXY' } satisfies ProxyHeader, 'ERR_INVALID_ARG_VALUE', /options\.proxyProtocol/],
  ]
  const before = openSockets().length
  for (const [proxyProtocol, code, message] of cases) {
    t.throws(() => listen({ ...freeAddress(t, 'IPv4'), proxyProtocol } as never), { code, message })
  }
  t.is(openSockets().length, before)
})

test('connections_that_are_reset_for_want_of_a_header_are_counted_as_refused', async (t) => {
  const { server, seen } = watchedServer(t)
  for (const bytes of ['GET / HTTP/1.1\r\n', LINE]) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    peer.socket.end()
    await until(() => peer.outcome !== undefined)
  }
  await until(() => seen[0]?.isClosed === true)
  const { accepted, refused, closed, failed, open } = server.stats()
  t.deepEqual({ accepted, refused, closed, failed, open }, { accepted: 1, refused: 1, closed: 1, failed: 0, open: 0 })
})

test('a_limit_is_one_of_both_versions', async (t) => {
  const { server, seen } = watchedServer(t, { proxyProtocol: { ...PATIENT, limit: 60 } })
  for (const [bytes, isTaken] of [
    [padded(60), true],
    [padded(61), false],
    [`PROXY UNKNOWN ${'x'.repeat(44)}\r\n`, true],
    [`PROXY UNKNOWN ${'x'.repeat(45)}\r\n`, false],
    [`PROXY UNKNOWN ${'x'.repeat(47)}`, false],
  ] as const) {
    const peer = await Peer.to(t, server)
    await peer.send(bytes)
    if (isTaken) await until(() => seen.pop() !== undefined)
    else t.is(await peer.ended(), 'reset')
  }
  t.is(seen.length, 0)
})

test('a_client_connects_with_a_header_to_a_server_that_requires_one', async (t) => {
  const { server, seen } = watchedServer(t)
  const client = await connect({ ...inetAddressOf(server as never), proxyProtocol: { version: 2, command: 'PROXY' } })
  t.teardown(() => client.terminate())
  await until(() => seen.length === 1)
  t.is(seen[0]!.source, `127.0.0.1 IPv4 ${client.localPort}`)
  await t.throwsAsync(connect({ ...inetAddressOf(server as never), proxyProtocol: 'require' as never }), {
    code: 'ERR_INVALID_ARG_TYPE',
  })
  t.true(new SocketError('', 'X') instanceof Error)
})
