// Connections give their sockets away, and handlers take sockets over.

import { once } from 'node:events'
import net from 'node:net'

import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  type InetAddress,
  Listener,
  Multiplexer,
  Socket,
  SocketClosedError,
  SocketError,
  adopt,
  connect,
  listen,
  relay,
  toDuplex,
  toWeb,
} from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { HandlerLog } from '../support/handler-log.js'
import { FAMILIES, addressOf, closeAtEnd, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { testServer, withResolvers } from '../support/server.js'
import { freePath } from '../support/unix.js'
import { acceptNext, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

/** A connection over the socket that another one has given away. */
function again(t: { teardown(end: () => void): void }, connection: Connection, log: HandlerLog): Connection {
  const adopted = adopt(Socket.attach(connection.detach()), { socket: log.handlers(), allowHalfOpen: true })
  t.teardown(() => adopted.terminate())
  return adopted
}

for (const family of FAMILIES) {
  test(`handlers_over_an_accepted_socket (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const log = new HandlerLog()
    const connection = adopt(server, {
      data: 'mine',
      socket: {
        open: (it) => void it.write(`${it.data} is ${it.state}`),
        data: (it, chunk) => void it.write(chunk),
        close: () => void log.entries.push('close'),
      },
    })
    t.is(connection.socket, server)
    t.is(connection.server, undefined)
    t.is((await receiveExactly(client, 12)).toString(), 'mine is open')
    client.send('echo')
    t.is((await receiveExactly(client, 4)).toString(), 'echo')
    client.close()
    t.deepEqual(await log.closed(), ['close'])
  })

  test(`a_connection_is_detached_in_its_data_handler_and_goes_on_with_others (${family})`, async (t) => {
    const [first, second] = [new HandlerLog(), new HandlerLog()]
    const { connection, accepted, server } = await connectionPair(t, {
      family,
      server: {
        socket: first.handlers({
          data(it) {
            it.write('written before')
            again(t, it, second).write(', written after')
          },
        }),
      },
    })
    connection.write('one')
    await until(() => connection.bytesRead === 0 && second.entries.includes('open'))
    t.is(server.connections, 0)
    t.is(accepted.state, 'closed')
    connection.write('two')
    const into = new Uint8Array(29)
    let filled = 0
    while (filled < 29) filled += (await connection.read(into.subarray(filled)))!
    t.is(Buffer.from(into).toString(), 'written before, written after')
    await until(() => second.entries.includes('data two'))
    connection.end()
    await until(() => second.entries.includes('end'))
    t.deepEqual(first.entries, ['open', 'data one', 'close'])
    t.deepEqual(second.entries, ['open', 'data two', 'end'])
  })
}

test('what_a_batch_has_received_for_a_later_handler_travels_with_it', async (t) => {
  const log = new HandlerLog()
  const accepted: Connection[] = []
  const server = testServer(t, {
    socket: {
      open: (it) => void accepted.push(it),
      // The first handler of the batch gives all others away.
      data(it) {
        for (const other of accepted.splice(0)) if (other !== it) again(t, other, log)
      },
    },
  })
  const clients = await Promise.all(
    Array.from({ length: 8 }, () => connect({ ...addressOf(server), socket: {} } as never)),
  )
  await until(() => accepted.length === 8)
  for (const [index, client] of clients.entries()) (client as Connection).write(`input ${index}`)
  await until(() => log.entries.filter((entry) => entry.startsWith('data')).length >= 7)
  t.is(new Set(log.entries.filter((entry) => entry.startsWith('data'))).size, 7)
  for (const client of clients) (client as Connection).terminate()
})

test('a_paused_connection_is_detached_with_its_input', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: { data() {}, open: (it) => it.pause() } },
  })
  connection.write('unseen')
  await until(() => accepted.socket!.peek(new Uint8Array(16)) === 6)
  again(t, accepted, log)
  await until(() => log.entries.includes('data unseen'))
  t.pass()
})

test('corked_writes_leave_with_the_detach', async (t) => {
  const { connection, accepted } = await connectionPair(t, { server: { socket: {} } })
  const detached = accepted.cork(() => {
    accepted.write('corked')
    return accepted.detach()
  })
  const into = new Uint8Array(6)
  t.is(await connection.read(into), 6)
  t.is(Buffer.from(into).toString(), 'corked')
  Socket.attach(detached).close()
})

test('what_is_queued_and_the_end_behind_it_travel_with_it', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t, { server: { socket: {}, allowHalfOpen: true } })
  const bytes = Buffer.alloc(500_000, 'abcdefg')
  t.is(accepted.end(bytes), bytes.length)
  const log = new HandlerLog()
  const adopted = again(t, accepted, log)
  t.true(adopted.socket!.queued > 0)
  t.is(adopted.write('late'), -1)
  const received: Buffer[] = []
  for await (const chunk of connection) received.push(chunk)
  t.true(Buffer.concat(received).equals(bytes))
  connection.end()
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
})

test('a_pending_read_is_rejected_and_close_is_called_without_an_error', async (t) => {
  const log = new HandlerLog()
  const { accepted } = await connectionPair(t, {
    server: { socket: { open: log.handlers().open!, close: log.handlers().close! } },
  })
  const read = accepted.read(new Uint8Array(8))
  const { remoteAddress } = accepted
  const socket = resetAtEnd(t, Socket.attach(accepted.detach()))
  await t.throwsAsync(read, { instanceOf: SocketClosedError })
  t.deepEqual(await log.closed(), ['open', 'close'])
  t.is(accepted.remoteAddress, remoteAddress)
  await t.throwsAsync(accepted.read(new Uint8Array(8)), { instanceOf: SocketClosedError })
  t.throws(() => accepted.detach(), { instanceOf: SocketClosedError })
  t.is(socket.state, 'open')
})

test('an_end_that_the_old_handlers_have_seen_comes_to_the_new_ones', async (t) => {
  const ended = withResolvers()
  const { connection, accepted } = await connectionPair(t, {
    server: { allowHalfOpen: true, socket: { data() {}, end: () => ended.resolve() } },
  })
  connection.end()
  await ended.promise
  const log = new HandlerLog()
  const adopted = adopt(Socket.attach(accepted.detach()), { socket: log.handlers() })
  t.true(adopted.socket!.readEnded)
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
})

test('an_end_that_was_received_before_adopt_is_reported', async (t) => {
  const { client, server } = await connectedPair(t)
  client.shutdown()
  await until(() => server.receive(new Uint8Array(8)) === 0, server)
  const log = new HandlerLog()
  adopt(server, { socket: log.handlers() })
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
})

test('an_adopted_connection_is_read_by_promises_after_an_end', async (t) => {
  const { client, server } = await connectedPair(t)
  client.shutdown()
  await until(() => server.receive(new Uint8Array(8)) === 0, server)
  const connection = adopt(server, { allowHalfOpen: true })
  t.is(await connection.read(new Uint8Array(8)), null)
  connection.terminate()
})

test('open_of_a_socket_that_connects_is_called_when_it_has', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const log = new HandlerLog()
  const socket = Socket.connect(addressOf(listener) as never)
  const connection = adopt(socket, { socket: log.handlers() })
  t.deepEqual([connection.state, connection.readyState, connection.socket], ['connecting', 2, socket])
  t.deepEqual(log.entries, [])
  t.is(connection.write('early'), 5)
  connection.pause()
  connection.resume()
  const peer = await acceptedFrom(t, listener, connection)
  await until(() => log.entries.includes('open'))
  t.is((await receiveExactly(peer, 5)).toString(), 'early')
  peer.send('data')
  peer.close()
  t.deepEqual(await log.closed(), ['open', 'data data', 'end', 'close'])
})

/** The peer of a connection that waits for room in the backlog. */
async function acceptedFrom(t: ExecutionContext, listener: Listener, { socket }: Connection): Promise<Socket> {
  for (;;) {
    const peer = resetAtEnd(t, await acceptNext(listener))
    if ((peer.remoteAddress as InetAddress).port === (socket!.localAddress as InetAddress).port) return peer
  }
}

test('connectError_of_a_socket_that_connects_is_called_when_that_fails', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const log: string[] = []
  const failed = withResolvers<Error>()
  const connection = adopt(Socket.connect(addressOf(listener) as never), {
    socket: {
      open: () => void log.push('open'),
      connectError: (_, error) => failed.resolve(error),
      error: () => void log.push('error'),
      close: () => void log.push('close'),
    },
  })
  const read = connection.read(new Uint8Array(8))
  const { port } = listener.address as InetAddress
  listener.close()
  const error = (await failed.promise) as SocketError
  t.is(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
  t.is(await t.throwsAsync(read), error)
  t.is(connection.state, 'closed')
  t.deepEqual(log, [])
})

test('a_connection_that_connects_is_detached_or_terminated', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const logs = [new HandlerLog(), new HandlerLog(), new HandlerLog()] as const
  const [first, second] = [0, 1].map((at) =>
    adopt(Socket.connect(addressOf(listener) as never), { socket: logs[at]!.handlers() }),
  )
  second!.terminate()
  t.deepEqual(await logs[1].closed(), ['close'])
  const detached = first!.detach()
  t.deepEqual(detached.remoteAddress, listener.address)
  const moved = adopt(Socket.attach(detached), { socket: logs[2].handlers() })
  t.is(moved.state, 'connecting')
  await acceptedFrom(t, listener, moved)
  await until(() => logs[2].entries.includes('open'))
  t.deepEqual(await logs[0].closed(), ['close'])
  moved.terminate()
})

test('a_socket_that_could_not_connect_is_not_adopted', async (t) => {
  const listener = testListener(t)
  const { port } = listener.address as InetAddress
  listener.close()
  const socket = Socket.connect({ port })
  const message = `connect ECONNREFUSED 127.0.0.1:${port}`
  // The kernel of the loopback has refused it by now.
  t.throws(() => adopt(socket, {}), { instanceOf: SocketError, message })
  t.is(socket.state, 'closed')
})

test('an_end_before_the_connect_is_kept', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const connection = adopt(Socket.connect(addressOf(listener) as never), {})
  connection.end('all')
  const peer = await acceptedFrom(t, listener, connection)
  t.is((await receiveToEnd(peer)).toString(), 'all')
  connection.terminate()
})

test('a_socket_in_use_is_not_adopted', async (t) => {
  const { server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(server))
  t.throws(() => adopt(server, {}), { instanceOf: SocketError, code: 'EEXIST' })
  multiplexer.remove(server)
  const connection = adopt(server, {})
  t.throws(() => adopt(server, {}), { instanceOf: SocketError, code: 'EEXIST' })
  t.throws(() => server.detach(), { code: 'ERR_INVALID_STATE' })
  connection.terminate()
  t.throws(() => adopt(server, {}), { instanceOf: SocketClosedError })
})

test('wrong_arguments_leave_the_socket_as_it_was', async (t) => {
  const { client, server } = await connectedPair(t, 'IPv4', { listener: { noDelay: false } })
  for (const value of [undefined, null, 7, {}, client.fd]) {
    t.throws(() => adopt(value as never, {}), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
  t.throws(() => adopt(server, undefined as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => adopt(server, { host: '::1' } as never), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => adopt(server, { socket: { data: 1 } } as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => adopt(server, { sendQueueLimit: -1 }), { code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => adopt(server, { sendQueueLimit: 9, congestion: 'nonesuch' }), {
    instanceOf: SocketError,
    code: 'ENOENT',
  })
  t.false(server.getOption('noDelay'))
  t.is(server.sendQueueLimit, 65_536)
  client.send('intact')
  t.is((await receiveExactly(server, 6)).toString(), 'intact')
  server.sendQueueLimit = 77
  const connection = adopt(server, {})
  t.true(server.getOption('noDelay'))
  t.is(server.sendQueueLimit, 77)
  connection.terminate()
})

test('options_of_adopt_are_those_of_a_connection', async (t) => {
  const { client, server } = await connectedPair(t)
  const log = new HandlerLog()
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const connection = adopt(server, { multiplexer, sendQueueLimit: 65_536, idleTimeout: 30, socket: log.handlers() })
  client.send('in')
  while (!log.entries.includes('close')) await multiplexer.wait(20)
  t.deepEqual(log.entries, ['open', 'data in', 'timeout', 'close'])
  t.is(connection.state, 'closed')
})

test('an_adapted_or_relayed_connection_is_not_detached_and_goes_on', async (t) => {
  const [one, two, three] = [await connectionPair(t), await connectionPair(t), await connectionPair(t)]
  const relayed = relay(one.accepted, two.accepted)
  t.throws(() => one.accepted.detach(), { instanceOf: SocketError, code: 'EBUSY' })
  const { readable } = toWeb(three.accepted)
  const reader = readable.getReader()
  const read = reader.read()
  t.throws(() => three.accepted.detach(), { code: 'ERR_INVALID_STATE' })
  three.connection.end('read')
  t.is(Buffer.from((await read).value!).toString(), 'read')
  const stream = toDuplex(three.connection)
  t.throws(() => three.connection.detach(), { code: 'ERR_INVALID_STATE' })
  stream.destroy()
  one.connection.end('x')
  two.connection.end()
  t.deepEqual(await relayed, { aToB: 1, bToA: 0 })
})

test('a_listener_that_a_server_has_is_detached_and_its_connections_go_on', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1' })
  const { port } = listener.address as { port: number }
  const { connection, accepted, server } = await connectionPair(t, {
    server: {
      listener,
      host: undefined,
      socket: { data: (it: Connection, chunk: Buffer) => void it.write(chunk) },
    } as never,
  })
  const fd = listener.detach()
  t.is(server.address, undefined)
  connection.write('echo')
  t.is(await connection.read(new Uint8Array(8)), 4)
  const next = closeAtEnd(t, Listener.bind({ fd }))
  const peer = net.connect(port)
  t.teardown(() => peer.destroy())
  await once(peer, 'connect')
  resetAtEnd(t, await acceptNext(next))
  t.is(accepted.state, 'open')
  t.throws(() => listener.detach(), { instanceOf: SocketClosedError })
})

test('what_a_wait_has_accepted_is_opened_although_a_handler_detaches_the_listener', async (t) => {
  const listener = Listener.bind({ path: freePath(t) })
  const address = addressOf(listener) as { path: string }
  const opened: Connection[] = []
  let fd = -1
  const server = listen({
    listener,
    socket: {
      open(connection) {
        if (opened.push(connection) === 1) fd = listener.detach()
      },
    },
  })
  t.teardown(() => server.stop(true))
  const clients = Array.from({ length: 8 }, () => resetAtEnd(t, Socket.connect(address)))
  await until(() => opened.length > 0)
  t.is(server.address, undefined)
  const next = closeAtEnd(t, Listener.bind({ fd }))
  let left = 0
  for (let socket; (socket = next.accept()); left++) socket.close()
  t.is(opened.length + left, clients.length)
  t.true(opened.length > 1)
  for (const connection of opened) connection.write('served')
  let served = 0
  for (const client of clients) {
    await until(() => client.peek(new Uint8Array(8)) !== null, client)
    served += client.receive(new Uint8Array(8)) === 6 ? 1 : 0
  }
  t.is(served, opened.length)
})
