import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { type InetAddress, type Listener, Multiplexer, Socket, SocketError, toDuplex } from 'm-socket'

import { start } from '../support/child.js'
import { assertIdle } from '../support/timing.js'
import {
  FAMILIES,
  addressOf,
  connectedPair,
  fillSendQueue,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { inherited, runPython } from '../support/python.js'
import { flagsFor } from '../support/event-flags.js'
import { acceptNext, receiveExactly, receiveToEnd, until, waitUntil } from '../support/waiting.js'

test('truth 22: after_the_peers_fin_the_socket_still_writes', async (t) => {
  const { client, server } = await connectedPair(t)
  client.shutdown('write')
  using multiplexer = new Multiplexer(server)
  await waitUntil(
    multiplexer,
    () => server.readEnded,
    () => void server.receive(Buffer.alloc(8)),
  )
  t.is(server.state, 'open')
  t.is(server.send('still'), 'sent')
  multiplexer.remove(server)
  t.is((await receiveExactly(client, 5)).toString(), 'still')
})

for (const mode of ['edge', 'level'] as const) {
  test(`truth 22: a_full_send_buffer_after_the_peers_fin_does_not_spin (${mode})`, async (t) => {
    const { client, server } = await smallBufferPair(t)
    client.shutdown('write')
    await until(() => server.receive(Buffer.alloc(8)) === 0, server)
    fillSendQueue(server)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'rw', mode)
    let reports = 0
    const end = performance.now() + 200
    while (performance.now() < end) reports += (await multiplexer.wait(20)).length
    t.true(reports <= 2, `${reports} reports of nothing`)
  })
}

test('truth 22: both_fins_are_a_hang_up', async (t) => {
  const { client, server } = await connectedPair(t)
  client.shutdown('write')
  server.shutdown('write')
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const [event] = await multiplexer.wait(5000)
  t.true(event!.hangup && event!.readEnded && event!.readable)
  t.false(event!.error)
})

for (const interest of ['r', 'w', 'rw'] as const) {
  test(`truth 23: a_reset_comes_unasked_and_after_the_data (${interest})`, async (t) => {
    const { client, server } = await connectedPair(t)
    client.send('last words')
    await until(() => server.peek(Buffer.alloc(16)) === 10, server)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, interest)
    client.reset()
    await waitUntil(
      multiplexer,
      () => t.context === true,
      (events) => {
        if (events.some(({ error, hangup }) => error && hangup)) t.context = true
      },
    )
    const buffer = Buffer.alloc(16)
    t.is(server.receive(buffer), 10)
    t.is(buffer.toString('latin1', 0, 10), 'last words')
    t.throws(() => server.receive(buffer), { instanceOf: SocketError, code: 'ECONNRESET', message: 'read ECONNRESET' })
    t.is(server.state, 'closed')
  })
}

test('truth 23: a_send_that_meets_the_reset_first_costs_the_reader_nothing', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('last words')
  await until(() => server.peek(Buffer.alloc(16)) === 10, server)
  client.reset()
  await until(() => server.send('x') === 'closed')
  const buffer = Buffer.alloc(16)
  t.is(server.receive(buffer), 10)
  t.throws(() => server.receive(buffer), { instanceOf: SocketError, code: 'ECONNRESET' })
})

test('truth 24: would_block_after_an_event_is_a_value', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('x')
  using multiplexer = new Multiplexer(server)
  await waitUntil(multiplexer, () => server.receive(Buffer.alloc(8)) === 1)
  t.is(server.receive(Buffer.alloc(8)), null)
  t.is(server.state, 'open')
})

test('truth 25: modify_with_unread_data_reports_it_anew', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'w')
  await multiplexer.wait(5000)
  client.send('x')
  await until(() => server.peek(Buffer.alloc(1)) === 1)
  t.deepEqual(await multiplexer.wait(50), [], 'paused')
  multiplexer.modify(server, 'r')
  const [event] = await multiplexer.wait(5000)
  t.true(event!.readable)
})

for (const family of FAMILIES) {
  test(`truth 26: oneshot_is_silent_until_modified (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r', 'oneshot')
    client.send('x')
    t.is((await multiplexer.wait(5000)).length, 1)
    client.send('y')
    t.deepEqual(await multiplexer.wait(50), [])
    multiplexer.modify(server, 'r', 'oneshot')
    t.is((await multiplexer.wait(5000)).length, 1)
    t.deepEqual(await multiplexer.wait(50), [])
  })
}

test('truth 26: queued_output_goes_out_though_a_oneshot_is_spent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'oneshot')
  client.send('x')
  t.is((await multiplexer.wait(5000)).length, 1)
  const sent = fillSendQueue(server)
  const received = receiveExactly(client, sent)
  await waitUntil(multiplexer, () => server.queued === 0)
  t.is((await received).length, sent)
})

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  testWith(['python3'], `truth 27: an_urgent_byte_neither_spins_nor_hides_what_follows (${mode})`, async (t) => {
    const listener = testListener(t)
    const { port } = listener.address as { port: number }
    const peer = start(
      t,
      'python3',
      [
        '-c',
        `
import socket, sys
s = socket.create_connection(('127.0.0.1', ${port}))
s.send(b'abc'); s.send(b'!', socket.MSG_OOB); s.send(b'def')
print('sent', flush=True); sys.stdin.readline(); s.close()`,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    const server = resetAtEnd(t, await acceptNext(listener))
    await once(peer.stdout!, 'data')
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r', mode)
    const buffer = Buffer.alloc(64)
    let text = ''
    let waits = 0
    await waitUntil(
      multiplexer,
      () => text === 'abcdef',
      (events) => {
        for (const { readable } of events) {
          waits++
          const count = readable ? server.receive(buffer) : null
          if (count !== null) text += buffer.toString('latin1', 0, count)
        }
        if (mode === 'oneshot') multiplexer.modify(server, 'r', mode)
      },
    )
    t.true(waits < 10, `${waits} reports`)
    t.is((await multiplexer.wait(50)).length, 0, 'and then there is nothing to report')
    peer.stdin!.write('\n')
  })
}

test('truth 28: what_comes_after_a_local_shutdown_for_reading_is_discarded', async (t) => {
  const { client, server } = await smallBufferPair(t)
  using multiplexer = new Multiplexer(server)
  server.shutdown('read')
  t.is(server.receive(Buffer.alloc(8)), 0)
  const total = 2_000_000
  client.sendQueueLimit = total
  client.send(Buffer.alloc(total))
  await until(() => client.queued === 0)
  let reports = 0
  for (let turn = 0; turn < 5; turn++) reports += (await multiplexer.wait(10)).filter(({ readable }) => readable).length
  t.is(reports, 0)
  t.is(server.receive(Buffer.alloc(8)), 0)
  t.is(server.send('we still talk'), 'sent')
  t.is((await receiveExactly(client, 13)).toString(), 'we still talk')
})

test('truth 28: nobody_has_to_watch_for_it_to_be_discarded', async (t) => {
  const { client, server } = await smallBufferPair(t)
  server.shutdown('read')
  client.sendQueueLimit = 1_000_000
  client.send(Buffer.alloc(1_000_000))
  await until(() => client.queued === 0)
  server.shutdown('write')
  t.is((await receiveToEnd(client)).length, 0)
})

test('truth 23: a_stream_that_nobody_reads_keeps_what_came_before_the_reset', async (t) => {
  const { client, server } = await connectedPair(t)
  const stream = toDuplex(server)
  client.send('last words')
  await until(() => server.peek(Buffer.alloc(16)) === 10)
  client.reset()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [error] = (await once(stream, 'error').catch((thrown: Error) => [thrown])) as [NodeJS.ErrnoException]
  t.is(Buffer.concat(chunks).toString(), 'last words')
  t.is(error.code, 'ECONNRESET')
})

test('truth 22: what_the_kernel_says_of_each_end_is_told_as_such', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.shutdown()
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded', 'no hang-up')
  multiplexer.modify(server, 'rw')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable writable readEnded', 'and it can still be written to')
  server.shutdown()
  await until(() => server.info().state === 'closed')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded hangup')
})

for (const interest of ['r', 'w', 'rw'] as const) {
  test.serial(`truth 22: waiting_for_a_peer_that_has_ended_and_reads_nothing_is_sleep (${interest})`, async (t) => {
    const { client, server } = await smallBufferPair(t)
    client.shutdown()
    await until(() => server.receive(new Uint8Array(1)) === 0, server)
    fillSendQueue(server)
    for (const mode of ['edge', 'level', 'oneshot'] as const) {
      using multiplexer = new Multiplexer()
      multiplexer.add(server, interest, mode)
      t.deepEqual(await assertIdle(t, () => multiplexer.wait(300)), [], mode)
    }
  })
}

test('truth 23: a_spent_oneshot_learns_of_the_reset_when_it_is_rearmed_or_read', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'oneshot')
  client.send('last words')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
  client.reset()
  await until(() => server.info().state === 'closed')
  t.deepEqual(await multiplexer.wait(30), [])
  multiplexer.modify(server, 'r', 'oneshot')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded hangup error')
  const into = Buffer.alloc(100)
  t.is(server.receive(into), 10)
  t.throws(() => server.receive(into), { code: 'ECONNRESET' })
})

// Another process has the same open socket, and takes what our event is about.

testWith(['python3'], 'truth 24: data_that_somebody_else_takes_after_the_event_would_block', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('stolen')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
  t.is(runPython(`import socket; print(${inherited()}.recv(100).decode(), end='')`, server.fd), 'stolen')
  t.is(server.receive(new Uint8Array(1)), null)
  t.deepEqual(await multiplexer.wait(30), [])
  client.send('x')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
})

testWith(['python3'], 'truth 24: data_that_somebody_else_takes_before_the_event_is_not_told_of_forever', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('stolen')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
  runPython(`import socket; ${inherited()}.recv(100)`, server.fd)
  t.deepEqual(await multiplexer.wait(30), [], 'what was told is asked for again before it is repeated')
})

testWith(['python3'], 'truth 24: a_connection_that_somebody_else_accepts_after_the_event_would_block', async (t) => {
  const listener = testListener(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r')
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  t.is(flagsFor(listener, await multiplexer.wait(5000)), 'readable')
  runPython(`import socket; ${inherited()}.accept()`, listener.fd)
  t.is(listener.accept(), null)
  t.deepEqual(await multiplexer.wait(30), [])
})

test('truth 24: a_batch_may_tell_of_what_an_earlier_event_of_it_has_used_up', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  const [event] = await multiplexer.wait(5000)
  t.is(server.receive(new Uint8Array(10)), 1)
  t.true(event!.readable, 'it is a hint, and stands')
  t.is(server.receive(new Uint8Array(10)), null)
})

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  test(`truth 25: unread_data_is_told_of_again_after_each_modify (${mode})`, async (t) => {
    const { client, server } = await connectedPair(t)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r', mode)
    client.send('x')
    t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
    for (let pause = 0; pause < 3; pause++) {
      multiplexer.modify(server, 'w', 'edge')
      for (let wait = 0; wait < 3; wait++) t.not(flagsFor(server, await multiplexer.wait(20)), 'readable', 'paused')
      multiplexer.modify(server, 'r', mode)
      t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable', 'resumed')
    }
  })
}

testWith(['python3'], 'truth 27: an_urgent_byte_alone_is_no_news_and_costs_nothing', async (t) => {
  const listener = testListener(t)
  const { server, peer } = await urgently(t, listener, `peer.send(b'!', socket.MSG_OOB)`)
  for (const mode of ['edge', 'level'] as const) {
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r', mode)
    t.deepEqual(await assertIdle(t, () => multiplexer.wait(300)), [], mode)
    t.is(server.receive(new Uint8Array(10)), null)
  }
  peer.stdin!.end()
  t.is((await receiveToEnd(server)).length, 0)
})

// Of two urgent bytes the kernel knows the later: the earlier one is data again.
for (const [oobInline, expected] of [
  [false, 'abc!defghi'],
  [true, 'abc!def?ghi'],
] as const) {
  testWith(
    ['python3'],
    `truth 27: nothing_between_urgent_bytes_is_lost_to_reads_that_stop_at_their_marks (${oobInline ? 'in line' : 'out of band'})`,
    async (t) => {
      const listener = testListener(t, 'IPv4', { oobInline })
      const { server, peer } = await urgently(
        t,
        listener,
        `
for data, urgent in ((b'abc', b'!'), (b'def', b'?')): peer.send(data); peer.send(urgent, socket.MSG_OOB)
peer.send(b'ghi')`,
      )
      peer.stdin!.end()
      t.is((await receiveToEnd(server)).toString('latin1'), expected)
    },
  )
}

/** A connection from a program that does something urgent, says so, and ends when its input does. */
async function urgently(
  t: ExecutionContext,
  listener: Listener,
  source: string,
): Promise<{ server: Socket; peer: ChildProcess }> {
  const { port } = listener.address as InetAddress
  const peer = start(
    t,
    'python3',
    [
      '-c',
      `
import socket, sys
peer = socket.create_connection(('127.0.0.1', ${port}))
${source}
print('done', flush=True)
sys.stdin.read()`,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const server = resetAtEnd(t, await acceptNext(listener))
  await once(peer.stdout!, 'data')
  return { server, peer }
}

test.serial('truth 28: what_is_discarded_is_no_news_and_costs_nothing', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'level')
  server.shutdown('read')
  t.true(server.readEnded)
  client.send('too late')
  t.deepEqual(await assertIdle(t, () => multiplexer.wait(300)), [])
  t.is(server.receive(new Uint8Array(10)), 0)
  client.reset()
  await until(() => server.info().state === 'closed')
  t.regex(flagsFor(server, await multiplexer.wait(5000)) ?? '', /error/)
})
