import test from 'ava'
import { type InetAddress, Listener, Multiplexer, Socket, SocketClosedError, SocketError } from 'm-socket'

import { runModule } from '../support/child.js'
import { descriptorFlags, openDescriptors, openObjects, openSockets } from '../support/descriptors.js'
import { mockLookup } from '../support/dns.js'
import { FAMILIES, addressOf, closeAtEnd, resetAtEnd, testListener } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { abstractName, freePath } from '../support/unix.js'
import { acceptNext, connectOutcome, until } from '../support/waiting.js'

const portOf = (listener: Listener): number => (listener.address as InetAddress).port

test('the_default_is_dual_stack_on_an_ephemeral_port', async (t) => {
  const listener = closeAtEnd(t, Listener.bind())
  const { address, family, port } = listener.address as InetAddress
  t.deepEqual({ address, family }, { address: '::', family: 'IPv6' })
  t.true(port > 0)
  for (const [host, remote] of [
    ['127.0.0.1', '::ffff:127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    resetAtEnd(t, Socket.connect({ host, port }))
    const accepted = resetAtEnd(t, await acceptNext(listener))
    t.like(accepted.remoteAddress, { address: remote, family: 'IPv6' })
  }
})

test('ipv6Only_leaves_the_port_free_on_ipv4', (t) => {
  const { six, four } = bindOnePortTwice()
  closeAtEnd(t, six)
  closeAtEnd(t, four)
  t.deepEqual(four.address, { address: '0.0.0.0', family: 'IPv4', port: portOf(six) })
})

test('address_is_the_bound_address', (t) => {
  const path = freePath(t)
  const name = abstractName()
  t.like(closeAtEnd(t, Listener.bind({ host: '127.0.0.3' })).address, { address: '127.0.0.3', family: 'IPv4' })
  t.like(closeAtEnd(t, Listener.bind({ host: '::1' })).address, { address: '::1', family: 'IPv6' })
  t.deepEqual(closeAtEnd(t, Listener.bind({ path })).address, { path })
  t.deepEqual(closeAtEnd(t, Listener.bind({ path: name })).address, { path: name })
})

for (const family of FAMILIES) {
  test(`accept_returns_one_connection_at_a_time_and_then_null (${family})`, async (t) => {
    const listener = testListener(t, family)
    t.is(listener.accept(), null)
    const clients = [1, 2, 3].map(() => resetAtEnd(t, Socket.connect(addressOf(listener))))
    await Promise.all(clients.map(connectOutcome))
    const accepted = clients.map(() => listener.accept())
    t.is(listener.accept(), null)
    for (const [index, socket] of accepted.entries()) {
      if (!socket) return t.fail('all three connections were waiting')
      resetAtEnd(t, socket)
      t.is(socket.state, 'open')
      t.deepEqual(socket.remoteAddress, clients[index]?.localAddress)
    }
  })

  test(`listeners_and_accepted_sockets_are_non_blocking_and_close_on_exec (${family})`, async (t) => {
    const listener = testListener(t, family)
    resetAtEnd(t, Socket.connect(addressOf(listener)))
    const accepted = resetAtEnd(t, await acceptNext(listener))
    for (const { fd } of [listener, accepted]) {
      t.deepEqual(descriptorFlags(fd), { closeOnExec: true, nonBlocking: true })
    }
  })
}

test('a_new_connection_makes_a_listener_readable', async (t) => {
  t.plan(4)
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(listener))
  t.deepEqual(await multiplexer.wait(20), [])
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  const [event] = await multiplexer.wait(10_000)
  t.is(event?.target, listener)
  t.like(event, { readable: true, writable: false, readEnded: false, hangup: false, error: false })
  const socket = listener.accept()
  t.true(socket instanceof Socket)
  socket?.reset()
})

test.serial('an_address_in_use_throws_with_the_address_and_leaks_no_socket', (t) => {
  const first = testListener(t)
  const before = openSockets().length
  const error = t.throws(() => Listener.bind({ host: '127.0.0.1', port: portOf(first) }), {
    instanceOf: SocketError,
    code: 'EADDRINUSE',
  })
  t.like(error, { address: '127.0.0.1', port: portOf(first) })
  t.is(openSockets().length, before)
})

test('a_path_in_use_throws_with_the_path', (t) => {
  const path = freePath(t)
  closeAtEnd(t, Listener.bind({ path }))
  const error = t.throws(() => Listener.bind({ path }), { instanceOf: SocketError, code: 'EADDRINUSE' })
  t.like(error, { syscall: 'bind', address: path, message: `bind EADDRINUSE ${path}` })
})

test('reusePort_lets_several_listeners_share_a_port', (t) => {
  const first = closeAtEnd(t, Listener.bind({ host: '127.0.0.1', reusePort: true }))
  const second = closeAtEnd(t, Listener.bind({ host: '127.0.0.1', port: portOf(first), reusePort: true }))
  t.deepEqual(second.address, first.address)
  t.throws(() => Listener.bind({ host: '127.0.0.1', port: portOf(first) }), { code: 'EADDRINUSE' })
})

test('a_restarted_server_can_bind_its_port_during_TIME_WAIT', async (t) => {
  const port = freePort()
  const listener = testListener(t, 'IPv4', { port })
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const accepted = await acceptNext(listener)
  listener.close()
  // The side that closes first keeps the port in TIME_WAIT.
  accepted.close()
  await until(() => client.receive(new Uint8Array(1)) === 0, client)
  client.close()
  t.is(portOf(closeAtEnd(t, Listener.bind({ host: '127.0.0.1', port }))), port)
  t.throws(() => Listener.bind({ host: '127.0.0.1', port, reuseAddress: false }), { code: 'EADDRINUSE' })
})

test('backlog_limits_the_waiting_connections', async (t) => {
  const listener = testListener(t, 'unix', { backlog: 1 })
  // A Unix socket, unix(7), admits one connection more than the backlog of listen(2).
  const states = []
  for (let count = 0; count < 4; count++) {
    states.push(await connectOutcome(resetAtEnd(t, Socket.connect(addressOf(listener)))))
  }
  t.deepEqual(states, ['open', 'open', 'closed', 'closed'])
})

test('close_frees_descriptor_and_port_and_can_be_repeated', (t) => {
  const port = freePort()
  const listener = testListener(t, 'IPv4', { port })
  const link = openDescriptors().get(listener.fd)!
  t.regex(link, /^socket:/)
  listener.close()
  listener.close()
  t.false(openObjects().includes(link))
  t.is(listener.fd, -1)
  t.is(listener.address, undefined)
  t.throws(() => listener.accept(), { instanceOf: SocketClosedError, code: 'ERR_SOCKET_CLOSED', message: /accept/ })
  t.notThrows(() => Listener.bind({ host: '127.0.0.1', port, reuseAddress: false }).close())
})

test('using_closes_the_listener', (t) => {
  let link
  {
    using listener = Listener.bind({ host: '127.0.0.1' })
    link = openDescriptors().get(listener.fd)!
    t.regex(link, /^socket:/)
  }
  t.false(openObjects().includes(link))
})

test('close_resets_connections_that_were_not_accepted', async (t) => {
  t.plan(2)
  const listener = testListener(t)
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  t.is(await connectOutcome(client), 'open')
  listener.close()
  await t.throwsAsync(
    until(() => client.receive(new Uint8Array(1)) !== null, client),
    { code: 'ECONNRESET' },
  )
})

test('close_removes_the_listener_from_its_multiplexer_and_clears_its_event', async (t) => {
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(listener))
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  const [event] = await multiplexer.wait(10_000)
  t.true(event?.readable)
  listener.close()
  t.false(event?.readable)
  t.deepEqual(multiplexer.poll(), [])
  t.notThrows(() => multiplexer.remove(listener))
})

test('iteration_yields_connections_and_break_leaves_the_listener_open', async (t) => {
  t.plan(4)
  const listener = testListener(t)
  const clients: Socket[] = []
  const connect = (): unknown => clients.push(resetAtEnd(t, Socket.connect(addressOf(listener))))
  connect()
  for await (const socket of listener) {
    t.deepEqual(resetAtEnd(t, socket).remoteAddress, clients.at(-1)?.localAddress)
    if (clients.length === 3) break
    setTimeout(connect, 10)
  }
  connect()
  const last = resetAtEnd(t, await acceptNext(listener))
  t.deepEqual(last.remoteAddress, clients.at(-1)?.localAddress)
})

test('close_ends_a_pending_iteration', async (t) => {
  const listener = testListener(t)
  setTimeout(() => listener.close(), 10)
  let accepted = 0
  for await (const socket of listener) {
    socket.reset()
    accepted++
  }
  t.is(accepted, 0)
  t.is(listener.fd, -1)
})

test('a_new_iteration_yields_connections_that_came_in_between', async (t) => {
  const listener = testListener(t)
  const clients: Socket[] = []
  for (let round = 0; round < 3; round++) {
    clients.push(resetAtEnd(t, Socket.connect(addressOf(listener))))
    for await (const socket of listener) {
      t.deepEqual(resetAtEnd(t, socket).remoteAddress, clients.at(-1)?.localAddress)
      break
    }
  }
})

test('iterating_a_listener_in_a_multiplexer_is_rejected', async (t) => {
  const listener = testListener(t)
  closeAtEnd(t, new Multiplexer(listener))
  await t.throwsAsync(listener[Symbol.asyncIterator]().next(), {
    instanceOf: SocketError,
    code: 'EEXIST',
    message: /multiplexer/,
  })
})

test('a_second_concurrent_iteration_is_rejected', async (t) => {
  const listener = testListener(t)
  const first = listener[Symbol.asyncIterator]()
  const pending = first.next()
  await t.throwsAsync(listener[Symbol.asyncIterator]().next(), { code: 'EEXIST' })
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const { value } = await pending
  t.deepEqual((value as Socket).remoteAddress, client.localAddress)
  ;(value as Socket).reset()
  await first.return()
})

test('a_pending_iteration_keeps_the_process_alive_unless_it_is_unreferenced', async (t) => {
  const source = (then: string): string => `
    import { Listener } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    ${then}
    const iterate = async () => {
      for await (const socket of listener) socket.reset()
      console.log('closed')
    }
    void iterate()`
  const unreferenced = await runModule(t, source('listener.unref()'))
  t.deepEqual({ code: unreferenced.code, stdout: unreferenced.stdout }, { code: 0, stdout: '' })
  const referenced = await runModule(t, source('setTimeout(() => listener.close(), 300).unref()'))
  t.deepEqual({ code: referenced.code, stdout: referenced.stdout }, { code: 0, stdout: 'closed\n' })
  const referencedAgain = await runModule(
    t,
    source('listener.unref().ref(); setTimeout(() => listener.close(), 300).unref()'),
  )
  t.deepEqual({ code: referencedAgain.code, stdout: referencedAgain.stdout }, { code: 0, stdout: 'closed\n' })
})

test('an_idle_listener_does_not_keep_the_process_alive', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `
    import { Listener } from 'm-socket'
    globalThis.listener = Listener.bind({ host: '127.0.0.1' })
    console.log(listener.address.address)`,
  )
  t.deepEqual({ code, stdout }, { code: 0, stdout: '127.0.0.1\n' })
})

test('bindHost_resolves_a_host_name', async (t) => {
  const listener = closeAtEnd(t, await Listener.bindHost({ host: 'localhost' }))
  const { address, port } = listener.address as InetAddress
  t.true(['127.0.0.1', '::1'].includes(address))
  const client = resetAtEnd(t, Socket.connect({ host: address, port }))
  t.is(await connectOutcome(client), 'open')
})

test('bindHost_accepts_a_numeric_address', async (t) => {
  const listener = closeAtEnd(t, await Listener.bindHost({ host: '127.0.0.4' }))
  t.like(listener.address, { address: '127.0.0.4', family: 'IPv4' })
})

// 203.0.113.0/24 and 2001:db8::/32 are reserved for documentation (RFC 5737, RFC 3849): no host has them.
test.serial('bindHost_tries_every_address_in_turn', async (t) => {
  mockLookup(t, { 'several.example': ['203.0.113.1', '2001:db8::1', '127.0.0.5', '127.0.0.6'] })
  const before = openSockets().length
  const listener = closeAtEnd(t, await Listener.bindHost({ host: 'several.example' }))
  t.like(listener.address, { address: '127.0.0.5', family: 'IPv4' })
  t.is(openSockets().length, before + 1)
})

test.serial('bindHost_rejects_with_an_AggregateError_of_all_addresses', async (t) => {
  mockLookup(t, { 'nowhere.example': ['203.0.113.1', '2001:db8::1'] })
  const before = openSockets().length
  const error = await t.throwsAsync(Listener.bindHost({ host: 'nowhere.example', port: 4321 }), {
    instanceOf: AggregateError,
    message: /nowhere\.example.*2 addresses/,
  })
  const errors = error?.errors as SocketError[]
  t.deepEqual(
    errors.map(({ code, syscall, address, port }) => ({ code, syscall, address, port })),
    [
      { code: 'EADDRNOTAVAIL', syscall: 'bind', address: '203.0.113.1', port: 4321 },
      { code: 'EADDRNOTAVAIL', syscall: 'bind', address: '2001:db8::1', port: 4321 },
    ],
  )
  t.true(errors.every((one) => one instanceof SocketError))
  t.is(openSockets().length, before)
})

test.serial('bindHost_rejects_with_the_error_of_node_dns', async (t) => {
  const error = Object.assign(new Error('getaddrinfo ENOTFOUND none.example'), {
    code: 'ENOTFOUND',
    syscall: 'getaddrinfo',
    hostname: 'none.example',
  })
  mockLookup(t, { 'none.example': error })
  t.is(await t.throwsAsync(Listener.bindHost({ host: 'none.example' })), error)
})

test('options_can_be_read_and_set', (t) => {
  const listener = testListener(t, 'IPv4', { deferAccept: 1000, fastOpen: 7 })
  t.is(listener.getOption('deferAccept'), 1000)
  t.is(listener.getOption('fastOpen'), 7)
  t.true(listener.getOption('reuseAddress'))
  t.is(listener.getOption('userTimeout'), 0)
  listener.setOption('userTimeout', 1234)
  t.is(listener.getOption('userTimeout'), 1234)
  t.throws(() => listener.setOption('usertimeout' as never, 1 as never), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /userTimeout/,
  })
  listener.close()
  t.throws(() => listener.getOption('userTimeout'), { instanceOf: SocketClosedError })
  t.throws(() => listener.setOption('userTimeout', 1), { instanceOf: SocketClosedError })
})

/** Two listeners on one port, which happens to be free on IPv4 too. */
function bindOnePortTwice(): { six: Listener; four: Listener } {
  const six = Listener.bind({ host: '::', ipv6Only: true })
  try {
    return { six, four: Listener.bind({ host: '0.0.0.0', port: portOf(six) }) }
  } catch (error) {
    six.close()
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    return bindOnePortTwice()
  }
}
