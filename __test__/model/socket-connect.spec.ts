import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import {
  type InetAddress,
  type Interest,
  Listener,
  Multiplexer,
  type ReadyEvent,
  Socket,
  SocketClosedError,
  SocketError,
} from 'm-socket'

import { start } from '../support/child.js'
import { openDescriptors, openSockets } from '../support/descriptors.js'
import {
  FAMILIES,
  addressOf,
  closeAtEnd,
  fillSendQueue,
  inetAddressOf,
  resetAtEnd,
  testListener,
} from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { sourceArguments } from '../support/runtime.js'
import { abstractName, freePath } from '../support/unix.js'
import {
  acceptNext,
  connectOutcome,
  nextEvent,
  receiveExactly,
  receiveToEnd,
  until,
  waitUntil,
} from '../support/waiting.js'

const byte = new Uint8Array(1)

/** The first event of a socket. */
async function firstEvent(t: ExecutionContext, socket: Socket, interest: Interest = 'rw'): Promise<ReadyEvent> {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(socket, interest)
  const [event] = await multiplexer.wait(10_000)
  if (!event) throw new Error('no event came')
  return event
}

/**
 * A listener with a full backlog: the kernel drops each SYN, so connects stay pending until a connection is accepted.
 */
async function fullListener(t: ExecutionContext): Promise<Listener> {
  const listener = testListener(t, 'IPv4', { port: freePort(), backlog: 0 })
  await connectOutcome(resetAtEnd(t, Socket.connect(addressOf(listener))))
  return listener
}

for (const family of FAMILIES) {
  test(`a_completed_connect_is_reported_as_writable (${family})`, async (t) => {
    const listener = testListener(t, family)
    const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
    t.is(client.state, 'connecting')
    const event = await firstEvent(t, client)
    t.is(event.target, client)
    t.like(event, { readable: false, writable: true, readEnded: false, hangup: false, error: false })
    t.is(client.state, 'open')
    t.deepEqual(client.remoteAddress, listener.address)
  })

  test(`data_sent_while_connecting_is_delivered_afterwards (${family})`, async (t) => {
    const listener = testListener(t, family)
    const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
    const statuses = [client.send('first, '), client.send([Buffer.from('second, '), Buffer.from('third')])]
    // send() asks the kernel for the outcome, and over the loopback the connect may have completed already.
    for (const status of statuses) t.true(status === 'queued' || status === 'sent')
    const server = resetAtEnd(t, await acceptNext(listener))
    t.is((await receiveExactly(server, 20)).toString(), 'first, second, third')
    t.is(client.queued, 0)
  })
}

test('connect_accepts_an_abstract_name', async (t) => {
  const path = abstractName()
  const listener = closeAtEnd(t, Listener.bind({ path }))
  const client = resetAtEnd(t, Socket.connect({ path }))
  client.send('hidden')
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveExactly(server, 6)).toString(), 'hidden')
  t.deepEqual(client.remoteAddress, { path })
})

test('the_default_host_is_the_loopback', async (t) => {
  const listener = testListener(t)
  const { port } = listener.address as InetAddress
  const client = resetAtEnd(t, Socket.connect({ port }))
  t.is(await connectOutcome(client), 'open')
  t.deepEqual(client.remoteAddress, { address: '127.0.0.1', family: 'IPv4', port })
})

test('connect_uses_the_given_local_address_and_port', async (t) => {
  const listener = testListener(t)
  const localPort = freePort()
  const from = { address: '127.0.0.2', family: 'IPv4', port: localPort }
  const client = resetAtEnd(t, Socket.connect({ ...inetAddressOf(listener), localAddress: '127.0.0.2', localPort }))
  const server = resetAtEnd(t, await acceptNext(listener))
  t.deepEqual(server.remoteAddress, from)
  t.deepEqual(client.localAddress, from)
})

test('localAddress_and_localPort_can_be_given_alone', async (t) => {
  const four = testListener(t, 'IPv4')
  resetAtEnd(t, Socket.connect({ ...inetAddressOf(four), localAddress: '127.0.0.7' }))
  t.like(resetAtEnd(t, await acceptNext(four)).remoteAddress, { address: '127.0.0.7' })
  const six = testListener(t, 'IPv6')
  const localPort = freePort()
  resetAtEnd(t, Socket.connect({ ...inetAddressOf(six), localPort }))
  t.deepEqual(resetAtEnd(t, await acceptNext(six)).remoteAddress, { address: '::1', family: 'IPv6', port: localPort })
})

test.serial('a_local_port_in_use_throws_at_once_and_leaks_no_socket', (t) => {
  const listener = testListener(t)
  const { port } = listener.address as InetAddress
  const before = openSockets().length
  const error = t.throws(
    () => Socket.connect({ ...inetAddressOf(listener), localAddress: '127.0.0.1', localPort: port }),
    {
      instanceOf: SocketError,
      code: 'EADDRINUSE',
      message: `bind EADDRINUSE 127.0.0.1:${port}`,
    },
  )
  t.like(error, { syscall: 'bind', address: '127.0.0.1', port })
  t.is(openSockets().length, before)
})

test.serial('a_local_address_of_another_host_throws_at_once', (t) => {
  const listener = testListener(t)
  const before = openSockets().length
  t.throws(() => Socket.connect({ ...inetAddressOf(listener), localAddress: '203.0.113.9' }), {
    instanceOf: SocketError,
    code: 'EADDRNOTAVAIL',
    message: 'bind EADDRNOTAVAIL 203.0.113.9',
  })
  t.is(openSockets().length, before)
})

// Failed connects

for (const host of ['127.0.0.1', '::1']) {
  test(`a_refused_connect_is_reported_with_error (${host})`, async (t) => {
    for (const [interest, flags] of [
      ['r', { readable: true, writable: false }],
      ['w', { readable: false, writable: true }],
      ['rw', { readable: true, writable: true }],
    ] as const) {
      const socket = resetAtEnd(t, Socket.connect({ host, port: freePort() }))
      t.is(socket.state, 'connecting')
      const event = await firstEvent(t, socket, interest)
      t.is(event.target, socket)
      t.like(event, { ...flags, error: true, hangup: true }, interest)
      t.is(socket.state, 'closed')
    }
  })

  test(`the_first_use_throws_the_connect_error_and_later_ones_find_it_closed (${host})`, async (t) => {
    const uses: [string, (socket: Socket) => unknown][] = [
      ['receive', (socket) => socket.receive(byte)],
      ['peek', (socket) => socket.peek(byte)],
      ['send', (socket) => socket.send('x')],
      ['shutdown', (socket) => socket.shutdown()],
    ]
    for (const [name, use] of uses) {
      const port = freePort()
      const socket = resetAtEnd(t, Socket.connect({ host, port }))
      await firstEvent(t, socket)
      const error = t.throws(() => use(socket), { instanceOf: SocketError, code: 'ECONNREFUSED' }, name)
      t.not(error?.constructor, SocketClosedError)
      t.like(error, { message: `connect ECONNREFUSED ${host}:${port}`, syscall: 'connect', address: host, port }, name)
      t.throws(() => socket.receive(byte), { instanceOf: SocketClosedError }, name)
      t.is(socket.send('x'), 'closed', name)
    }
  })
}

test('state_shows_a_failed_connect_without_a_multiplexer', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ port: freePort() }))
  t.is(socket.state, 'connecting')
  await until(() => socket.state === 'closed')
  t.true(socket.writeEnded)
  t.throws(() => socket.receive(byte), { code: 'ECONNREFUSED', message: /^connect / })
})

test('a_failed_connect_closes_its_descriptor_before_any_use', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ port: freePort() }))
  const link = openDescriptors().get(socket.fd)
  t.regex(link ?? '', /^socket:/)
  await until(() => socket.state === 'closed')
  t.is(socket.fd, -1)
  t.false([...openDescriptors().values()].includes(link!))
})

test('a_failed_connect_is_removed_from_its_multiplexer', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const socket = resetAtEnd(t, Socket.connect({ port: freePort() }))
  multiplexer.add(socket)
  const events = await multiplexer.wait(10_000)
  t.is(events.length, 1)
  t.deepEqual(multiplexer.poll(), [])
  t.throws(() => socket.receive(byte), { code: 'ECONNREFUSED' })
  t.notThrows(() => multiplexer.remove(socket))
})

test('a_failed_connect_drops_its_queue', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ port: freePort() }))
  try {
    socket.send('never read')
  } catch (error) {
    t.like(error, { code: 'ECONNREFUSED' })
  }
  await until(() => socket.state === 'closed')
  t.is(socket.queued, 0)
  t.is(socket.bytesSent, 0)
})

for (const [kind, code, path] of [
  ['without_a_file', 'ENOENT', (t: ExecutionContext) => freePath(t)],
  ['without_a_listener', 'ECONNREFUSED', abandonedPath],
  ['that_is_an_unused_abstract_name', 'ECONNREFUSED', abstractName],
] as const) {
  test(`connect_to_a_path_${kind}_fails`, async (t) => {
    const at = path(t)
    const shown = at.replace('\0', '@')
    const socket = resetAtEnd(t, Socket.connect({ path: at }))
    const event = await firstEvent(t, socket)
    t.like(event, { readable: true, writable: true, error: true })
    t.is(socket.state, 'closed')
    const error = t.throws(() => socket.send('x'), {
      instanceOf: SocketError,
      code,
      message: `connect ${code} ${shown}`,
    })
    t.like(error, { syscall: 'connect', address: at })
    t.is(socket.send('x'), 'closed')
  })
}

function abandonedPath(t: ExecutionContext): string {
  const path = freePath(t)
  Listener.bind({ path }).close()
  return path
}

test('connect_to_a_regular_file_fails', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ path: fileURLToPath(new URL(import.meta.url)) }))
  t.like(await firstEvent(t, socket), { error: true })
  t.throws(() => socket.receive(byte), { instanceOf: SocketError, code: 'ECONNREFUSED' })
})

test('a_self_connection_is_refused', async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const port = freePort()
    const socket = resetAtEnd(t, Socket.connect({ host, port, localAddress: host, localPort: port }))
    await until(() => socket.state !== 'connecting', socket)
    t.is(socket.state, 'closed')
    t.throws(() => socket.receive(byte), { code: 'ECONNREFUSED', message: `connect ECONNREFUSED ${host}:${port}` })
  }
})

// Pending connects

test('a_pending_connect_reports_no_event_and_has_no_data', async (t) => {
  const listener = await fullListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const multiplexer = closeAtEnd(t, new Multiplexer(socket))
  t.deepEqual(await multiplexer.wait(100), [])
  t.is(socket.state, 'connecting')
  t.is(socket.receive(byte), null)
  t.is(socket.peek(byte), null)
  t.is(socket.remoteAddress, undefined)
  t.is(socket.state, 'connecting')
})

test('the_queue_of_a_pending_connect_has_its_limit', async (t) => {
  const listener = await fullListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  socket.sendQueueLimit = 10
  t.deepEqual(
    ['12345', '67890', 'x'].map((piece) => socket.send(piece)),
    ['queued', 'queued', 'not-sent'],
  )
  t.is(socket.queued, 10)
  t.is(socket.bytesSent, 0)
  t.false(socket.flush())
})

test('the_queue_and_the_end_of_a_pending_connect_are_sent_without_a_multiplexer', async (t) => {
  const listener = await fullListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  t.is(socket.send('patience'), 'queued')
  socket.shutdown()
  t.true(socket.writeEnded)
  t.is(socket.send('x'), 'closed')
  resetAtEnd(t, await acceptNext(listener))
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveToEnd(server)).toString(), 'patience')
  t.is(server.send('well done'), 'sent')
  t.is((await receiveExactly(socket, 9)).toString(), 'well done')
})

test('the_peer_sees_a_shutdown_of_a_pending_connect', async (t) => {
  const listener = await fullListener(t)
  const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
  socket.shutdown()
  t.is(socket.state, 'connecting')
  resetAtEnd(t, await acceptNext(listener))
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveToEnd(server)).length, 0)
  t.is(socket.state, 'open')
})

test('connect_and_close_at_once_leave_no_descriptor', async (t) => {
  const listener = testListener(t)
  const full = await fullListener(t)
  const addresses = [addressOf(listener), addressOf(full), { port: freePort() }, { path: freePath(t) }]
  const links: string[] = []
  for (const address of addresses) {
    const socket = Socket.connect(address)
    links.push(openDescriptors().get(socket.fd) ?? 'gone')
    socket.close()
    t.is(socket.state, 'closed')
    socket.close()
  }
  const open = [...openDescriptors().values()]
  t.deepEqual(
    links.filter((link) => open.includes(link)),
    [],
  )
})

test('connect_send_and_close_deliver_everything_and_leave_no_descriptor', async (t) => {
  const listener = testListener(t)
  const socket = Socket.connect(addressOf(listener))
  const link = openDescriptors().get(socket.fd)!
  socket.send('in passing')
  socket.close()
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveToEnd(server)).toString(), 'in passing')
  await until(() => socket.state === 'closed')
  t.false([...openDescriptors().values()].includes(link))
})

test('a_closing_socket_whose_connect_fails_is_closed', async (t) => {
  const port = freePort()
  for (const watched of [false, true]) {
    const socket = resetAtEnd(t, Socket.connect({ port }))
    const multiplexer = closeAtEnd(t, new Multiplexer())
    if (watched) multiplexer.add(socket)
    try {
      socket.send('never read')
    } catch (error) {
      t.like(error, { code: 'ECONNREFUSED' })
    }
    socket.close()
    await waitUntil(multiplexer, () => socket.state === 'closed')
    t.is(socket.queued, 0)
  }
})

test('reset_aborts_a_pending_connect', async (t) => {
  const listener = await fullListener(t)
  const socket = Socket.connect(addressOf(listener))
  const link = openDescriptors().get(socket.fd)!
  socket.send('never')
  socket.close()
  t.is(socket.state, 'closing')
  socket.reset()
  t.is(socket.state, 'closed')
  t.false([...openDescriptors().values()].includes(link))
})

test('the_process_stays_alive_until_data_sent_while_connecting_is_out', async (t) => {
  const listener = await fullListener(t)
  const child = start(
    t,
    process.execPath,
    sourceArguments(`
    import { Socket } from 'm-socket'
    const socket = Socket.connect(${JSON.stringify(addressOf(listener))})
    socket.send('wait for me')
    socket.close()
    console.log(socket.state)`),
  )
  const exited = once(child, 'exit')
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  t.is(line.toString(), 'closing\n')
  resetAtEnd(t, await acceptNext(listener))
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveToEnd(server)).toString(), 'wait for me')
  t.deepEqual(await exited, [0, null])
})

for (const verb of ['send', 'receive'] as const) {
  test(`in_blocking_mode_${verb}_waits_for_the_connect_and_throws_its_error`, async (t) => {
    const listener = await fullListener(t)
    const { port } = listener.address as InetAddress
    const socket = resetAtEnd(t, Socket.connect(addressOf(listener)))
    t.is(socket.state, 'connecting')
    // The SYN was dropped; the retransmitted one, a second later, finds no listener.
    listener.close()
    socket.blocking = true
    const use = (): unknown => (verb === 'send' ? socket.send('x') : socket.receive(byte))
    t.throws(use, { instanceOf: SocketError, code: 'ECONNREFUSED', message: `connect ECONNREFUSED 127.0.0.1:${port}` })
    t.is(socket.state, 'closed')
    t.is(socket.send('x'), 'closed')
  })
}

test('connect_to_port_0_is_refused', async (t) => {
  const socket = resetAtEnd(t, Socket.connect({ port: 0 }))
  t.is(await connectOutcome(socket), 'closed')
  t.throws(() => socket.receive(byte), { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1' })
})

test('options_are_set_before_connecting', async (t) => {
  const listener = testListener(t)
  const socket = resetAtEnd(t, Socket.connect({ ...addressOf(listener), noDelay: true, synCount: 2, keepAlive: true }))
  t.true(socket.getOption('noDelay'))
  t.is(socket.getOption('synCount'), 2)
  t.truthy(socket.getOption('keepAlive'))
  t.is(await connectOutcome(socket), 'open')
})

test('a_connected_socket_sends_its_queue_and_receives', async (t) => {
  const listener = testListener(t)
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const server = resetAtEnd(t, await acceptNext(listener))
  await connectOutcome(client)
  const taken = fillSendQueue(client)
  t.is((await receiveExactly(server, taken)).length, taken)
  t.is(server.send('back'), 'sent')
  await nextEvent(client, 'r')
  t.is(client.receive(Buffer.alloc(100)), 4)
})
