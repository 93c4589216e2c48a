import { readFileSync } from 'node:fs'

import test from 'ava'
import { type Event, Multiplexer, Socket, toDuplex } from 'm-socket'

import { connectedPair, listening, reach, resetting } from '../support/pair.js'
import { openDescriptors } from '../support/descriptors.js'
import { start } from '../support/child.js'
import { until } from '../support/waiting.js'

/** Waits until one batch holds the news of all targets. */
async function batchOf(multiplexer: Multiplexer, targets: readonly Socket[]): Promise<Event[]> {
  for (;;) {
    const events = await multiplexer.wait(5000)
    if (targets.every((target) => events.some((event) => event.target === target))) return events
  }
}

test('truth 6: an_event_of_a_socket_that_its_batch_has_closed_says_nothing', async (t) => {
  const pairs = await Promise.all([connectedPair(t), connectedPair(t)])
  const servers = pairs.map(({ server }) => server)
  for (const { client } of pairs) client.send('x')
  using multiplexer = new Multiplexer(...servers)
  const events = await batchOf(multiplexer, servers)
  const [first, second] = servers.map((server) => events.find((event) => event.target === server)!)
  t.true(second!.readable)
  servers[1]!.close()
  t.true(first!.readable, 'the others stand')
  const { readable, writable, readEnded, hangup, error } = second!
  t.deepEqual({ readable, writable, readEnded, hangup, error }, { readable: false, writable: false, readEnded: false, hangup: false, error: false })
})

test('truth 6: a_stream_that_another_of_its_batch_destroys_is_not_called', async (t) => {
  const pairs = await Promise.all([connectedPair(t), connectedPair(t)])
  const streams = pairs.map(({ server }) => toDuplex(server))
  let told = 0
  for (const stream of streams) {
    stream.on('data', () => {
      told++
      for (const other of streams) if (other !== stream) other.destroy()
    })
  }
  for (const { client } of pairs) client.send('x')
  await until(() => told > 0 && streams.filter(({ destroyed }) => destroyed).length === 1)
  t.is(told, 1)
  for (const stream of streams) stream.destroy()
})

test.serial('truth 7: an_event_never_reaches_the_new_owner_of_a_descriptor', async (t) => {
  const listener = listening(t)
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('for the old one')
  await until(() => server.peek(Buffer.alloc(1)) === 1)
  const { fd } = server
  server.close()
  // The kernel gives the lowest number that is free.
  const open = () => resetting(t, Socket.connect(reach(listener)))
  let next = open()
  while (next.fd < fd) next = open()
  t.is(next.fd, fd)
  multiplexer.add(next, 'r')
  t.deepEqual(await multiplexer.wait(100), [])
})

test('truth 8: what_a_batch_tells_of_outlives_what_is_opened_while_it_is_handled', async (t) => {
  const listener = listening(t)
  const pairs = await Promise.all(Array.from({ length: 8 }, () => connectedPair(t)))
  for (const { client } of pairs) client.send('x')
  const servers = pairs.map(({ server }) => server)
  using multiplexer = new Multiplexer(...servers)
  const events = await batchOf(multiplexer, servers)
  const before = events.map(({ target }) => target)
  for (const { target } of [...events]) {
    ;(target as Socket).close()
    const newcomer = resetting(t, Socket.connect(reach(listener)))
    multiplexer.add(newcomer)
  }
  t.deepEqual(events.map(({ target }) => before.indexOf(target)), before.map((_, index) => index))
  t.true(events.every(({ readable }) => !readable))
})

test('truth 9: a_duplicate_elsewhere_keeps_no_registration_alive', async (t) => {
  const { client, server } = await connectedPair(t)
  const before = openDescriptors()
  using multiplexer = new Multiplexer(server)
  const [epoll] = [...openDescriptors()].find(([fd, target]) => !before.has(fd) && target.includes('eventpoll'))!
  const registered = () => [...readFileSync(`/proc/self/fdinfo/${epoll}`, 'utf8').matchAll(/^tfd:\s*(\d+)/gm)].map(([, fd]) => Number(fd))
  const { fd } = server
  t.deepEqual(registered(), [fd])
  // The child has a duplicate for as long as it lives.
  const child = start(t, 'cat', [], { stdio: ['pipe', 'ignore', 'ignore', fd] })
  server.close()
  t.deepEqual(registered(), [])
  client.send('still comes')
  t.deepEqual(await multiplexer.wait(50), [])
  t.is(child.exitCode, null)
})
