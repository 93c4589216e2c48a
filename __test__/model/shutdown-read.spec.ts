import test from 'ava'
import { Multiplexer, type ShutdownHow, Socket } from 'm-socket'

import { flagsFor } from '../support/event-flags.js'
import { FAMILIES, addressOf, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { until } from '../support/waiting.js'

for (const family of FAMILIES) {
  for (const how of ['read', 'both'] satisfies ShutdownHow[]) {
    for (const mode of ['edge', 'level', 'oneshot'] as const) {
      test(`truth 28: a_pending_wait_reports_a_shutdown: ${family}, ${how}, ${mode}`, async (t) => {
        const { server } = await connectedPair(t, family)
        using multiplexer = new Multiplexer()
        multiplexer.add(server, 'r', mode)
        const waiting = multiplexer.wait(50_000)
        server.shutdown(how)
        t.regex(flagsFor(server, await waiting) ?? '', /^readable readEnded/)
        if (mode !== 'oneshot') t.regex(flagsFor(server, await multiplexer.wait(50_000)) ?? '', /^readable readEnded/)
        t.is(server.receive(new Uint8Array(1)), 0)
        // A shutdown of both halves is a hang-up too.
        t.notRegex(flagsFor(server, await multiplexer.wait(20)) ?? '', /readable/)
      })
    }
  }
}

test('truth 28: a_shutdown_behind_the_end_that_was_received_is_not_reported', async (t) => {
  const { client, server } = await connectedPair(t)
  client.shutdown()
  await until(() => server.receive(new Uint8Array(1)) === 0, server)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  server.shutdown('read')
  t.deepEqual(await multiplexer.wait(20), [])
})

test('truth 28: a_multiplexer_that_a_socket_enters_after_a_shutdown_reports_it', async (t) => {
  const { client, server } = await connectedPair(t)
  server.shutdown('read')
  client.send('discarded')
  await until(() => server.bytesReceived === 9)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  t.is(flagsFor(server, await multiplexer.wait(50_000)), 'readable readEnded')
})

test('truth 28: a_shutdown_of_a_socket_that_connects_is_reported', async (t) => {
  const listener = testListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  using multiplexer = new Multiplexer()
  multiplexer.add(socket, 'r')
  const waiting = multiplexer.wait(50_000)
  socket.shutdown('read')
  t.is(flagsFor(socket, await waiting), 'readable readEnded')
  t.is(socket.receive(new Uint8Array(1)), 0)
  t.is(socket.send('ours'), 'sent')
})

for (const [name, leave] of [
  ['remove', (multiplexer: Multiplexer, socket: Socket) => multiplexer.remove(socket)],
  ['close', (multiplexer: Multiplexer) => multiplexer.close()],
] satisfies [string, (multiplexer: Multiplexer, socket: Socket) => void][]) {
  test(`input_of_a_socket_that_is_not_read_is_discarded_after_it_has_left_its_multiplexer: ${name}`, async (t) => {
    const { client, server } = await connectedPair(t)
    const multiplexer = new Multiplexer(server)
    t.teardown(() => multiplexer.close())
    server.shutdown('read')
    leave(multiplexer, server)
    client.send('discarded')
    await until(() => server.bytesReceived === 9)
    t.is(server.receive(new Uint8Array(1)), 0)
  })
}
