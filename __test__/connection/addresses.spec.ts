import test from 'ava'
import { type Connection, type Handlers, connect } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { FAMILIES, addressOf } from '../support/pair.js'
import { withResolvers } from '../support/server.js'
import { until } from '../support/waiting.js'

/** What a program logs of a connection. */
function addressesOf(connection: Connection): object {
  const { localAddress, localFamily, localPort, remoteAddress, remoteFamily, remotePort } = connection
  return { localAddress, localFamily, localPort, remoteAddress, remoteFamily, remotePort }
}

/** Handlers that record the addresses in each of their calls. */
function recorder(): { handlers: Handlers; seen: Record<string, object>; closed: Promise<void> } {
  const seen: Record<string, object> = {}
  const closed = withResolvers()
  const note = (name: string) => (connection: Connection) => void (seen[name] = addressesOf(connection))
  const handlers: Handlers = {
    open: note('open'),
    data: note('data'),
    end: note('end'),
    timeout: note('timeout'),
    error: note('error'),
    close: (connection) => (note('close')(connection), closed.resolve()),
  }
  return { handlers, seen, closed: closed.promise }
}

/** How a connection may end, and the handlers that are called then, besides `open` and `close`. */
const ENDS: Record<string, { act: (own: Connection, peer: Connection) => void; also: string[]; inetOnly?: boolean }> = {
  'the peer resets': { act: (_, peer) => peer.terminate(), also: ['error'], inetOnly: true },
  'the peer ends': { act: (_, peer) => peer.end(), also: ['end'] },
  'we terminate': { act: (own) => own.terminate(), also: [] },
  'both end': { act: (own, peer) => (own.end(), peer.end()), also: ['end'] },
  'nothing comes': { act: (own) => own.timeout(1), also: ['timeout'] },
}

for (const family of FAMILIES) {
  for (const [how, { act, also, inetOnly }] of Object.entries(ENDS)) {
    if (inetOnly && family === 'unix') continue
    for (const side of ['server', 'client'] as const) {
      test(`a_${side}_can_read_the_addresses_to_the_last_handler: ${family}, ${how}`, async (t) => {
        const { handlers, seen, closed } = recorder()
        const { connection, accepted } = await connectionPair(t, { family, [side]: { socket: handlers } })
        const [own, peer] = side === 'server' ? [accepted, connection] : [connection, accepted]
        act(own, peer)
        await closed
        t.deepEqual(Object.keys(seen), ['open', ...also, 'close'])
        for (const name of also) t.deepEqual(seen[name], seen['open'], name)
        t.deepEqual(seen['close'], seen['open'])
        t.deepEqual(addressesOf(own), seen['open'], 'after the last handler, too')
        const known = Object.values(seen['open']!).filter((value) => value !== undefined)
        t.is(known.length, family === 'unix' ? 2 : 6)
      })
    }
  }

  test(`the_addresses_can_be_read_after_the_queue_of_a_closed_connection_was_sent: ${family}`, async (t) => {
    const { handlers, seen, closed } = recorder()
    const server = { sendQueueLimit: 1 << 20, socket: handlers }
    const { accepted, connection } = await smallBufferConnectionPair(t, { family, server })
    accepted.write(Buffer.alloc(1 << 20))
    accepted.shutdown('both')
    t.true(accepted.socket!.queued > 0)
    t.is(accepted.state, 'closing')
    for await (const chunk of connection) if (chunk.length === 0) t.fail()
    await closed
    t.deepEqual(seen['close'], seen['open'])
  })
}

test('a_socket_has_its_peers_address_after_a_reset_until_it_is_closed', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const before = addressesOf(accepted)
  accepted.pause()
  connection.terminate()
  await until(() => accepted.state === 'closed' || accepted.socket!.info().state === 'closed')
  t.deepEqual(addressesOf(accepted), before)
})

test('a_socket_that_is_not_connected_yet_has_no_remote_address', async (t) => {
  const { server } = await connectionPair(t)
  const remotes: unknown[] = []
  const connecting = connect({ ...addressOf(server), socket: { open: (it) => remotes.push(it.remotePort) } })
  t.teardown(async () => (await connecting).terminate())
  await connecting
  t.deepEqual(remotes, [server.port])
})

test('an_error_handler_knows_the_addresses_when_a_handler_rejects_after_the_close', async (t) => {
  const ports: (number | undefined)[] = []
  const { connection, accepted, server } = await connectionPair(t, {
    server: {
      socket: {
        async data() {
          await until(() => server.connections === 0)
          throw new Error('late')
        },
        error: ({ state, localPort, remotePort }) => (t.is(state, 'closed'), ports.push(localPort, remotePort)),
      },
    },
  })
  const expected = [accepted.localPort, accepted.remotePort]
  connection.end('request')
  await until(() => ports.length === 2)
  t.deepEqual(ports, expected)
})
