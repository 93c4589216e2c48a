// A close that discards what is queued and ends the connection by FIN.

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, Socket } from 'm-socket'

import type { Socket as WithInternals } from '../../lib/model/socket.js'
import { blackhole } from '../support/blackhole.js'
import { FAMILIES, addressOf, connectedPair, fillSendQueue, resetAtEnd, smallBufferPair } from '../support/pair.js'
import { receiveToEnd } from '../support/waiting.js'

function discard(socket: Socket): void {
  ;(socket as unknown as WithInternals).discard()
}

function isClosed(t: ExecutionContext, socket: Socket): void {
  t.deepEqual([socket.state, socket.queued, socket.fd], ['closed', 0, -1])
}

for (const family of FAMILIES) {
  test(`what_the_kernel_has_taken_arrives_and_then_the_end_but_nothing_of_the_queue: ${family}`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const accepted = fillSendQueue(client)
    const { queued } = client
    discard(client)
    isClosed(t, client)
    t.is((await receiveToEnd(server)).length, accepted - queued)
  })
}

test('a_socket_that_is_closing_with_a_queue_is_closed_at_once_and_leaves_its_multiplexer', async (t) => {
  for (const isRegistered of [false, true]) {
    const { client, server } = await smallBufferPair(t)
    const multiplexer = new Multiplexer()
    if (isRegistered) multiplexer.add(client)
    const accepted = fillSendQueue(client)
    const { queued } = client
    client.close()
    t.is(client.state, 'closing')
    discard(client)
    isClosed(t, client)
    t.is((await receiveToEnd(server)).length, accepted - queued)
    t.is(multiplexer.waitSync(0).length, 0)
    multiplexer.close()
  }
})

test('unread_input_does_not_make_it_a_reset', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('not read by anybody')
  client.send('arrives')
  discard(client)
  t.is((await receiveToEnd(server)).toString(), 'arrives')
})

test('a_socket_that_connects_is_closed_with_all_that_it_was_to_send', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
  t.is(socket.send('never sent'), 'queued')
  discard(socket)
  isClosed(t, socket)
})

test('discarding_a_closed_socket_does_nothing', async (t) => {
  const { client, server } = await connectedPair(t)
  client.close()
  discard(client)
  discard(client)
  t.is((await receiveToEnd(server)).length, 0)
})
