// A queue that is sent after its half has ended.

import { text } from 'node:stream/consumers'

import test from 'ava'
import { type Connection, Multiplexer } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { connectedPair } from '../support/pair.js'
import { give } from '../support/transfer.js'

const MUCH = Buffer.alloc(200_000, 'much')

const ORDERS: Record<string, (connection: Connection) => Promise<void>> = {
  'drained, end'(connection) {
    const drained = connection.drained()
    connection.end()
    return drained
  },
  'end, drained'(connection) {
    connection.end()
    return connection.drained()
  },
  'drained, end with bytes'(connection) {
    const drained = connection.drained()
    connection.end('!')
    return drained
  },
  'shutdown, drained'(connection) {
    connection.shutdown()
    return connection.drained()
  },
}

for (const family of ['IPv4', 'unix'] as const) {
  for (const [order, act] of Object.entries(ORDERS)) {
    test(`drained_is_fulfilled_also_when_the_half_has_ended: ${order}, ${family}`, async (t) => {
      const { connection, accepted, server } = await smallBufferConnectionPair(t, {
        family,
        client: { sendQueueLimit: MUCH.length },
      })
      t.is(connection.write(MUCH), MUCH.length)
      const drained = act(connection)
      t.true(connection.socket!.queued > 0, 'there is a queue')
      t.is((await text(accepted)).slice(0, MUCH.length), MUCH.toString())
      await drained
      await server.close()
      t.is(server.connections, 0)
    })
  }

  test(`a_server_that_ends_its_connections_waits_for_what_is_drained: ${family}`, async (t) => {
    const { connection, accepted, server } = await connectionPair(t, {
      family,
      server: { sendQueueLimit: 30_000_000 },
    })
    const bytes = Buffer.alloc(20_000_000, 'x')
    t.is(accepted.write(bytes), bytes.length)
    const drained = accepted.drained()
    const closed = server.close({ end: true })
    t.is((await text(connection)).length, bytes.length)
    await Promise.all([drained, closed])
    t.pass()
  })

  for (const mode of ['edge', 'level', 'oneshot'] as const) {
    test(`a_multiplexer_says_once_that_the_queue_of_an_ended_half_is_empty: ${mode}, ${family}`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      give(client, Buffer.alloc(20_000_000), { end: true })
      t.true(client.queued > 0)
      using multiplexer = new Multiplexer()
      multiplexer.add(client, 'w', mode)
      t.is((await multiplexer.wait(50)).length, 0)
      let writable = 0
      for (const into = Buffer.alloc(1_000_000); server.receive(into) !== 0;) {
        writable += (await multiplexer.wait(1)).filter((event) => event.writable).length
      }
      for (let turn = 0; turn < 3; turn++) {
        writable += (await multiplexer.wait(10)).filter((event) => event.writable).length
      }
      t.is(writable, 1)
      t.is(client.queued, 0)
    })
  }
}
