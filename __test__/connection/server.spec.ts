import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { constants } from 'node:os'
import { inspect } from 'node:util'

import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  type InetAddress,
  Multiplexer,
  type ReadyEvent,
  type Server,
  Socket,
  SocketClosedError,
  SocketError,
  connect,
  listen,
} from 'm-socket'

import { outcomeOf, runModule, runWithDescriptors, startModule } from '../support/child.js'
import { openSockets } from '../support/descriptors.js'
import { FAMILIES, closeAtEnd, freeAddress, testListener } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { HandlerLog } from '../support/handler-log.js'
import { connectSocket, connectedSocket, testServer, withResolvers } from '../support/server.js'
import { runUnderStrace } from '../support/strace.js'
import { nextTurn, sleep } from '../support/timing.js'
import { abstractName, freePath, temporaryDirectory } from '../support/unix.js'
import { receiveExactly, receiveToEnd, until } from '../support/waiting.js'

// The address

test('the_address_is_known_when_listen_returns', (t) => {
  const server = listen({})
  const { port } = server
  t.true(port! > 0)
  t.deepEqual(server.address, { address: '::', family: 'IPv6', port })
  t.is(server.host, '::')
  t.is(server.path, undefined)
  server.stop()
  t.deepEqual([server.address, server.port, server.host, server.path], [undefined, undefined, undefined, undefined])
})

test('the_IPv6_wildcard_address_accepts_both_families', async (t) => {
  const server = testServer(t, { host: '::' })
  const remotes: (string | undefined)[] = []
  server.reload({ socket: { open: (connection) => void remotes.push(connection.remoteAddress) } })
  for (const host of ['127.0.0.1', '::1']) await connectedSocket(t, server, { host })
  await until(() => remotes.length === 2)
  // An IPv4 peer of an IPv6 socket has an IPv4-mapped address: ipv6(7).
  t.deepEqual(remotes, ['::ffff:127.0.0.1', '::1'])
})

test('localhost_is_the_loopback_of_IPv4', async (t) => {
  const server = testServer(t, { host: 'localhost' })
  t.is(server.host, '127.0.0.1')
  t.deepEqual(server.address, { address: '127.0.0.1', family: 'IPv4', port: server.port! })
  await t.notThrowsAsync(connectedSocket(t, server))
})

test('a_port_can_be_reused_as_soon_as_its_server_is_stopped', async (t) => {
  const first = testServer(t)
  const port = first.port!
  const peer = await connectedSocket(t, first)
  await until(() => first.connections === 1)
  first.stop(true)
  const second = testServer(t, { port })
  t.is(second.port, port)
  await connectedSocket(t, second)
  await until(() => second.connections === 1)
  t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
})

for (const [kind, pathFor] of [
  ['a path', freePath],
  ['an abstract name', abstractName],
] as const) {
  test(`a_unix_socket_has_a_path_and_no_port (${kind})`, async (t) => {
    const path = pathFor(t)
    const server = testServer(t, { path, socket: { data: (connection, chunk) => void connection.end(chunk) } })
    t.is(server.path, path)
    t.deepEqual(server.address, { path })
    t.deepEqual([server.port, server.host], [undefined, undefined])
    const peer = await connectedSocket(t, server)
    peer.send('hello')
    t.is((await receiveToEnd(peer)).toString(), 'hello')
    server.stop()
    t.is(server.path, undefined)
  })
}

/** A child process that inherits a listening socket as descriptor 3. */
async function withInheritedListener(
  t: ExecutionContext,
  source: string,
): Promise<{ port: number; ending: ReturnType<typeof outcomeOf> }> {
  const owner = testListener(t)
  const { port } = owner.address as InetAddress
  const child = startModule(t, source, { stdio: ['ignore', 'pipe', 'pipe', owner.fd] })
  owner.close()
  return { port, ending: outcomeOf(child) }
}

test('a_listening_descriptor_is_taken_over', async (t) => {
  const { port, ending } = await withInheritedListener(
    t,
    `
    import { listen } from 'm-socket'
    const server = listen({ fd: 3, socket: {
      data: (connection, chunk) => void connection.end(chunk),
      close: () => server.stop(),
    } })
    console.log(server.host, server.port)`,
  )
  const peer = await connect({ host: '127.0.0.1', port })
  peer.end('hello')
  let echo = ''
  for await (const chunk of peer) echo += chunk.toString()
  t.is(echo, 'hello')
  const { code, stdout, stderr } = await ending
  t.deepEqual({ code, stderr, stdout }, { code: 0, stderr: '', stdout: `127.0.0.1 ${port}\n` })
})

test('truth 11: fd_stays_open_when_other_options_are_refused', async (t) => {
  const { ending } = await withInheritedListener(
    t,
    `
    import { Multiplexer, listen } from 'm-socket'
    import { readlinkSync } from 'node:fs'
    const closed = new Multiplexer()
    closed.close()
    const before = readlinkSync('/proc/self/fd/3')
    const said = []
    for (const bad of [{ idleTimeout: -1 }, { maxConnections: 0 }, { socket: { data: 1 } }, { noDelay: 'yes' }, { multiplexer: closed }]) {
      try { listen({ fd: 3, ...bad }) } catch (error) { said.push(error.code) }
      let after
      try { after = readlinkSync('/proc/self/fd/3') } catch (error) { after = error.code }
      said.push(after === before)
    }
    console.log(said.join(' '))`,
  )
  const { code, stdout, stderr } = await ending
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  t.is(
    stdout,
    'ERR_OUT_OF_RANGE true ERR_OUT_OF_RANGE true ERR_INVALID_ARG_TYPE true ERR_INVALID_ARG_TYPE true ERR_SOCKET_CLOSED true\n',
  )
})

// Accepted connections

test('noDelay_is_on_by_default', async (t) => {
  const found: unknown[] = []
  const socket = { open: (connection: Connection) => void found.push(connection.socket!.getOption('noDelay')) }
  await connectedSocket(t, testServer(t, { socket }))
  await until(() => found.length === 1)
  await connectedSocket(t, testServer(t, { socket, noDelay: false }))
  await until(() => found.length === 2)
  t.deepEqual(found, [true, false])
})

test('socket_options_apply_to_accepted_connections', async (t) => {
  const opened = withResolvers<Connection>()
  const server = testServer(t, { keepAlive: { idle: 7000 }, userTimeout: 5000, socket: { open: opened.resolve } })
  await connectedSocket(t, server)
  const { socket } = await opened.promise
  t.like(socket!.getOption('keepAlive'), { idle: 7000 })
  t.is(socket!.getOption('userTimeout'), 5000)
})

test('data_is_the_servers_until_a_connection_sets_its_own', async (t) => {
  const common = { name: 'common' }
  const before: { name: string }[] = []
  const connections: Connection<{ name: string }>[] = []
  const server = testServer<{ name: string }>(t, {
    data: common,
    socket: {
      open(connection) {
        before.push(connection.data)
        connections.push(connection)
        if (connections.length === 1) connection.data = { name: 'own' }
      },
    },
  })
  t.is(server.data, common)
  for (const count of [1, 2]) {
    await connectedSocket(t, server)
    await until(() => connections.length === count)
  }
  t.true(before.every((data) => data === common))
  t.deepEqual(
    connections.map(({ data }) => data.name),
    ['own', 'common'],
  )
})

test('a_connection_refers_to_its_server_and_both_addresses', async (t) => {
  const opened = withResolvers<Connection>()
  const server = testServer(t, { socket: { open: opened.resolve } })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  t.is(connection.listener, server)
  t.is(connection.localPort, server.port)
  t.deepEqual(peer.localAddress, { address: connection.remoteAddress!, family: 'IPv4', port: connection.remotePort! })
})

test('handlers_may_be_the_methods_of_an_object', async (t) => {
  class Greeter {
    readonly #greeting = 'hello'

    open(connection: Connection): void {
      connection.end(this.#greeting)
    }
  }
  const peer = await connectedSocket(t, testServer(t, { socket: new Greeter() }))
  t.is((await receiveToEnd(peer)).toString(), 'hello')
})

// Accepting

test('connections_counts_open_connections', async (t) => {
  const closed: number[] = []
  const server = testServer(t, { socket: { data: () => {}, close: () => void closed.push(server.connections) } })
  t.is(server.connections, 0)
  const peers = await Promise.all([1, 2, 3].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 3)
  for (const peer of peers) {
    const { connections } = server
    peer.close()
    await until(() => server.connections === connections - 1)
  }
  await until(() => closed.length === 3)
  t.deepEqual(closed, [2, 1, 0])
})

const NAMES = ['a', 'b', 'c', 'd', 'e']

test('connections_above_maxConnections_wait_in_the_backlog', async (t) => {
  let most = 0
  const served: string[] = []
  const server = testServer(t, {
    path: freePath(t),
    maxConnections: 2,
    socket: {
      open: () => void (most = Math.max(most, server.connections)),
      data: (connection, chunk) => {
        served.push(chunk.toString())
        connection.end(chunk)
      },
    },
  })
  const peers = NAMES.map((name) => {
    const peer = connectSocket(t, server)
    peer.send(name)
    return peer
  })
  await until(() => served.length === 2)
  for (let turns = 0; turns < 20; turns++) await nextTurn()
  t.deepEqual(served, ['a', 'b'])
  t.is(server.connections, 2)
  for (const [index, peer] of peers.entries()) {
    t.is((await receiveToEnd(peer)).toString(), NAMES[index]!)
    peer.close()
  }
  await until(() => server.connections === 0)
  t.deepEqual(served, NAMES)
  t.is(most, 2)
})

test('truth 3: a_flood_of_connections_does_not_starve_open_ones', async (t) => {
  const flood = 400
  let opened = 0
  let before: number | undefined
  const server = testServer(t, {
    path: freePath(t),
    socket: {
      open: () => void opened++,
      data: () => void (before ??= opened),
    },
  })
  const pinger = connectSocket(t, server)
  await until(() => opened === 1)
  opened = 0
  // Nothing is accepted during this turn. Events are reported in order of arrival: the listener's comes first.
  for (let count = 0; count < flood; count++) connectSocket(t, server)
  pinger.send('ping')
  await until(() => opened === flood)
  t.true(before! > 0, 'the flood comes first')
  t.true(before! <= 64, `${before} connections were accepted before the open one got a turn`)
  t.is(server.connections, flood + 1)
})

test('an_exception_in_open_does_not_affect_the_rest_of_the_batch', async (t) => {
  const errors: string[] = []
  let opened = 0
  const server = testServer(t, {
    path: freePath(t),
    socket: {
      open() {
        if (++opened % 2 === 1) throw new Error(`the ${opened}th`)
      },
      error: (_, error) => void errors.push(error.message),
    },
  })
  for (let count = 0; count < 4; count++) connectSocket(t, server)
  await until(() => opened === 4)
  t.deepEqual(errors, ['the 1th', 'the 3th'])
  t.is(server.connections, 4)
})

for (const family of FAMILIES) {
  test(`a_server_stopped_in_an_open_handler_accepts_no_more (${family})`, async (t) => {
    let opened = 0
    const server = testServer(t, {
      ...freeAddress(t, family),
      socket: {
        open() {
          opened++
          server.stop()
        },
      },
    })
    const peers = [1, 2, 3].map(() => connectSocket(t, server))
    for (const peer of peers) peer.send('x')
    await until(() => opened > 0)
    await nextTurn()
    t.is(opened, 1)
    t.is(server.connections, 1)
    t.is(peers[0]!.receive(new Uint8Array(1)), null)
    for (const peer of peers.slice(1)) t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
  })
}

const FAULTS = ['ECONNABORTED', 'EINTR', 'EPROTO', 'ENETDOWN', 'EPERM']

for (const error of FAULTS) {
  testWith(['strace'], `truth 15: a_server_skips_the_accept_error_of_one_connection (${error})`, async (t) => {
    const { code, stdout, stderr, calls } = await runUnderStrace(
      t,
      `
      import { Socket, listen } from 'm-socket'
      let opened = 0
      const server = listen({ host: '127.0.0.1', socket: { open() { if (++opened === 2) { console.log(opened); process.exit() } } } })
      const clients = [1, 2].map(() => Socket.connect({ port: server.port }))`,
      'accept4',
      `accept4:error=${error}:when=1..3`,
    )
    t.is(code, 0, stderr)
    t.is(stdout, '2\n')
    t.is(calls.filter((call) => call.includes('(INJECTED)')).length, 3, 'all three errors were injected')
  })
}

for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
  testWith(['strace'], `truth 15: a_server_backs_off_when_accept_lacks_resources (${error})`, async (t) => {
    const { code, stdout, stderr, calls } = await runUnderStrace(
      t,
      `
      import { Socket, listen } from 'm-socket'
      const began = performance.now()
      const server = listen({ host: '127.0.0.1', socket: { open() { console.log(performance.now() - began); process.exit() } } })
      const client = Socket.connect({ port: server.port })`,
      'accept4',
      `accept4:error=${error}:when=1..3`,
    )
    t.is(code, 0, stderr)
    // Behind the connection the backlog is empty.
    t.is(calls.filter((call) => call.startsWith('accept4') && !call.includes('EAGAIN')).length, 4)
    t.true(Number(stdout) > 250, `three back-offs took ${stdout} ms`)
  })
}

test('truth 15: out_of_descriptors_a_server_neither_spins_nor_stalls', async (t) => {
  const source = `
    import { Socket, listen } from 'm-socket'
    import { closeSync, openSync } from 'node:fs'
    let opened = 0, echoed = 0
    const server = listen({ host: '127.0.0.1', socket: { open: () => void opened++, data: () => void echoed++ } })
    const first = Socket.connect({ port: server.port })
    while (opened === 0) await new Promise((resolve) => setImmediate(resolve))
    // Bun collects what a constant refers to that is not read again, and a collected socket frees its descriptor.
    globalThis.others = [1, 2, 3, 4].map(() => Socket.connect({ port: server.port }))
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    const early = opened
    const cpu = process.cpuUsage()
    first.send('still served')
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const { user, system } = process.cpuUsage(cpu)
    const held = opened
    for (const fd of taken) closeSync(fd)
    while (opened < 5) await new Promise((resolve) => setTimeout(resolve, 10))
    console.log(JSON.stringify({ early, held, opened, echoed, cpu: (user + system) / 1000 }))
    process.exit()`
  const { code, stdout, stderr } = await runWithDescriptors(t, 256, source)
  t.is(code, 0, stderr)
  const { cpu, ...counts } = JSON.parse(stdout) as { cpu: number }
  t.deepEqual(counts, { early: 1, held: 1, opened: 5, echoed: 1 } as object)
  t.true(cpu < 1000, `${cpu} ms of work in 2000`)
})

/** Connects three peers one after the other, and prints their states. */
const THREE_PEERS = `
  import { Socket, listen } from 'm-socket'
  let [opened, failed] = [0, 0]
  process.on('uncaughtException', () => void failed++)
  const path = '\\0m-socket-test-' + process.pid
  const server = listen({ path, socket: { open: () => void opened++ } })
  const peers = []
  for (let count = 0; count < 3; count++) {
    peers.push(Socket.connect({ path }))
    while (opened + failed <= count) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const left = peers.map((peer) => {
    try { return peer.receive(new Uint8Array(1)) === null ? 'open' : 'ended' } catch ({ code }) { return code }
  })
  console.log(JSON.stringify({ opened, connections: server.connections, left }))
  process.exit()`

testWith(['strace'], 'truth 36: a_connection_that_cannot_be_registered_is_closed_and_not_counted', async (t) => {
  const calm = await runUnderStrace(t, THREE_PEERS, 'accept4,epoll_ctl')
  t.is(calm.stdout, `${JSON.stringify({ opened: 3, connections: 3, left: ['open', 'open', 'open'] })}\n`, calm.stderr)
  // Node calls epoll_ctl(2) too: a run without a fault shows which call registers the second connection.
  const accepts = calm.calls.flatMap((call, index) => (/^accept4.* = \d+$/.test(call) ? [index] : []))
  const nth = calm.calls.slice(0, accepts[1]! + 2).filter((call) => call.startsWith('epoll_ctl')).length
  const { code, stdout, stderr, calls } = await runUnderStrace(
    t,
    THREE_PEERS,
    'accept4,epoll_ctl',
    `epoll_ctl:error=ENOSPC:when=${nth}`,
  )
  t.is(code, 0, stderr)
  t.true(/EPOLL_CTL_ADD.*INJECTED/.test(calls.join(' ')))
  const { left, ...counts } = JSON.parse(stdout) as { left: string[] }
  t.deepEqual(counts, { opened: 2, connections: 2 } as object)
  t.deepEqual([left[0], left[2]], ['open', 'open'])
  t.not(left[1], 'open')
})

// Stopping and closing

test('stop_refuses_new_connections_and_keeps_open_ones', async (t) => {
  const server = testServer(t, {
    port: freePort(),
    socket: { data: (connection, chunk) => void connection.write(chunk) },
  })
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  const { port } = server
  server.stop()
  server.stop()
  await t.throwsAsync(connect({ host: '127.0.0.1', port: port! }), {
    instanceOf: SocketError,
    code: 'ECONNREFUSED',
  })
  peer.send('still there?')
  t.is((await receiveExactly(peer, 12)).toString(), 'still there?')
  t.is(server.connections, 1)
})

test('stop_true_resets_all_connections_and_calls_close_once_for_each', async (t) => {
  const closed: (Error | undefined)[] = []
  const server = testServer(t, { socket: { data: () => {}, close: (_, error) => void closed.push(error) } })
  const peers = await Promise.all([1, 2, 3].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 3)
  server.stop(true)
  t.is(server.connections, 0)
  t.deepEqual(closed, [], 'close is not called inside stop()')
  await nextTurn()
  t.deepEqual(closed, [undefined, undefined, undefined])
  for (const peer of peers) t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
  server.stop(true)
  await nextTurn()
  t.is(closed.length, 3)
})

test('close_with_end_ends_our_halves_and_waits_for_the_peers_to_end_too', async (t) => {
  const said: string[] = []
  const server = testServer(t, {
    socket: { data: () => {}, end: () => void said.push('end'), close: () => void said.push('close') },
  })
  const peers = await Promise.all([1, 2].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 2)
  const closing = server.close({ end: true }).then(() => void said.push('closed'))
  t.is(server.port, undefined)
  for (const peer of peers) t.is((await receiveToEnd(peer)).length, 0)
  t.deepEqual(said, [])
  t.is(server.connections, 2)
  for (const peer of peers) peer.shutdown()
  await closing
  t.deepEqual(said.slice(-1), ['closed'])
  t.deepEqual(said.slice(0, -1).sort(), ['close', 'close', 'end', 'end'])
  t.is(server.connections, 0)
})

test('close_with_end_sends_what_is_queued_first', async (t) => {
  const bytes = randomBytes(8_000_000)
  const opened = withResolvers<Connection>()
  const server = testServer(t, { sendQueueLimit: bytes.length, socket: { open: opened.resolve, data: () => {} } })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  t.is(connection.write(bytes), bytes.length)
  t.true(connection.socket!.queued > 0)
  const closing = server.close({ end: true })
  t.is(connection.write('more'), -1)
  const received = await receiveToEnd(peer)
  t.true(received.equals(bytes))
  peer.close()
  await closing
  t.is(server.connections, 0)
})

test('at_its_timeout_close_resets_the_remaining_connections', async (t) => {
  const closed: (Error | undefined)[] = []
  const server = testServer(t, { socket: { data: () => {}, close: (_, error) => void closed.push(error) } })
  const [stubborn, willing] = [await connectedSocket(t, server), await connectedSocket(t, server)]
  await until(() => server.connections === 2)
  const closing = server.close({ timeout: 200, end: true })
  t.is((await receiveToEnd(willing)).length, 0)
  willing.close()
  await until(() => server.connections <= 1)
  await closing
  t.is(server.connections, 0)
  t.deepEqual(closed, [undefined, undefined])
  // After a FIN alone the kernel would still accept this, and the RST would only come in reply.
  t.is(stubborn.send('x'), 'closed')
})

test('at_its_timeout_close_drops_unsent_queues', async (t) => {
  let ended = false
  const server = testServer(t, {
    allowHalfOpen: false,
    socket: {
      data: () => {},
      end(connection) {
        ended = true
        connection.end(Buffer.alloc(16 << 20))
      },
    },
  })
  const peer = await connectedSocket(t, server)
  peer.shutdown()
  await until(() => ended)
  t.is(server.connections, 1)
  await server.close({ timeout: 50 })
  t.is(server.connections, 0)
  await t.throwsAsync(receiveToEnd(peer), { code: 'ECONNRESET' })
})

test('repeated_calls_of_close_share_the_earliest_timeout', async (t) => {
  let closed = 0
  const server = testServer(t, { socket: { data: () => {}, close: () => void closed++ } })
  await connectedSocket(t, server)
  await until(() => server.connections === 1)
  let resolved = 0
  const closings = [server.close(), server.close({ timeout: 60_000 }), server.close({ timeout: 50 })].map((closing) =>
    closing.then(() => void resolved++),
  )
  await Promise.all(closings)
  t.is(resolved, 3)
  t.is(closed, 1)
  await server.close()
  await server.close({ timeout: 10 })
  t.is(closed, 1)
})

test('close_with_a_bad_timeout_is_refused_and_changes_nothing', async (t) => {
  const server = testServer(t)
  await t.throwsAsync(server.close({ timeout: -1 }), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  await t.throwsAsync(server.close({ timeout: '5' as never }), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.true(server.port! > 0)
  await t.notThrowsAsync(connectedSocket(t, server))
})

test('using_stops_a_server_and_resets_its_connections', async (t) => {
  let peer: Socket
  let stopped: Server
  {
    using server = listen({ host: '127.0.0.1' })
    peer = await connectedSocket(t, server)
    await until(() => server.connections === 1)
    stopped = server
  }
  t.is(stopped.port, undefined)
  t.is(stopped.connections, 0)
  t.throws(() => peer.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
})

test('await_using_closes_a_server_gracefully', async (t) => {
  const closed: (Error | undefined)[] = []
  let echo: Promise<Buffer>
  {
    await using server = listen({
      host: '127.0.0.1',
      socket: { open: (it) => void it.write('hello'), data: () => {}, close: (_, error) => void closed.push(error) },
    })
    const peer = await connectedSocket(t, server)
    await until(() => server.connections === 1)
    echo = receiveToEnd(peer).finally(() => peer.close())
  }
  t.deepEqual(closed, [undefined])
  t.is((await echo).toString(), 'hello')
})

// Reloading

test('reload_applies_to_open_connections_too', async (t) => {
  const said: string[] = []
  const server = testServer(t, {
    path: freePath(t),
    socket: { data: (_, chunk) => void said.push(`old ${chunk}`), close: () => void said.push('old close') },
  })
  const peer = connectSocket(t, server)
  peer.send('1')
  await until(() => said.length === 1)
  server.reload({ socket: { data: (_, chunk) => void said.push(`new ${chunk}`) } })
  peer.send('2')
  await until(() => said.length === 2)
  const later = connectSocket(t, server)
  later.send('3')
  await until(() => said.length === 3)
  peer.close()
  later.close()
  await until(() => server.connections === 0)
  t.deepEqual(said, ['old 1', 'new 2', 'new 3'], 'a handler that is left out is removed')
})

test('unread_input_goes_to_a_data_handler_set_by_reload', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  const peer = connectSocket(t, server)
  peer.send('early')
  await until(() => server.connections === 1)
  const received = withResolvers<string>()
  server.reload({ socket: { data: (_, chunk) => received.resolve(chunk.toString()) } })
  t.is(await received.promise, 'early')
})

test('a_connection_reloads_the_handlers_of_its_server', async (t) => {
  const said: string[] = []
  const server = testServer(t, {
    path: freePath(t),
    socket: {
      data(connection) {
        connection.reload({ socket: { data: (_, chunk) => void said.push(chunk.toString()) } })
      },
    },
  })
  const [one, other] = [connectSocket(t, server), connectSocket(t, server)]
  one.send('goes to the old')
  await until(() => server.connections === 2)
  other.send('goes to the new')
  await until(() => said.length === 1)
  t.deepEqual(said, ['goes to the new'])
})

test('a_refused_reload_keeps_the_old_handlers', async (t) => {
  const said: string[] = []
  const server = testServer(t, { path: freePath(t), socket: { data: (_, chunk) => void said.push(chunk.toString()) } })
  t.throws(() => server.reload({ socket: { data: 5 as never } }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_TYPE',
    message: /socket\.data.*function/,
  })
  t.throws(() => server.reload({ socket: { dat: () => {} } as never }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: /did you mean 'data'/,
  })
  connectSocket(t, server).send('hello')
  await until(() => said.length === 1)
  t.deepEqual(said, ['hello'])
})

// Iterating

test('iteration_ends_when_the_server_is_stopped', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  for (const name of NAMES) {
    const peer = connectSocket(t, server)
    peer.send(name)
    peer.shutdown()
  }
  const read: string[] = []
  for await (const connection of server) {
    for await (const chunk of connection) read.push(chunk.toString())
    if (read.length === NAMES.length) server.stop()
  }
  t.deepEqual(read, NAMES)
  for await (const connection of server) t.fail(`${connection} after the stop`)
})

test('open_is_called_before_the_loop_gets_the_connection', async (t) => {
  const opened = new Set<Connection>()
  const server = testServer(t, { path: freePath(t), socket: { open: (connection) => void opened.add(connection) } })
  connectSocket(t, server)
  for await (const connection of server) {
    t.true(opened.has(connection))
    break
  }
})

test('leaving_the_loop_leaves_the_server_and_its_connections_open', async (t) => {
  const server = testServer(t, {
    path: freePath(t),
    socket: { data: (connection, chunk) => void connection.write(chunk) },
  })
  const peers = [connectSocket(t, server), connectSocket(t, server)]
  for await (const connection of server) {
    t.is(connection.readyState, 1)
    break
  }
  peers.push(connectSocket(t, server))
  await until(() => server.connections === 3)
  for (const peer of peers) {
    peer.send('echo')
    t.is((await receiveExactly(peer, 4)).toString(), 'echo')
  }
})

test('accepting_pauses_while_64_connections_wait_for_the_loop', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  const loop = server[Symbol.asyncIterator]()
  const first = loop.next()
  for (let count = 0; count < 200; count++) connectSocket(t, server)
  t.is((await first).done, false)
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  t.is(server.connections, 1 + 64)
  const seen = new Set([(await first).value])
  while (seen.size < 200) seen.add((await loop.next()).value)
  t.is(server.connections, 200)
  await loop.return()
})

test('leaving_a_slow_loop_resumes_accepting', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  for (let count = 0; count < 200; count++) connectSocket(t, server)
  for await (const connection of server) {
    t.is(connection.readyState, 1)
    await until(() => server.connections > 60)
    break
  }
  await until(() => server.connections === 200)
  t.is(server.connections, 200)
})

test('two_loops_share_the_connections_and_both_end', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  let taken = 0
  const loop = async (): Promise<void> => {
    for await (const connection of server) {
      connection.terminate()
      if (++taken === 10) server.stop()
    }
  }
  const loops = [loop(), loop()].map((running) =>
    running.then(
      () => 'ended',
      (error: Error) => error.message,
    ),
  )
  await nextTurn()
  for (let count = 0; count < 10; count++) {
    connectSocket(t, server)
    await nextTurn()
  }
  await until(() => taken === 10)
  const late = new Promise<string>((resolve) => setTimeout(resolve, 1000, 'hangs'))
  const ends = await Promise.all(loops.map((running) => Promise.race([running, late])))
  t.false(ends.includes('hangs'), String(ends))
})

// Keeping the process alive

/** Asserts that a module exits by itself without an error; returns its output. */
async function ends(t: ExecutionContext, source: string): Promise<string> {
  const { code, signal, stdout, stderr } = await runModule(
    t,
    `import { Socket, connect, listen } from 'm-socket'\n${source}`,
  )
  t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  return stdout.trimEnd()
}

test('truth 40: an_unreferenced_server_lets_the_process_end', async (t) => {
  t.is(
    await ends(
      t,
      `
    const server = listen({ host: '127.0.0.1' }).unref()
    process.on('exit', () => console.log(server.port > 0))`,
    ),
    'true',
  )
})

test('truth 40: a_stopped_server_lets_the_process_end', async (t) => {
  t.is(
    await ends(
      t,
      `
    const server = listen({ host: '127.0.0.1' })
    server.ref()
    setTimeout(() => { server.stop(); server.ref(); console.log('stopped') }, 50)`,
    ),
    'stopped',
  )
})

for (const [how, calls] of [
  ['by default', ''],
  ['referenced again', '.unref().ref()'],
  ['referenced twice', '.ref().ref()'],
] as const) {
  test(`truth 40: a_referenced_server_keeps_the_process_alive (${how})`, async (t) => {
    const child = startModule(
      t,
      `
      import { listen } from 'm-socket'
      const server = listen({ host: '127.0.0.1', socket: { data: () => {}, close: () => server.unref() } })${calls}
      console.log(server.port)`,
    )
    const ending = outcomeOf(child)
    const [port] = (await once(child.stdout!, 'data')) as [Buffer]
    // Without a referenced server the process would have exited by now.
    await sleep(200)
    const peer = await connect({ host: '127.0.0.1', port: Number(port) })
    peer.end()
    const { code, stderr } = await ending
    t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  })
}

test('truth 40: an_open_connection_of_an_unreferenced_server_keeps_the_process_alive', async (t) => {
  t.is(
    await ends(
      t,
      `
    const server = listen({ host: '127.0.0.1', socket: {
      open: () => server.unref(),
      data: (connection) => { connection.unref(); console.log('data') },
    } })
    const peer = Socket.connect({ port: server.port })
    setTimeout(() => peer.send('x'), 100).unref()`,
    ),
    'data',
  )
})

test('truth 40: queued_output_alone_keeps_the_process_alive', async (t) => {
  const child = startModule(
    t,
    `
    import { listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', socket: {
      open(connection) {
        server.unref()
        connection.unref().end(Buffer.alloc(20_000_000, 'x'))
      },
    } })
    console.log(server.port)`,
  )
  const ending = outcomeOf(child)
  const [port] = (await once(child.stdout!, 'data')) as [Buffer]
  const peer = await connect({ host: '127.0.0.1', port: Number(port) })
  let received = 0
  for await (const chunk of peer) {
    if (received === 0) await sleep(200)
    received += chunk.length
  }
  t.is(received, 20_000_000)
  t.is((await ending).code, 0)
})

// In a multiplexer of the caller's

test('wait_of_a_given_multiplexer_runs_the_handlers', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const said: string[] = []
  const server = testServer(t, {
    path: freePath(t),
    multiplexer,
    socket: {
      open: () => void said.push('open'),
      data: (connection, chunk) => void (said.push(chunk.toString()), connection.write(chunk)),
      close: () => void said.push('close'),
    },
  })
  const peer = connectSocket(t, server)
  peer.send('hello')
  for (let turns = 0; turns < 10; turns++) await nextTurn()
  t.deepEqual(said, [], 'there was no wait yet')
  while (said.length < 2) t.deepEqual(multiplexer.waitSync(20), [], 'no event is left over from the handlers')
  t.deepEqual(said, ['open', 'hello'])
  t.is((await receiveExactly(peer, 5)).toString(), 'hello')
  peer.close()
  while (said.length < 3) t.deepEqual(await multiplexer.wait(50), [])
  t.is(server.connections, 0)
})

test('wait_of_a_given_multiplexer_returns_events_of_other_targets', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  let echoed = 0
  const server = testServer(t, {
    path: freePath(t),
    multiplexer,
    socket: { data: (connection, chunk) => void (echoed++, connection.write(chunk)) },
  })
  const peer = connectSocket(t, server)
  multiplexer.add(peer, 'r')
  peer.send('hello')
  let events: ReadyEvent[] = []
  // In a busy process a wait may time out before the echo arrives.
  for (let looks = 0; events.length === 0 && looks < 100; looks++) events = await multiplexer.wait(300)
  t.deepEqual(
    events.map(({ target }) => target),
    [peer],
  )
  t.is(peer.receive(Buffer.alloc(10)), 5)
  t.is(echoed, 1)
})

test('truth 35: a_handler_cannot_wait_for_the_multiplexer_that_runs_it', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const refusals: unknown[] = []
  const server = testServer(t, {
    path: freePath(t),
    multiplexer,
    socket: {
      open: () => void multiplexer.poll(),
      error: (_, error) => void refusals.push((error as NodeJS.ErrnoException).code),
    },
  })
  connectSocket(t, server)
  await multiplexer.wait(50)
  t.deepEqual(refusals, ['ERR_INVALID_STATE'])
  t.is(server.connections, 1)
})

test('a_server_whose_multiplexer_was_closed_can_still_be_stopped', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  let closed = 0
  const server = testServer(t, { path: freePath(t), multiplexer, socket: { close: () => void closed++ } })
  const peer = connectSocket(t, server)
  await multiplexer.wait(50)
  t.is(server.connections, 1)
  multiplexer.close()
  server.stop(true)
  await nextTurn()
  t.is(closed, 1)
  t.is(server.connections, 0)
  t.is(peer.receive(new Uint8Array(1)), 0)
})

test('a_server_in_a_given_multiplexer_does_not_keep_the_process_alive', async (t) => {
  t.is(
    await ends(
      t,
      `
    import { Multiplexer } from 'm-socket'
    const multiplexer = new Multiplexer()
    const server = listen({ host: '127.0.0.1', multiplexer })
    process.on('exit', () => {
      console.log(server.port > 0)
      multiplexer.close()
    })`,
    ),
    'true',
  )
})

// Descriptors

test.serial('a_server_leaves_no_descriptor_behind', async (t) => {
  const before = openSockets()
  const server = listen({
    host: '127.0.0.1',
    maxConnections: 3,
    socket: { data: (connection, chunk) => void connection.end(chunk) },
  })
  const peers = await Promise.all(NAMES.map(() => connect({ host: '127.0.0.1', port: server.port! })))
  for (const peer of peers) peer.end('x')
  for (const peer of peers.slice(0, 3)) for await (const chunk of peer) t.is(chunk.length, 1)
  await until(() => peers.slice(0, 3).every(({ readyState }) => readyState === 0))
  server.stop(true)
  for (const peer of peers) peer.terminate()
  t.is(server.connections, 0)
  await nextTurn()
  t.deepEqual(openSockets(), before)
})

// Bad input

/** An expected error: class, code and message. */
type Refusal = readonly [new (...args: never[]) => Error, string, string | RegExp]

/** Asserts that listen() throws this error and leaves no descriptor behind. */
function refuses(t: ExecutionContext, options: unknown, [instanceOf, code, message]: Refusal): void {
  const before = openSockets()
  t.throws(() => listen(options as never).stop(), { instanceOf, code, message }, inspect(options))
  t.deepEqual(openSockets(), before, inspect(options))
}

const WRONG_TYPE = [TypeError, 'ERR_INVALID_ARG_TYPE'] as const
const WRONG_VALUE = [TypeError, 'ERR_INVALID_ARG_VALUE'] as const
const OUT_OF_RANGE = [RangeError, 'ERR_OUT_OF_RANGE'] as const

test.serial('an_unknown_option_is_refused_and_the_nearest_name_is_suggested', (t) => {
  for (const [name, nearest] of Object.entries({
    nodelay: 'noDelay',
    hostName: 'hostname',
    ports: 'port',
    sockets: 'socket',
    idletimeout: 'idleTimeout',
    maxConnection: 'maxConnections',
    backLog: 'backlog',
  })) {
    refuses(t, { [name]: 1 }, [
      ...WRONG_VALUE,
      `The property 'options.${name}' is not a known option (did you mean '${nearest}'?). Received 1`,
    ])
  }
  refuses(t, { xyzzyplugh: 1 }, [...WRONG_VALUE, "The property 'options.xyzzyplugh' is not a known option. Received 1"])
  refuses(t, { connectTimeout: 1 }, [...WRONG_VALUE, /options\.connectTimeout/])
})

test.serial('options_must_be_an_object', (t) => {
  for (const options of [undefined, null, 80, '80', () => {}])
    refuses(t, options, [...WRONG_TYPE, /^The "options" argument must be of type object\. Received /])
})

test.serial('a_port_must_be_a_number_from_0_to_65535', (t) => {
  for (const port of [-1, 65536, 1.5, Number.NaN, '80x', '', ' 80', '1e3', '-1', null, {}]) {
    refuses(t, { host: '127.0.0.1', port }, [
      RangeError,
      'ERR_SOCKET_BAD_PORT',
      /port should be >= 0 and < 65536\. Received /,
    ])
    refuses(t, { port }, [RangeError, 'ERR_SOCKET_BAD_PORT', /port should be >= 0 and < 65536\. Received /])
  }
})

test.serial('a_host_must_be_a_numeric_address', (t) => {
  for (const host of [5, null, {}, true])
    refuses(t, { host }, [...WRONG_TYPE, /host" \w+ must be of type string\. Received /])
  for (const host of ['', 'example.org', '256.0.0.1', '127.0.0.1:80', 'LOCALHOST']) {
    refuses(t, { host }, [
      ...WRONG_VALUE,
      /must be a numeric IPv4 or IPv6 address; for a name, pass the `listener` of Listener\.bindHost\. Received '/,
    ])
  }
})

test.serial('error_messages_use_the_option_name_that_was_given', (t) => {
  for (const name of ['host', 'hostname']) {
    refuses(t, { [name]: 'example.org' }, [...WRONG_VALUE, new RegExp(`options\\.${name}'`)])
  }
  for (const name of ['path', 'unix']) {
    refuses(t, { [name]: 5 }, [...WRONG_TYPE, new RegExp(`options\\.${name}"`)])
    refuses(t, { [name]: '' }, [...WRONG_VALUE, new RegExp(`options\\.${name}'`)])
    refuses(t, { [name]: 'x', port: 0 }, [
      ...WRONG_TYPE,
      new RegExp(`either listener, or fd, or path, or host and port\\. Received ${name}, port$`),
    ])
  }
})

test.serial('a_unix_path_must_be_short_and_not_empty', (t) => {
  for (const path of [5, null, Buffer.from('/x')]) refuses(t, { path }, [...WRONG_TYPE, /must be of type string/])
  refuses(t, { path: '' }, [...WRONG_VALUE, /must not be empty/])
  refuses(t, { path: 'a\0b' }, [...WRONG_VALUE, /NUL only as its first character/])
  refuses(t, { path: 'x'.repeat(108) }, [...WRONG_VALUE, /must have at most 107 bytes of UTF-8 and has 108/])
})

test.serial('only_one_kind_of_address_may_be_given', (t) => {
  for (const other of [{ port: 0 }, { host: '127.0.0.1' }, { host: 'localhost', port: 80 }]) {
    refuses(t, { path: '\0x', ...other }, [...WRONG_TYPE, /either .*host.* and port/])
    refuses(t, { fd: 1000, ...other }, [...WRONG_TYPE, /either .*host.* and port/])
  }
  refuses(t, { fd: 1000, path: '\0x' }, [...WRONG_TYPE, /either listener, or fd.*Received fd, path$/])
})

test.serial('handlers_must_be_functions_with_known_names', (t) => {
  for (const socket of [null, 5, 'data', () => {}])
    refuses(t, { socket }, [...WRONG_TYPE, /^The "options\.socket" property must be of type object\. Received /])
  for (const handler of [null, 5, 'f', {}])
    refuses(t, { socket: { data: handler } }, [
      ...WRONG_TYPE,
      /^The "options\.socket\.data" property must be a function\. Received /,
    ])
  refuses(t, { socket: { onData: () => {} } }, [
    ...WRONG_VALUE,
    /^The property 'options\.socket\.onData' is not a known handler \(did you mean 'data'\?\)/,
  ])
  refuses(t, { socket: { connection: () => {} } }, [...WRONG_VALUE, /options\.socket\.connection/])
})

test.serial('numeric_options_must_be_numbers_within_their_range', (t) => {
  const ranges: Record<string, readonly [bad: unknown[], wrong: unknown[]]> = {
    fd: [
      [-1, 1.5, 2 ** 31],
      ['3', null],
    ],
    backlog: [
      [-1, 1.5, 2 ** 31],
      ['3', null],
    ],
    maxConnections: [
      [0, -1, 1.5, 2 ** 31, Number.POSITIVE_INFINITY],
      ['3', null],
    ],
    idleTimeout: [
      [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY],
      ['3', null],
    ],
    sendQueueLimit: [
      [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY],
      ['3', null],
    ],
    highWaterMark: [
      [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY],
      ['3', null],
    ],
  }
  for (const [name, [bad, wrong]] of Object.entries(ranges)) {
    for (const value of bad) refuses(t, { [name]: value }, [...OUT_OF_RANGE, new RegExp(`${name}" is out of range\\.`)])
    for (const value of wrong)
      refuses(t, { [name]: value }, [...WRONG_TYPE, new RegExp(`${name}" \\w+ must be of type number\\.`)])
  }
})

test.serial('booleans_receiveInto_and_multiplexer_are_type_checked', (t) => {
  for (const value of [1, 'true', null]) {
    refuses(t, { allowHalfOpen: value }, [...WRONG_TYPE, /options\.allowHalfOpen.*boolean/])
    refuses(t, { noDelay: value }, [...WRONG_TYPE, /options\.noDelay.*boolean/])
  }
  for (const value of [5, 'buffer', [], new Uint8Array(0)])
    refuses(t, { receiveInto: value }, [...WRONG_TYPE, /options\.receiveInto.*Uint8Array/])
  for (const value of [5, {}, null])
    refuses(t, { multiplexer: value }, [...WRONG_TYPE, /options\.multiplexer.*a Multiplexer/])
  const closed = new Multiplexer()
  closed.close()
  refuses(t, { multiplexer: closed }, [SocketClosedError, 'ERR_SOCKET_CLOSED', /Multiplexer is closed/])
})

test.serial('the_error_for_a_port_in_use_names_the_port', (t) => {
  const { port } = testServer(t)
  refuses(t, { host: '127.0.0.1', port }, [SocketError, 'EADDRINUSE', `bind EADDRINUSE 127.0.0.1:${port}`])
  const error = t.throws(() => listen({ host: '127.0.0.1', port: port! }), { instanceOf: SocketError })
  t.like(error, { code: 'EADDRINUSE', syscall: 'bind', address: '127.0.0.1', port, errno: -constants.errno.EADDRINUSE })
})

test('the_error_for_a_path_in_use_names_the_path', (t) => {
  const { path } = testServer(t, { path: freePath(t) })
  const error = t.throws(() => listen({ path: path! }), { instanceOf: SocketError, message: `bind EADDRINUSE ${path}` })
  t.like(error, { code: 'EADDRINUSE', syscall: 'bind', address: path })
})

test.serial('errors_of_the_kernel_keep_their_code', (t) => {
  // An address reserved for documentation: RFC 5737.
  refuses(t, { host: '192.0.2.1' }, [SocketError, 'EADDRNOTAVAIL', 'bind EADDRNOTAVAIL 192.0.2.1'])
  refuses(t, { path: `${temporaryDirectory(t)}/none/socket` }, [SocketError, 'ENOENT', /^bind ENOENT /])
  refuses(t, { host: '127.0.0.1', congestion: 'nonesuch' }, [SocketError, 'ENOENT', /congestion|ENOENT/])
  refuses(t, { fd: 1_000_000 }, [SocketError, 'EBADF', /EBADF/])
})

test('reload_without_handlers_is_a_type_error_and_keeps_the_old_ones', async (t) => {
  const log = new HandlerLog()
  const server = testServer(t, { socket: log.handlers() })
  for (const wrong of [undefined, null, 5, {}, { handlers: {} }, { socket: null }, { socket: { date() {} } }])
    t.throws(() => server.reload(wrong as never), { instanceOf: TypeError, message: /options/ })
  const peer = await connectedSocket(t, server)
  peer.close()
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
})
