import test from 'ava'
import { type Connection, Socket, listen, toDuplex } from 'm-socket'

import { resetAtEnd } from '../support/pair.js'
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
