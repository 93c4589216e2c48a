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

/** What a descriptor refers to, and its flags: proc_pid_fdinfo(5). */
function descriptorState(fd: number): string {
  return `${openDescriptors().get(fd)} ${/^flags:.*$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[0]}`
}

const ADOPTERS: [string, (fd: number) => unknown][] = [
  ['Socket.adopt', (fd) => Socket.adopt(fd)],
  ['Listener.bind', (fd) => Listener.bind({ fd })],
]

/** Asserts that both ways of adopting fail with these codes and leave the descriptor unchanged. */
function assertRefused(
  t: ExecutionContext,
  fd: number,
  codes: readonly [string | undefined, string | undefined],
): void {
  const before = descriptorState(fd)
  for (const [index, [name, adopt]] of ADOPTERS.entries()) {
    const code = codes[index]
    if (code === undefined) continue
    const error = t.throws(() => adopt(fd), { instanceOf: SocketError, code }, name)
    t.true(error?.message.includes(code), name)
    t.is(descriptorState(fd), before, name)
  }
}

// Descriptors that can be adopted

/** The start of a module for a child process that examines its descriptor 3. */
const EXAMINE = `
  import { readFileSync } from 'node:fs'
  import { Listener, Multiplexer, Socket } from 'm-socket'
  const flags = () => Number.parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/3', 'utf8'))[1], 8)
  const report = (facts) => console.log(JSON.stringify(facts))
  const kernel = () => ({ closeOnExec: (flags() & 0o2000000) !== 0, nonBlocking: (flags() & 0o4000) !== 0 })`

/** Runs a module with `fd` as descriptor 3; returns the facts that it reports, and asserts an empty standard error. */
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

test('a_child_adopts_a_socket_of_its_parent', async (t) => {
  const child = startModule(
    t,
    `${EXAMINE}
    const socket = Socket.adopt(3)
    socket.send('hello from the child')
    report({ fd: socket.fd, state: socket.state, ...kernel() })
    const plex = new Multiplexer(socket)
    const into = Buffer.alloc(100)
    let count
    while ((count = socket.receive(into)) === null) plex.waitSync(10_000)
    report({ received: into.toString('latin1', 0, count) })
    socket.close()
    plex.close()`,
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  )
  const outcome = outcomeOf(child)
  const ours = child.stdio[3] as net.Socket
  ours.write('hello from the parent')
  t.is(await text(ours), 'hello from the child')
  const { code, stdout, stderr } = await outcome
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  t.deepEqual(facts(stdout), [
    { fd: 3, state: 'open', closeOnExec: true, nonBlocking: true },
    { received: 'hello from the parent' },
  ])
})

for (const family of FAMILIES) {
  test(`a_child_serves_a_connection_that_its_parent_accepted (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const examining = examine(
      t,
      server.fd,
      `
      const socket = Socket.adopt(3)
      report({ state: socket.state, status: socket.send('served'), remote: socket.remoteAddress, local: socket.localAddress })
      socket.close()`,
    )
    t.is((await receiveExactly(client, 6)).toString(), 'served')
    t.deepEqual(await examining, [
      { state: 'open', status: 'sent', remote: client.localAddress, local: client.remoteAddress },
    ])
  })

  test(`a_child_adopts_a_listening_socket_of_its_parent (${family})`, async (t) => {
    const listener = testListener(t, family)
    const { code, client } = await servedByChild(t, listener.fd, () => addressOf(listener))
    t.is(code, 0)
    t.is(client, 'accepted there')
  })
}

/** Lets a child process adopt a listener and serve one client. */
async function servedByChild(
  t: ExecutionContext,
  fd: number,
  address: () => { path: string } | { host: string; port: number },
): Promise<{ code: number | null; client: string }> {
  const child = startModule(
    t,
    `${EXAMINE}
    const listener = Listener.bind({ fd: 3 })
    report({ fd: listener.fd, address: listener.address, ...kernel() })
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
  const client = resetAtEnd(t, Socket.connect(address()))
  const received = await receiveExactly(client, 14)
  const [code] = await exited
  return { code, client: received.toString() }
}

test('a_descriptor_can_be_adopted_after_its_multiplexer_was_closed', async (t) => {
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
    report(socket.state)
    socket.close()`,
  )
  t.deepEqual(found, ['open'])
})

test('a_bound_socket_becomes_a_listener', async (t) => {
  const handle = native.open(4)
  t.teardown(() => native.close(handle))
  t.is(native.bind(handle, '127.0.0.1', 0), 0)
  const { port } = native.localAddress(handle)!
  const { code, client } = await servedByChild(t, native.descriptor(handle), () => ({ host: '127.0.0.1', port: port! }))
  t.is(code, 0)
  t.is(client, 'accepted there')
})

test('a_connecting_socket_can_be_adopted', async (t) => {
  // With a full backlog the kernel drops SYNs, so the connect stays pending.
  const listener = testListener(t, 'IPv4', { backlog: 0 })
  await connectOutcome(resetAtEnd(t, Socket.connect(addressOf(listener))))
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const found = await examine(
    t,
    client.fd,
    `
    const socket = Socket.adopt(3)
    report({ state: socket.state, status: socket.send('later'), queued: socket.queued })
    socket.reset()`,
  )
  t.deepEqual(found, [{ state: 'connecting', status: 'queued', queued: 5 }])
})

// Descriptors that are refused

test('an_unused_descriptor_number_is_refused', (t) => {
  for (const [name, adopt] of ADOPTERS) t.throws(() => adopt(999_999), { instanceOf: SocketError, code: 'EBADF' }, name)
})

test('a_regular_file_is_refused_and_stays_open', (t) => {
  const fd = openSync(new URL(import.meta.url), 'r')
  t.teardown(() => closeSync(fd))
  assertRefused(t, fd, ['ENOTSOCK', 'ENOTSOCK'])
  t.is(readSync(fd, Buffer.alloc(6)), 6)
})

test('a_datagram_socket_is_refused_and_stays_open', async (t) => {
  const socket = dgram.createSocket('udp4')
  t.teardown(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  assertRefused(t, datagramDescriptor(port), ['EPROTOTYPE', 'EPROTOTYPE'])
  socket.send('to myself', port, '127.0.0.1')
  const [message] = (await once(socket, 'message')) as [Buffer]
  t.is(message.toString(), 'to myself')
})

for (const family of FAMILIES) {
  test.serial(`a_listening_socket_is_refused_as_a_Socket_and_keeps_listening (${family})`, async (t) => {
    const server = net.createServer((connection) => connection.end('still here'))
    const listener = testListener(t, family)
    const address = addressOf(listener)
    listener.close()
    const before = openDescriptors()
    if ('path' in address) server.listen({ path: `${address.path}-2` })
    else server.listen({ host: address.host, port: 0 })
    t.teardown(() => server.close())
    await once(server, 'listening')
    assertRefused(t, socketOpenedSince(before), ['ENOTCONN', undefined])
    const bound = server.address() as net.AddressInfo | string
    const client =
      typeof bound === 'string' ? net.connect({ path: bound }) : net.connect({ host: bound.address, port: bound.port })
    t.is(await text(client), 'still here')
  })

  test.serial(`a_connection_is_refused_as_a_Listener_and_keeps_working (${family})`, async (t) => {
    const listener = testListener(t, family)
    const before = openDescriptors()
    const connection = net.connect(addressOf(listener))
    t.teardown(() => connection.destroy())
    await once(connection, 'connect')
    assertRefused(t, socketOpenedSince(before), [undefined, 'EINVAL'])
    using server = listener.accept()
    server?.send('still here')
    const [data] = (await once(connection, 'data')) as [Buffer]
    t.is(data.toString(), 'still here')
  })
}

for (const family of FAMILIES) {
  test(`an_unconnected_socket_is_refused_and_stays_open (${family})`, async (t) => {
    const handle = native.open({ IPv4: 4, IPv6: 6, unix: 0 }[family])
    t.teardown(() => native.close(handle))
    const found = await examine(
      t,
      native.descriptor(handle),
      `
      const before = flags()
      let code
      try { Socket.adopt(3) } catch (error) { code = error.code }
      report({ code, unchanged: flags() === before })`,
    )
    t.deepEqual(found, [{ code: 'ENOTCONN', unchanged: true }])
  })
}

test('a_descriptor_of_a_Socket_or_Listener_is_refused_and_keeps_working', async (t) => {
  const { client, server } = await connectedPair(t)
  const listener = testListener(t)
  assertRefused(t, client.fd, ['EEXIST', 'EEXIST'])
  assertRefused(t, listener.fd, ['EEXIST', 'EEXIST'])
  client.send('it works')
  t.is((await receiveExactly(server, 8)).toString(), 'it works')
})

test.serial('a_foreign_descriptor_in_a_multiplexer_is_refused', async (t) => {
  const listener = testListener(t)
  const before = openDescriptors()
  const connection = net.connect(addressOf(listener))
  t.teardown(() => connection.destroy())
  await once(connection, 'connect')
  const fd = socketOpenedSince(before)
  const multiplexer = closeAtEnd(t, new Multiplexer({ fd }))
  assertRefused(t, fd, ['EEXIST', 'EEXIST'])
  t.is(multiplexer.poll().length, 1)
})

test('an_invalid_option_leaves_the_descriptor_unchanged', async (t) => {
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
    report({ code, unchanged: flags() === before })
    const listener = Listener.bind({ fd: 3 })
    report(listener.address)
    listener.close()`,
    ['--expose-gc'],
  )
  t.deepEqual(found, [{ code: 'ERR_INVALID_ARG_TYPE', unchanged: true }, listener.address])
})

test('closing_an_adopted_socket_closes_its_descriptor_once', async (t) => {
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
    // The kernel gives the lowest free number: one of these gets 3, unless another thread of the runtime takes it
    // first.
    const listeners = Array.from({ length: 10 }, () => Listener.bind({ host: '127.0.0.1' }))
    socket.close()
    report({ open, closed, intact: listeners.every(({ fd }) => linkOf(fd).startsWith('socket:')) })
    for (const listener of listeners) listener.close()`,
  )
  t.deepEqual(found, [{ open: true, closed: true, intact: true }])
})

test('descriptors_handed_to_a_child_keep_their_flags_in_the_parent', async (t) => {
  const { server } = await connectedPair(t)
  await runModule(t, '', { stdio: ['ignore', 'pipe', 'pipe', server.fd] })
  t.deepEqual(descriptorFlags(server.fd), { closeOnExec: true, nonBlocking: true })
})
