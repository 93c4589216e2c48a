// A socket is detached and attached again, with all that it has.

import test from 'ava'
import {
  type DetachedSocket,
  Listener,
  Multiplexer,
  Socket,
  SocketClosedError,
  SocketError,
  relay,
  toDuplex,
} from 'm-socket'

import { openSockets } from '../support/descriptors.js'
import { FAMILIES, closeAtEnd, connectedPair, fillSendQueue, resetAtEnd, smallBufferPair } from '../support/pair.js'
import { acceptNext, nextEvent, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

const BUFFER = new Uint8Array(64)

for (const family of FAMILIES) {
  test(`a_detached_socket_is_attached_with_its_counters_and_addresses (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.send('before')
    await receiveExactly(server, 3)
    server.send('answer')
    server.sendQueueLimit = 12_345
    const { localAddress, remoteAddress, fd } = server
    const detached = server.detach()
    t.deepEqual({ ...detached }, { id: detached.id, localAddress, remoteAddress })
    const attached = resetAtEnd(t, Socket.attach(structuredClone(detached)))
    t.is(attached.fd, fd)
    t.is(attached.bytesReceived, 3)
    t.is(attached.bytesSent, 6)
    t.is(attached.sendQueueLimit, 12_345)
    t.deepEqual(attached.remoteAddress, remoteAddress)
    t.is((await receiveExactly(attached, 3)).toString(), 'ore')
    attached.send('and after')
    t.is((await receiveExactly(client, 15)).toString(), 'answerand after')
  })

  test(`what_is_queued_leaves_after_the_attach_and_then_the_end (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    server.sendQueueLimit = Number.MAX_SAFE_INTEGER
    const accepted = fillSendQueue(server) + 200_000
    server.send(new Uint8Array(200_000))
    server.shutdown()
    const { queued } = server
    const detached = server.detach()
    t.is(server.queued, 0)
    const attached = resetAtEnd(t, Socket.attach(detached))
    t.true(attached.queued > 0 && attached.queued <= queued)
    t.true(attached.writeEnded)
    t.is(attached.send('more'), 'closed')
    t.is((await receiveToEnd(client)).length, accepted)
    client.send('still open')
    t.is((await receiveExactly(attached, 10)).toString(), 'still open')
  })

  test(`an_end_that_was_received_before_is_reported_again (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.shutdown()
    await until(() => server.receive(BUFFER) === 0, server)
    const attached = resetAtEnd(t, Socket.attach(server.detach()))
    t.true(attached.readEnded)
    const { readable, readEnded } = await nextEvent(attached, 'r')
    t.deepEqual({ readable, readEnded }, { readable: true, readEnded: true })
    t.is(attached.receive(BUFFER), 0)
    attached.send('answer')
    t.is((await receiveExactly(client, 6)).toString(), 'answer')
  })

  test(`what_came_before_a_reset_is_received_after_the_attach_and_then_the_error (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.send('last words')
    await until(() => server.peek(BUFFER) === 10, server)
    // On a Unix socket the peer's close is a reset where it has unread input.
    server.send('unread')
    client.reset()
    const attached = resetAtEnd(t, Socket.attach(server.detach()))
    t.is((await receiveExactly(attached, 10)).toString(), 'last words')
    await until(() => {
      try {
        attached.receive(BUFFER)
        return false
      } catch (error) {
        return (error as SocketError).code === 'ECONNRESET'
      }
    })
  })
}

test('the_old_object_is_closed_and_the_descriptor_is_not', async (t) => {
  const { client, server } = await connectedPair(t)
  const before = openSockets()
  const detached = server.detach()
  t.deepEqual(openSockets(), before)
  t.is(server.state, 'closed')
  t.is(server.fd, -1)
  t.is(server.send('more'), 'closed')
  t.throws(() => server.receive(BUFFER), { instanceOf: SocketClosedError })
  t.throws(() => server.detach(), { instanceOf: SocketClosedError, message: 'detach: the socket is closed' })
  server.close()
  server.reset()
  t.is(client.receive(BUFFER), null)
  Socket.attach(detached).close()
  t.is((await receiveToEnd(client)).length, 0)
})

test('a_detached_socket_is_attached_once', async (t) => {
  const { server } = await connectedPair(t)
  const detached = server.detach()
  const copy = structuredClone(detached)
  resetAtEnd(t, Socket.attach(detached))
  for (const again of [detached, copy]) {
    const error = t.throws(() => Socket.attach(again), { code: 'ERR_INVALID_STATE' })
    t.regex(error.message, /attach: the socket is gone/)
  }
})

test('it_is_frozen_and_a_copy_that_was_changed_is_still_attached', async (t) => {
  const { client, server } = await connectedPair(t)
  const detached = server.detach()
  t.true(Object.isFrozen(detached) && Object.isFrozen(detached.localAddress))
  const changed = { ...detached, remoteAddress: 'nonsense', more: true } as unknown as DetachedSocket
  const attached = resetAtEnd(t, Socket.attach(changed))
  client.send('x')
  t.is((await receiveExactly(attached, 1)).toString(), 'x')
})

test('what_is_no_detached_socket_is_refused', (t) => {
  for (const value of [undefined, null, 7, 'id', {}, { id: 7 }, [], () => {}] as unknown as DetachedSocket[]) {
    t.throws(() => Socket.attach(value), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
  for (const id of ['', '0', 'a'.repeat(100_000), crypto.randomUUID()]) {
    const forged = { id, localAddress: undefined, remoteAddress: undefined }
    t.throws(() => Socket.attach(forged), { code: 'ERR_INVALID_STATE' })
  }
})

test('it_leaves_its_multiplexer', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(server))
  const waiting = multiplexer.wait()
  client.send('hello')
  const attached = resetAtEnd(t, Socket.attach(server.detach()))
  multiplexer.wake()
  t.deepEqual(await waiting, [])
  t.deepEqual(multiplexer.poll(), [])
  multiplexer.add(attached)
  const [event] = await multiplexer.wait()
  t.is(event?.target, attached)
  t.true(event?.readable)
  t.is((await receiveExactly(multiplexerLeft(multiplexer, attached), 5)).toString(), 'hello')
})

function multiplexerLeft(multiplexer: Multiplexer, socket: Socket): Socket {
  multiplexer.remove(socket)
  return socket
}

test('a_socket_that_connects_is_detached_and_connects', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ host: '127.0.0.1' }))
  const { port } = listener.address as { port: number }
  const connecting = Socket.connect({ port })
  connecting.send('early')
  const detached = connecting.detach()
  t.deepEqual(detached.remoteAddress, { address: '127.0.0.1', family: 'IPv4', port })
  const attached = resetAtEnd(t, Socket.attach(detached))
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveExactly(server, 5)).toString(), 'early')
  t.is(attached.state, 'open')
})

test('the_error_of_a_connect_that_fails_after_the_attach_says_where_to', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1' })
  const { port } = listener.address as { port: number }
  listener.close()
  const connecting = Socket.connect({ port })
  const message = `connect ECONNREFUSED 127.0.0.1:${port}`
  // The kernel of the loopback has refused it by now.
  t.throws(() => connecting.detach(), { instanceOf: SocketError, message })
  t.is(connecting.state, 'closed')
})

test('a_relayed_socket_is_busy_and_the_relay_goes_on', async (t) => {
  const [one, two] = [await connectedPair(t), await connectedPair(t)]
  const relayed = relay(one.server, two.server)
  const refused = t.throws(() => one.server.detach(), { instanceOf: SocketError, code: 'EBUSY' })
  t.regex(refused.message, /^detach EBUSY/)
  one.client.send('through')
  t.is((await receiveExactly(two.client, 7)).toString(), 'through')
  one.client.close()
  two.client.close()
  t.deepEqual(await relayed, { aToB: 7, bToA: 0 })
})

test('the_socket_of_a_stream_is_not_detached', async (t) => {
  const { client, server } = await connectedPair(t)
  const stream = toDuplex(server)
  t.throws(() => server.detach(), { code: 'ERR_INVALID_STATE' })
  client.close()
  for await (const chunk of stream) t.fail(String(chunk))
  t.is(server.state, 'closed')
})

test('options_of_the_kernel_travel_with_it', async (t) => {
  const { server } = await connectedPair(t)
  server.setOption('keepAlive', { idle: 77_000 })
  const attached = resetAtEnd(t, Socket.attach(server.detach()))
  t.is((attached.getOption('keepAlive') as { idle: number }).idle, 77_000)
})

test('a_descriptor_on_its_way_is_not_adopted', async (t) => {
  const { server } = await connectedPair(t)
  const { fd } = server
  const detached = server.detach()
  t.throws(() => Socket.adopt(fd), { instanceOf: SocketError, code: 'EEXIST' })
  t.is(resetAtEnd(t, Socket.attach(detached)).fd, fd)
})

test('a_million_unread_and_unsent_bytes_are_moved_and_not_copied', async (t) => {
  const { client, server } = await smallBufferPair(t)
  server.sendQueueLimit = Number.MAX_SAFE_INTEGER
  const bytes = Buffer.alloc(64 << 20, 'abc')
  server.send(bytes)
  const before = process.memoryUsage.rss()
  let moved = server
  for (let count = 0; count < 100; count++) moved = Socket.attach(moved.detach())
  resetAtEnd(t, moved)
  t.true(process.memoryUsage.rss() - before < 32 << 20)
  t.true(moved.queued > bytes.length - (1 << 20))
  const received = await receiveExactly(client, 1 << 20)
  t.true(received.equals(bytes.subarray(0, 1 << 20)))
})
