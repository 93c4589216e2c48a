import { inspect } from 'node:util'

import test from 'ava'
import { type Connection, Multiplexer, connect } from 'm-socket'

import { connectionPair } from './support/connection-pair.js'
import { addressOf, closeAtEnd, connectedPair, testListener } from './support/pair.js'
import { testServer } from './support/server.js'
import { abstractName } from './support/unix.js'
import { until } from './support/waiting.js'

/** What belongs to the inside, and what util.inspect prints of circles. */
const INTERNAL = /\b(poller|receiveBuffer|handlers?|owner|guard|registration)\b|Circular|<ref|#/

test('a_socket_shows_its_state_addresses_bytes_and_queue', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('12345')
  const text = inspect(client)
  const { port } = server.remoteAddress as { port: number }
  t.regex(text, /^Socket \{\n  state: 'open',/)
  t.regex(text, new RegExp(`localAddress: \\{ address: '127\\.0\\.0\\.1', family: 'IPv4', port: ${port} \\}`))
  t.regex(text, /remoteAddress: \{ address: '127\.0\.0\.1'/)
  t.regex(text, /bytesReceived: 0,\n  bytesSent: 5,\n  queued: 0,/)
  t.notRegex(text, INTERNAL)
  client.close()
  t.regex(inspect(client), /^Socket \{ state: 'closed', bytesReceived: 0, bytesSent: 5, queued: 0, fd: -1 \}$/)
})

test('a_listener_shows_its_state_and_address', (t) => {
  const listener = testListener(t)
  const { port } = addressOf(listener) as { port: number }
  t.regex(
    inspect(listener),
    new RegExp(`^Listener \\{\\n  state: 'listening',\\n  address: \\{ .*port: ${port} \\},\\n  fd: \\d+\\n\\}$`),
  )
  listener.close()
  t.is(inspect(listener), "Listener { state: 'closed', fd: -1 }")
})

test('a_multiplexer_shows_its_state_and_number_of_targets', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  t.is(inspect(multiplexer), "Multiplexer { state: 'open', targets: 0 }")
  const { client, server } = await connectedPair(t)
  const pipe = testListener(t)
  multiplexer.add(client)
  multiplexer.add(server)
  multiplexer.add({ fd: pipe.fd })
  t.is(inspect(multiplexer), "Multiplexer { state: 'open', targets: 3 }")
  multiplexer.remove(client)
  server.close()
  t.is(inspect(multiplexer), "Multiplexer { state: 'open', targets: 1 }")
  multiplexer.close()
  t.is(inspect(multiplexer), "Multiplexer { state: 'closed', targets: 0 }")
})

test('a_connection_shows_its_state_addresses_bytes_and_queue', async (t) => {
  const closed: string[] = []
  const { connection, accepted, server } = await connectionPair(t, {
    server: { socket: { data: (it, chunk) => it.write(chunk), close: (it) => closed.push(inspect(it)) } },
  })
  connection.write('12345')
  await until(() => accepted.bytesWritten === 5)
  const text = inspect(accepted)
  t.regex(text, /^Connection \{\n  state: 'open',\n  localAddress: '127\.0\.0\.1',/)
  for (const part of [
    `localPort: ${server.port}`,
    `remotePort: ${connection.localPort}`,
    'bytesRead: 5',
    'bytesWritten: 5',
    'queued: 0',
  ])
    t.true(text.includes(part), part)
  t.notRegex(text, INTERNAL)
  connection.terminate()
  await until(() => closed.length === 1)
  t.regex(closed[0]!, /state: 'closed'/)
  t.true(closed[0]!.includes(`remotePort: ${accepted.remotePort}`))
})

test('a_server_shows_its_state_address_and_number_of_connections', async (t) => {
  const { server, connection } = await connectionPair(t)
  t.regex(
    inspect(server),
    new RegExp(
      `^Server \\{\\n  state: 'listening',\\n  address: \\{ .*port: ${server.port} \\},\\n  connections: 1\\n\\}$`,
    ),
  )
  t.notRegex(inspect(server), INTERNAL)
  server.stop()
  t.is(inspect(server), "Server { state: 'stopped', connections: 1 }")
  connection.terminate()
  const path = abstractName()
  t.true(inspect(testServer(t, { path })).includes(path.slice(1)))
})

test('objects_that_refer_to_each_other_print_no_circle', async (t) => {
  interface Session {
    connection?: Connection<Session>
  }
  const server = testServer<Session>(t, { data: {}, socket: { open: (it) => void (it.data = { connection: it }) } })
  const connection = await connect(addressOf(server))
  t.teardown(() => connection.terminate())
  await until(() => server.connections === 1)
  for (const depth of [0, 2, Infinity])
    t.notRegex(inspect({ clients: [...server.clients], server }, { depth }), INTERNAL)
})

test('below_the_depth_an_object_is_its_class_alone', async (t) => {
  const { connection, server } = await connectionPair(t)
  t.is(
    inspect({ a: { b: [connection, server] } }),
    '{\n  a: { b: [ [Connection], [Server] ] }\n}'.replaceAll(/\n */g, ' '),
  )
  t.regex(inspect({ connection }, { depth: null }), /Connection \{/)
  t.regex(inspect([connection], { colors: true }), /Connection \{/)
})

test('a_proxy_and_what_only_inherits_from_a_class_can_be_shown', async (t) => {
  const { connection, server } = await connectionPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const listener = testListener(t)
  const socket = connection.socket!
  for (const [name, object] of Object.entries({
    Connection: connection,
    Server: server,
    Multiplexer: multiplexer,
    Listener: listener,
    Socket: socket,
  })) {
    const prototype = Object.getPrototypeOf(object) as object
    for (const shown of [new Proxy(object, {}), Object.create(object), Object.create(prototype)]) {
      t.regex(inspect(shown), new RegExp(`^${name} \\{`))
      t.regex(inspect([[[shown]]]), new RegExp(`\\[${name}\\]`))
    }
    t.notThrows(() => inspect(prototype, { showHidden: true }))
  }
})
