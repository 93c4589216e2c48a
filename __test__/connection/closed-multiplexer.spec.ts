// Connections and servers that live in a multiplexer of the program's, and the end of that multiplexer.

import test from 'ava'
import { type Connection, Multiplexer, SocketClosedError, connect, listen, toWeb } from 'm-socket'

import { collectGarbage } from '../support/garbage.js'
import { HandlerLog } from '../support/handler-log.js'
import { addressOf, testListener } from '../support/pair.js'
import { connectSocket, testServer } from '../support/server.js'
import { nextTurn } from '../support/timing.js'
import { acceptNext, receiveToEnd, until } from '../support/waiting.js'

const CLOSED = 'close ERR_SOCKET_CLOSED'

/** Waits with a multiplexer until it is closed. */
async function turn(multiplexer: Multiplexer): Promise<void> {
  for await (const events of multiplexer) void events
}

test('connections_are_closed_with_their_multiplexer', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const [serverLog, clientLog] = [new HandlerLog(), new HandlerLog()]
  const reasons: unknown[] = []
  const accepted: Connection[] = []
  const server = testServer(t, {
    multiplexer,
    socket: serverLog.handlers({
      open: (connection) => void accepted.push(connection),
      close: (_, error) => void reasons.push(error),
    }),
  })
  const client = await connect({ ...addressOf(server), multiplexer, socket: clientLog.handlers() })
  await until(() => accepted.length === 1)
  multiplexer.close()
  await running
  t.deepEqual(await clientLog.closed(), ['open', CLOSED])
  t.deepEqual(await serverLog.closed(), ['open', CLOSED])
  t.true(reasons[0] instanceof SocketClosedError)
  t.regex(String(reasons[0]), /Multiplexer/)
  t.deepEqual([client.state, accepted[0]!.state, server.connections], ['closed', 'closed', 0])
  t.deepEqual([client.write('x'), client.end(), await accepted[0]!.read(new Uint8Array(1)).catch(codeOf)], [
    -1,
    -1,
    'ERR_SOCKET_CLOSED',
  ] as unknown[])
})

function codeOf(error: { code?: string }): string | undefined {
  return error.code
}

test('what_a_connection_has_queued_is_sent_although_its_multiplexer_is_closed', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const log = new HandlerLog()
  const listener = testListener(t, 'IPv4', { receiveBufferSize: 4096 })
  const connection = await connect({
    ...addressOf(listener),
    multiplexer,
    sendBufferSize: 4096,
    sendQueueLimit: 1e6,
    socket: log.handlers(),
  })
  const peer = await acceptNext(listener)
  t.is(connection.write(Buffer.alloc(300_000, 'q')), 300_000)
  multiplexer.close()
  await running
  t.is(connection.socket!.state, 'closing')
  t.is((await receiveToEnd(peer)).length, 300_000)
  t.deepEqual(await log.closed(), ['open', CLOSED])
  await until(() => connection.socket!.state === 'closed')
  peer.close()
})

test('a_server_stops_with_its_multiplexer', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const server = testServer(t, { multiplexer })
  const seen: Connection[] = []
  const loop = (async () => {
    for await (const connection of server) seen.push(connection)
  })()
  connectSocket(t, server)
  await until(() => seen.length === 1)
  const reading = t.throwsAsync(seen[0]!.read(new Uint8Array(1)), { code: 'ERR_SOCKET_CLOSED' })
  const closing = server.close()
  multiplexer.close()
  await Promise.all([running, loop, closing, reading])
  t.deepEqual([server.address, server.connections], [undefined, 0])
})

test('a_listening_server_stops_with_its_multiplexer_and_frees_the_port', async (t) => {
  const multiplexer = new Multiplexer()
  const server = testServer(t, { multiplexer })
  const { port } = server
  multiplexer.close()
  t.is(server.port, undefined)
  t.is(testServer(t, { port }).port, port)
  await server.close()
})

test('a_handler_that_closes_the_multiplexer_closes_the_connections_of_its_batch', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const log = new HandlerLog()
  const server = testServer(t, { multiplexer, socket: log.handlers({ data: () => multiplexer.close() }) })
  const peers = [connectSocket(t, server), connectSocket(t, server)]
  await until(() => server.connections === 2)
  for (const peer of peers) peer.send('hello')
  await running
  const closes = (): string[] => log.entries.filter((entry) => entry.startsWith('close'))
  await until(() => closes().length === 2)
  await nextTurn()
  t.deepEqual(closes(), [CLOSED, CLOSED])
  t.is(log.entries.at(-1), CLOSED)
  t.false(log.entries.some((entry) => entry.startsWith('error')))
})

test('a_handler_that_throws_keeps_no_other_connection_from_its_close', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const log = new HandlerLog()
  const server = testServer(t, {
    multiplexer,
    socket: log.handlers({
      close() {
        throw new Error('of a handler')
      },
    }),
  })
  const peers = [connectSocket(t, server), connectSocket(t, server)]
  await until(() => server.connections === 2)
  multiplexer.close()
  await running
  await until(() => log.entries.length === 6)
  t.deepEqual(log.entries.slice(2).sort(), [CLOSED, CLOSED, 'error of a handler', 'error of a handler'])
  t.is(peers.length, 2)
})

test('web_streams_end_with_the_multiplexer_of_their_connection', async (t) => {
  const multiplexer = new Multiplexer()
  const running = turn(multiplexer)
  const listener = testListener(t)
  const { readable, closed } = toWeb(await connect({ ...addressOf(listener), multiplexer }))
  const reading = readable.getReader().read()
  multiplexer.close()
  await running
  await t.throwsAsync(closed, { instanceOf: SocketClosedError })
  await t.throwsAsync(reading, { instanceOf: SocketClosedError })
})

test('connections_of_a_multiplexer_that_is_disposed_of_are_closed', async (t) => {
  const log = new HandlerLog()
  const listener = testListener(t)
  {
    using multiplexer = new Multiplexer()
    await connect({ ...addressOf(listener), multiplexer, socket: log.handlers() })
  }
  t.deepEqual(await log.closed(), ['open', CLOSED])
})

test.serial('connections_of_a_multiplexer_that_is_collected_are_closed', async (t) => {
  const log = new HandlerLog()
  const listener = testListener(t)
  const ignore = (): void => {}
  process.on('warning', ignore)
  t.teardown(() => process.off('warning', ignore))
  await (async () => connect({ ...addressOf(listener), multiplexer: new Multiplexer(), socket: log.handlers() }))()
  await collectGarbage()
  t.deepEqual(await log.closed(), ['open', CLOSED])
})

test('listen_and_connect_refuse_a_closed_multiplexer', async (t) => {
  const multiplexer = new Multiplexer()
  multiplexer.close()
  t.throws(() => listen({ multiplexer }), { instanceOf: SocketClosedError })
  await t.throwsAsync(connect({ port: 1, host: '127.0.0.1', multiplexer }), { instanceOf: SocketClosedError })
})
