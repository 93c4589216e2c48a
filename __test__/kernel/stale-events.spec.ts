import { once } from 'node:events'
import { closeSync, constants as files, openSync } from 'node:fs'
import { constants } from 'node:os'

import test, { type ExecutionContext } from 'ava'
import { Listener, Multiplexer, type ReadyEvent, Socket, toDuplex } from 'm-socket'
import * as native from 'm-socket/native'

import { start } from '../support/child.js'
import { openWithDescriptor, retryUntilReused } from '../support/descriptor-reuse.js'
import { multiplexerAndDescriptor, registeredIn } from '../support/epoll.js'
import { flagsFor, targetsOf } from '../support/event-flags.js'
import { addressOf, closeAtEnd, connectedPair, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { nextTurn } from '../support/timing.js'
import { unixPairs } from '../support/unix-pairs.js'
import { freePath, temporaryDirectory } from '../support/unix.js'
import { until } from '../support/waiting.js'

/** Waits until one batch has an event of every target. */
async function batchOf(multiplexer: Multiplexer, targets: readonly Socket[]): Promise<ReadyEvent[]> {
  for (;;) {
    const events = await multiplexer.wait(5000)
    if (targets.every((target) => events.some((event) => event.target === target))) return events
  }
}

test('truth 6: closing_a_socket_clears_its_event_in_the_current_batch', async (t) => {
  const pairs = await Promise.all([connectedPair(t), connectedPair(t)])
  const servers = pairs.map(({ server }) => server)
  for (const { client } of pairs) client.send('x')
  using multiplexer = new Multiplexer(...servers)
  const events = await batchOf(multiplexer, servers)
  const [first, second] = servers.map((server) => events.find((event) => event.target === server)!)
  t.true(second!.readable)
  servers[1]!.close()
  t.true(first!.readable, 'other events keep their flags')
  const { readable, writable, readEnded, hangup, error } = second!
  t.deepEqual(
    { readable, writable, readEnded, hangup, error },
    { readable: false, writable: false, readEnded: false, hangup: false, error: false },
  )
})

test('truth 6: a_stream_that_is_destroyed_within_the_batch_gets_no_data', async (t) => {
  const pairs = await Promise.all([connectedPair(t), connectedPair(t)])
  const streams = pairs.map(({ server }) => toDuplex(server))
  let calls = 0
  for (const stream of streams) {
    stream.on('data', () => {
      calls++
      for (const other of streams) if (other !== stream) other.destroy()
    })
  }
  for (const { client } of pairs) client.send('x')
  await until(() => calls > 0 && streams.filter(({ destroyed }) => destroyed).length === 1)
  t.is(calls, 1)
  for (const stream of streams) stream.destroy()
})

test.serial('truth 7: an_old_event_never_reaches_the_new_owner_of_its_descriptor', (t) =>
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

test('truth 8: events_keep_their_targets_while_sockets_are_opened', async (t) => {
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

test('truth 9: a_duplicate_in_another_process_keeps_no_registration', async (t) => {
  const { client, server } = await connectedPair(t)
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer).add(server)
  const { fd } = server
  t.deepEqual(registeredIn(epoll), [fd])
  // The child keeps a duplicate until the end of the test.
  const child = start(t, 'cat', [], { stdio: ['pipe', 'ignore', 'ignore', fd] })
  server.close()
  t.deepEqual(registeredIn(epoll), [])
  client.send('still comes')
  t.deepEqual(await multiplexer.wait(50), [])
  t.is(child.exitCode, null)
})

const SOCKETS = 60
const [FORTY_SEVENTH, THIRTEENTH] = [46, 12]

/** The calls that clear the event of a socket in the current batch. */
const WAYS: [string, (socket: Socket, multiplexer: Multiplexer) => void][] = [
  ['close', (socket) => socket.close()],
  ['reset', (socket) => socket.reset()],
  ['remove', (socket, multiplexer) => multiplexer.remove(socket)],
]

for (const [way, clear] of WAYS) {
  test(`truth 6: event_47_of_a_batch_clears_the_later_event_of_socket_13 (${way})`, async (t) => {
    const pairs = unixPairs(t, SOCKETS)
    using multiplexer = new Multiplexer()
    for (const { server } of pairs) multiplexer.add(server, 'r')
    // Events come in the order in which sockets become ready: that of socket 13 comes last.
    for (const pair of [...pairs.toSpliced(THIRTEENTH, 1), pairs[THIRTEENTH]!]) pair.client.send('x')
    const events = await multiplexer.wait(5000)
    t.is(events.length, SOCKETS)
    const later = pairs[THIRTEENTH]!.server
    t.is(targetsOf(events).indexOf(later), SOCKETS - 1)
    const handled = new Set<unknown>()
    for (const [index, event] of events.entries()) {
      if (index === FORTY_SEVENTH) clear(later, multiplexer)
      if (!event.readable) continue
      handled.add(event.target)
      t.is((event.target as Socket).receive(new Uint8Array(10)), 1)
    }
    t.false(handled.has(later))
    t.is(handled.size, SOCKETS - 1)
    t.is(flagsFor(later, events), '')
    t.deepEqual(multiplexer.poll(), [])
  })
}

/** Two sockets with events in one batch, and a listener for new connections. */
async function batchOfTwo(
  t: ExecutionContext,
): Promise<{ events: ReadyEvent[]; first: Socket; later: Socket; listener: Listener; multiplexer: Multiplexer }> {
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

/** Connects to a listener and returns the accepted socket. */
function acceptNew(t: ExecutionContext, listener: Listener): Socket {
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  return resetAtEnd(t, listener.accept()!)
}

test.serial('truth 7: a_descriptor_reused_within_a_batch_gets_no_old_events', (t) =>
  retryUntilReused(async () => {
    const { events, first, later, listener, multiplexer } = await batchOfTwo(t)
    for (let count = 0; count < 1000; count++) resetAtEnd(t, Socket.connect(addressOf(listener)))
    const { fd } = later
    later.close()
    const successor = openWithDescriptor(fd, () => resetAtEnd(t, listener.accept()!))
    multiplexer.add(successor, 'r')
    t.deepEqual(targetsOf(events), [first, later])
    t.is(flagsFor(later, events), '')
    t.deepEqual(targetsOf(multiplexer.poll()), [first])
    t.is(successor.receive(new Uint8Array(100)), null)
  }),
)

test.serial('truth 7: a_closed_native_handle_gives_EBADF_after_its_slot_was_reused', (t) => {
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

test.serial('truth 8: reusing_a_slot_1100_times_within_a_batch_mixes_up_no_events', async (t) => {
  const { events, later, listener, multiplexer } = await batchOfTwo(t)
  later.close()
  // More often than a handle has generations (512).
  for (let use = 0; use < 1100; use++) {
    const socket = acceptNew(t, listener)
    multiplexer.add(socket, 'r')
    socket.close()
  }
  const successor = acceptNew(t, listener)
  multiplexer.add(successor, 'r')
  t.is(flagsFor(later, events), '')
  t.is(later.state, 'closed')
  t.is(later.fd, -1)
  t.throws(() => later.receive(new Uint8Array(1)), { code: 'ERR_SOCKET_CLOSED' })
  t.is(later.send('x'), 'closed')
  later.close()
  t.not(successor.fd, -1)
  t.is(flagsFor(successor, multiplexer.poll()), undefined)
})

test.serial('truth 8: streams_opened_and_destroyed_within_a_batch_mix_up_no_events', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ path: freePath(t), backlog: 4000 }))
  const pairs = unixPairs(t, 2)
  const streams = pairs.map(({ server }) => toDuplex(server))
  let successor: ReturnType<typeof toDuplex> | undefined
  let calls = 0
  let successorCalls = 0
  for (const [index, stream] of streams.entries()) {
    stream.on('data', () => {
      calls++
      if (calls > 1) return
      streams[1 - index]!.destroy()
      for (let use = 0; use < 1100; use++) toDuplex(acceptNew(t, listener)).destroy()
      successor = toDuplex(acceptNew(t, listener)).on('data', () => successorCalls++)
    })
  }
  await nextTurn()
  for (const { client } of pairs) client.send('x')
  await until(() => successor !== undefined)
  await until(() => streams.filter(({ destroyed }) => destroyed).length === 1)
  t.deepEqual([calls, successorCalls], [1, 0])
  for (const stream of [...streams, successor!]) stream.destroy()
})

/** Gives a child process a duplicate of a descriptor until the end of the test. */
async function duplicate(t: ExecutionContext, fd: number): Promise<void> {
  const child = start(t, 'cat', [], { stdio: ['pipe', 'ignore', 'ignore', fd] })
  await once(child, 'spawn')
}

for (const [way, clear] of WAYS) {
  test.serial(`truth 9: nothing_stays_registered_while_a_duplicate_is_open (${way})`, async (t) => {
    const { client, server } = await connectedPair(t)
    const { multiplexer, epoll } = multiplexerAndDescriptor()
    closeAtEnd(t, multiplexer).add(server)
    t.deepEqual(registeredIn(epoll), [server.fd])
    await duplicate(t, server.fd)
    clear(server, multiplexer)
    t.deepEqual(registeredIn(epoll), [])
    client.send('x')
    t.deepEqual(await multiplexer.wait(30), [])
  })
}

test.serial('truth 9: a_close_after_the_queue_leaves_nothing_registered', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer).add(server)
  await duplicate(t, server.fd)
  while (server.queued === 0) server.send(new Uint8Array(4096))
  server.close()
  t.is(server.state, 'closing')
  t.is(registeredIn(epoll).length, 1)
  // The peer gets no FIN while the duplicate is open, but the state becomes `closed`.
  const into = new Uint8Array(65536)
  await until(() => {
    client.receive(into)
    return server.state === 'closed'
  })
  t.deepEqual(registeredIn(epoll), [])
})

test.serial('truth 9: listeners_failed_connects_and_foreign_descriptors_leave_nothing_registered', async (t) => {
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, multiplexer)
  const listener = testListener(t)
  multiplexer.add(listener, 'r')
  const [listenerFd, to] = [listener.fd, addressOf(listener)]
  await duplicate(t, listenerFd)
  listener.close()
  t.false(registeredIn(epoll).includes(listenerFd))

  // Not 127.0.0.1, where the duplicate of the listener still accepts.
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
