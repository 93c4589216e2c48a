import test from 'ava'
import { type Connection, Listener, Socket, connect, listen } from 'm-socket'

import { addressOf, closeAtEnd, resetAtEnd } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { testServer, withResolvers } from '../support/server.js'
import { abstractName } from '../support/unix.js'
import { connectOutcome, until } from '../support/waiting.js'

/** Servers that greet, by main names and by aliases. */
const greet = { open: (connection: Connection) => connection.end('hello') }

async function greetingOf(options: Parameters<typeof connect>[0]): Promise<string> {
  let text = ''
  for await (const chunk of await connect(options)) text += chunk
  return text
}

test('listen_takes_host_or_hostname', async (t) => {
  for (const address of [
    { host: '127.0.0.1' },
    { hostname: '127.0.0.1' },
    { host: '127.0.0.1', hostname: '127.0.0.1' },
  ]) {
    const server = testServer(t, { ...address, port: 0, socket: greet })
    t.like(server.address, { address: '127.0.0.1', family: 'IPv4' })
    t.is(await greetingOf({ host: '127.0.0.1', port: server.port }), 'hello')
  }
})

test('listen_takes_path_or_unix', async (t) => {
  for (const name of ['path', 'unix'] as const) {
    const path = abstractName()
    const server = testServer(t, { ...(name === 'path' ? { path } : { unix: path }), socket: greet })
    t.deepEqual(server.address, { path })
    t.is(await greetingOf({ path }), 'hello')
    t.is(await greetingOf({ unix: path }), 'hello')
  }
})

test('connect_takes_host_or_hostname', async (t) => {
  const { port } = testServer(t, { socket: greet })
  for (const address of [
    { host: '127.0.0.1' },
    { hostname: '127.0.0.1' },
    { host: '127.0.0.1', hostname: '127.0.0.1' },
  ])
    t.is(await greetingOf({ ...address, port }), 'hello')
})

test('a_main_name_and_its_alias_must_not_differ', async (t) => {
  const refusal = (alias: string, main: string) => ({
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: new RegExp(`'options\\.${alias}' must be the same as options\\.${main}, whose alias it is\\. Received`),
  })
  const wrong: [object, string, string][] = [
    [{ host: '127.0.0.1', hostname: '::1', port: 0 }, 'hostname', 'host'],
    [{ path: '\0a', unix: '\0b' }, 'unix', 'path'],
    [{ host: '127.0.0.1', port: 0, sendQueueLimit: 1, highWaterMark: 2 }, 'highWaterMark', 'sendQueueLimit'],
  ]
  for (const [options, alias, main] of wrong) {
    t.throws(() => listen(options as never), refusal(alias, main))
    await t.throwsAsync(connect(options as never), refusal(alias, main))
  }
})

test('ports_may_be_decimal_strings_everywhere', async (t) => {
  const port = String(freePort())
  const server = testServer(t, { host: '127.0.0.1', port, socket: { data() {} } })
  t.is(server.port, Number(port))
  const localPort = String(freePort())
  const connection = await connect({ host: '127.0.0.1', port, localPort })
  t.teardown(() => connection.terminate())
  t.deepEqual([connection.remotePort, connection.localPort], [Number(port), Number(localPort)])
  const listener = closeAtEnd(t, Listener.bind({ host: '127.0.0.1', port: '0' }))
  const { port: bound } = addressOf(listener) as { port: number }
  const socket = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port: String(bound), localPort: '0' }))
  t.is(await connectOutcome(socket), 'open')
  t.like(socket.remoteAddress, { port: bound })
  const padded = await connect({ host: '127.0.0.1', port: `000${port}` })
  t.teardown(() => padded.terminate())
  t.is(padded.remotePort, Number(port))
})

for (const port of ['', ' ', ' 80', '80 ', '80x', '1e3', '-1', '+80', '0x50', '65536', '8.0', '٨٠']) {
  test(`${JSON.stringify(port)} is_no_port`, async (t) => {
    const refusal = {
      instanceOf: RangeError,
      code: 'ERR_SOCKET_BAD_PORT',
      message: /should be >= 0 and < 65536\. Received type string/,
    }
    t.throws(() => listen({ host: '127.0.0.1', port }), refusal)
    t.throws(() => Listener.bind({ port }), refusal)
    t.throws(() => Socket.connect({ port }), refusal)
    t.throws(() => Socket.connect({ port: 80, localPort: port }), refusal)
    await t.throwsAsync(connect({ host: '127.0.0.1', port }), refusal)
    await t.throwsAsync(connect({ host: '127.0.0.1', port: 80, localPort: port }), refusal)
  })
}

for (const name of ['sendQueueLimit', 'highWaterMark'] as const) {
  test(`${name}_bounds_the_queues_of_servers_and_clients`, async (t) => {
    const opened = withResolvers<Connection>()
    const server = testServer(t, { [name]: 1234, socket: { open: opened.resolve } })
    const connection = await connect({ ...addressOf(server), [name]: 4321 })
    t.teardown(() => connection.terminate())
    t.is((await opened.promise).socket!.sendQueueLimit, 1234)
    t.is(connection.socket!.sendQueueLimit, 4321)
  })
}

test('an_empty_host_is_refused_everywhere', async (t) => {
  const refusal = (name: string) => ({ code: 'ERR_INVALID_ARG_VALUE', message: new RegExp(`'${name}' .*Received ''`) })
  t.throws(() => listen({ host: '', port: 0 }), refusal('options.host'))
  t.throws(() => listen({ hostname: '', port: 0 }), refusal('options.hostname'))
  t.throws(() => Listener.bind({ host: '' }), refusal('host'))
  t.throws(() => Socket.connect({ host: '', port: 1 }), refusal('host'))
  t.throws(() => Socket.connect({ port: 1, localAddress: '' }), refusal('localAddress'))
  await t.throwsAsync(Listener.bindHost({ host: '' }), refusal('host'))
  await t.throwsAsync(connect({ host: '', port: 1 }), refusal('options.host'))
  await t.throwsAsync(connect({ hostname: '', port: 1 }), refusal('options.hostname'))
})

test('a_server_has_its_address_by_main_names_and_aliases', (t) => {
  const tcp = testServer(t, { host: '127.0.0.1' })
  t.deepEqual([tcp.host, tcp.hostname, tcp.path, tcp.unix], ['127.0.0.1', '127.0.0.1', undefined, undefined])
  const path = abstractName()
  const unix = testServer(t, { path })
  t.deepEqual([unix.host, unix.hostname, unix.path, unix.unix], [undefined, undefined, path, path])
  tcp.stop()
  t.deepEqual([tcp.host, tcp.path, tcp.port, tcp.address], [undefined, undefined, undefined, undefined])
})

test('a_connection_knows_its_server_and_a_clients_has_none', async (t) => {
  const opened = withResolvers<Connection>()
  const server = testServer(t, { socket: { open: opened.resolve } })
  const connection = await connect(addressOf(server))
  t.teardown(() => connection.terminate())
  const accepted = await opened.promise
  t.deepEqual([accepted.server === server, accepted.listener === server], [true, true])
  t.deepEqual([connection.server, connection.listener], [undefined, undefined])
})

test('the_state_of_a_connection_is_that_of_a_socket', async (t) => {
  const states: string[] = []
  const note = (connection: Connection) => void states.push(connection.state)
  const server = testServer(t, { socket: { data() {}, open: (it) => void it.pause() } })
  const connection = await connect({
    ...addressOf(server),
    sendQueueLimit: 1 << 24,
    socket: { open: note, close: note },
  })
  t.teardown(() => connection.terminate())
  connection.write(Buffer.alloc(1 << 24))
  connection.shutdown('read')
  connection.end()
  states.push(connection.state)
  for (const client of server.clients) client.resume()
  await until(() => states.length === 3)
  t.deepEqual(states, ['open', 'closing', 'closed'])
  t.is(connection.state, 'closed')
})

test('a_client_that_fails_to_connect_was_connecting_and_is_closed', async (t) => {
  const states: string[] = []
  const socket = { connectError: (connection: Connection) => void states.push(connection.state) }
  await t.throwsAsync(connect({ host: '127.0.0.1', port: freePort(), socket }), { code: 'ECONNREFUSED' })
  t.deepEqual(states, ['closed'])
})

test('names_of_other_libraries_are_refused_with_the_right_one', async (t) => {
  const hint = (name: string, right: string) => ({
    code: 'ERR_INVALID_ARG_VALUE',
    message: new RegExp(`'[\\w.]*${name}' is not a known (?:option|handler) \\(did you mean '${right}\\?\\)`),
  })
  t.throws(() => listen({ timeout: 1 } as never), hint('timeout', "idleTimeout'"))
  t.throws(() => listen({ connectTimeout: 1 } as never), hint('connectTimeout', "idleTimeout'"))
  t.throws(() => listen({ handlers: {} } as never), hint('handlers', "socket'"))
  t.throws(() => listen({ socket: { connect() {} } } as never), hint('connect', "open'"))
  t.throws(() => listen({ onread: {} } as never), hint('onread', "receiveInto'"))
  t.throws(() => listen({ exclusive: true } as never), hint('exclusive', "reusePort'"))
  t.throws(() => listen({ open() {} } as never), hint('open', "socket: { open }'"))
  t.throws(() => Listener.bind({ hostname: '::' } as never), hint('hostname', "host'"))
  t.throws(() => Listener.bind({ unix: '/x' } as never), hint('unix', "path'"))
  t.throws(() => Socket.connect({ unix: '/x' } as never), hint('unix', "path'"))
  t.throws(() => Socket.connect({ hostname: 'x', port: 1 } as never), hint('hostname', "host'"))
  await t.throwsAsync(
    connect({ host: '::1', port: 1, timeout: 1 } as never),
    hint('timeout', "connectTimeout' or 'idleTimeout'"),
  )
  await t.throwsAsync(connect({ host: '::1', port: 1, handlers: {} } as never), hint('handlers', "socket'"))
})

test('an_address_in_brackets_is_refused_with_the_reason', async (t) => {
  const refusal = { code: 'ERR_INVALID_ARG_VALUE', message: /without brackets\. Received '\[::1\]'/ }
  t.throws(() => listen({ host: '[::1]' }), refusal)
  t.throws(() => Listener.bind({ host: '[::1]' }), refusal)
  t.throws(() => Socket.connect({ host: '[::1]', port: 1 }), refusal)
  await t.throwsAsync(Listener.bindHost({ host: '[::1]' }), refusal)
  await t.throwsAsync(connect({ host: '[::1]', port: 1 }), refusal)
})
