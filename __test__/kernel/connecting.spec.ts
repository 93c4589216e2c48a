import test, { type ExecutionContext } from 'ava'
import { Listener, Multiplexer, Socket, SocketError, connect } from 'm-socket'

import { run } from '../support/fixture.js'
import { addressOf, closeAtEnd, inetAddressOf, resetAtEnd, testListener } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { runUnderStrace } from '../support/strace.js'
import { abstractName } from '../support/unix.js'
import { connectOutcome, until } from '../support/waiting.js'

test('truth 18: connected_means_writable_without_error_and_with_a_peer_address', async (t) => {
  const listener = testListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  t.is(socket.state, 'connecting')
  using multiplexer = new Multiplexer(socket)
  const [event] = await multiplexer.wait(5000)
  t.true(event!.writable)
  t.false(event!.hangup || event!.error)
  t.is(socket.state, 'open')
  t.deepEqual(socket.remoteAddress, listener.address)
})

test('truth 18: a_refused_unix_connect_is_closed_although_it_is_writable', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ path: abstractName() }))
  t.is(socket.state, 'connecting')
  using multiplexer = new Multiplexer(socket)
  const [event] = await multiplexer.wait(5000)
  t.true(event!.error)
  t.is(socket.state, 'closed')
  t.throws(() => socket.send('x'), { instanceOf: SocketError, code: 'ECONNREFUSED' })
})

testWith(['strace'], 'truth 19: an_interrupted_connect_continues_and_is_not_retried', async (t) => {
  const source = `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const socket = Socket.connect({ host: '127.0.0.1', port: listener.address.port })
    console.log(socket.state)
    socket.close()
    process.exit()`
  const node = [process.execPath, ...sourceArguments(source)]
  const { code, stdout, stderr } = await run(
    t,
    'strace',
    ['-f', '-e', 'trace=connect', '-e', 'inject=connect:error=EINTR', ...node],
    {
      cwd: new URL('../..', import.meta.url),
    },
  )
  t.is(code, 0, stderr)
  t.is(stdout, 'connecting\n')
  t.is(stderr.split('connect(').length - 1, 1)
})

test('truth 19: a_failed_connect_closes_its_descriptor', async (t) => {
  const listener = testListener(t)
  const address = addressOf(listener)
  listener.close()
  const socket = resetAtEnd(t, Socket.connect(address))
  t.is(await connectOutcome(socket), 'closed')
  t.is(socket.fd, -1)
})

test('truth 20: a_full_unix_backlog_fails_with_EAGAIN', async (t) => {
  const path = abstractName()
  const listener = closeAtEnd(t, Listener.bind({ path, backlog: 1 }))
  const sockets = Array.from({ length: 4 }, () => resetAtEnd(t, Socket.connect({ path })))
  const outcomes = await Promise.all(sockets.map(connectOutcome))
  t.deepEqual(outcomes.slice(0, 2), ['open', 'open'])
  t.is(outcomes[3], 'closed')
  t.throws(() => sockets[3]!.receive(Buffer.alloc(1)), {
    instanceOf: SocketError,
    code: 'EAGAIN',
    message: /^connect EAGAIN/,
  })
  t.truthy(listener.accept())
})

test('truth 21: a_self_connection_is_refused', async (t) => {
  const port = freePort()
  const socket = resetAtEnd(
    t,
    Socket.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1', localPort: port, reuseAddress: true }),
  )
  await until(() => socket.state !== 'connecting', socket)
  t.is(socket.state, 'closed')
  t.throws(() => socket.receive(Buffer.alloc(1)), {
    instanceOf: SocketError,
    code: 'ECONNREFUSED',
    message: /^connect ECONNREFUSED/,
  })
})

for (const host of ['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1']) {
  const connects: [name: string, connect: (port: number) => unknown][] = [
    ['connect', (port) => connect({ host, port, localPort: port }).catch((error) => error.code)],
    ['Socket.connect', (port) => connectOutcome(selfConnect(port))],
    ['Socket.connect, queued', (port) => (void selfConnect(port).send('x'), 'closed')],
    ['Socket.connect, closed at once', (port) => (selfConnect(port).close(), 'closed')],
  ]
  const selfConnect = (port: number) => Socket.connect({ host, port, localAddress: host, localPort: port })
  for (const [name, connectTo] of connects) {
    test(`truth 21: the_port_of_a_refused_self_connection_is_free_at_once: ${name}, ${host}`, async (t) => {
      const port = freePort()
      let outcome
      try {
        outcome = await connectTo(port)
      } catch (error) {
        outcome = (error as NodeJS.ErrnoException).code
      }
      t.regex(String(outcome), /closed|ECONNREFUSED/)
      closeAtEnd(t, Listener.bind({ host, port }))
    })
  }
}

/** Binds to a local port, with SO_REUSEADDR, and connects. */
function connectFrom(t: ExecutionContext, localPort: number, to: Listener): Socket {
  return resetAtEnd(t, Socket.connect({ ...inetAddressOf(to), localPort, reuseAddress: true }))
}

test('truth 44: sockets_with_SO_REUSEADDR_share_a_local_port_to_different_peers', async (t) => {
  const localPort = freePort()
  const peers = [testListener(t), testListener(t), testListener(t, 'IPv6'), testListener(t, 'IPv6')]
  const sockets = peers.map((peer) => connectFrom(t, localPort, peer))
  t.deepEqual(await Promise.all(sockets.map(connectOutcome)), ['open', 'open', 'open', 'open'])
  const again = connectFrom(t, localPort, peers[0]!)
  t.throws(() => again.receive(Buffer.alloc(1)), { code: 'EADDRNOTAVAIL', message: /^connect EADDRNOTAVAIL/ })
})

test('truth 44: a_local_port_that_is_listened_on_is_in_use', (t) => {
  const peer = testListener(t)
  for (const family of ['IPv4', 'IPv6'] as const) {
    const { port } = inetAddressOf(testListener(t, family))
    const localAddress = family === 'IPv4' ? '127.0.0.1' : '::1'
    const to = inetAddressOf(family === 'IPv4' ? peer : testListener(t, 'IPv6'))
    t.throws(() => Socket.connect({ ...to, localAddress, localPort: port, reuseAddress: true }), {
      code: 'EADDRINUSE',
      message: /^bind EADDRINUSE/,
    })
  }
})

/** Two ephemeral ports, and as many connections to each of two servers from addresses without a port. */
const FEW_PORTS = `
  import { writeFileSync } from 'node:fs'
  import { Listener, Socket } from 'm-socket'
  writeFileSync('/proc/sys/net/ipv4/ip_local_port_range', '50000 50001')
  const kept = []
  for (const [host, localAddress] of [['127.0.0.1', '127.0.0.9'], ['::1', '::1'], ['::ffff:127.0.0.1', '::ffff:127.0.0.8']]) {
    for (const port of [2100, 2101]) {
      const listener = Listener.bind({ host, port })
      const sockets = [1, 2].map(() => Socket.connect({ host, port, localAddress }))
      kept.push(listener, ...sockets)
      console.log(sockets.map((socket) => [socket.localAddress.address, socket.localAddress.port].join()).sort().join(' '))
    }
    for (const each of kept.splice(0)) each.reset?.() ?? each.close()
  }
  process.exit()
`

testWith(['ip', 'unshare'], 'truth 45: connect_chooses_a_port_that_is_free_to_that_peer', async (t) => {
  const { stdout, stderr } = await run(
    t,
    'unshare',
    ['--net', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"', process.execPath, ...sourceArguments(FEW_PORTS)],
    { cwd: new URL('../..', import.meta.url) },
  )
  const lines = ['127.0.0.9', '::1', '::ffff:127.0.0.8'].map((address) => `${address},50000 ${address},50001`)
  t.is(stdout, lines.map((line) => `${line}\n${line}\n`).join(''), stderr)
})

testWith(
  ['strace', 'python3'],
  'truth 18: an_interrupted_connect_is_pending_until_it_completes (truth 19)',
  async (t) => {
    // The injected EINTR keeps connect(2) from reaching the kernel, so the socket reports OUT|HUP as any new one does.
    // Another process then connects the same open socket, as the kernel would in the background.
    const { code, stdout, stderr, calls } = await runUnderStrace(
      t,
      `
    import { spawnSync } from 'node:child_process'
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const { port } = listener.address
    const results = []
    const client = Socket.connect({ port })
    const multiplexer = new Multiplexer(client)
    const cpu = process.cpuUsage()
    results.push((await multiplexer.wait(300)).length)
    const { user, system } = process.cpuUsage(cpu)
    results.push(user + system < 150_000, client.state, client.remoteAddress === undefined, client.send('queued'))
    const program = 'import socket; socket.socket(fileno=3).connect_ex(("127.0.0.1", ' + port + '))'
    const { status } = spawnSync('python3', ['-c', program], { stdio: ['ignore', 'ignore', 'inherit', client.fd] })
    results.push(status)
    while (client.queued > 0) await multiplexer.wait(50)
    results.push(client.state, client.remoteAddress.port === port)
    const server = listener.accept()
    const into = Buffer.alloc(10)
    while (server.peek(into) !== 6) await new Promise((resolve) => setTimeout(resolve, 1))
    results.push(into.toString('latin1', 0, 6))
    console.log(JSON.stringify(results))
    process.exit()`,
      'connect',
      'connect:error=EINTR:when=1',
    )
    t.is(code, 0, stderr)
    t.deepEqual(JSON.parse(stdout), [0, true, 'connecting', true, 'queued', 0, 'open', true, 'queued'])
    t.is(calls.filter((call) => call.includes('EINTR')).length, 1, calls.join('\n'))
  },
)
