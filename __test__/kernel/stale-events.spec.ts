import { once } from 'node:events'
import { closeSync, constants as files, openSync } from 'node:fs'
import { constants } from 'node:os'

import test, { type ExecutionContext } from 'ava'
import { type Event, Listener, Multiplexer, Socket, toDuplex } from 'm-socket'
import * as native from 'm-socket/native'

import { unixPairs } from '../support/unix-pairs.js'
import { multiplexerAndDescriptor, registeredIn } from '../support/epoll.js'
import { nextTurn } from '../support/timing.js'
import { openWithDescriptor, retryUntilReused } from '../support/descriptor-reuse.js'
import { addressOf, closeAtEnd, connectedPair, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { start } from '../support/child.js'
import { flagsFor, targetsOf } from '../support/event-flags.js'
import { freePath, temporaryDirectory } from '../support/unix.js'
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
  t.deepEqual(
    { readable, writable, readEnded, hangup, error },
    { readable: false, writable: false, readEnded: false, hangup: false, error: false },
  )
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

test.serial('truth 7: an_event_never_reaches_the_new_owner_of_a_descriptor', (t) =>
  retryUntilReused(async () => {
    const listener = testListener(t)
    const { client, server } = await connectedPair(t)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r')
    client.send('for the old one')
    await until(() => server.peek(Buffer.alloc(1)) === 1)
    const { fd } = server
    server.close()
    multiplexer.add(
      openWithDescriptor(fd, () => resetAtEnd(t, Socket.connect(addressOf(listener)))),
      'r',
    )
    t.deepEqual(await multiplexer.wait(100), [])
  }),
)

test('truth 8: what_a_batch_tells_of_outlives_what_is_opened_while_it_is_handled', async (t) => {
  const listener = testListener(t)
  const pairs = await Promise.all(Array.from({ length: 8 }, () => connectedPair(t)))
  for (const { client } of pairs) client.send('x')
  const servers = pairs.map(({ server }) => server)
  using multiplexer = new Multiplexer(...servers)
  const events = await batchOf(multiplexer, servers)
  const before = events.map(({ target }) => target)
  for (const { target } of events) {
    ;(target as Socket).close()
    const newcomer = resetAtEnd(t, Socket.connect(addressOf(listener)))
    multiplexer.add(newcomer)
  }
  t.deepEqual(
    events.map(({ target }) => before.indexOf(target)),
    before.map((_, index) => index),
  )
  t.true(events.every(({ readable }) => !readable))
})

test('truth 9: a_duplicate_elsewhere_keeps_no_registration_alive', async (t) => {
  const { client, server } = await connectedPair(t)
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer).add(server)
  const { fd } = server
  t.deepEqual(registeredIn(epoll), [fd])
  // The child has a duplicate for as long as it lives.
  const child = start(t, 'cat', [], { stdio: ['pipe', 'ignore', 'ignore', fd] })
  server.close()
  t.deepEqual(registeredIn(epoll), [])
  client.send('still comes')
  t.deepEqual(await multiplexer.wait(50), [])
  t.is(child.exitCode, null)
})

const CROWD = 60
const [FORTY_SEVENTH, THIRTEENTH] = [46, 12]

/** How a socket takes back what a batch still has to say of it. */
const WAYS: [string, (socket: Socket, multiplexer: Multiplexer) => void][] = [
  ['close', (socket) => socket.close()],
  ['reset', (socket) => socket.reset()],
  ['remove', (socket, multiplexer) => multiplexer.remove(socket)],
]

for (const [way, leave] of WAYS) {
  test(`truth 6: event_47_of_a_batch_takes_back_that_of_a_socket_that_comes_later_in_it (${way})`, async (t) => {
    const pairs = unixPairs(t, CROWD)
    using multiplexer = new Multiplexer()
    for (const { server } of pairs) multiplexer.add(server, 'r')
    // Whoever has news first is told of first: socket 13 comes last.
    for (const pair of [...pairs.toSpliced(THIRTEENTH, 1), pairs[THIRTEENTH]!]) pair.client.send('x')
    const events = await multiplexer.wait(5000)
    t.is(events.length, CROWD)
    const doomed = pairs[THIRTEENTH]!.server
    t.is(targetsOf(events).indexOf(doomed), CROWD - 1)
    const handled = new Set<unknown>()
    for (const [index, event] of events.entries()) {
      if (index === FORTY_SEVENTH) leave(doomed, multiplexer)
      if (!event.readable) continue
      handled.add(event.target)
      t.is((event.target as Socket).receive(new Uint8Array(10)), 1)
    }
    t.false(handled.has(doomed))
    t.is(handled.size, CROWD - 1)
    t.is(flagsFor(doomed, events), '')
    t.deepEqual(multiplexer.poll(), [])
  })
}

/** Two sockets with news in one batch, and a listener for more. */
async function batchOfTwo(
  t: ExecutionContext,
): Promise<{ events: Event[]; first: Socket; later: Socket; listener: Listener; multiplexer: Multiplexer }> {
  const listener = closeAtEnd(t, Listener.bind({ path: freePath(t), backlog: 4000 }))
  const pairs = unixPairs(t, 2)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const { client, server } of pairs) {
    multiplexer.add(server, 'r')
    client.send('for the old one')
  }
  const events = await batchOf(
    multiplexer,
    pairs.map(({ server }) => server),
  )
  const [first, later] = targetsOf(events) as [Socket, Socket]
  return { events, first, later, listener, multiplexer }
}

/** A new connection to a listener: the accepted end. */
function next(t: ExecutionContext, listener: Listener): Socket {
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  return resetAtEnd(t, listener.accept()!)
}

test.serial(
  'truth 7: a_connection_that_gets_a_closed_sockets_descriptor_in_the_same_batch_gets_none_of_its_events',
  (t) =>
    retryUntilReused(async () => {
      const { events, first, later, listener, multiplexer } = await batchOfTwo(t)
      for (let waiting = 0; waiting < 1000; waiting++) resetAtEnd(t, Socket.connect(addressOf(listener)))
      const { fd } = later
      later.close()
      const heir = openWithDescriptor(fd, () => resetAtEnd(t, listener.accept()!))
      multiplexer.add(heir, 'r')
      t.deepEqual(targetsOf(events), [first, later])
      t.is(flagsFor(later, events), '')
      t.deepEqual(targetsOf(multiplexer.poll()), [first])
      t.is(heir.receive(new Uint8Array(100)), null)
    }),
)

test.serial('truth 7: a_raw_handle_of_what_was_closed_names_nothing_although_its_slot_has_a_new_owner', (t) => {
  const slotOf = (handle: number): number => handle >>> 9
  const old = native.open(4)
  t.is(native.close(old), 0)
  const opened: number[] = []
  t.teardown(() => opened.map(native.close))
  do opened.push(native.open(4))
  while (slotOf(opened.at(-1)!) !== slotOf(old) && opened.length < 5000)
  t.is(slotOf(opened.at(-1)!), slotOf(old))
  t.not(opened.at(-1), old)
  t.is(native.descriptor(old), -constants.errno.EBADF)
  t.is(native.receive(old, new Uint8Array(1)), -constants.errno.EBADF)
  t.is(native.close(old), -constants.errno.EBADF)
  t.true(native.descriptor(opened.at(-1)!) >= 0)
})

test.serial('truth 8: a_slot_that_is_used_a_thousand_times_within_a_batch_confuses_nobody', async (t) => {
  const { events, later, listener, multiplexer } = await batchOfTwo(t)
  later.close()
  // More often than a handle has generations.
  for (let use = 0; use < 1100; use++) {
    const socket = next(t, listener)
    multiplexer.add(socket, 'r')
    socket.close()
  }
  const heir = next(t, listener)
  multiplexer.add(heir, 'r')
  t.is(flagsFor(later, events), '')
  t.is(later.state, 'closed')
  t.is(later.fd, -1)
  t.throws(() => later.receive(new Uint8Array(1)), { code: 'ERR_SOCKET_CLOSED' })
  t.is(later.send('x'), 'closed')
  later.close()
  t.not(heir.fd, -1)
  t.is(flagsFor(heir, multiplexer.poll()), undefined)
})

test.serial('truth 8: streams_that_come_and_go_within_a_batch_confuse_nobody', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ path: freePath(t), backlog: 4000 }))
  const pairs = unixPairs(t, 2)
  const streams = pairs.map(({ server }) => toDuplex(server))
  let heir: ReturnType<typeof toDuplex> | undefined
  let told = 0
  let heard = 0
  for (const [index, stream] of streams.entries()) {
    stream.on('data', () => {
      told++
      if (told > 1) return
      streams[1 - index]!.destroy()
      for (let use = 0; use < 1100; use++) toDuplex(next(t, listener)).destroy()
      heir = toDuplex(next(t, listener)).on('data', () => heard++)
    })
  }
  await nextTurn()
  for (const { client } of pairs) client.send('x')
  await until(() => heir !== undefined)
  await until(() => streams.filter(({ destroyed }) => destroyed).length === 1)
  t.deepEqual([told, heard], [1, 0])
  for (const stream of [...streams, heir!]) stream.destroy()
})

/** Lets a child process have a duplicate of a descriptor, for as long as the test lasts. */
async function duplicate(t: ExecutionContext, fd: number): Promise<void> {
  const child = start(t, 'cat', [], { stdio: ['pipe', 'ignore', 'ignore', fd] })
  await once(child, 'spawn')
}

for (const [way, leave] of WAYS) {
  test.serial(`truth 9: nothing_stays_registered_although_a_duplicate_lives (${way})`, async (t) => {
    const { client, server } = await connectedPair(t)
    const { multiplexer, epoll } = multiplexerAndDescriptor()
    closeAtEnd(t, multiplexer).add(server)
    t.deepEqual(registeredIn(epoll), [server.fd])
    await duplicate(t, server.fd)
    leave(server, multiplexer)
    t.deepEqual(registeredIn(epoll), [])
    client.send('x')
    t.deepEqual(await multiplexer.wait(30), [])
  })
}

test.serial('truth 9: a_close_behind_a_queue_leaves_nothing_registered_either', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer).add(server)
  await duplicate(t, server.fd)
  while (server.queued === 0) server.send(new Uint8Array(4096))
  server.close()
  t.is(server.state, 'closing')
  t.is(registeredIn(epoll).length, 1)
  // The end does not come while the duplicate lives: the state does.
  const into = new Uint8Array(65536)
  await until(() => {
    client.receive(into)
    return server.state === 'closed'
  })
  t.deepEqual(registeredIn(epoll), [])
})

test.serial('truth 9: a_listener_a_failed_connect_and_a_strangers_descriptor_leave_nothing_registered', async (t) => {
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer)
  const listener = testListener(t)
  multiplexer.add(listener, 'r')
  const [listenerFd, to] = [listener.fd, addressOf(listener)]
  await duplicate(t, listenerFd)
  listener.close()
  t.false(registeredIn(epoll).includes(listenerFd))

  // The duplicate of the listener would still accept.
  const refused = Socket.connect({ port: (to as { port: number }).port, host: '127.0.0.2' })
  resetAtEnd(t, refused)
  multiplexer.add(refused)
  const { fd } = refused
  t.true(registeredIn(epoll).includes(fd))
  await duplicate(t, fd)
  t.is(await outcomeIn(multiplexer, refused), 'closed')
  t.false(registeredIn(epoll).includes(fd))

  const fifo = `${temporaryDirectory(t)}/fifo`
  await once(start(t, 'mkfifo', [fifo]), 'exit')
  const target = { fd: openSync(fifo, files.O_RDWR | files.O_NONBLOCK) }
  t.teardown(() => closeSync(target.fd))
  multiplexer.add(target, 'r')
  t.true(registeredIn(epoll).includes(target.fd))
  multiplexer.remove(target)
  t.deepEqual(registeredIn(epoll), [])
})

async function outcomeIn(multiplexer: Multiplexer, socket: Socket): Promise<string> {
  while (socket.state === 'connecting') await multiplexer.wait(10)
  return socket.state
}
