// What a connection has received, and not given to the program, is there for whatever takes it over: bytes and an end.

import { once } from 'node:events'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import { type Connection, type Socket, relay, toDuplex, toNetSocket, toWeb } from 'm-socket'

import { type ConnectionPair, connectionPair } from '../support/connection-pair.js'
import { type Family, connectedPair } from '../support/pair.js'
import { until } from '../support/waiting.js'

const FAMILIES = ['IPv4', 'unix'] as const

/** How the rest is read, by whatever takes a connection over. */
const READERS = {
  toDuplex: (connection: Connection) => text(toDuplex(connection)),
  toNetSocket: (connection: Connection) => text(toNetSocket(connection)),
  toWeb: (connection: Connection) => text(toWeb(connection).readable),
}

/** The accepted end of a connection whose peer has sent a text and its end. */
async function ended(
  t: ExecutionContext,
  family: Family,
  sent: string,
  allowHalfOpen: boolean,
): Promise<ConnectionPair['accepted']> {
  const { connection, accepted } = await connectionPair(t, {
    family,
    server: { allowHalfOpen },
    client: { allowHalfOpen: true },
  })
  connection.end(sent)
  return accepted
}

for (const family of FAMILIES) {
  for (const [name, readRest] of Object.entries(READERS)) {
    for (const allowHalfOpen of [false, true]) {
      const title = `${name}, ${family}, ${allowHalfOpen ? 'half-open' : 'both halves end'}`
      test(`what_came_before_an_unexpected_end_is_read_by_a_stream: ${title}`, async (t) => {
        const accepted = await ended(t, family, 'hello', allowHalfOpen)
        await t.throwsAsync(accepted.readExactly(10), { code: 'ERR_UNEXPECTED_END' })
        t.is(await readRest(accepted), 'hello')
      })
    }

    test(`an_end_that_was_read_comes_once_more: ${name}, ${family}`, async (t) => {
      const accepted = await ended(t, family, '', true)
      t.is(await accepted.read(Buffer.alloc(1)), null)
      t.is(await readRest(accepted), '')
    })
  }

  test(`what_came_before_an_unexpected_end_is_relayed: ${family}`, async (t) => {
    const accepted = await ended(t, family, 'hello', true)
    await t.throwsAsync(accepted.readExactly(10), { code: 'ERR_UNEXPECTED_END' })
    const other = await connectionPair(t, { family, server: { allowHalfOpen: true } })
    const received = text(other.accepted)
    const relayed = relay(accepted, other.connection)
    t.is(await received, 'hello')
    other.accepted.end()
    t.deepEqual(await relayed, { aToB: 5, bToA: 0 })
  })

  test(`the_end_that_a_socket_has_received_is_that_of_its_stream: ${family}`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.shutdown()
    await untilEnded(server)
    const stream = toDuplex(server).resume()
    await once(stream, 'end')
    t.is(await text(toDuplex(client)), '')
  })
}

async function untilEnded(socket: Socket): Promise<void> {
  await until(() => socket.receive(Buffer.alloc(1)) === 0)
}

test('a_connection_is_read_by_its_stream_alone', async (t) => {
  for (const adapt of [toDuplex, toWeb]) {
    const { accepted } = await connectionPair(t)
    adapt(accepted as Connection)
    await t.throwsAsync(accepted.read(Buffer.alloc(1)), { code: 'ERR_INVALID_STATE', message: /a stream reads/ })
    await t.throwsAsync(accepted.readUntil('x'), { code: 'ERR_INVALID_STATE' })
  }
})
