// The program closes the socket beneath a connection or a stream.

import test from 'ava'
import { toDuplex } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { smallBufferPair } from '../support/pair.js'
import { withResolvers } from '../support/server.js'

for (const how of ['close', 'reset'] as const) {
  test(`a_connection_whose_socket_the_program_closes_is_closed: ${how}`, async (t) => {
    const closed = withResolvers<unknown>()
    const { accepted, server } = await connectionPair(t, {
      server: { socket: { close: (_, error) => closed.resolve(error) } },
    })
    accepted.socket![how]()
    t.is(await closed.promise, undefined)
    t.is(server.connections, 0)
    await server.close()
  })

  test(`a_stream_whose_socket_the_program_closes_is_closed: ${how}`, async (t) => {
    const { client } = await smallBufferPair(t)
    const stream = toDuplex(client)
    const closed = new Promise((resolve) => stream.on('close', resolve))
    client[how]()
    await closed
    t.true(stream.destroyed)
  })
}

test('a_write_whose_bytes_a_reset_of_the_socket_beneath_has_dropped_fails', async (t) => {
  const { client } = await smallBufferPair(t)
  const stream = toDuplex(client).on('error', () => {})
  const written = new Promise((resolve) => stream.write(Buffer.alloc(1_000_000), resolve))
  client.reset()
  t.true((await written) instanceof Error)
})
