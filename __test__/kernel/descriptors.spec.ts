import { spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { Listener, Multiplexer, Socket, SocketError, toDuplex } from 'm-socket'

import { outcomeOf, start, startModule } from '../support/child.js'
import { datagramDescriptor, descriptorFlags, isOpen, openDescriptors } from '../support/descriptors.js'
import { addressOf, connectedPair, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'
import { acceptNext, until } from '../support/waiting.js'

test('truth 10: descriptors_are_created_close_on_exec_and_non_blocking', async (t) => {
  const listener = testListener(t)
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const server = resetAtEnd(t, await acceptNext(listener))
  using multiplexer = new Multiplexer(client)
  for (const { fd } of [listener, client, server])
    t.deepEqual(descriptorFlags(fd), { closeOnExec: true, nonBlocking: true })
  const ours = [...openDescriptors()]
    .filter(([, target]) => target.startsWith('socket:') || target.includes('eventpoll'))
    .map(([, target]) => target)
  t.true(ours.length >= 4)
  const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  for (const target of ours.filter((name) => name.startsWith('socket:'))) t.false(stdout.includes(target), target)
  t.false(stdout.includes('eventpoll'))
  multiplexer.close()
})

test('truth 11: adopting_an_unsuitable_descriptor_fails_and_leaves_it_open', (t) => {
  const file = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(file))
  t.throws(() => Socket.adopt(file), { instanceOf: SocketError, code: 'ENOTSOCK' })
  t.true(isOpen(file))
  t.throws(() => Socket.adopt(999_999), { instanceOf: SocketError, code: 'EBADF' })
  const listener = testListener(t)
  t.throws(() => Socket.adopt(listener.fd), { instanceOf: SocketError, code: 'EEXIST' })
  t.throws(() => Listener.bind({ fd: listener.fd }), { instanceOf: SocketError, code: 'EEXIST' })
  t.true(isOpen(listener.fd))
})

testWith(['strace'], 'truth 12: an_interrupted_close_is_not_retried', async (t) => {
  const child = startModule(
    t,
    `
    import { Listener } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    console.log(listener.fd)
    await new Promise((resolve) => process.stdin.once('data', resolve))
    listener.close()
    process.exit()`,
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  const [printed] = (await once(child.stdout!, 'data')) as [Buffer]
  const tracer = start(t, 'strace', [
    '-f',
    '-p',
    String(child.pid),
    '-e',
    'trace=close',
    '-e',
    'inject=close:error=EINTR',
  ])
  const ended = outcomeOf(tracer)
  await once(tracer.stderr!, 'data')
  child.stdin!.write('go')
  const closes = (await ended).stderr.split('\n').filter((line) => line.includes(`close(${printed.toString().trim()})`))
  t.is(closes.length, 1)
  t.true(closes[0]!.includes('EINTR'), closes[0])
})

test('truth 13: sending_to_a_reset_connection_raises_no_SIGPIPE', async (t) => {
  const { client, server } = await connectedPair(t)
  let signals = 0
  const count = () => signals++
  process.on('SIGPIPE', count)
  t.teardown(() => process.off('SIGPIPE', count))
  server.reset()
  await until(() => client.send('x') === 'closed')
  const small = await smallBufferPair(t)
  while (small.client.queued === 0) small.client.send(Buffer.alloc(4096))
  small.server.reset()
  await until(() => small.client.flush(), small.client)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.is(signals, 0)
})

/** Opens one object of each kind, sends in every way, and closes everything. */
const USE_EVERYTHING = `
  import { once } from 'node:events'
  import { Listener, Multiplexer, Socket, toDuplex } from 'm-socket'
  for (const bound of [{ host: '127.0.0.1' }, { host: '::1' }, { path: '\\0m-socket-truth-10-' + process.pid }]) {
    const listener = Listener.bind(bound)
    const { address, port, path } = listener.address
    const to = path === undefined ? { host: address, port } : { path }
    const multiplexer = new Multiplexer()
    multiplexer.add(listener, 'r')
    const client = Socket.connect(to)
    await multiplexer.wait()
    const server = listener.accept()
    client.send('x')
    client.send([Buffer.from('x'), Buffer.from('y')])
    while (server.queued === 0) server.send(new Uint8Array(65536))
    const into = new Uint8Array(65536)
    multiplexer.add(server)
    while (server.queued > 0) { client.receive(into); multiplexer.poll() }
    multiplexer.remove(server)
    const duplex = toDuplex(client)
    duplex.resume().end('z')
    server.close()
    await once(duplex, 'close')
    multiplexer.close()
    listener.close()
  }`

testWith(['strace'], 'truth 10: every_call_that_creates_a_descriptor_sets_its_flags', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(
    t,
    USE_EVERYTHING,
    'socket,accept,accept4,epoll_create,epoll_create1,timerfd_create,pipe,pipe2,eventfd,eventfd2,dup,dup2,dup3,fcntl',
  )
  t.is(code, 0, stderr)
  const callsOf = (name: string): string[] => calls.filter((call) => call.startsWith(`${name}(`))
  t.is(callsOf('socket').length, 6)
  t.is(callsOf('accept4').filter((call) => !call.includes('EAGAIN')).length, 3)
  for (const call of [...callsOf('socket'), ...callsOf('accept4')])
    t.regex(call, /SOCK_CLOEXEC\|SOCK_NONBLOCK|SOCK_NONBLOCK\|SOCK_CLOEXEC/)
  t.true(callsOf('epoll_create1').length >= 5, 'three multiplexers, the shared poller, and those of Node')
  for (const call of callsOf('epoll_create1')) t.true(call.includes('EPOLL_CLOEXEC'), call)
  t.is(callsOf('timerfd_create').length, 4, 'three multiplexers and the shared poller')
  for (const call of callsOf('timerfd_create')) t.regex(call, /TFD_CLOEXEC\|TFD_NONBLOCK|TFD_NONBLOCK\|TFD_CLOEXEC/)
  t.deepEqual(['accept', 'epoll_create', 'pipe', 'eventfd', 'dup'].flatMap(callsOf), [])
})

testWith(['strace'], 'truth 13: every_send_passes_MSG_NOSIGNAL', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(t, USE_EVERYTHING, 'sendto,sendmsg,sendmmsg,sendfile,splice')
  t.is(code, 0, stderr)
  const sends = calls.filter((call) => /^(sendto|sendmsg|sendmmsg)\(/.test(call))
  t.true(sends.length >= 12)
  t.deepEqual(
    sends.filter((call) => !call.includes('MSG_NOSIGNAL')),
    [],
  )
  t.deepEqual(
    calls.filter((call) => /^(sendfile|splice)\(/.test(call)),
    [],
  )
})

test('truth 11: adopting_a_datagram_socket_fails_and_leaves_it_open', async (t) => {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  t.teardown(() => socket.close())
  await once(socket, 'listening')
  const fd = datagramDescriptor(socket.address().port)
  t.throws(() => Socket.adopt(fd), { instanceOf: SocketError, code: 'EPROTOTYPE' })
  t.throws(() => Listener.bind({ fd }), { instanceOf: SocketError, code: 'EPROTOTYPE' })
  t.true(isOpen(fd))
  const received = once(socket, 'message')
  socket.send('still works', socket.address().port, '127.0.0.1')
  t.is(String((await received)[0]), 'still works')
})

/** Sends until the socket is closed. */
async function sendUntilClosed(socket: Socket): Promise<void> {
  await until(() => socket.send('x') === 'closed')
}

for (const [way, send] of Object.entries({
  async send(_: ExecutionContext, socket: Socket) {
    await sendUntilClosed(socket)
  },
  async pieces(_: ExecutionContext, socket: Socket) {
    await until(() => socket.send([Buffer.from('x'), Buffer.from('y')]) === 'closed')
  },
  async stream(_: ExecutionContext, socket: Socket) {
    const duplex = toDuplex(socket, { allowHalfOpen: true })
    const failed = once(duplex, 'error').catch((error: Error) => [error])
    const writer = setInterval(() => duplex.write('x'), 1)
    await failed
    clearInterval(writer)
  },
})) {
  test.serial(`truth 13: a_broken_pipe_raises_no_SIGPIPE (${way})`, async (t) => {
    let signals = 0
    const count = (): void => void signals++
    process.on('SIGPIPE', count)
    t.teardown(() => process.off('SIGPIPE', count))
    // On a Unix socket whose peer has closed the first send fails with EPIPE; on TCP it fails with ECONNRESET first.
    const { client, server } = await connectedPair(t, 'unix')
    server.close()
    await send(t, client)
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.is(signals, 0)
    process.kill(process.pid, 'SIGPIPE')
    await until(() => signals === 1)
  })
}
