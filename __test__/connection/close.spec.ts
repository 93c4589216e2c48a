import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'
import { type Connection, connect } from 'm-socket'

import { addressOf } from '../support/pair.js'
import { connectedSocket, testServer, withResolvers } from '../support/server.js'
import { receiveToEnd, until } from '../support/waiting.js'

test('close_waits_until_the_connections_have_ended_by_themselves', async (t) => {
  const asked = withResolvers()
  const answer = withResolvers()
  const server = testServer(t, {
    socket: {
      async data(connection) {
        asked.resolve()
        await answer.promise
        connection.end('answer')
      },
    },
  })
  const client = await connect(addressOf(server))
  client.write('question')
  await asked.promise
  let isClosed = false
  const closing = server.close().then(() => (isClosed = true))
  await sleep(50)
  t.false(isClosed)
  t.is(server.address, undefined, 'it accepts no more')
  t.is(server.connections, 1)
  answer.resolve()
  let text = ''
  for await (const chunk of client) text += chunk
  t.is(text, 'answer')
  await closing
  t.is(server.connections, 0)
})

test('close_without_connections_resolves_at_once_and_may_be_repeated', async (t) => {
  const server = testServer(t)
  await Promise.all([server.close(), server.close()])
  await server.close({ end: true })
  t.is(server.address, undefined)
})

test('each_of_several_calls_of_close_waits_for_the_last_connection', async (t) => {
  const server = testServer(t, { socket: { data() {} } })
  const [one, two] = [await connectedSocket(t, server), await connectedSocket(t, server)]
  await until(() => server.connections === 2)
  const resolved: number[] = []
  const closings = [1, 2].map(async (number) => (await server.close(), resolved.push(number)))
  one.close()
  await until(() => server.connections === 1)
  t.deepEqual(resolved, [])
  two.close()
  await Promise.all(closings)
  t.deepEqual(resolved, [1, 2])
})

test('a_later_close_may_end_what_an_earlier_one_waits_for', async (t) => {
  const server = testServer(t, { socket: { data() {} } })
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  const closing = server.close()
  const ending = server.close({ end: true })
  t.is((await receiveToEnd(peer)).length, 0)
  peer.close()
  await Promise.all([closing, ending])
  t.is(server.connections, 0)
})

test('a_timeout_terminates_what_is_open_then_and_not_earlier', async (t) => {
  const ends: (string | undefined)[] = []
  const server = testServer(t, { socket: { data: (connection) => connection.write('answer') } })
  const client = await connect({
    ...addressOf(server),
    socket: {
      data: (_, chunk) => ends.push(String(chunk)),
      close: (_, error) => ends.push((error as NodeJS.ErrnoException)?.code),
    },
  })
  await until(() => server.connections === 1)
  const closing = server.close({ timeout: 300 })
  client.write('question')
  await closing
  await until(() => ends.length === 2)
  t.deepEqual(ends, ['answer', 'ECONNRESET'])
})

test('a_timeout_of_0_terminates_at_once', async (t) => {
  const server = testServer(t, { socket: { data() {} } })
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  await server.close({ timeout: 0 })
  t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
})

test('bad_options_of_close_leave_the_server_as_it_was', async (t) => {
  const server = testServer(t, { socket: { data() {} } })
  await connectedSocket(t, server)
  await until(() => server.connections === 1)
  const { port } = server
  for (const [options, code] of [
    [{ timeout: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ timeout: Number.NaN }, 'ERR_OUT_OF_RANGE'],
    [{ timeout: '1' }, 'ERR_INVALID_ARG_TYPE'],
    [{ end: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ ends: true }, 'ERR_INVALID_ARG_VALUE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ] as const) {
    await t.throwsAsync(server.close(options as never), { code })
    t.is(server.port, port)
    t.is(server.connections, 1)
  }
})

test('await_using_ends_our_halves_behind_what_was_written', async (t) => {
  const bytes = Buffer.alloc(4_000_000, 'x')
  let peer
  let written = 0
  {
    await using server = testServer(t, {
      sendQueueLimit: bytes.length,
      socket: { open: (connection) => void (written = connection.write(bytes)) },
    })
    peer = await connectedSocket(t, server)
    await until(() => written > 0)
    void receiveToEnd(peer).then((received) => (t.is(received.length, bytes.length), peer!.close()))
  }
  t.is(written, bytes.length)
  t.is(peer.state, 'closed')
})

test('using_stops_a_server_and_terminates_its_connections', async (t) => {
  let server
  let peer
  {
    using scoped = testServer(t, { socket: { data() {} } })
    server = scoped
    peer = await connectedSocket(t, scoped)
    await until(() => scoped.connections === 1)
  }
  t.is(server.address, undefined)
  t.is(server.connections, 0)
  t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
})

test('clients_iterates_over_the_open_connections', async (t) => {
  const opened: Connection[] = []
  const server = testServer(t, { socket: { data() {}, open: (connection) => opened.push(connection) } })
  t.deepEqual([...server.clients], [])
  const peers = await Promise.all([1, 2, 3].map(() => connectedSocket(t, server)))
  await until(() => opened.length === 3)
  const { clients } = server
  t.deepEqual([...clients], opened)
  t.deepEqual([...clients], opened, 'it can be iterated again')
  opened[1]!.terminate()
  t.deepEqual([...clients], [opened[0], opened[2]])
  for (const connection of clients) connection.terminate()
  t.deepEqual([...clients], [])
  t.is(peers.length, 3)
})
