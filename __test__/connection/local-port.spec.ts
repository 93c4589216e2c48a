import test from 'ava'
import { Listener, connect } from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { mockLookup } from '../support/dns.js'
import { closeAtEnd, inetAddressOf } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { testServer } from '../support/server.js'

for (const [title, dead, alive] of [
  ['IPv4', '127.0.0.2', '127.0.0.1'],
  ['IPv6 and IPv4', '::1', '127.0.0.1'],
  ['IPv4 and IPv6', '127.0.0.2', '::1'],
] as const) {
  test.serial(`the_second_address_of_a_name_is_tried_from_the_same_local_port (${title})`, async (t) => {
    mockLookup(t, { 'two.example': [dead, alive] })
    const port = freePort()
    await blackhole(t, dead, port)
    testServer(t, { host: alive, port })
    const localPort = freePort()
    const connection = await connect({ host: 'two.example', port, localPort })
    t.teardown(() => connection.terminate())
    t.deepEqual([connection.remoteAddress, connection.localPort], [alive, localPort])
  })
}

test('a_local_port_has_SO_REUSEADDR_unless_the_program_says_otherwise', async (t) => {
  const { port } = testServer(t)
  for (const [options, expected] of [
    [{ localPort: freePort() }, true],
    [{ localPort: freePort(), reuseAddress: false }, false],
    [{ localPort: 0 }, false],
    [{ localAddress: '127.0.0.1' }, false],
  ] as const) {
    const connection = await connect({ host: '127.0.0.1', port, ...options })
    t.is(connection.socket!.getOption('reuseAddress'), expected)
    connection.terminate()
  }
})

test('a_local_port_that_is_listened_on_is_refused', async (t) => {
  const { port } = testServer(t)
  const listener = closeAtEnd(t, Listener.bind({ host: '127.0.0.1' }))
  const from = { localAddress: '127.0.0.1', localPort: inetAddressOf(listener).port }
  await t.throwsAsync(connect({ host: '127.0.0.1', port, ...from }), {
    code: 'EADDRINUSE',
    message: `bind EADDRINUSE 127.0.0.1:${from.localPort}`,
  })
})

test('a_second_connection_from_one_port_to_the_same_peer_is_refused', async (t) => {
  const to = { host: '127.0.0.1', port: testServer(t).port }
  const localPort = freePort()
  const first = await connect({ ...to, localPort })
  t.teardown(() => first.terminate())
  await t.throwsAsync(connect({ ...to, localPort }), {
    code: 'EADDRNOTAVAIL',
    message: `connect EADDRNOTAVAIL 127.0.0.1:${to.port}`,
  })
  const second = await connect({ host: '127.0.0.1', port: testServer(t).port, localPort })
  t.is(second.localPort, first.localPort)
  second.terminate()
})
