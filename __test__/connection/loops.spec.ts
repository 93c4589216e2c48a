import { setImmediate as nextTurn } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { type Connection, Listener, type Server, Socket, connect } from 'm-socket'

import { addressOf, closeAtEnd, inetAddressOf, resetAtEnd, testListener } from '../support/pair.js'
import { testServer } from '../support/server.js'
import { freePath } from '../support/unix.js'
import { acceptNext, until } from '../support/waiting.js'

/** So many clients of a server, each accepted before the next one connects. */
async function clients(t: ExecutionContext, server: Server, count: number): Promise<Connection[]> {
  const all: Connection[] = []
  for (let index = 0; index < count; index++) {
    const before = server.connections
    const client = await connect({ host: '127.0.0.1', port: server.port })
    t.teardown(() => client.terminate())
    all.push(client)
    await until(() => server.connections > before)
  }
  return all
}

/** The ports of the peers that a loop is given, until it has `count` of them. */
async function take(server: Server, count: number): Promise<(number | undefined)[]> {
  const ports: (number | undefined)[] = []
  if (count === 0) return ports
  for await (const connection of server) if (ports.push(connection.remotePort) === count) break
  return ports
}

const portsOf = (connections: readonly Connection[]): (number | undefined)[] => connections.map((it) => it.localPort)

test('a_loop_is_given_what_was_accepted_before_it_in_order', async (t) => {
  const opened: (number | undefined)[] = []
  const server = testServer(t, { socket: { open: (it) => void opened.push(it.remotePort) } })
  const expected = portsOf(await clients(t, server, 3))
  t.deepEqual(await take(server, 3), expected)
  t.deepEqual(opened, expected)
})

test('a_loop_is_given_what_was_accepted_between_two_loops_and_nothing_twice', async (t) => {
  const server = testServer(t)
  const expected = portsOf(await clients(t, server, 3))
  t.deepEqual(await take(server, 1), expected.slice(0, 1))
  expected.push(...portsOf(await clients(t, server, 2)))
  t.deepEqual(await take(server, 2), expected.slice(1, 3))
  t.deepEqual(await take(server, 2), expected.slice(3))
  server.stop()
  t.deepEqual(await take(server, 1), [])
})

test('a_loop_that_ends_by_an_error_leaves_the_others_to_the_next_one', async (t) => {
  const server = testServer(t)
  const expected = portsOf(await clients(t, server, 3))
  const failing = async (): Promise<void> => {
    for await (const connection of server) throw new Error(String(connection.remotePort))
  }
  await t.throwsAsync(failing(), { message: String(expected[0]) })
  t.deepEqual(await take(server, 2), expected.slice(1))
})

test('what_closed_before_a_loop_took_it_is_not_given', async (t) => {
  const server = testServer(t)
  const [first, second] = await clients(t, server, 2)
  first!.terminate()
  await until(() => server.connections === 1)
  t.deepEqual(await take(server, 1), portsOf([second!]))
  const [third, fourth] = await clients(t, server, 2)
  third!.terminate()
  await until(() => server.connections === 2)
  t.deepEqual(await take(server, 1), portsOf([fourth!]))
})

test('several_loops_share_the_connections', async (t) => {
  const server = testServer(t)
  const early = portsOf(await clients(t, server, 2))
  const loops = [server[Symbol.asyncIterator](), server[Symbol.asyncIterator]()]
  const got = loops.map((loop) => loop.next())
  const given = await Promise.all(got)
  t.deepEqual(
    given.map(({ value }) => (value as Connection).remotePort),
    early,
  )
  const waiting = loops.map((loop) => loop.next())
  const late = portsOf(await clients(t, server, 2))
  const more = await Promise.all(waiting)
  t.deepEqual(more.map(({ value }) => (value as Connection).remotePort).sort(), [...late].sort())
  await loops[0]!.return()
  const next = loops[1]!.next()
  const [last] = await clients(t, server, 1)
  t.is(((await next).value as Connection).remotePort, last!.localPort)
})

test('return_ends_a_loop_that_waits_and_loses_no_connection', async (t) => {
  const server = testServer(t)
  const loop = server[Symbol.asyncIterator]()
  const pending = loop.next()
  await nextTurn()
  t.deepEqual(await loop.return(), { done: true, value: undefined })
  t.deepEqual(await pending, { done: true, value: undefined })
  const expected = portsOf(await clients(t, server, 2))
  t.deepEqual(await take(server, 2), expected)
})

test('throw_ends_a_loop_that_waits', async (t) => {
  const server = testServer(t)
  const loop = server[Symbol.asyncIterator]()
  const pending = loop.next()
  await t.throwsAsync(loop.throw(new Error('enough')), { message: 'enough' })
  t.true((await pending).done)
  const expected = portsOf(await clients(t, server, 1))
  t.deepEqual(await take(server, 1), expected)
})

test('a_connection_that_comes_as_a_loop_returns_goes_to_the_next_one', async (t) => {
  const loops: AsyncGenerator<Connection, void, void>[] = []
  // The loop is woken by the connection, and returns before it goes on.
  const server = testServer(t, { socket: { open: () => void loops.pop()?.return() } })
  loops.push(server[Symbol.asyncIterator]())
  const pending = loops[0]!.next()
  const expected = portsOf(await clients(t, server, 1))
  t.true((await pending).done)
  t.deepEqual(await take(server, 1), expected)
})

test('a_loop_that_an_open_handler_begins_is_given_that_connection_once', async (t) => {
  const given: (number | undefined)[] = []
  let begun = false
  const server: Server = testServer(t, {
    socket: {
      async open() {
        if (begun) return
        begun = true
        for await (const connection of server) given.push(connection.remotePort)
      },
    },
  })
  const expected = portsOf(await clients(t, server, 3))
  await until(() => given.length >= 3)
  server.stop()
  await nextTurn()
  t.deepEqual(given, expected)
})

test('a_loop_over_a_stopped_server_is_given_what_is_open_and_then_ends', async (t) => {
  const server = testServer(t)
  const all = await clients(t, server, 3)
  server.stop()
  all[1]!.terminate()
  await until(() => server.connections === 2)
  const given: (number | undefined)[] = []
  for await (const connection of server) given.push(connection.remotePort)
  t.deepEqual(given, portsOf([all[0]!, all[2]!]))
  for await (const connection of server) t.fail(String(connection.remotePort))
})

test('a_running_loop_ends_after_what_is_open_when_the_server_is_stopped', async (t) => {
  const server = testServer(t)
  const all = await clients(t, server, 3)
  const given: (number | undefined)[] = []
  for await (const connection of server) {
    given.push(connection.remotePort)
    if (given.length > 1) continue
    all[1]!.terminate()
    await until(() => server.connections === 2)
    server.stop()
  }
  t.deepEqual(given, portsOf([all[0]!, all[2]!]))
})

test('accepting_pauses_at_64_waiting_connections_only_while_a_loop_runs', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  const peers = (): unknown => Array.from({ length: 40 }, () => resetAtEnd(t, Socket.connect(addressOf(server))))
  peers()
  peers()
  await until(() => server.connections === 80)
  const loop = server[Symbol.asyncIterator]()
  await loop.next()
  peers()
  for (let turn = 0; turn < 5; turn++) await nextTurn()
  t.is(server.connections, 80)
  for (let taken = 1; taken < 17; taken++) await loop.next()
  await until(() => server.connections === 81)
  await loop.return()
  await until(() => server.connections === 120)
})

// A listener

test('a_listener_s_loop_that_waits_is_ended_by_return_and_loses_no_connection', async (t) => {
  const listener = testListener(t)
  const loop = listener[Symbol.asyncIterator]()
  const pending = loop.next()
  await nextTurn()
  t.deepEqual(await loop.return(), { done: true, value: undefined })
  t.true((await pending).done)
  const sockets = [1, 2].map(() => resetAtEnd(t, Socket.connect(inetAddressOf(listener))))
  const first = resetAtEnd(t, await acceptNext(listener))
  t.deepEqual(first.remoteAddress, sockets[0]!.localAddress)
  for await (const socket of listener) {
    t.deepEqual(resetAtEnd(t, socket).remoteAddress, sockets[1]!.localAddress)
    break
  }
})

test('a_listener_keeps_what_comes_between_the_loops_in_its_backlog', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ path: freePath(t) }))
  Array.from({ length: 200 }, () => resetAtEnd(t, Socket.connect(addressOf(listener))))
  let count = 0
  while (count < 200) {
    for await (const socket of listener) {
      socket.reset()
      if (++count % 63 === 0 || count === 200) break
    }
  }
  t.is(listener.accept(), null)
})
