// What a server counts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { type Connection, type Server, Socket, connect, relay, toDuplex, toNetSocket } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { addressOf, closeAtEnd, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { connectSocket, connectedSocket, testServer } from '../support/server.js'
import { runUnderStrace } from '../support/strace.js'
import { acceptNext, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

const NOTHING = {
  accepted: 0,
  open: 0,
  refused: 0,
  closed: 0,
  failed: 0,
  bytesRead: 0,
  bytesWritten: 0,
  queued: 0,
  paused: 0,
  acceptPauses: 0,
}

const BUFFER = Buffer.alloc(65536)

/** Waits until all that a server has accepted is closed, and asserts that nothing was lost or counted twice. */
async function settled<D>(t: ExecutionContext, server: Server<D>): Promise<typeof NOTHING> {
  await until(() => server.connections === 0 && server.stats().accepted > 0)
  const stats = server.stats()
  t.is(stats.accepted, stats.open + stats.closed + stats.failed)
  return stats
}

test('a_server_begins_with_zeros', (t) => {
  const server = testServer(t)
  t.deepEqual(server.stats(), NOTHING)
  t.deepEqual(Object.keys(server.stats()), Object.keys(NOTHING))
})

test('stats_is_a_snapshot', async (t) => {
  const server = testServer(t)
  const before = server.stats()
  connectSocket(t, server)
  await until(() => server.connections === 1)
  t.is(before.open, 0)
  t.not(server.stats(), before)
})

test('connections_are_accepted_open_and_closed', async (t) => {
  const server = testServer(t, { socket: { data: (it, chunk) => it.write(chunk) } })
  const clients = await Promise.all([1, 2, 3].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 3)
  t.deepEqual(server.stats(), { ...NOTHING, accepted: 3, open: 3 })
  clients[0]!.send('hello')
  await receiveExactly(clients[0]!, 5)
  t.deepEqual(server.stats(), { ...NOTHING, accepted: 3, open: 3, bytesRead: 5, bytesWritten: 5 })
  clients[0]!.close()
  await until(() => server.connections === 2)
  t.deepEqual(server.stats(), { ...NOTHING, accepted: 3, open: 2, closed: 1, bytesRead: 5, bytesWritten: 5 })
  server.stop(true)
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 3, closed: 3, bytesRead: 5, bytesWritten: 5 })
})

test('a_connection_that_breaks_has_failed', async (t) => {
  const server = testServer(t, { socket: { data() {} } })
  const client = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  client.reset()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, failed: 1 })
})

test('an_idle_timeout_and_a_handler_that_throws_are_no_failures_of_a_connection', async (t) => {
  const errors: unknown[] = []
  const server = testServer(t, {
    idleTimeout: 1,
    socket: {
      open() {
        throw new Error('of the handler')
      },
      error: (_, error) => void errors.push(error),
      data() {},
    },
  })
  await connectedSocket(t, server)
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1 })
  t.is(errors.length, 1)
})

test('what_is_queued_at_the_close_is_counted_when_the_kernel_has_taken_it', async (t) => {
  const length = 1_000_000
  const server = testServer(t, {
    sendQueueLimit: length,
    sendBufferSize: 4096,
    socket: { open: (it) => it.end(Buffer.alloc(length)) },
  })
  const client = await connectedSocket(t, server, { receiveBufferSize: 4096 })
  client.shutdown()
  await until(() => [...server.clients].some(({ state }) => state === 'closing'))
  const { queued, bytesWritten } = server.stats()
  t.true(queued > 0)
  t.is(queued + bytesWritten, length)
  t.is((await receiveToEnd(client)).length, length)
  const [closed] = [await settled(t, server)]
  t.deepEqual(closed, { ...NOTHING, accepted: 1, closed: 1, bytesWritten: length })
})

test('what_a_reset_drops_is_not_counted', async (t) => {
  const { connection, accepted, server } = await smallBufferConnectionPair(t, { server: { sendQueueLimit: 1_000_000 } })
  accepted.write(Buffer.alloc(1_000_000))
  const { queued, bytesWritten } = server.stats()
  t.true(queued > 0 && bytesWritten > 0)
  accepted.socket!.close()
  accepted.terminate()
  const { bytesWritten: taken } = await settled(t, server)
  t.true(taken >= bytesWritten && taken < 1_000_000)
  connection.terminate()
})

test('paused_connections_are_counted_while_they_are_paused', async (t) => {
  const { accepted, server } = await connectionPair(t)
  accepted.pause()
  accepted.pause()
  t.is(server.stats().paused, 1)
  accepted.resume()
  t.is(server.stats().paused, 0)
  accepted.pause().terminate()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1 })
})

test('what_waits_in_the_backlog_is_neither_accepted_nor_refused', async (t) => {
  const server = testServer(t, { maxConnections: 1, socket: { data() {} } })
  const clients = await Promise.all([1, 2].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 1)
  t.deepEqual(server.stats(), { ...NOTHING, accepted: 1, open: 1 })
  clients[0]!.close()
  clients[1]!.close()
  await until(() => server.stats().closed === 2)
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 2, closed: 2 })
})

test('a_connection_without_its_PROXY_header_is_refused_and_not_accepted', async (t) => {
  const server = testServer(t, { proxyProtocol: 'require', socket: { data() {} } })
  const client = await connectedSocket(t, server)
  client.send('GET / HTTP/1.1\r\n\r\n')
  await until(() => server.stats().refused > 0)
  t.deepEqual(server.stats(), { ...NOTHING, refused: 1 })
})

test('the_bytes_of_a_file_are_counted', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'm-socket-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  writeFileSync(path, Buffer.alloc(300_000, 'x'))
  const file = await open(path)
  t.teardown(() => file.close())
  const server = testServer(t, { socket: { open: async (it) => (await it.sendFile(file), void it.end('end')) } })
  const client = await connectedSocket(t, server)
  t.is((await receiveToEnd(client)).length, 300_003)
  client.close()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1, bytesWritten: 300_003 })
})

test('relayed_bytes_are_counted_while_they_come_and_at_the_end', async (t) => {
  const target = testListener(t)
  const server = testServer(t, {
    socket: { open: async (it) => void (await relay(it, Socket.connect(addressOf(target) as never)).catch(() => {})) },
  })
  const client = await connectedSocket(t, server)
  const upstream = resetAtEnd(t, await acceptNext(target))
  client.send(Buffer.alloc(100_000))
  await receiveExactly(upstream, 100_000)
  upstream.send('answer')
  await receiveExactly(client, 6)
  t.deepEqual(server.stats(), { ...NOTHING, accepted: 1, open: 1, bytesRead: 100_000, bytesWritten: 6 })
  client.shutdown()
  upstream.shutdown()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1, bytesRead: 100_000, bytesWritten: 6 })
})

test('a_connection_under_a_stream_is_counted_until_the_stream_closes', async (t) => {
  const server = testServer(t, { socket: { open: (it) => void toDuplex(it).end('hello').resume() } })
  const client = await connectedSocket(t, server)
  await receiveExactly(client, 5)
  t.is(server.stats().open, 1)
  client.close()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1, bytesWritten: 5 })
})

test('the_bytes_of_a_connection_that_goes_to_node_are_counted_up_to_there', async (t) => {
  const server = testServer(t, {
    socket: { open: (it) => (it.write('first'), it.flush(), void toNetSocket(it).end('then')) },
  })
  const client = await connectedSocket(t, server)
  t.is((await receiveToEnd(client)).toString(), 'firstthen')
  client.close()
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1, bytesWritten: 5 })
})

test('a_stopped_server_goes_on_counting', async (t) => {
  const { connection, accepted, server } = await connectionPair(t, { client: { socket: { data() {} } } })
  server.stop()
  accepted.end('bye')
  await until(() => connection.state === 'closed')
  t.deepEqual(await settled(t, server), { ...NOTHING, accepted: 1, closed: 1, bytesWritten: 3 })
})

test('many_ends_of_all_kinds_add_up', async (t) => {
  const closes: (Error | undefined)[] = []
  const server = testServer(t, {
    socket: { data: (it, chunk) => it.write(chunk), close: (_, error) => void closes.push(error) },
  })
  let bytes = 0
  const ends: ((it: Connection) => void)[] = [
    (it) => void it.end(),
    (it) => void it.end('last'),
    (it) => void it.terminate(),
    (it) => void it.socket!.close(),
    (it) => void it.shutdown('both'),
  ]
  for (let index = 0; index < 200; index++) {
    const connection = await connect(addressOf(server))
    t.teardown(() => connection.terminate())
    const length = 1 + ((index * 7919) % 10_000)
    connection.write(Buffer.alloc(length))
    for (let left = length; left > 0; left -= (await connection.read(BUFFER))!);
    bytes += length + (index % ends.length === 1 ? 4 : 0)
    ends[index % ends.length]!(connection)
  }
  const stats = await settled(t, server)
  t.is(stats.accepted, 200)
  t.is(stats.failed, closes.filter((error) => error).length)
  t.is(stats.closed, closes.filter((error) => !error).length)
  t.is(stats.bytesRead, bytes)
})

for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
  testWith(['strace'], `pauses_of_accepting_are_counted (${error})`, async (t) => {
    const source = `
      import { connect, listen } from 'm-socket'
      const server = listen({ host: '127.0.0.1', port: 0, socket: { data() {} } })
      const client = await connect({ host: '127.0.0.1', port: server.port })
      const timer = setInterval(() => {
        if (server.connections === 0) return
        clearInterval(timer)
        console.log(server.stats().acceptPauses)
        server.stop(true)
        client.terminate()
      }, 10)`
    const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', `accept4:error=${error}:when=1..3`)
    t.is(code, 0, stderr)
    t.is(stdout, '3\n')
  })
}

test('the_bytes_of_a_socket_grow_while_its_queue_is_sent_after_the_close', async (t) => {
  const listener = testListener(t, 'IPv4', { sendBufferSize: 4096 })
  const client = resetAtEnd(t, Socket.connect({ ...addressOf(listener), receiveBufferSize: 4096 } as never))
  const server = closeAtEnd(t, await acceptNext(listener))
  server.sendQueueLimit = 1_000_000
  server.send(Buffer.alloc(1_000_000))
  server.close()
  const { bytesSent, queued } = server
  t.is(bytesSent + queued, 1_000_000)
  await receiveExactly(client, 500_000)
  t.true(server.bytesSent >= 500_000)
  await receiveExactly(client, 500_000)
  await until(() => server.state === 'closed')
  t.is(server.bytesSent, 1_000_000)
  t.is(server.queued, 0)
})
