import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { type InetAddress, type Listener, Multiplexer, Socket, SocketError, toDuplex } from 'm-socket'

import { start } from '../support/child.js'
import { flagsFor } from '../support/event-flags.js'
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
import { assertIdle } from '../support/timing.js'
import { acceptNext, receiveExactly, receiveToEnd, until, waitUntil } from '../support/waiting.js'

test('truth 22: sending_works_after_the_peers_fin', async (t) => {
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
    t.true(reports <= 2, `${reports} events`)
  })
}

test('truth 22: fins_in_both_directions_report_hangup', async (t) => {
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
  test(`truth 23: a_reset_is_reported_for_any_interest_and_read_after_the_data (${interest})`, async (t) => {
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

test('truth 23: a_send_that_fails_by_a_reset_loses_no_unread_data', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('last words')
  await until(() => server.peek(Buffer.alloc(16)) === 10, server)
  client.reset()
  await until(() => server.send('x') === 'closed')
  const buffer = Buffer.alloc(16)
  t.is(server.receive(buffer), 10)
  t.throws(() => server.receive(buffer), { instanceOf: SocketError, code: 'ECONNRESET' })
})

test('truth 24: receive_returns_null_when_it_would_block_after_an_event', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('x')
  using multiplexer = new Multiplexer(server)
  await waitUntil(multiplexer, () => server.receive(Buffer.alloc(8)) === 1)
  t.is(server.receive(Buffer.alloc(8)), null)
  t.is(server.state, 'open')
})

test('truth 25: modify_reports_unread_data', async (t) => {
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

test('truth 26: queued_output_is_sent_after_a_oneshot_has_fired', async (t) => {
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
  testWith(['python3'], `truth 27: an_urgent_byte_neither_spins_nor_hides_later_data (${mode})`, async (t) => {
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
    t.is((await multiplexer.wait(50)).length, 0, 'nothing more is reported')
    peer.stdin!.write('\n')
  })
}

test('truth 28: data_after_a_local_shutdown_read_is_discarded', async (t) => {
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
  t.is(server.send('still sending'), 'sent')
  t.is((await receiveExactly(client, 13)).toString(), 'still sending')
})

test('truth 28: data_after_a_local_shutdown_read_is_discarded_without_a_multiplexer', async (t) => {
  const { client, server } = await smallBufferPair(t)
  server.shutdown('read')
  client.sendQueueLimit = 1_000_000
  client.send(Buffer.alloc(1_000_000))
  await until(() => client.queued === 0)
  server.shutdown('write')
  t.is((await receiveToEnd(client)).length, 0)
})

test('truth 23: an_unread_stream_keeps_data_that_came_before_a_reset', async (t) => {
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

test('truth 22: the_peers_fin_and_a_hangup_are_separate_flags', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.shutdown()
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded', 'no hangup')
  multiplexer.modify(server, 'rw')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable writable readEnded', 'still writable')
  server.shutdown()
  await until(() => server.info().state === 'closed')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded hangup')
})

for (const interest of ['r', 'w', 'rw'] as const) {
  test.serial(`truth 22: waiting_with_a_full_send_buffer_after_the_peers_fin_uses_no_cpu (${interest})`, async (t) => {
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

test('truth 23: a_fired_oneshot_reports_a_reset_when_it_is_rearmed', async (t) => {
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

// Another process shares the open socket and takes the data or the connection that our event reported.

testWith(['python3'], 'truth 24: receive_would_block_after_another_process_took_the_data', async (t) => {
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

testWith(['python3'], 'truth 24: data_that_another_process_took_is_not_reported_again', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('stolen')
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable')
  runPython(`import socket; ${inherited()}.recv(100)`, server.fd)
  t.deepEqual(await multiplexer.wait(30), [], 'readiness is verified by poll(2) before it is reported again')
})

testWith(['python3'], 'truth 24: accept_returns_null_after_another_process_accepts_the_connection', async (t) => {
  const listener = testListener(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r')
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  t.is(flagsFor(listener, await multiplexer.wait(5000)), 'readable')
  runPython(`import socket; ${inherited()}.accept()`, listener.fd)
  t.is(listener.accept(), null)
  t.deepEqual(await multiplexer.wait(30), [])
})

test('truth 24: an_event_keeps_its_flags_after_its_data_was_read', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  const [event] = await multiplexer.wait(5000)
  t.is(server.receive(new Uint8Array(10)), 1)
  t.true(event!.readable, 'the flag is a hint and stays set')
  t.is(server.receive(new Uint8Array(10)), null)
})

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  test(`truth 25: each_modify_reports_unread_data_again (${mode})`, async (t) => {
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

testWith(['python3'], 'truth 27: an_urgent_byte_alone_is_not_reported_and_uses_no_cpu', async (t) => {
  const listener = testListener(t)
  const { server, peer } = await acceptUrgentPeer(t, listener, `peer.send(b'!', socket.MSG_OOB)`)
  for (const mode of ['edge', 'level'] as const) {
    using multiplexer = new Multiplexer()
    multiplexer.add(server, 'r', mode)
    t.deepEqual(await assertIdle(t, () => multiplexer.wait(300)), [], mode)
    t.is(server.receive(new Uint8Array(10)), null)
  }
  peer.stdin!.end()
  t.is((await receiveToEnd(server)).length, 0)
})

// The kernel keeps only the later one of two urgent bytes; the earlier one becomes normal data.
for (const [oobInline, expected] of [
  [false, 'abc!defghi'],
  [true, 'abc!def?ghi'],
] as const) {
  testWith(
    ['python3'],
    `truth 27: reads_that_stop_at_urgent_marks_lose_no_data (${oobInline ? 'in line' : 'out of band'})`,
    async (t) => {
      const listener = testListener(t, 'IPv4', { oobInline })
      const { server, peer } = await acceptUrgentPeer(
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

/** Accepts a connection from a Python program that runs `source`, prints `done`, and ends with its standard input. */
async function acceptUrgentPeer(
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

test.serial('truth 28: discarded_data_is_not_reported_and_uses_no_cpu', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r', 'level')
  server.shutdown('read')
  t.true(server.readEnded)
  t.is(flagsFor(server, await multiplexer.wait(5000)), 'readable readEnded')
  t.is(server.receive(new Uint8Array(10)), 0)
  client.send('too late')
  t.deepEqual(await assertIdle(t, () => multiplexer.wait(300)), [])
  t.is(server.receive(new Uint8Array(10)), 0)
  client.reset()
  await until(() => server.info().state === 'closed')
  t.regex(flagsFor(server, await multiplexer.wait(5000)) ?? '', /error/)
})
