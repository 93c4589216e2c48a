import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import nodeNet from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { type Socket as ModelSocket, serve } from 'm-socket'
import net from 'm-socket/net'

import { runModule } from '../support/child.js'
import { testWith } from '../support/programs.js'
import { KINDS, WAYS, type Way, closeAllAtEnd, listening, portOf } from '../support/serving.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

const ways = Object.keys(WAYS) as Way[]

/** A connection that says nothing. */
async function connectTo(t: ExecutionContext, server: Server): Promise<Socket> {
  const { address, port } = server.address() as AddressInfo
  const socket = nodeNet.connect(port, address)
  socket.on('error', () => {})
  t.teardown(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

const connectionsOf = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })

for (const [kind, make] of Object.entries(KINDS)) {
  for (const way of ways) {
    const each = (title: string, run: (t: ExecutionContext) => Promise<void>): void =>
      testWith(['openssl'], `${title}: ${kind} by ${way}`, run)

    each('a_server_listens_in_a_later_tick_and_has_its_address', async (t) => {
      const server = make() as Server
      closeAllAtEnd(t, server)
      let emitted = 0
      server.on('listening', () => emitted++)
      t.is(WAYS[way](server, { port: 0 }), server)
      t.true(server.listening)
      t.is(emitted, 0)
      t.true(portOf(server) > 0)
      await once(server, 'listening')
      t.is(emitted, 1)
    })

    each('a_server_that_listens_already_is_refused', async (t) => {
      const server = await listening(t, way, make() as Server)
      for (const again of [...ways.map((name) => () => WAYS[name](server, { port: 0 })), () => server.listen(0)])
        t.throws(again, { code: 'ERR_SERVER_ALREADY_LISTEN' })
      t.true(server.listening)
    })

    each('a_server_counts_its_connections_and_closes_when_they_have_ended', async (t) => {
      const server = make() as Server
      await listening(t, way, server)
      const connected = once(server, 'connection')
      const client = await connectTo(t, server)
      await connected
      t.is(await connectionsOf(server), 1)
      const events: unknown[] = []
      server.on('close', () => events.push('close'))
      const closed = new Promise<unknown>((resolve) => void server.close((error) => resolve(error)))
      t.false(server.listening)
      t.is(server.address(), null)
      client.destroy()
      t.is(await closed, undefined)
      t.deepEqual(events, ['close'])
      t.is(await connectionsOf(server), 0)
      const again = new Promise<unknown>((resolve) => void server.close((error) => resolve(error)))
      t.is(((await again) as NodeJS.ErrnoException).code, 'ERR_SERVER_NOT_RUNNING')
    })

    each('a_server_listens_again_after_its_close', async (t) => {
      const server = await listening(t, way, make() as Server)
      server.close()
      await once(server, 'close')
      WAYS[way](server, { host: '127.0.0.1', port: 0 })
      await once(server, 'listening')
      const connected = once(server, 'connection')
      await connectTo(t, server)
      const [socket] = (await connected) as [Socket]
      t.is(socket.remoteAddress, '127.0.0.1')
      t.is(socket.localPort, portOf(server))
    })

    each('an_address_in_use_is_an_error_event', async (t) => {
      const first = await listening(t, way, make() as Server)
      const second = make() as Server
      closeAllAtEnd(t, second)
      WAYS[way](second, { host: '127.0.0.1', port: portOf(first) })
      const [error] = (await once(second, 'error')) as [NodeJS.ErrnoException]
      t.is(error.code, 'EADDRINUSE')
      t.is(error.syscall, 'listen')
      t.is(error.message, `listen EADDRINUSE: address already in use 127.0.0.1:${portOf(first)}`)
      t.false(second.listening)
      WAYS[way](second, { host: '127.0.0.1', port: 0 })
      await once(second, 'listening')
      t.true(second.listening)
    })

    each('more_connections_than_maxConnections_are_dropped', async (t) => {
      const server = await listening(t, way, make() as Server)
      server.maxConnections = 1
      const connected = once(server, 'connection')
      await connectTo(t, server)
      await connected
      const dropped = once(server, 'drop')
      const client = await connectTo(t, server)
      const [data] = (await dropped) as [{ remotePort: number; localPort: number }]
      t.is(data.remotePort, client.localPort!)
      t.is(data.localPort, portOf(server))
      t.is(await connectionsOf(server), 1)
    })

    each('a_signal_closes_the_server', async (t) => {
      const controller = new AbortController()
      const server = make() as Server
      closeAllAtEnd(t, server)
      WAYS[way](server, { port: 0, signal: controller.signal })
      await once(server, 'listening')
      controller.abort()
      await once(server, 'close')
      t.false(server.listening)
    })
  }
}

for (const way of ways) {
  test(`a_path_is_listened_on_and_removed_at_the_close: ${way}`, async (t) => {
    const path = freePath(t)
    const server = KINDS.http()
    closeAllAtEnd(t, server)
    WAYS[way](server, { path })
    await once(server, 'listening')
    t.is(server.address() as unknown, path)
    const [response] = (await once(http.get({ socketPath: path, agent: false }), 'response')) as [http.IncomingMessage]
    t.is(String((await once(response, 'data'))[0]), 'hello')
    server.close()
    await once(server, 'close')
    const [error] = (await once(nodeNet.connect(path), 'error')) as [NodeJS.ErrnoException]
    t.is(error.code, 'ENOENT')
  })

  test(`bad_options_are_thrown_and_the_server_may_listen_with_others: ${way}`, async (t) => {
    const server = KINDS.http()
    closeAllAtEnd(t, server)
    for (const [options, code] of [
      [{ port: -1 }, 'ERR_SOCKET_BAD_PORT'],
      [{ port: 65_536 }, 'ERR_SOCKET_BAD_PORT'],
      [{}, 'ERR_INVALID_ARG_VALUE'],
      [{ port: 0, signal: 'no' as unknown as AbortSignal }, 'ERR_INVALID_ARG_TYPE'],
    ] as const)
      t.throws(() => WAYS[way](server, options), { code })
    t.false(server.listening)
    WAYS[way](server, { port: 0 })
    await once(server, 'listening')
    t.true(server.listening)
  })

  test(`a_server_that_is_closed_while_its_host_is_looked_up_does_not_listen: ${way}`, async (t) => {
    const server = KINDS.http()
    closeAllAtEnd(t, server)
    server.on('listening', () => t.fail())
    WAYS[way](server, { port: 0, host: 'localhost' })
    server.close()
    await once(server, 'close')
    // The look-up of a second server is over after that of the first.
    await listening(t, way, KINDS.http())
    t.false(server.listening)
  })

  for (const [name, changes] of [
    ['referenced', ''],
    ['unreferenced', 'server.unref()'],
    ['unreferenced before it listened', 'early'],
  ] as const) {
    test(`Node_keeps_running_for_a_referenced_server_only: ${name}, ${way}`, async (t) => {
      const source = `import http from 'node:http'
        import { serve } from 'm-socket'
        const server = http.createServer()
        ${changes === 'early' ? 'server.unref()' : ''}
        ${way === 'net' ? 'server.listen({ port: 0 })' : 'serve(server, { port: 0 })'}
        ${changes === 'early' ? '' : changes}
        setTimeout(() => { console.log('still here'); server.close() }, 300).unref()`
      t.is((await runModule(t, source)).stdout, name === 'referenced' ? 'still here\n' : '')
    })
  }
}

test('a_port_may_be_a_decimal_string', async (t) => {
  const server = KINDS.http()
  closeAllAtEnd(t, server)
  serve(server, { port: '0', host: '127.0.0.1' })
  await once(server, 'listening')
  t.true(server.listening)
})

test('a_second_serve_is_refused_while_the_host_is_looked_up', async (t) => {
  const server = KINDS.http()
  closeAllAtEnd(t, server)
  serve(server, { port: 0, host: 'localhost' })
  t.false(server.listening)
  t.throws(() => serve(server, { port: 0 }), { code: 'ERR_SERVER_ALREADY_LISTEN' })
  await once(server, 'listening')
  t.true(server.listening)
})

test('plain_servers_get_sockets_of_m-socket/net_and_TLS_servers_those_of_Node', async (t) => {
  const plain = await listening(t, 'm-socket', KINDS.http())
  const secure = await listening(t, 'm-socket', KINDS.tls())
  for (const [server, prototype] of [
    [plain, net.Socket.prototype],
    [secure, nodeNet.Socket.prototype],
  ] as const) {
    const connected = once(server, 'connection')
    await connectTo(t, server)
    t.is(Object.getPrototypeOf((await connected)[0]), prototype)
  }
})

test('connections_have_the_options_of_the_kernel', async (t) => {
  const server = KINDS.http()
  closeAllAtEnd(t, server)
  serve(server, { host: '127.0.0.1', port: 0, userTimeout: 12_000 })
  await once(server, 'listening')
  const connected = once(server, 'connection')
  await connectTo(t, server)
  const [{ socket }] = (await connected) as [{ socket: ModelSocket }]
  t.is(socket.getOption('userTimeout'), 12_000)
  // http.createServer has it on.
  t.true(socket.getOption('noDelay'))
})

test('a_server_of_m-socket/net_and_a_plain_one_of_Node_are_served_too', async (t) => {
  for (const server of [net.createServer(), nodeNet.createServer()]) {
    closeAllAtEnd(t, server)
    t.is(serve(server, { host: '127.0.0.1', port: 0 }), server)
    await once(server, 'listening')
    const connected = once(server, 'connection')
    await connectTo(t, server)
    t.is(Object.getPrototypeOf((await connected)[0]), net.Socket.prototype)
  }
})

for (const value of [undefined, null, 1, {}, () => {}]) {
  test(`serve_takes_nothing_but_servers_and_options: ${value}`, (t) => {
    t.throws(() => serve(value as unknown as Server, { port: 0 }), { code: 'ERR_INVALID_ARG_TYPE' })
    if (typeof value === 'object' && value !== null) return
    t.throws(() => serve(KINDS.http(), value as unknown as object), { code: 'ERR_INVALID_ARG_TYPE' })
  })
}

test('an_idle_connection_does_not_keep_a_server_from_closing_for_ever', async (t) => {
  const server = await listening(t, 'm-socket', KINDS.http())
  const client = await connectTo(t, server)
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(client, 'data')
  server.close()
  server.closeIdleConnections()
  await once(server, 'close')
  await until(() => client.readableEnded || client.destroyed)
  t.pass()
})
