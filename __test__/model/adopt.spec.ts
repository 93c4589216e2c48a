import dgram from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import net from 'node:net'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import { Listener, Multiplexer, Socket, SocketError } from 'm-socket'
import * as native from 'm-socket/native'

import { outcomeOf, runModule, startModule } from '../support/child.js'
import { datagramDescriptor, descriptorFlags, openDescriptors, socketOpenedSince } from '../support/descriptors.js'
import { FAMILIES, addressOf, closeAtEnd, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { connectOutcome, receiveExactly } from '../support/waiting.js'

/** All that the kernel tells about a descriptor's identity and flags. */
function portrait(fd: number): string {
  return `${openDescriptors().get(fd)} ${/^flags:.*$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[0]}`
}

const ADOPTERS: [string, (fd: number) => unknown][] = [
  ['Socket.adopt', (fd) => Socket.adopt(fd)],
  ['Listener.bind', (fd) => Listener.bind({ fd })],
]

/** Both ways of adopting refuse the descriptor with these codes, and leave it as it was. */
function refused(t: ExecutionContext, fd: number, codes: readonly [string | undefined, string | undefined]): void {
  const before = portrait(fd)
  for (const [index, [name, adopt]] of ADOPTERS.entries()) {
    const code = codes[index]
    if (code === undefined) continue
    const error = t.throws(() => adopt(fd), { instanceOf: SocketError, code }, name)
    t.true(error?.message.includes(code), name)
    t.is(portrait(fd), before, name)
  }
}

// What is taken over

/** What a child process finds out about its descriptor 3. */
const EXAMINE = `
  import { readFileSync } from 'node:fs'
  import { Listener, Multiplexer, Socket } from 'm-socket'
  const flags = () => Number.parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/3', 'utf8'))[1], 8)
  const say = (facts) => console.log(JSON.stringify(facts))
  const kernel = () => ({ closeOnExec: (flags() & 0o2000000) !== 0, nonBlocking: (flags() & 0o4000) !== 0 })`

/** Runs a module that examines descriptor 3; returns the facts that it says, and fails with what it complains of. */
async function examine(
  t: ExecutionContext,
  fd: number,
  source: string,
  nodeArguments: string[] = [],
): Promise<unknown[]> {
  const { code, stdout, stderr } = await runModule(t, EXAMINE + source, {
    stdio: ['ignore', 'pipe', 'pipe', fd],
    nodeArguments,
  })
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  return facts(stdout)
}

function facts(stdout: string): unknown[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('a_socket_that_the_parent_process_hands_over_is_made_ours', async (t) => {
  const child = startModule(
    t,
    `${EXAMINE}
    const socket = Socket.adopt(3)
    socket.send('hello from the child')
    say({ fd: socket.fd, state: socket.state, ...kernel() })
    const plex = new Multiplexer(socket)
    const into = Buffer.alloc(100)
    let count
    while ((count = socket.receive(into)) === null) plex.waitSync(10_000)
    say({ received: into.toString('latin1', 0, count) })
    socket.close()
    plex.close()`,
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  )
  const ending = outcomeOf(child)
  const ours = child.stdio[3] as net.Socket
  ours.write('hello from the parent')
  t.is(await text(ours), 'hello from the child')
  const { code, stdout, stderr } = await ending
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  t.deepEqual(facts(stdout), [
    { fd: 3, state: 'open', closeOnExec: true, nonBlocking: true },
    { received: 'hello from the parent' },
  ])
})

for (const family of FAMILIES) {
  test(`a_connection_accepted_here_is_served_there (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const examining = examine(
      t,
      server.fd,
      `
      const socket = Socket.adopt(3)
      say({ state: socket.state, status: socket.send('served'), remote: socket.remoteAddress, local: socket.localAddress })
      socket.close()`,
    )
    t.is((await receiveExactly(client, 6)).toString(), 'served')
    t.deepEqual(await examining, [
      { state: 'open', status: 'sent', remote: client.localAddress, local: client.remoteAddress },
    ])
  })

  test(`a_listener_that_listens_already_goes_on_elsewhere (${family})`, async (t) => {
    const listener = testListener(t, family)
    const { code, client } = await servedByChild(t, listener.fd, () => addressOf(listener))
    t.is(code, 0)
    t.is(client, 'accepted there')
  })
}

/** Has a child process adopt a listener and serve one client. */
async function servedByChild(
  t: ExecutionContext,
  fd: number,
  to: () => { path: string } | { host: string; port: number },
): Promise<{ code: number | null; client: string }> {
  const child = startModule(
    t,
    `${EXAMINE}
    const listener = Listener.bind({ fd: 3 })
    say({ fd: listener.fd, address: listener.address, ...kernel() })
    for await (const socket of listener) {
      socket.send('accepted there')
      socket.close()
      break
    }
    listener.close()`,
    { stdio: ['ignore', 'pipe', 'inherit', fd] },
  )
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  t.like(JSON.parse(line.toString()), { fd: 3, closeOnExec: true, nonBlocking: true })
  const client = resetAtEnd(t, Socket.connect(to()))
  const received = await receiveExactly(client, 14)
  const [code] = await exited
  return { code, client: received.toString() }
}

test('what_a_multiplexer_watches_no_more_may_be_adopted', async (t) => {
  const { server } = await connectedPair(t)
  const found = await examine(
    t,
    server.fd,
    `
    const target = { fd: 3 }
    const multiplexer = new Multiplexer(target)
    multiplexer.remove(target)
    multiplexer.add(target)
    multiplexer.close()
    const socket = Socket.adopt(3)
    say(socket.state)
    socket.close()`,
  )
  t.deepEqual(found, ['open'])
})

test('a_socket_that_is_bound_alone_becomes_a_listener', async (t) => {
  const handle = native.open(4)
  t.teardown(() => native.close(handle))
  t.is(native.bind(handle, '127.0.0.1', 0), 0)
  const { port } = native.localAddress(handle)!
  const { code, client } = await servedByChild(t, native.descriptor(handle), () => ({ host: '127.0.0.1', port: port! }))
  t.is(code, 0)
  t.is(client, 'accepted there')
})

test('a_socket_that_is_still_connecting_may_be_adopted', async (t) => {
  // With the backlog full the kernel drops SYNs, and a connect stays under way.
  const listener = testListener(t, 'IPv4', { backlog: 0 })
  await connectOutcome(resetAtEnd(t, Socket.connect(addressOf(listener))))
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const found = await examine(
    t,
    client.fd,
    `
    const socket = Socket.adopt(3)
    say({ state: socket.state, status: socket.send('later'), queued: socket.queued })
    socket.reset()`,
  )
  t.deepEqual(found, [{ state: 'connecting', status: 'queued', queued: 5 }])
})

// What is refused

test('a_number_that_no_descriptor_has_is_refused', (t) => {
  for (const [name, adopt] of ADOPTERS) t.throws(() => adopt(999_999), { instanceOf: SocketError, code: 'EBADF' }, name)
})

test('a_regular_file_is_refused_and_stays_open', (t) => {
  const fd = openSync(new URL(import.meta.url), 'r')
  t.teardown(() => closeSync(fd))
  refused(t, fd, ['ENOTSOCK', 'ENOTSOCK'])
  t.is(readSync(fd, Buffer.alloc(6)), 6)
})

test('a_datagram_socket_is_refused_and_stays_open', async (t) => {
  const socket = dgram.createSocket('udp4')
  t.teardown(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  refused(t, datagramDescriptor(port), ['EPROTOTYPE', 'EPROTOTYPE'])
  socket.send('to myself', port, '127.0.0.1')
  const [message] = (await once(socket, 'message')) as [Buffer]
  t.is(message.toString(), 'to myself')
})

for (const family of FAMILIES) {
  test.serial(`a_listening_socket_is_no_connection_and_goes_on_listening (${family})`, async (t) => {
    const server = net.createServer((connection) => connection.end('still here'))
    const listener = testListener(t, family)
    const place = addressOf(listener)
    listener.close()
    const before = openDescriptors()
    if ('path' in place) server.listen({ path: `${place.path}-2` })
    else server.listen({ host: place.host, port: 0 })
    t.teardown(() => server.close())
    await once(server, 'listening')
    refused(t, socketOpenedSince(before), ['ENOTCONN', undefined])
    const address = server.address() as net.AddressInfo | string
    const client =
      typeof address === 'string'
        ? net.connect({ path: address })
        : net.connect({ host: address.address, port: address.port })
    t.is(await text(client), 'still here')
  })

  test.serial(`a_connection_is_no_listener_and_goes_on (${family})`, async (t) => {
    const listener = testListener(t, family)
    const before = openDescriptors()
    const connection = net.connect(addressOf(listener))
    t.teardown(() => connection.destroy())
    await once(connection, 'connect')
    refused(t, socketOpenedSince(before), [undefined, 'EINVAL'])
    using server = listener.accept()
    server?.send('still here')
    const [data] = (await once(connection, 'data')) as [Buffer]
    t.is(data.toString(), 'still here')
  })
}

for (const family of FAMILIES) {
  test(`a_socket_that_was_never_connected_is_refused_and_stays_open (${family})`, async (t) => {
    const handle = native.open({ IPv4: 4, IPv6: 6, unix: 0 }[family])
    t.teardown(() => native.close(handle))
    const found = await examine(
      t,
      native.descriptor(handle),
      `
      const before = flags()
      let code
      try { Socket.adopt(3) } catch (error) { code = error.code }
      say({ code, unchanged: flags() === before })`,
    )
    t.deepEqual(found, [{ code: 'ENOTCONN', unchanged: true }])
  })
}

test('what_is_ours_already_is_refused_and_works_on', async (t) => {
  const { client, server } = await connectedPair(t)
  const listener = testListener(t)
  refused(t, client.fd, ['EEXIST', 'EEXIST'])
  refused(t, listener.fd, ['EEXIST', 'EEXIST'])
  client.send('works on')
  t.is((await receiveExactly(server, 8)).toString(), 'works on')
})

test.serial('a_descriptor_that_a_multiplexer_watches_for_somebody_else_is_refused', async (t) => {
  const listener = testListener(t)
  const before = openDescriptors()
  const connection = net.connect(addressOf(listener))
  t.teardown(() => connection.destroy())
  await once(connection, 'connect')
  const fd = socketOpenedSince(before)
  const multiplexer = closeAtEnd(t, new Multiplexer({ fd }))
  refused(t, fd, ['EEXIST', 'EEXIST'])
  t.is(multiplexer.poll().length, 1)
})

test('a_wrong_option_leaves_the_descriptor_to_its_owner', async (t) => {
  const listener = testListener(t)
  const found = await examine(
    t,
    listener.fd,
    `
    const before = flags()
    let code
    try { Listener.bind({ fd: 3, noDelay: 'yes' }) } catch (error) { code = error.code }
    gc()
    await new Promise((resolve) => setTimeout(resolve, 50))
    say({ code, unchanged: flags() === before })
    const listener = Listener.bind({ fd: 3 })
    say(listener.address)
    listener.close()`,
    ['--expose-gc'],
  )
  t.deepEqual(found, [{ code: 'ERR_INVALID_ARG_TYPE', unchanged: true }, listener.address])
})

test('closing_what_was_adopted_closes_the_descriptor_once', async (t) => {
  const { server } = await connectedPair(t)
  const found = await examine(
    t,
    server.fd,
    `
    import { readlinkSync } from 'node:fs'
    const linkOf = (fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd) } catch { return 'closed' }
    }
    const link = linkOf(3)
    const socket = Socket.adopt(3)
    const open = linkOf(3) === link
    socket.close()
    const closed = linkOf(3) !== link
    // The kernel gives the lowest number that is free: one of these has 3, unless something else of the host was faster.
    const heirs = Array.from({ length: 10 }, () => Listener.bind({ host: '127.0.0.1' }))
    socket.close()
    say({ open, closed, heirs: heirs.every(({ fd }) => linkOf(fd).startsWith('socket:')) })
    for (const heir of heirs) heir.close()`,
  )
  t.deepEqual(found, [{ open: true, closed: true, heirs: true }])
})

test('descriptors_handed_to_a_child_stay_non_blocking_and_close_on_exec_here', async (t) => {
  const { server } = await connectedPair(t)
  await runModule(t, '', { stdio: ['ignore', 'pipe', 'pipe', server.fd] })
  t.deepEqual(descriptorFlags(server.fd), { closeOnExec: true, nonBlocking: true })
})
