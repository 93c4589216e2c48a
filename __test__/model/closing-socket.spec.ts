// A socket that is closing, with a queue that is still sent, and the end of its multiplexer.

import { inspect } from 'node:util'

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, type Socket } from 'm-socket'

import { FAMILIES, type Pair, fillSendQueue, smallBufferPair } from '../support/pair.js'
import { receiveToEnd, until } from '../support/waiting.js'

/** A closing socket in a multiplexer, and how many bytes it was given. */
async function closingSocket(t: ExecutionContext): Promise<Pair & { multiplexer: Multiplexer; size: number }> {
  const pair = await smallBufferPair(t)
  const multiplexer = new Multiplexer(pair.client)
  t.teardown(() => multiplexer.close())
  const size = fillSendQueue(pair.client, new Uint8Array(50_000))
  pair.client.close()
  return { ...pair, multiplexer, size }
}

function stateOf({ state, queued, fd }: Socket): unknown[] {
  return [state, queued > 0, fd]
}

test('a_closing_socket_goes_on_when_its_multiplexer_is_closed', async (t) => {
  const { client, server, multiplexer, size } = await closingSocket(t)
  const { queued } = client
  multiplexer.close()
  t.deepEqual([client.state, client.queued], ['closing', queued])
  t.is((await receiveToEnd(server)).length, size)
  await until(() => client.state === 'closed')
  t.deepEqual(stateOf(client), ['closed', false, -1])
})

test('reset_of_a_closing_socket_whose_multiplexer_was_closed_drops_the_queue', async (t) => {
  const { client, server, multiplexer } = await closingSocket(t)
  multiplexer.close()
  client.reset()
  t.deepEqual(stateOf(client), ['closed', false, -1])
  await t.throwsAsync(receiveToEnd(server), { code: 'ECONNRESET' })
})

test('a_closing_socket_that_is_reset_leaves_its_multiplexer', async (t) => {
  const { client, multiplexer } = await closingSocket(t)
  t.regex(inspect(multiplexer), /targets: 1\b/)
  client.reset()
  t.regex(inspect(multiplexer), /targets: 0\b/)
})

test('a_closing_socket_whose_queue_was_flushed_is_closed_with_its_multiplexer', async (t) => {
  const { client, server, multiplexer, size } = await closingSocket(t)
  const into = new Uint8Array(65_536)
  let got = 0
  // Within one turn: no multiplexer notices that the queue has been sent.
  while (!client.flush()) got += server.receive(into) ?? 0
  multiplexer.close()
  t.is(client.state, 'closed')
  t.is(got + (await receiveToEnd(server)).length, size)
})

for (const family of FAMILIES) {
  test(`a_closing_socket_whose_queue_was_flushed_is_closed_although_its_peer_does_not_read: ${family}`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const size = fillSendQueue(client)
    client.close()
    const into = new Uint8Array(4096)
    let got = 0
    // What was flushed last fills the kernel's buffer, so that no edge comes.
    while (!client.flush()) got += server.receive(into) ?? 0
    t.deepEqual(stateOf(client), ['closed', false, -1])
    t.is(got + (await receiveToEnd(server)).length, size)
  })
}

test('sockets_of_a_closed_multiplexer_can_be_added_to_the_next_one', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const first = new Multiplexer(client)
  const size = fillSendQueue(client)
  first.close()
  t.is(client.state, 'open')
  const second = new Multiplexer(client)
  t.teardown(() => second.close())
  const receiving = receiveToEnd(server)
  client.shutdown()
  t.is((await receiving).length, size)
})
