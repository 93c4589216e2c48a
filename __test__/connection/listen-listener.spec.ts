import test from 'ava'
import { type Connection, Listener, Multiplexer, SocketClosedError, SocketError, connect, listen } from 'm-socket'

import { runModule } from '../support/child.js'
import { addressOf, closeAtEnd, testListener } from '../support/pair.js'
import { withResolvers } from '../support/server.js'
import { abstractName } from '../support/unix.js'
import { waitUntil } from '../support/waiting.js'

const ECHO = { data: (connection: Connection, chunk: Buffer) => connection.write(chunk) }

test('a_name_is_served_by_the_listener_of_bindHost', async (t) => {
  const listener = await Listener.bindHost({ host: 'localhost', port: 0 })
  const { address } = listener
  const server = listen({ listener, socket: ECHO })
  t.teardown(() => server.stop(true))
  t.deepEqual(server.address, address)
  const connection = await connect({ host: 'localhost', port: server.port })
  t.teardown(() => connection.terminate())
  connection.write('asked')
  const { value } = await connection[Symbol.asyncIterator]().next()
  t.is(String(value), 'asked')
})

test('a_name_is_served_in_a_multiplexer_of_the_program_too', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const listener = await Listener.bindHost({ host: 'localhost', port: 0 })
  let asked = ''
  const server = listen({ listener, multiplexer, socket: { data: (_, chunk) => void (asked += chunk) } })
  t.teardown(() => server.stop(true))
  const connection = await connect({ host: 'localhost', port: server.port })
  t.teardown(() => connection.terminate())
  connection.write('asked')
  await waitUntil(multiplexer, () => asked === 'asked')
  t.is(server.connections, 1)
})

test('the_listener_belongs_to_the_server_and_is_closed_with_it', async (t) => {
  const listener = testListener(t)
  const server = listen({ listener })
  t.true(listener.fd >= 0)
  server.stop()
  t.is(listener.fd, -1)
})

test('closing_the_listener_stops_the_server', async (t) => {
  const listener = testListener(t)
  const server = listen({ listener })
  listener.close()
  t.is(server.address, undefined)
  await server.close()
})

test('connections_from_before_listen_are_accepted', async (t) => {
  const listener = testListener(t)
  const connecting = connect({ ...(addressOf(listener) as { host: string; port: number }) })
  const connection = await connecting
  t.teardown(() => connection.terminate())
  const opened = withResolvers<Connection>()
  const server = listen({ listener, socket: { open: opened.resolve } })
  t.teardown(() => server.stop(true))
  t.is((await opened.promise).remotePort, connection.localPort)
})

test('noDelay_is_on_by_default_and_socket_options_are_inherited', async (t) => {
  for (const [options, noDelay] of [
    [{}, true],
    [{ noDelay: false }, false],
  ] as const) {
    const opened = withResolvers<Connection>()
    const listener = testListener(t)
    const server = listen({ listener, ...options, userTimeout: 4321, socket: { open: opened.resolve } })
    t.teardown(() => server.stop(true))
    const connection = await connect(addressOf(listener) as { host: string; port: number })
    t.teardown(() => connection.terminate())
    const { socket } = await opened.promise
    t.is(socket!.getOption('noDelay'), noDelay)
    t.is(socket!.getOption('userTimeout'), 4321)
  }
})

test('a_unix_listener_is_served_without_options_of_tcp', async (t) => {
  const path = abstractName()
  const server = listen({ listener: Listener.bind({ path }), socket: ECHO })
  t.teardown(() => server.stop(true))
  const connection = await connect({ path })
  t.teardown(() => connection.terminate())
  connection.write('x')
  t.is(String((await connection[Symbol.asyncIterator]().next()).value), 'x')
})

test('a_listener_that_cannot_be_served_stays_the_callers', async (t) => {
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(listener))
  t.throws(() => listen({ listener }), { instanceOf: SocketError, code: 'EEXIST' })
  t.true(listener.fd >= 0)
  multiplexer.remove(listener)
  t.throws(() => listen({ listener, typeOfService: 300 }), { code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => listen({ listener, ipv6Only: true, reuseAddress: false }), { code: 'ERR_INVALID_STATE' })
  t.true(listener.fd >= 0)
  const server = listen({ listener })
  t.throws(() => listen({ listener }), { code: 'EEXIST' })
  t.is(server.port, (addressOf(listener) as { port: number }).port)
  server.stop()
})

test('a_closed_listener_and_anything_else_are_refused', (t) => {
  const closed = testListener(t)
  closed.close()
  t.throws(() => listen({ listener: closed }), {
    instanceOf: SocketClosedError,
    message: /listen: the listener is closed/,
  })
  for (const wrong of [null, 5, {}, { fd: 3 }, 'x'])
    t.throws(() => listen({ listener: wrong } as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
      message: /"options\.listener" property must be a Listener\. Received/,
    })
})

test('a_listener_excludes_every_other_address', (t) => {
  const listener = testListener(t)
  for (const other of [{ host: '::' }, { hostname: '::' }, { port: 0 }, { path: 'x' }, { unix: 'x' }, { fd: 0 }])
    t.throws(() => listen({ listener, ...other } as never), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: new RegExp(
        `must have either listener, or fd, or path, or host and port\\. Received listener, ${Object.keys(other)[0]}`,
      ),
    })
  t.true(listener.fd >= 0)
})

test('a_listener_has_its_backlog_already', (t) => {
  const listener = testListener(t)
  t.throws(() => listen({ listener, backlog: 1 } as never), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: /must have no backlog for a listener, which has one\. Received listener, backlog$/,
  })
})

test('a_server_whose_listener_was_closed_keeps_no_process_alive_and_ends_its_loops', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `
    import { Listener, listen } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const server = listen({ listener })
    setTimeout(() => listener.close(), 10)
    for await (const connection of server) connection.terminate()
    console.log('over')`,
  )
  t.deepEqual({ code, stdout }, { code: 0, stdout: 'over\n' })
})
