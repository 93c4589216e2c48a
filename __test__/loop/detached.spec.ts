// Sources that have left a multiplexer by themselves, and what the program does with them before that is handled; waits
// that handlers begin.

import test, { type ExecutionContext } from 'ava'
import { type Connection, Multiplexer, type Socket, toDuplex } from 'm-socket'

import { connectedPair, fillSendQueue, smallBufferPair } from '../support/pair.js'
import { connectSocket, testServer } from '../support/server.js'
import { receiveToEnd, until } from '../support/waiting.js'

test('a_stream_over_a_socket_whose_flush_met_the_reset_gets_the_input_and_the_error', async (t) => {
  const { client, server } = await smallBufferPair(t)
  client.send('last words')
  await until(() => server.peek(new Uint8Array(16)) === 10, server)
  fillSendQueue(server)
  // In one turn of Node's loop: the flush meets the reset, by which the socket leaves the shared poller.
  client.reset()
  t.true(server.flush(), 'the queue was dropped')
  const stream = toDuplex(server)
  const events: string[] = []
  stream.on('data', (chunk: Buffer) => events.push(String(chunk)))
  stream.on('error', ({ code }: NodeJS.ErrnoException) => events.push(code!))
  await new Promise((resolve) => stream.on('close', resolve))
  t.deepEqual(events, ['last words', 'ECONNRESET'])
})

test('what_a_callback_of_a_batch_gives_a_socket_to_send_whose_queue_the_batch_has_sent_is_sent', async (t) => {
  const [one, other] = [await smallBufferPair(t, 'unix'), await smallBufferPair(t, 'unix')]
  const piece = new Uint8Array(1000)
  fillSendQueue(one.client, piece)
  const stream = toDuplex(one.client)
  let size = 0
  const written = new Promise<void>((resolve) =>
    stream.write(piece, () => {
      size += fillSendQueue(other.client)
      other.client.shutdown()
      resolve()
    }),
  )
  one.client.close()
  size += fillSendQueue(other.client, piece)
  // In one turn of Node's loop, so that one batch sends both queues.
  const received = [one, other].map(({ server }) => receiveAll(server))
  await written
  t.is(received[1]! + (await receiveToEnd(other.server)).length, size)
})

/** Receives what is there; returns the number of bytes. */
function receiveAll(socket: Socket): number {
  const into = new Uint8Array(65_536)
  let received = 0
  for (let count; (count = socket.receive(into));) received += count
  return received
}

/** A multiplexer with a connection that is accepted, which calls `onData` for what its peer sends. */
async function servingMultiplexer(t: ExecutionContext, onData: (multiplexer: Multiplexer) => void) {
  const multiplexer = new Multiplexer()
  t.teardown(() => multiplexer.close())
  let accepted: Connection | undefined
  const server = testServer(t, {
    multiplexer,
    socket: { open: (connection) => void (accepted = connection), data: () => onData(multiplexer) },
  })
  const peer = connectSocket(t, server)
  while (!accepted) multiplexer.waitSync(50)
  return { multiplexer, peer }
}

test('a_target_that_a_handler_of_the_same_batch_has_closed_is_not_reported_while_its_queue_is_sent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const { multiplexer, peer } = await servingMultiplexer(t, () => {
    fillSendQueue(client)
    client.close()
  })
  peer.send('close it')
  client.sendQueueLimit = 1_000_000
  multiplexer.add(client, 'r')
  server.send('input')
  const reported: unknown[] = []
  while (client.state === 'open') reported.push(...(await multiplexer.wait(50)))
  t.deepEqual([client.state, reported], ['closing', []])
})

test('a_handler_that_an_outer_wait_calls_at_once_cannot_wait_too', async (t) => {
  const [one, other] = [await connectedPair(t), await connectedPair(t)]
  const refusals: unknown[] = []
  const { multiplexer, peer } = await servingMultiplexer(t, (it) => {
    it.wait(50_000).catch((error: NodeJS.ErrnoException) => refusals.push(error.code))
  })
  for (const { client, server } of [one, other]) {
    multiplexer.add(server, 'r')
    client.send('x')
  }
  // Several events make the multiplexer busy: the next wait polls at once.
  const events = await multiplexer.wait(50_000)
  t.is(events.length, 2)
  for (const { server } of [one, other]) server.receive(new Uint8Array(1))
  peer.send('x')
  t.deepEqual(await multiplexer.wait(1), [])
  t.deepEqual(refusals, ['ERR_INVALID_STATE'])
})

test('a_wait_that_a_handler_begins_in_waitSync_reports_what_that_has_polled', async (t) => {
  const { client, server } = await connectedPair(t)
  let waiting: Promise<unknown[]> | undefined
  const { multiplexer, peer } = await servingMultiplexer(t, (it) => {
    waiting = it.wait(50_000)
    multiplexer.add(server, 'r', 'level')
  })
  peer.send('x')
  client.send('x')
  while (multiplexer.waitSync(1000).length === 0);
  t.is((await waiting!).length, 1)
})
