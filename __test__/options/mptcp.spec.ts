import { randomBytes } from 'node:crypto'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import nodeNet from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { buffer, text } from 'node:stream/consumers'

import test from 'ava'
import {
  Listener,
  OPTION_NAMES,
  SETTABLE_OPTION_NAMES,
  Socket,
  TCP_INFO_FIELDS,
  connect,
  listen,
  relay,
} from 'm-socket'
import net from 'm-socket/net'

import * as kernel from '../../lib/options/constants.js'
import { eventOf } from '../support/both-nets.js'
import { outcomeOf, start } from '../support/child.js'
import { ROOT } from '../support/code-blocks.js'
import { closeAtEnd, connectedPair, inetAddressOf, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { runUnderStrace } from '../support/strace.js'
import { freePath, temporaryDirectory } from '../support/unix.js'
import { acceptNext, connectOutcome, until } from '../support/waiting.js'

/** Whether this kernel has it; it can also be switched off. */
const HAS_MPTCP = isOne('/proc/sys/net/mptcp/enabled')

function isOne(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').trim() === '1'
  } catch {
    return false
  }
}

const testWithMptcp = HAS_MPTCP ? test : test.skip

/** Which ends ask for it: only where both do the connection has it. */
const ENDS = [true, false].flatMap((listener) => [true, false].map((client) => ({ listener, client })))

for (const host of ['127.0.0.1', '::1']) {
  for (const { listener: at, client: of } of ENDS) {
    testWithMptcp(`both_ends_know_what_came_of_it: ${host} listener ${at} client ${of}`, async (t) => {
      const listener = testListener(t, host === '::1' ? 'IPv6' : 'IPv4', { mptcp: at })
      t.is(listener.getOption('mptcp'), at)
      const client = resetAtEnd(t, Socket.connect({ ...inetAddressOf(listener), mptcp: of }))
      const server = resetAtEnd(t, await acceptNext(listener))
      t.is(await connectOutcome(client), 'open')
      client.send('x')
      await until(() => server.peek(Buffer.alloc(1)) === 1, server)
      const has = at && of
      t.deepEqual([server.getOption('mptcp'), server.info().mptcp], [has, has])
      t.deepEqual([client.getOption('mptcp'), client.info().mptcp], [has, has])
      t.is(client.info().state, 'established')
    })
  }
}

testWithMptcp('it_is_what_the_kernel_says_of_the_protocol', async (t) => {
  const { client } = await connectedPair(t, 'IPv4', { client: { mptcp: true }, listener: { mptcp: true } })
  t.is(client.getsockopt(kernel.SOL_SOCKET, kernel.SO_PROTOCOL).readInt32LE(), kernel.IPPROTO_MPTCP)
})

testWithMptcp('what_is_sent_arrives_with_handlers_streams_files_and_a_relay', async (t) => {
  const sent = randomBytes(3_000_000)
  const path = join(temporaryDirectory(t), 'file')
  writeFileSync(path, sent)
  const target = listen({
    host: '127.0.0.1',
    mptcp: true,
    allowHalfOpen: true,
    socket: {
      async open(connection) {
        await connection.sendFile(openSync(path, 'r'))
        connection.end()
      },
    },
  })
  const proxy = listen({
    host: '127.0.0.1',
    mptcp: true,
    allowHalfOpen: true,
    socket: {
      async open(client) {
        await relay(client, await connect({ host: '127.0.0.1', port: target.port, mptcp: true }))
      },
    },
  })
  t.teardown(() => [target, proxy].forEach((server) => server.stop(true)))
  const stream = net.connect({ host: '127.0.0.1', port: proxy.port!, mptcp: true })
  stream.end()
  t.true((await buffer(stream)).equals(sent))
})

testWithMptcp('a_reset_goes_on_as_a_reset', async (t) => {
  const { client, server } = await connectedPair(t, 'IPv4', { client: { mptcp: true }, listener: { mptcp: true } })
  client.send('x')
  const into = Buffer.alloc(1)
  await until(() => server.receive(into) === 1, server)
  client.reset()
  await t.throwsAsync(
    until(() => server.receive(into) === 0, server),
    { code: 'ECONNRESET' },
  )
})

testWithMptcp('a_refused_connect_is_reported_as_ever', async (t) => {
  const listener = testListener(t)
  const { host, port } = inetAddressOf(listener)
  listener.close()
  await t.throwsAsync(connect({ host, port, mptcp: true }), { code: 'ECONNREFUSED', message: /connect ECONNREFUSED/ })
})

testWithMptcp('listen_connect_and_net_take_it', async (t) => {
  const opened: boolean[] = []
  const server = listen({
    host: '127.0.0.1',
    mptcp: true,
    socket: {
      data(connection) {
        opened.push(connection.socket!.info().mptcp)
        connection.end('x')
      },
    },
  })
  t.teardown(() => server.stop(true))
  const to = { host: 'localhost', port: server.port!, mptcp: true }
  const connection = await connect(to)
  connection.write('x')
  await connection.read(Buffer.alloc(1))
  t.true(connection.socket!.getOption('mptcp'))
  connection.end()

  const stream = net.connect(to)
  stream.write('x')
  await eventOf(stream, 'data')
  t.true(stream.socket!.getOption('mptcp'))
  stream.destroy()

  const ours = net.createServer((socket) => socket.pipe(socket))
  await new Promise<void>((resolve) => void ours.listen({ host: '127.0.0.1', port: 0, mptcp: true }, resolve))
  t.teardown(() => ours.close())
  const again = await connect({ host: '127.0.0.1', port: (ours.address() as nodeNet.AddressInfo).port, mptcp: true })
  again.write('x')
  await again.read(Buffer.alloc(1))
  t.true(again.socket!.getOption('mptcp'))
  again.end()
  t.deepEqual(opened, [true, true])
})

testWithMptcp('a_peer_of_node_net_is_served_by_TCP', async (t) => {
  const server = listen({
    host: '127.0.0.1',
    mptcp: true,
    socket: { data: (connection) => void connection.end(String(connection.socket!.info().mptcp)) },
  })
  t.teardown(() => server.stop(true))
  t.is(await text(nodeNet.connect(server.port!, '127.0.0.1').end('x')), 'false')
})

/** What the kernel refuses on a socket of Multipath TCP, in Linux 6.18: docs/options.md. */
const REFUSED = ['oobInline', 'maxPacingRate', 'synCount', 'windowClamp', 'quickAck', 'userTimeout']
/** As {@link REFUSED}, of one of IPv6. */
const REFUSED_BY_IPV6 = [...REFUSED, 'typeOfService']

testWithMptcp('options_work_but_for_those_that_the_kernel_refuses', (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const listener = closeAtEnd(t, Listener.bind({ host, mptcp: true }))
    const refused = host === '::1' ? REFUSED_BY_IPV6 : REFUSED
    const plain = closeAtEnd(t, Listener.bind({ host }))
    for (const name of SETTABLE_OPTION_NAMES) {
      const set = (on: Listener) => {
        try {
          on.setOption(name, on.getOption(name) as never)
          return 'set'
        } catch (error) {
          return (error as { code: string }).code
        }
      }
      if (set(plain) !== 'set') continue
      const outcome = set(listener)
      if (outcome !== 'set') t.true(refused.includes(name), `${host} ${name}: ${outcome}`)
    }
  }
})

test('info_has_it_beside_the_numbers', async (t) => {
  const { client } = await connectedPair(t)
  t.deepEqual(Object.keys(client.info()), [...TCP_INFO_FIELDS, 'mptcp'])
  t.false(client.info().mptcp)
  t.false((TCP_INFO_FIELDS as readonly string[]).includes('mptcp'))
})

test('it_can_be_read_and_not_be_set', async (t) => {
  t.true(OPTION_NAMES.includes('mptcp'))
  t.false((SETTABLE_OPTION_NAMES as readonly string[]).includes('mptcp'))
  const { client } = await connectedPair(t, 'unix')
  t.false(client.getOption('mptcp'))
  t.throws(() => client.setOption('mptcp' as never, true as never), { code: 'ERR_INVALID_ARG_VALUE' })
  client.close()
  t.throws(() => client.getOption('mptcp'), { code: 'ERR_SOCKET_CLOSED' })
})

test('it_is_a_boolean_and_for_a_new_Internet_socket_alone', async (t) => {
  const path = freePath(t)
  const listener = testListener(t)
  const { host, port } = inetAddressOf(listener)
  const type = { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }
  const value = {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: /is for a new socket of an Internet address/,
  }
  for (const mptcp of [1, 'true', null, {}] as never[]) {
    t.throws(() => Listener.bind({ host, mptcp }), type)
    t.throws(() => Socket.connect({ host, port, mptcp }), type)
    t.throws(() => listen({ host, mptcp }), type)
    await t.throwsAsync(connect({ host, port, mptcp }), type)
    await t.throwsAsync(Listener.bindHost({ host, mptcp }), type)
    t.throws(() => net.createServer().listen({ host, port: 0, mptcp }), type)
    t.throws(() => net.connect({ host, port, mptcp }), type)
  }
  const mptcp = true as never
  t.throws(() => Listener.bind({ path, mptcp }), value)
  t.throws(() => Listener.bind({ fd: listener.fd, mptcp }), value)
  t.throws(() => Socket.connect({ path, mptcp }), value)
  t.throws(() => listen({ path, mptcp }), value)
  t.throws(() => listen({ listener, mptcp }), value)
  t.throws(() => listen({ fd: listener.fd, mptcp }), value)
  await t.throwsAsync(connect({ path, mptcp }), value)
  t.throws(() => net.createServer().listen({ path, mptcp }), value)
  t.throws(() => net.connect({ path, mptcp }), value)
  t.false(existsSync(path))
  listen({ path, mptcp: false }).stop()
})

/** What a program prints of a listener and of a client that both ask for it. */
const PROGRAM = `
import { Listener, Socket } from 'm-socket'
const report = (act) => { try { return act() } catch (error) { return error.code } }
const listener = Listener.bind({ host: '127.0.0.1' })
const { port } = listener.address
console.log(report(() => Listener.bind({ host: '127.0.0.1', mptcp: true }).getOption('mptcp')))
console.log(report(() => Socket.connect({ host: '127.0.0.1', port, mptcp: true }).getOption('mptcp')))
process.exit()`

for (const errno of ['EPROTONOSUPPORT', 'ENOPROTOOPT', 'EINVAL', 'EACCES', 'EPERM']) {
  testWith(['strace'], `without_it_in_the_kernel_a_socket_is_one_of_TCP: ${errno}`, async (t) => {
    const faults = `socket:error=${errno}:when=2..4+2`
    const { stdout, stderr, calls } = await runUnderStrace(t, PROGRAM, 'socket', faults)
    t.is(stdout, 'false\nfalse\n', stderr)
    t.is(calls.filter((call) => call.includes('MPTCP')).length, 2)
  })
}

for (const errno of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EAFNOSUPPORT']) {
  testWith(['strace'], `what_no_socket_is_opened_for_is_thrown: ${errno}`, async (t) => {
    const { stdout, stderr } = await runUnderStrace(t, PROGRAM, 'socket', `socket:error=${errno}:when=2+`)
    t.is(stdout, `${errno}\n${errno}\n`, stderr)
  })
}

if (HAS_MPTCP) {
  testWith(['unshare', 'ip'], 'where_it_is_switched_off_a_socket_is_one_of_TCP', async (t) => {
    const off = 'ip link set lo up && echo 0 > /proc/sys/net/mptcp/enabled && exec "$0" "$@"'
    const args = ['--net', 'sh', '-c', off, process.execPath, ...sourceArguments(PROGRAM)]
    const { stdout, stderr } = await outcomeOf(
      start(t, 'unshare', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: ROOT }),
    )
    t.is(stdout, 'false\nfalse\n', stderr)
  })
}
