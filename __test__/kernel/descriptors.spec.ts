import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'

import test from 'ava'
import { Listener, Multiplexer, Socket, SocketError } from 'm-socket'

import { outcomeOf, start, startModule } from '../support/child.js'
import { descriptorFlags, isOpen, openDescriptors } from '../support/descriptors.js'
import { connectedPair, listening, narrowPair, reach, resetting } from '../support/pair.js'
import { testWith } from '../support/peers.js'
import { acceptNext, until } from '../support/waiting.js'

test('truth 10: descriptors_are_close_on_exec_and_nonblocking_from_birth', async (t) => {
  const listener = listening(t)
  const client = resetting(t, Socket.connect(reach(listener)))
  const server = resetting(t, await acceptNext(listener))
  using multiplexer = new Multiplexer(client)
  for (const { fd } of [listener, client, server]) t.deepEqual(descriptorFlags(fd), { closeOnExec: true, nonBlocking: true })
  const ours = [...openDescriptors()].filter(([, target]) => target.startsWith('socket:') || target.includes('eventpoll')).map(([, target]) => target)
  t.true(ours.length >= 4)
  const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  for (const target of ours.filter((name) => name.startsWith('socket:'))) t.false(stdout.includes(target), target)
  t.false(stdout.includes('eventpoll'))
  multiplexer.close()
})

test('truth 11: what_cannot_be_adopted_is_refused_and_left_open', (t) => {
  const file = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(file))
  t.throws(() => Socket.adopt(file), { instanceOf: SocketError, code: 'ENOTSOCK' })
  t.true(isOpen(file))
  t.throws(() => Socket.adopt(999_999), { instanceOf: SocketError, code: 'EBADF' })
  const listener = listening(t)
  t.throws(() => Socket.adopt(listener.fd), { instanceOf: SocketError, code: 'EEXIST' })
  t.throws(() => Listener.bind({ fd: listener.fd }), { instanceOf: SocketError, code: 'EEXIST' })
  t.true(isOpen(listener.fd))
})

testWith(['strace'], 'truth 12: close_is_called_once_although_a_signal_interrupts_it', async (t) => {
  const child = startModule(t, `
    import { Listener } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    console.log(listener.fd)
    await new Promise((resolve) => process.stdin.once('data', resolve))
    listener.close()
    process.exit()`, { stdio: ['pipe', 'pipe', 'pipe'] })
  const [printed] = (await once(child.stdout!, 'data')) as [Buffer]
  const tracer = start(t, 'strace', ['-f', '-p', String(child.pid), '-e', 'trace=close', '-e', 'inject=close:error=EINTR'])
  const ended = outcomeOf(tracer)
  await once(tracer.stderr!, 'data')
  child.stdin!.write('go')
  const closes = (await ended).stderr.split('\n').filter((line) => line.includes(`close(${printed.toString().trim()})`))
  t.is(closes.length, 1)
  t.true(closes[0]!.includes('EINTR'), closes[0])
})

test('truth 13: a_peer_that_went_away_raises_no_signal', async (t) => {
  const { client, server } = await connectedPair(t)
  let signals = 0
  const count = () => signals++
  process.on('SIGPIPE', count)
  t.teardown(() => process.off('SIGPIPE', count))
  server.reset()
  await until(() => client.send('x') === 'closed')
  const narrow = await narrowPair(t)
  while (narrow.client.queued === 0) narrow.client.send(Buffer.alloc(4096))
  narrow.server.reset()
  await until(() => narrow.client.flush(), narrow.client)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.is(signals, 0)
})
