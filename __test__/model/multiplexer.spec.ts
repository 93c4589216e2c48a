import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import {
  type Interest,
  type Mode,
  Multiplexer,
  type ReadyEvent,
  Socket,
  SocketClosedError,
  SocketError,
} from 'm-socket'

import { start } from '../support/child.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import {
  FAMILIES,
  addressOf,
  closeAtEnd,
  connectedPair,
  fillSendQueue,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { nextTurn } from '../support/timing.js'
import { unixPairs } from '../support/unix-pairs.js'
import { freePath } from '../support/unix.js'
import { receiveExactly, until, waitUntil } from '../support/waiting.js'

const buffer = Buffer.alloc(65536)

test('the_default_is_edge_triggered_for_reading_and_writing', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer(client, server)
  const events = await multiplexer.wait(5000)
  t.deepEqual(new Set(events.map(({ target }) => target)), new Set([client, server]))
  t.true(events.every(({ readable, writable }) => writable && !readable))
  t.deepEqual(multiplexer.poll(), [], 'writable is reported once')
})

test('an_event_has_its_target_and_five_flags', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  const [event] = await multiplexer.wait(5000)
  t.is(event!.target, server)
  t.deepEqual(
    { ...event },
    { target: server, readable: true, writable: false, readEnded: false, hangup: false, error: false },
  )
})

for (const mode of ['edge', 'level'] as const satisfies readonly Mode[]) {
  for (const family of FAMILIES) {
    test(`${mode}_reports_readable_until_the_last_byte_is_read (${family})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      using multiplexer = new Multiplexer()
      multiplexer.add(server, 'r', mode)
      client.send(Buffer.alloc(10))
      for (let left = 10; left > 0; left -= 2) {
        t.true((await multiplexer.wait(5000))[0]?.readable, `${left} left`)
        t.is(server.receive(buffer.subarray(0, 2)), 2)
      }
      t.deepEqual(multiplexer.poll(), [])
      client.send('again')
      t.true((await multiplexer.wait(5000))[0]?.readable)
    })
  }
}

test('edge_reports_writable_once_and_level_on_every_wait', async (t) => {
  for (const [mode, reports] of [
    ['edge', 1],
    ['level', 3],
  ] as const) {
    const { client } = await connectedPair(t)
    using multiplexer = new Multiplexer()
    multiplexer.add(client, 'w', mode)
    let seen = 0
    for (let turn = 0; turn < 3; turn++) seen += (await multiplexer.wait(20)).length
    t.is(seen, reports, mode)
  }
})

for (const mode of ['edge', 'level', 'oneshot'] as const satisfies readonly Mode[]) {
  test(`writable_is_reported_when_the_queue_is_sent (${mode})`, async (t) => {
    const { client, server } = await smallBufferPair(t)
    using multiplexer = new Multiplexer()
    const sent = fillSendQueue(client)
    multiplexer.add(client, 'w', mode)
    t.deepEqual(await multiplexer.wait(30), [], 'the peer does not read')
    const received = receiveExactly(server, sent)
    const [event] = await multiplexer.wait(5000)
    t.true(event!.writable)
    t.is(client.queued, 0)
    t.is((await received).length, sent)
  })
}

test('interest_selects_the_reported_directions', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('x')
  await until(() => server.peek(buffer) === 1)
  const expected: Record<Interest, [boolean, boolean]> = { r: [true, false], w: [false, true], rw: [true, true] }
  for (const [interest, [readable, writable]] of Object.entries(expected)) {
    using multiplexer = new Multiplexer()
    multiplexer.add(server, interest as Interest)
    const [event] = await multiplexer.wait(5000)
    t.deepEqual([event!.readable, event!.writable], [readable, writable], interest)
  }
})

test('modify_changes_interest_and_mode_with_the_defaults_of_add', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'oneshot')
  multiplexer.modify(server, 'w', 'level')
  t.true((await multiplexer.wait(5000))[0]?.writable)
  t.true((await multiplexer.wait(5000))[0]?.writable)
  client.send('x')
  multiplexer.modify(server)
  const [event] = await multiplexer.wait(5000)
  t.true(event!.readable && event!.writable)
  t.is(server.receive(buffer), 1)
  t.deepEqual(multiplexer.poll(), [])
})

test('a_target_is_in_one_multiplexer_at_a_time', async (t) => {
  const { server } = await connectedPair(t)
  using one = new Multiplexer(server)
  using other = new Multiplexer()
  t.throws(() => one.add(server), {
    instanceOf: SocketError,
    code: 'EEXIST',
    message: /this Multiplexer already; use modify/,
  })
  t.throws(() => other.add(server), { instanceOf: SocketError, code: 'EEXIST', message: /another multiplexer/ })
  t.throws(() => other.remove(server), { instanceOf: SocketError, code: 'ENOENT' })
  t.throws(() => other.modify(server), { instanceOf: SocketError, code: 'ENOENT' })
  one.remove(server)
  other.add(server)
  t.is((await other.wait(5000))[0]?.target, server)
})

test('close_removes_a_socket_and_a_later_remove_is_no_error', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer(server, client)
  await multiplexer.wait(5000)
  server.close()
  t.notThrows(() => multiplexer.remove(server))
  t.throws(() => multiplexer.add(server), { instanceOf: SocketClosedError })
  const events = await multiplexer.wait(5000)
  t.deepEqual(
    events.map(({ target }) => target),
    [client],
    'only the peer is reported',
  )
})

test('waitSync_and_poll_report_as_wait_does', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  t.deepEqual(multiplexer.poll(), [])
  t.deepEqual(multiplexer.waitSync(10), [])
  client.send('x')
  t.is(multiplexer.waitSync()[0]?.target, server)
  t.is(multiplexer.poll()[0]?.target, server)
  server.receive(buffer)
  t.deepEqual(multiplexer.poll(), [])
})

test('waitSync_replaces_the_contents_of_the_given_array', async (t) => {
  const [first, second] = [await connectedPair(t), await connectedPair(t)]
  using multiplexer = new Multiplexer()
  for (const { server } of [first, second]) multiplexer.add(server, 'r')
  const events: ReadyEvent[] = []
  const reported = (timeout: number): unknown[] => {
    t.is(multiplexer.waitSync(timeout, events), events)
    return events.map(({ target }) => target)
  }
  for (const { client } of [first, second]) client.send('x')
  await until(() => [first, second].every(({ server }) => server.peek(buffer) === 1))
  t.deepEqual(reported(5000), [first.server, second.server])
  first.server.receive(buffer)
  t.deepEqual(reported(5000), [second.server], 'fewer than before')
  second.server.receive(buffer)
  t.deepEqual(reported(10), [], 'none when the time is up')
  for (const { client } of [first, second]) client.send('x')
  await until(() => [first, second].every(({ server }) => server.peek(buffer) === 1))
  t.deepEqual(reported(5000), [first.server, second.server])
  multiplexer.wake()
  multiplexer.remove(first.server)
  multiplexer.remove(second.server)
  t.deepEqual(reported(5000), [], 'none when woken')
})

test('waitSync_sends_queues_and_completes_graceful_closes', async (t) => {
  const { client, server } = await smallBufferPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  multiplexer.add(client, 'r')
  server.sendQueueLimit = 1e7
  server.send(Buffer.alloc(1_000_000))
  server.close()
  t.is(server.state, 'closing')
  let received = 0
  const end = performance.now() + 20_000
  while (!client.readEnded && performance.now() < end) {
    for (const event of multiplexer.waitSync(100)) if (event.readable) received += client.receive(buffer) ?? 0
  }
  t.is(received, 1_000_000)
  t.is(server.state, 'closed')
})

test('wait_resolves_without_events_after_its_timeout', async (t) => {
  using multiplexer = new Multiplexer()
  const began = performance.now()
  t.deepEqual(await multiplexer.wait(30), [])
  // Node's timers use whole milliseconds of a clock that is read once per turn.
  t.true(performance.now() - began >= 28)
  t.deepEqual(await multiplexer.wait(0), [])
})

test('iteration_ends_when_the_multiplexer_is_closed', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(server, 'r')
  client.send('x')
  let batches = 0
  for await (const events of multiplexer) {
    t.is(events[0]?.target, server)
    server.receive(buffer)
    if (++batches === 3) multiplexer.close()
    else client.send('x')
  }
  t.is(batches, 3)
})

test('close_leaves_sockets_open_and_their_queues_are_sent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const multiplexer = new Multiplexer(server)
  const sent = fillSendQueue(server)
  multiplexer.close()
  multiplexer.close()
  t.is(server.state, 'open')
  t.is((await receiveExactly(client, sent)).length, sent)
  t.throws(() => multiplexer.add(server), { instanceOf: SocketClosedError })
  t.throws(() => multiplexer.poll(), { instanceOf: SocketClosedError })
})

test('using_closes_the_multiplexer', async (t) => {
  let closed: Multiplexer
  {
    using multiplexer = new Multiplexer()
    closed = multiplexer
  }
  await t.throwsAsync(closed.wait(), { instanceOf: SocketClosedError })
})

test('a_foreign_fifo_can_be_a_target', async (t) => {
  const path = freePath(t)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(fd))
  for (const mode of ['edge', 'level'] as const) {
    using multiplexer = new Multiplexer()
    const target = { fd, name: 'mine' }
    multiplexer.add(target, 'r', mode)
    t.deepEqual(multiplexer.poll(), [])
    writeSync(fd, 'abc')
    t.is((await multiplexer.wait(5000))[0]?.target, target)
    t.true((await multiplexer.wait(5000))[0]?.readable, 'still unread')
    readSync(fd, buffer, 0, 3, null)
    t.deepEqual(multiplexer.poll(), [])
    t.throws(() => multiplexer.add(target), { instanceOf: SocketError, code: 'EEXIST' })
    t.throws(() => multiplexer.add({ fd }), { instanceOf: SocketError, code: 'EEXIST' })
    multiplexer.modify(target, 'rw', mode)
    t.true((await multiplexer.wait(5000))[0]?.writable)
    multiplexer.remove(target)
    t.throws(() => multiplexer.remove(target), { instanceOf: SocketError, code: 'ENOENT' })
  }
})

test('closing_a_foreign_descriptor_while_it_is_registered_is_harmless', async (t) => {
  const path = freePath(t)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  using multiplexer = new Multiplexer()
  const target = { fd }
  multiplexer.add(target, 'r')
  writeSync(fd, 'x')
  closeSync(fd)
  t.deepEqual(await multiplexer.wait(20), [])
  t.notThrows(() => multiplexer.remove(target))
})

test('a_descriptor_that_epoll_cannot_watch_is_refused', (t) => {
  using multiplexer = new Multiplexer()
  const fd = openSync(import.meta.filename, 'r')
  t.teardown(() => closeSync(fd))
  t.throws(() => multiplexer.add({ fd }), { instanceOf: SocketError, code: 'EPERM', message: /^epoll_ctl EPERM/ })
  t.throws(() => multiplexer.add({ fd: 999_999 }), { instanceOf: SocketError, code: 'EBADF' })
})

test('200_added_and_closed_sockets_leave_no_events', async (t) => {
  const listener = testListener(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r')
  let accepted = 0
  for (let round = 0; round < 200; round++) {
    const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
    multiplexer.add(client)
    await waitUntil(
      multiplexer,
      () => accepted > round,
      () => {
        const server = listener.accept()
        if (!server) return
        accepted++
        multiplexer.add(server)
        server.reset()
      },
    )
    client.reset()
  }
  t.is(accepted, 200)
  t.deepEqual(multiplexer.poll(), [])
})

test('an_always_ready_socket_does_not_starve_setImmediate', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('never read')
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'level')
  let immediates = 0
  const tick = () => setImmediate(() => ++immediates < 20 && tick())
  tick()
  let waits = 0
  while (immediates < 20 && waits < 10_000) {
    t.is((await multiplexer.wait()).length, 1)
    waits++
  }
  t.is(immediates, 20)
})

// Events and batches

test('an_event_is_reused_by_the_next_wait_and_cleared_by_remove_and_close', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  const [first] = await multiplexer.wait(5000)
  const [second] = await multiplexer.wait(5000)
  t.is(first, second, 'the event object is reused')
  t.is(flagsOf(first!), 'readable')
  multiplexer.remove(server)
  t.is(flagsOf(first!), '')
  multiplexer.add(server, 'r')
  const [third] = await multiplexer.wait(5000)
  t.is(flagsOf(third!), 'readable')
  t.is(flagsOf(first!), '', 'the event of a removed registration stays cleared')
  multiplexer.close()
  t.is(flagsOf(third!), '')
})

test('a_socket_removed_and_added_again_within_a_batch_is_reported_again', async (t) => {
  const pairs = unixPairs(t, 3)
  using multiplexer = new Multiplexer()
  for (const { client, server } of pairs) {
    client.send('x')
    multiplexer.add(server, 'r')
  }
  const servers = pairs.map(({ server }) => server)
  const events = multiplexer.poll()
  t.deepEqual(targetsOf(events), servers)
  const [first, second, third] = servers as [Socket, Socket, Socket]
  multiplexer.remove(second)
  multiplexer.add(second, 'w')
  multiplexer.modify(third, 'r', 'oneshot')
  t.deepEqual(events.map(flagsOf), ['readable', '', 'readable'])
  t.is(new Set(targetsOf(multiplexer.poll())).size, 3)
  const next = multiplexer.poll()
  t.is(flagsFor(first, next), 'readable')
  t.is(flagsFor(second, next), undefined)
  t.is(flagsFor(third, next), undefined)
})

test('events_come_in_the_order_of_readiness', async (t) => {
  const pairs = unixPairs(t, 20)
  using multiplexer = new Multiplexer()
  for (const { server } of pairs) multiplexer.add(server, 'r')
  const order = pairs.map((_, index) => pairs[(index * 7) % pairs.length]!)
  for (const { client } of order) client.send('x')
  t.deepEqual(
    targetsOf(multiplexer.poll()).map((target) => order.findIndex(({ server }) => server === target)),
    order.map((_, index) => index),
  )
})

test('breaking_out_of_an_iteration_leaves_the_multiplexer_open', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  for await (const events of multiplexer) {
    t.is(flagsFor(server, events), 'readable')
    break
  }
  await t.throwsAsync(
    async () => {
      for await (const events of multiplexer) throw new Error(`${events.length} events`)
    },
    { message: '1 events' },
  )
  t.is(flagsFor(server, multiplexer.poll()), 'readable')
})

test('close_from_outside_ends_a_pending_iteration', async (t) => {
  const multiplexer = new Multiplexer()
  let batches = 0
  const ended = (async () => {
    for await (const _ of multiplexer) batches++
  })()
  multiplexer.wake()
  await nextTurn()
  await nextTurn()
  t.is(batches, 1, 'a wake yields an empty batch')
  multiplexer.close()
  await ended
  t.is(batches, 1)
})

// Fairness to Node's loop

for (const mode of ['edge', 'level'] as const) {
  test.serial(`busy_sockets_do_not_starve_timers (${mode})`, async (t) => {
    const pairs = unixPairs(t, 1200)
    using multiplexer = new Multiplexer()
    for (const { client, server } of pairs) {
      client.send('never read')
      multiplexer.add(server, 'rw', mode)
    }
    const fired: Record<string, number> = { timeout: 0, interval: 0, immediate: 0, io: 0 }
    setTimeout(() => fired['timeout']!++, 1)
    const interval = setInterval(() => fired['interval']!++, 1)
    t.teardown(() => clearInterval(interval))
    const other = await connectedPair(t)
    using others = new Multiplexer()
    others.add(other.server, 'r')
    void others.wait().then(() => fired['io']!++)
    other.client.send('x')
    const end = performance.now() + 20_000
    const enough = (): boolean =>
      fired['timeout'] === 1 && fired['interval']! >= 5 && fired['immediate']! >= 5 && fired['io'] === 1
    let events = 0
    while (!enough() && performance.now() < end) {
      setImmediate(() => fired['immediate']!++)
      events += (await multiplexer.wait()).length
    }
    t.true(enough(), JSON.stringify(fired))
    t.true(events > 1000)
  })
}

// Foreign descriptors

/** A FIFO that is open for reading; O_NONBLOCK: open(2) does not wait for a writer, fifo(7). */
function fifo(t: ExecutionContext): { path: string; target: { fd: number } } {
  const path = freePath(t)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  t.teardown(() => closeSync(fd))
  return { path, target: { fd } }
}

test('data_and_end_of_a_pipe_from_another_process_are_reported', async (t) => {
  const { path, target } = fifo(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(target, 'r')
  const writer = start(t, 'sh', ['-c', `exec > '${path}'; printf hello; read line; printf bye`], {
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const into = Buffer.alloc(100)
  let text = ''
  let ended = false
  await waitUntil(
    multiplexer,
    () => ended,
    (events) => {
      for (const event of events) {
        t.is(event.target, target)
        if (event.readable && text !== 'hellobye') {
          text += into.toString('latin1', 0, readSync(target.fd, into))
          if (text === 'hello') writer.stdin!.write('\n')
        }
        ended = event.hangup && text === 'hellobye'
      }
    },
  )
  t.is(readSync(target.fd, into), 0)
})

test('the_write_end_of_a_pipe_is_writable_until_it_is_full', async (t) => {
  const { path, target } = fifo(t)
  const end = { fd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) }
  t.teardown(() => closeSync(end.fd))
  using multiplexer = new Multiplexer()
  multiplexer.add(end, 'w', 'level')
  for (let wait = 0; wait < 3; wait++) t.is(flagsFor(end, multiplexer.poll()), 'writable')
  t.throws(
    () => {
      for (;;) writeSync(end.fd, buffer)
    },
    { code: 'EAGAIN' },
  )
  t.deepEqual(multiplexer.poll(), [])
  let taken = 0
  while (taken < 65536) taken += readSync(target.fd, buffer)
  t.is(flagsFor(end, await multiplexer.wait(5000)), 'writable')
})

test('a_foreign_oneshot_is_silent_until_modified', async (t) => {
  const path = freePath(t)
  execFileSync('mkfifo', [path])
  const target = { fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK) }
  t.teardown(() => closeSync(target.fd))
  using multiplexer = new Multiplexer()
  multiplexer.add(target, 'r', 'oneshot')
  writeSync(target.fd, 'x')
  t.is(flagsFor(target, await multiplexer.wait(5000)), 'readable')
  writeSync(target.fd, 'y')
  t.deepEqual(multiplexer.poll(), [])
  multiplexer.modify(target, 'r', 'oneshot')
  t.is(flagsFor(target, await multiplexer.wait(5000)), 'readable')
  t.deepEqual(multiplexer.poll(), [])
})

test('two_multiplexers_can_share_a_foreign_descriptor_and_neither_closes_it', async (t) => {
  const { path, target } = fifo(t)
  const end = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  t.teardown(() => closeSync(end))
  using one = new Multiplexer()
  const other = new Multiplexer()
  one.add(target, 'r')
  other.add(target, 'r')
  writeSync(end, 'x')
  t.is(flagsFor(target, one.poll()), 'readable')
  t.is(flagsFor(target, other.poll()), 'readable')
  other.close()
  t.is(flagsFor(target, one.poll()), 'readable')
  t.is(readSync(target.fd, buffer), 1)
})

test('a_readable_pipe_stays_registered_while_sockets_come_and_go', async (t) => {
  const { path, target } = fifo(t)
  const end = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  t.teardown(() => closeSync(end))
  const pairs = unixPairs(t, 50)
  using multiplexer = new Multiplexer()
  multiplexer.add(target, 'r')
  writeSync(end, 'x')
  for (const { client, server } of pairs) {
    multiplexer.add(server, 'r')
    client.send('x')
    const events = multiplexer.poll()
    t.is(flagsFor(target, events), 'readable')
    t.is(flagsFor(server, events), 'readable')
    server.close()
  }
  t.deepEqual(targetsOf(multiplexer.poll()), [target])
})

test.serial('spin_polls_for_the_given_time_before_sleeping', (t) => {
  using multiplexer = new Multiplexer(testListener(t))
  const cpuOfWait = (milliseconds: number): number => {
    const before = process.cpuUsage()
    t.deepEqual(multiplexer.waitSync(milliseconds), [])
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  }
  t.is(multiplexer.spin, 0)
  t.true(Math.min(cpuOfWait(60), cpuOfWait(60), cpuOfWait(60)) < 20)
  multiplexer.spin = 400.5
  t.is(multiplexer.spin, 400.5)
  // Other processes may use the core for most of that time.
  let awake = 0
  for (let tries = 0; awake <= 20 && tries < 10; tries++) awake = cpuOfWait(450)
  t.true(awake > 20)
  for (const [wrong, code] of [
    [-1, 'ERR_OUT_OF_RANGE'],
    [NaN, 'ERR_OUT_OF_RANGE'],
    ['1', 'ERR_INVALID_ARG_TYPE'],
  ] as const) {
    t.throws(() => (multiplexer.spin = wrong as number), { code })
  }
})
