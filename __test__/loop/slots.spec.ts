import test from 'ava'
import { type Connection, Multiplexer, Socket, listen, toDuplex } from 'm-socket'

import { closeAtEnd, resetAtEnd } from '../support/pair.js'
import { until } from '../support/waiting.js'

test('a_connection_whose_slot_is_taken_before_its_end_is_reported_is_closed', async (t) => {
  const ends: string[] = []
  let accepted: Connection | undefined
  const server = listen({
    host: '127.0.0.1',
    sendBufferSize: 4096,
    socket: { open: (connection) => void (accepted = connection), close: () => void ends.push('close') },
  })
  t.teardown(() => server.stop(true))
  const place = { host: '127.0.0.1', port: server.port!, receiveBufferSize: 4096 }
  const peer = resetAtEnd(t, Socket.connect(place))
  await until(() => accepted !== undefined)
  accepted!.end(Buffer.alloc(1_000_000))
  accepted!.shutdown('both')
  t.is(accepted!.state, 'closing')

  // In one turn of Node's loop: the flush meets the reset, which frees the slot, and a stream takes it.
  peer.reset()
  accepted!.flush()
  const streams = Array.from({ length: 4 }, () => toDuplex(resetAtEnd(t, Socket.connect(place))).on('error', () => {}))
  await until(() => ends.length > 0)
  t.deepEqual(ends, ['close'])
  for (const stream of streams) stream.destroy()
})

test('a_closing_connection_that_is_flushed_to_the_end_is_closed_although_its_multiplexer_is_not_waited_for', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const ends: unknown[] = []
  let accepted: Connection | undefined
  const server = listen({
    host: '127.0.0.1',
    multiplexer,
    sendBufferSize: 4096,
    socket: { open: (connection) => void (accepted = connection), close: (_, error) => void ends.push(error) },
  })
  t.teardown(() => server.stop(true))
  const place = { host: '127.0.0.1', port: server.port!, receiveBufferSize: 4096 }
  const peer = resetAtEnd(t, Socket.connect(place))
  while (!accepted) multiplexer.waitSync(50)
  accepted.end(Buffer.alloc(100_000))
  accepted.shutdown('both')
  t.is(accepted.state, 'closing')
  const into = new Uint8Array(65_536)
  while (!accepted.flush()) peer.receive(into)
  await new Promise((resolve) => setImmediate(resolve))
  t.deepEqual(ends, [undefined])
})
