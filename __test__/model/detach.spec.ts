// Descriptors that a socket or listener gives up, open.

import { existsSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { type Connection, Listener, Multiplexer, Socket, connect, listen } from 'm-socket'
import * as native from 'm-socket/native'

import type { ReleasedSocket } from '../../lib/model/closable-source.js'
import type { Socket as WithInternals } from '../../lib/model/socket.js'
import { blackhole } from '../support/blackhole.js'
import {
  FAMILIES,
  addressOf,
  closeAtEnd,
  connectedPair,
  inetAddressOf,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { testServer } from '../support/server.js'
import { freePath } from '../support/unix.js'
import { acceptNext, connectOutcome, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

function release(socket: Socket): ReleasedSocket {
  return (socket as unknown as WithInternals).giveUp()
}

function adopt(t: ExecutionContext, fd: number): Socket {
  return resetAtEnd(t, Socket.adopt(fd))
}

for (const family of FAMILIES) {
  test(`a_socket_is_released_with_its_queue_in_order_and_its_descriptor_is_adopted: ${family}`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    let number = 0
    const sent: Buffer[] = []
    while (client.queued < 10_000) {
      const piece = Buffer.alloc(1999, number++)
      client.send(piece)
      sent.push(piece)
    }
    const { fd } = client
    const { queued } = client
    const released = release(client)
    t.deepEqual([released.fd, released.unread.length, released.queued.length], [fd, 0, queued])
    t.deepEqual([client.state, client.fd, client.queued], ['closed', -1, 0])
    const adopted = adopt(t, fd)
    adopted.send(released.queued)
    adopted.close()
    t.true((await receiveToEnd(server)).equals(Buffer.concat(sent)))
  })
}

test('what_was_received_and_given_back_is_released_and_what_the_kernel_has_stays_there', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('received, ')
  const chunk = await receiveExactly(client, 10)
  ;(client as unknown as WithInternals).unread(chunk)
  server.send('in the kernel')
  const { fd, unread } = release(client)
  t.is(unread.toString(), 'received, ')
  t.is((await receiveExactly(adopt(t, fd), 13)).toString(), 'in the kernel')
})

test('what_a_batch_has_received_and_not_handled_is_released', async (t) => {
  const accepted: Connection[] = []
  let released: ReleasedSocket | undefined
  const server = testServer(t, {
    socket: {
      open: (connection) => void accepted.push(connection),
      data(connection) {
        const other = accepted.find((it) => it !== connection)!
        released ??= release(other.socket!)
      },
    },
  })
  const [first, second] = await Promise.all([connect(addressOf(server)), connect(addressOf(server))])
  t.teardown(() => (first.terminate(), second.terminate()))
  await until(() => accepted.length === 2)
  first.tryWrite('input')
  second.tryWrite('input')
  await until(() => released !== undefined)
  const rest = await receiveExactly(adopt(t, released!.fd), 5 - released!.unread.length)
  t.is(released!.unread.toString() + rest.toString(), 'input')
})

test('a_socket_that_connects_is_released_with_what_it_was_to_send', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const socket = resetAtEnd(t, Socket.connect(inetAddressOf(listener)))
  socket.send('later')
  const { fd, queued } = release(socket)
  t.is(queued.toString(), 'later')
  t.is(adopt(t, fd).state, 'connecting')
})

test('a_socket_in_a_multiplexer_a_broken_one_and_a_closed_one_are_not_released', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client))
  t.throws(() => release(client), { code: 'EEXIST', message: /in a Multiplexer/ })
  t.is(client.send('lives'), 'sent')
  multiplexer.remove(client)
  server.reset()
  client.send('')
  await until(() => {
    client.send('x')
    return client.writeEnded
  })
  t.throws(() => release(client), { message: /^(read|write) (ECONNRESET|EPIPE)/ })
  t.throws(() => release(client), { name: 'SocketClosedError' })
})

test('a_descriptor_can_be_duplicated', async (t) => {
  const { client, server } = await connectedPair(t)
  const copy = native.duplicate(client.fd)
  t.true(copy > 2 && copy !== client.fd)
  client.close()
  const adopted = adopt(t, copy)
  adopted.send('by the copy')
  t.is((await receiveExactly(server, 11)).toString(), 'by the copy')
})

for (const family of FAMILIES) {
  test(`the_descriptor_of_a_detached_listener_still_listens: ${family}`, async (t) => {
    const listener = testListener(t, family, family === 'unix' ? { path: freePath(t), unlink: true } : {})
    const address = addressOf(listener)
    const { fd } = listener
    t.is(listener.detach(), fd)
    t.deepEqual([listener.fd, listener.address], [-1, undefined])
    listener.close()
    if ('path' in address) t.true(existsSync(address.path))
    const again = closeAtEnd(t, Listener.bind({ fd }))
    resetAtEnd(t, Socket.connect(address as { path: string }))
    resetAtEnd(t, await acceptNext(again))
    t.throws(() => listener.detach(), { name: 'SocketClosedError', message: 'detach: the listener is closed' })
  })
}

test('a_detached_listener_leaves_its_multiplexer_and_its_iteration_ends', async (t) => {
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(listener))
  const fd = listener.detach()
  resetAtEnd(t, Socket.connect(addressOf(closeAtEnd(t, Listener.bind({ fd }))) as { port: number }))
  t.deepEqual(multiplexer.waitSync(0), [])

  const iterated = testListener(t)
  const next = iterated[Symbol.asyncIterator]().next()
  closeAtEnd(t, Listener.bind({ fd: iterated.detach() }))
  t.true((await next).done)
})

test('a_server_whose_listener_is_detached_accepts_no_more', async (t) => {
  const listener = testListener(t)
  const server = closeAtEnd(t, listen({ listener, socket: { open: () => t.fail() } }))
  const again = closeAtEnd(t, Listener.bind({ fd: listener.detach() }))
  const client = resetAtEnd(t, Socket.connect(inetAddressOf(again)))
  await server.close()
  resetAtEnd(t, await acceptNext(again))
  t.is(await connectOutcome(client), 'open')
})
