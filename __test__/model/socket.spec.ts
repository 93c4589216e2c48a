import { randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, Socket, SocketClosedError, SocketError } from 'm-socket'

import { runModule } from '../support/child.js'
import { descriptorFlags, isOpen, openDescriptors } from '../support/descriptors.js'
import { lackingInfo, testUnless } from '../support/emulation.js'
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
import { abstractName } from '../support/unix.js'
import {
  acceptNext,
  connectOutcome,
  nextEvent,
  receiveExactly,
  receiveToEnd,
  until,
  waitUntil,
} from '../support/waiting.js'

const byte = new Uint8Array(1)

/** Sends until the send queue is full; returns all accepted bytes. */
function fillToLimit(t: ExecutionContext, socket: Socket): Buffer {
  const taken: Buffer[] = []
  for (let piece = randomBytes(1000); ; piece = randomBytes(1000)) {
    const status = socket.send(piece)
    if (status === 'not-sent') return Buffer.concat(taken)
    t.not(status, 'closed')
    taken.push(piece)
  }
}

// Receiving

for (const family of FAMILIES) {
  test(`receive_writes_only_into_the_given_array (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    t.is(client.send('hello'), 'sent')
    await nextEvent(server, 'r')
    const memory = new Uint8Array(20).fill(0xee)
    t.is(server.receive(memory.subarray(5, 15)), 5)
    t.is(Buffer.from(memory).toString('latin1'), `${'\xee'.repeat(5)}hello${'\xee'.repeat(10)}`)
    t.is(server.receive(memory), null)
  })

  test(`data_that_does_not_fit_stays_for_the_next_receive (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.send('0123456789')
    await nextEvent(server, 'r')
    const four = Buffer.alloc(4)
    const received = [1, 2, 3].map(() => four.toString('latin1', 0, server.receive(four) ?? -1))
    t.deepEqual(received, ['0123', '4567', '89'])
    t.is(server.receive(four), null)
  })

  test(`peek_leaves_the_data_and_the_counter_unchanged (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const into = Buffer.alloc(10)
    t.is(server.peek(into), null)
    client.send('peek')
    await nextEvent(server, 'r')
    for (const attempt of [1, 2]) {
      t.is(server.peek(into), 4, `attempt ${attempt}`)
      t.is(into.toString('latin1', 0, 4), 'peek')
    }
    t.is(server.bytesReceived, 0)
    t.is(server.receive(into), 4)
    t.is(server.bytesReceived, 4)
    client.shutdown()
    await nextEvent(server, 'r')
    t.is(server.peek(into), 0)
    t.false(server.readEnded)
  })

  test(`half_open_one_direction_ends_and_the_other_stays_open (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.send('question')
    client.shutdown()
    t.true(client.writeEnded)
    t.is(client.send('more'), 'closed')
    t.is((await receiveToEnd(server)).toString(), 'question')
    t.true(server.readEnded)
    t.false(server.writeEnded)
    t.is(server.state, 'open')
    t.is(server.receive(byte), 0, 'every receive after the end returns 0')
    t.is(server.send('answer'), 'sent')
    server.shutdown()
    t.is((await receiveToEnd(client)).toString(), 'answer')
    t.is(client.state, 'open')
    t.true(client.readEnded)
  })
}

test('receive_accepts_shared_memory', async (t) => {
  const { client, server } = await connectedPair(t)
  const shared = new Uint8Array(new SharedArrayBuffer(8))
  client.send('shared')
  await nextEvent(server, 'r')
  t.is(server.receive(shared), 6)
  t.is(Buffer.from(shared).toString('latin1', 0, 6), 'shared')
})

// Sending: the five statuses

for (const family of FAMILIES) {
  test(`sent_means_that_the_kernel_took_everything (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    t.is(client.send(Buffer.from('all of it')), 'sent')
    t.is(client.queued, 0)
    t.is(client.bytesSent, 9)
    t.is((await receiveExactly(server, 9)).toString(), 'all of it')
  })

  test(`partially_sent_means_that_the_rest_is_queued_and_sent_later (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const data = randomBytes(16 << 20)
    t.is(client.send(data), 'partially-sent')
    t.true(client.queued > 0 && client.bytesSent > 0)
    t.is(client.queued + client.bytesSent, data.length)
    t.true((await receiveExactly(server, data.length)).equals(data))
    t.is(client.queued, 0)
    t.is(client.bytesSent, data.length)
  })

  test(`queued_means_that_everything_was_added_to_the_queue (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const before = fillSendQueue(client)
    const queued = client.queued
    t.is(client.send('behind'), 'queued')
    t.is(client.queued, queued + 6)
    const received = await receiveExactly(server, before + 6)
    t.is(received.toString('latin1', before), 'behind')
  })

  test(`not_sent_means_that_the_queue_is_full_and_nothing_was_taken (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const taken = fillToLimit(t, client)
    const { queued } = client
    t.true(queued >= 65536 && queued < 65536 + 1000)
    t.is(client.send('lost?'), 'not-sent')
    t.is(client.queued, queued)
    const receiving = receiveToEnd(server)
    await until(() => client.queued === 0, client)
    t.not(client.send('then'), 'not-sent')
    client.shutdown()
    t.true((await receiving).equals(Buffer.concat([taken, Buffer.from('then')])))
  })
}

test('closed_means_that_nothing_can_be_sent', async (t) => {
  const { client } = await connectedPair(t)
  client.close()
  t.is(client.send('x'), 'closed')
  t.is(client.bytesSent, 0)
})

test('send_returns_closed_after_a_reset_and_receive_throws_the_reason', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('last words')
  await nextEvent(client, 'r')
  server.reset()
  const event = await nextEvent(client)
  t.like(event, { readable: true, error: true })
  t.is(client.send('too late'), 'closed')
  t.is(client.send('too late'), 'closed')
  t.true(client.writeEnded)
  t.is(client.state, 'open')
  const into = Buffer.alloc(100)
  t.is(into.toString('latin1', 0, client.receive(into) ?? -1), 'last words')
  t.throws(() => client.receive(into), { instanceOf: SocketError, code: 'ECONNRESET', message: 'write ECONNRESET' })
  t.is(client.state, 'closed')
  t.throws(() => client.receive(into), { instanceOf: SocketClosedError })
})

test('send_returns_closed_after_the_peer_of_a_unix_socket_has_closed', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  server.close()
  t.is(client.send('x'), 'closed')
  t.throws(() => client.receive(byte), { instanceOf: SocketError, code: 'EPIPE', message: 'write EPIPE' })
  t.is(client.state, 'closed')
})

test('empty_data_is_sent_even_with_a_full_queue', async (t) => {
  const { client } = await smallBufferPair(t)
  const empty = [new Uint8Array(0), '', [], [new Uint8Array(0), new Uint8Array(0)]]
  for (const data of empty) t.is(client.send(data), 'sent')
  fillToLimit(t, client)
  const { queued } = client
  for (const data of empty) t.is(client.send(data), 'sent')
  t.is(client.queued, queued)
  client.shutdown()
  for (const data of empty) t.is(client.send(data), 'closed')
})

// Sending: the queue

test('the_default_queue_limit_is_64_KiB_and_the_last_piece_may_exceed_it', async (t) => {
  const { client, server } = await smallBufferPair(t)
  t.is(client.sendQueueLimit, 65536)
  const before = fillSendQueue(client)
  const rest = 65535 - client.queued
  t.is(client.send(new Uint8Array(rest)), 'queued')
  t.is(client.queued, 65535)
  t.is(client.send(new Uint8Array(100_000).fill(7)), 'queued')
  t.is(client.queued, 165_535)
  t.is(client.send(byte), 'not-sent')
  const received = await receiveExactly(server, before + rest + 100_000)
  t.true(received.subarray(before + rest).every((value) => value === 7))
})

test('sendQueueLimit_can_be_set_per_socket', async (t) => {
  const { client, server } = await smallBufferPair(t)
  client.sendQueueLimit = 1
  t.is(client.sendQueueLimit, 1)
  t.is(server.sendQueueLimit, 65536)
  fillSendQueue(client)
  t.is(client.send(byte), 'not-sent')
  client.sendQueueLimit = client.queued + 10
  t.is(client.send(new Uint8Array(9)), 'queued')
  t.is(client.send(byte), 'queued')
  t.is(client.send(byte), 'not-sent')
})

for (const family of FAMILIES) {
  test(`queued_data_is_a_copy (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const buffer = Buffer.alloc(1 << 20, 'A')
    t.is(client.send(buffer), 'partially-sent')
    buffer.fill('B')
    client.sendQueueLimit = Number.MAX_SAFE_INTEGER
    t.is(client.send(buffer.subarray(0, 1000)), 'queued')
    t.is(client.send([buffer.subarray(0, 500), buffer.subarray(500, 1000)]), 'queued')
    buffer.fill('C')
    const received = await receiveExactly(server, buffer.length + 2000)
    t.true(received.equals(Buffer.concat([Buffer.alloc(1 << 20, 'A'), Buffer.alloc(2000, 'B')])))
  })
}

test('strings_are_sent_as_UTF_8', async (t) => {
  const { client, server } = await connectedPair(t)
  const text = 'Grüße, 世界 👋 \ud800.'
  t.is(client.send(text), 'sent')
  const expected = Buffer.from(text, 'utf8')
  t.is(client.bytesSent, expected.length)
  t.true((await receiveExactly(server, expected.length)).equals(expected))
})

testUnless(lackingInfo, 'an_array_of_pieces_is_sent_in_one_system_call', async (t) => {
  const { client, server } = await connectedPair(t, 'IPv4', { client: { noDelay: true } })
  const pieces = Array.from({ length: 100 }, (_, index) => Buffer.from(`piece ${index}, `))
  const segments = (): number => client.info().dataSegmentsOut
  const before = segments()
  t.is(client.send(pieces), 'sent')
  // Without Nagle's algorithm each system call makes its own segment.
  t.is(segments(), before + 1)
  for (const piece of pieces.slice(0, 5)) client.send(piece)
  t.is(segments(), before + 6)
  const expected = Buffer.concat([...pieces, ...pieces.slice(0, 5)])
  t.true((await receiveExactly(server, expected.length)).equals(expected))
})

for (const family of FAMILIES) {
  test(`pieces_keep_their_order_after_a_partial_send (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    // More than one system call accepts: UIO_MAXIOV is 1024.
    const pieces = Array.from({ length: 3000 }, (_, index) => randomBytes((index * 7) % 301))
    t.is(client.send(pieces), 'partially-sent')
    const expected = Buffer.concat(pieces)
    t.is(client.queued + client.bytesSent, expected.length)
    t.true((await receiveExactly(server, expected.length)).equals(expected))
  })
}

test('3000_pieces_that_fit_are_sent', async (t) => {
  const { client, server } = await connectedPair(t)
  const pieces = Array.from({ length: 3000 }, (_, index) => Buffer.of(index & 0xff))
  t.is(client.send(pieces), 'sent')
  t.is(client.queued, 0)
  t.true((await receiveExactly(server, 3000)).equals(Buffer.concat(pieces)))
})

test('flush_sends_now_and_returns_whether_the_queue_is_empty', async (t) => {
  const { client, server } = await smallBufferPair(t, 'unix')
  t.true(client.flush(), 'the queue is empty')
  const taken = fillSendQueue(client)
  const { queued, bytesSent } = client
  t.false(client.flush(), 'the kernel is full')
  t.is(client.queued, queued)
  // Without a turn of Node's loop only flush() sends.
  let received = 0
  const into = Buffer.alloc(65536)
  while (client.queued > 0) {
    received += server.receive(into) ?? 0
    if (client.flush()) t.is(client.queued, 0)
  }
  t.is(client.bytesSent, bytesSent + queued)
  received += (await receiveExactly(server, taken - received)).length
  t.is(received, taken)
})

test('a_queue_is_sent_without_a_multiplexer', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const taken = fillToLimit(t, client)
  t.true((await receiveExactly(server, taken.length)).equals(taken))
  t.is(client.queued, 0)
  t.is(client.bytesSent, taken.length)
})

test('a_queue_is_sent_between_the_waits_of_its_multiplexer', async (t) => {
  const { client, server } = await smallBufferPair(t)
  closeAtEnd(t, new Multiplexer(client))
  const taken = fillToLimit(t, client)
  t.true((await receiveExactly(server, taken.length)).equals(taken))
  t.is(client.queued, 0)
})

test('a_queue_is_sent_during_waits_and_writable_is_reported_when_it_is_empty', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(client, 'w')
  await multiplexer.wait(10_000)
  const taken = fillToLimit(t, client)
  const receiving = receiveExactly(server, taken.length)
  let writable = 0
  await waitUntil(
    multiplexer,
    () => writable > 0,
    (events) => {
      for (const event of events) if (event.writable) writable += client.queued === 0 ? 1 : Number.NaN
    },
  )
  t.is(writable, 1)
  t.true((await receiving).equals(taken))
})

test('a_queue_is_sent_during_waitSync', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client, server))
  const taken = fillToLimit(t, client)
  const received: Buffer[] = []
  let length = 0
  while (length < taken.length) {
    if (multiplexer.waitSync(10_000).length === 0) return t.fail('no event came')
    const into = Buffer.alloc(65536)
    const count = server.receive(into)
    if (count === null) continue
    received.push(into.subarray(0, count))
    length += count
  }
  t.true(Buffer.concat(received).equals(taken))
  t.is(client.queued, 0)
})

test('a_queue_is_sent_after_its_socket_has_left_the_multiplexer', async (t) => {
  for (const leave of ['remove', 'close'] as const) {
    const { client, server } = await smallBufferPair(t)
    const multiplexer = closeAtEnd(t, new Multiplexer(client))
    const taken = fillToLimit(t, client)
    if (leave === 'remove') multiplexer.remove(client)
    else multiplexer.close()
    t.true((await receiveExactly(server, taken.length)).equals(taken), leave)
    t.is(client.queued, 0)
  }
})

test('a_socket_with_a_queue_can_be_added_to_a_multiplexer', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const taken = fillToLimit(t, client)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  t.notThrows(() => multiplexer.add(client, 'rw', 'level'))
  t.true((await receiveExactly(server, taken.length)).equals(taken))
  server.send('back')
  let readable = false
  await waitUntil(
    multiplexer,
    () => readable,
    (events) => (readable = events.some((event) => event.readable)),
  )
  t.is(client.queued, 0)
})

// Ending

for (const family of FAMILIES) {
  test(`close_sends_the_queue_first (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const { fd } = client
    const taken = fillToLimit(t, client)
    const { queued } = client
    client.close()
    t.is(client.state, 'closing')
    t.is(client.queued, queued)
    t.is(client.fd, -1)
    t.true(client.writeEnded && client.readEnded)
    t.is(client.send('too late'), 'closed')
    t.throws(() => client.receive(byte), { instanceOf: SocketClosedError })
    client.close()
    t.is(client.state, 'closing')
    t.true(isOpen(fd))
    t.true((await receiveToEnd(server)).equals(taken))
    await until(() => client.state === 'closed')
    t.is(client.queued, 0)
    t.true(client.flush())
  })

  test(`close_without_a_queue_is_immediate_and_can_be_repeated (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    client.send('bye')
    const link = openDescriptors().get(client.fd)
    client.close()
    client.close()
    t.is(client.state, 'closed')
    t.false([...openDescriptors().values()].includes(link ?? ''))
    t.is((await receiveToEnd(server)).toString(), 'bye')
  })

  test(`shutdown_sends_the_queue_first (${family})`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const taken = fillToLimit(t, client)
    client.shutdown()
    client.shutdown('write')
    t.true(client.writeEnded)
    t.false(client.readEnded)
    t.is(client.state, 'open')
    t.is(client.send('too late'), 'closed')
    t.true((await receiveToEnd(server)).equals(taken))
    t.is(server.send('answer'), 'sent')
    t.is((await receiveExactly(client, 6)).toString(), 'answer')
  })

  test(`shutdown_read_ends_at_once_and_discards_later_data (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    server.send('unread')
    await nextEvent(client, 'r')
    client.shutdown('read')
    t.true(client.readEnded)
    t.false(client.writeEnded)
    t.is(client.receive(byte), 0)
    t.is(client.peek(byte), 0)
    if (family !== 'unix') t.is(server.send('dropped'), 'sent')
    t.is(client.receive(byte), 0)
    t.is(client.send('still writing'), 'sent')
    t.is((await receiveExactly(server, 13)).toString(), 'still writing')
  })
}

test('shutdown_both_ends_both_directions', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('last')
  client.shutdown('both')
  t.true(client.readEnded && client.writeEnded)
  t.is(client.state, 'open')
  t.is(client.receive(byte), 0)
  t.is((await receiveToEnd(server)).toString(), 'last')
})

test('a_graceful_close_completes_in_its_multiplexer', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client))
  const taken = fillToLimit(t, client)
  const link = openDescriptors().get(client.fd)!
  client.close()
  const receiving = receiveToEnd(server)
  let events = 0
  await waitUntil(
    multiplexer,
    () => client.state === 'closed',
    (batch) => (events += batch.length),
  )
  t.is(events, 0, 'a closing socket reports no events')
  t.false([...openDescriptors().values()].includes(link))
  t.true((await receiving).equals(taken))
  t.notThrows(() => multiplexer.remove(client))
})

test('close_with_unread_input_still_delivers_what_was_sent', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('never read')
  await nextEvent(client, 'r')
  client.send('all there is')
  client.close()
  t.is((await receiveToEnd(server)).toString(), 'all there is')
})

test('the_peer_of_a_reset_reads_the_data_and_then_ECONNRESET', async (t) => {
  const { client, server } = await connectedPair(t)
  t.is(server.send('before'), 'sent')
  const { fd } = server
  const link = openDescriptors().get(fd)
  server.reset()
  t.is(server.state, 'closed')
  t.not(openDescriptors().get(fd), link)
  const event = await nextEvent(client, 'r')
  t.like(event, { readable: true, error: true, hangup: true })
  const into = Buffer.alloc(100)
  t.is(into.toString('latin1', 0, client.receive(into) ?? -1), 'before')
  const error = t.throws(() => client.receive(into), {
    instanceOf: SocketError,
    code: 'ECONNRESET',
    message: 'read ECONNRESET',
  })
  t.like(error, { syscall: 'read' })
  t.true((error as SocketError).errno! < 0)
  t.is(client.state, 'closed')
  t.true(client.readEnded && client.writeEnded)
  t.is(client.fd, -1)
  t.throws(() => client.receive(into), { instanceOf: SocketClosedError, code: 'ERR_SOCKET_CLOSED' })
  t.is(client.send('x'), 'closed')
})

test('reset_drops_the_queue_even_of_a_closing_socket', async (t) => {
  for (const closeFirst of [false, true]) {
    const { client, server } = await smallBufferPair(t)
    fillToLimit(t, client)
    if (closeFirst) client.close()
    client.reset()
    t.is(client.state, 'closed')
    t.is(client.queued, 0)
    t.is(client.fd, -1)
    await t.throwsAsync(receiveToEnd(server), { code: 'ECONNRESET' })
    t.notThrows(() => client.reset())
  }
})

test('the_peer_of_a_reset_unix_socket_reads_its_end', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  client.send('before')
  client.reset()
  t.is((await receiveToEnd(server)).toString(), 'before')
})

test('using_closes_gracefully', async (t) => {
  const { client, server } = await smallBufferPair(t)
  let taken
  {
    using socket = client
    taken = fillToLimit(t, socket)
  }
  t.is(client.state, 'closing')
  t.true((await receiveToEnd(server)).equals(taken))
  await until(() => client.state === 'closed')
})

test('queued_output_keeps_the_process_alive_until_it_is_sent', async (t) => {
  const listener = testListener(t)
  const address = JSON.stringify(addressOf(listener))
  const ended = runModule(
    t,
    `
    import { Socket } from 'm-socket'
    const socket = Socket.connect(${address})
    socket.send(Buffer.alloc(32 << 20, 'x'))
    socket.close()
    console.log(socket.state)`,
  )
  const server = resetAtEnd(t, await acceptNext(listener))
  t.is((await receiveToEnd(server)).length, 32 << 20)
  const { code, stdout } = await ended
  t.deepEqual({ code, stdout }, { code: 0, stdout: 'closing\n' })
})

// State, counters, addresses, descriptor

test('state_goes_from_connecting_to_open_closing_and_closed', async (t) => {
  const listener = testListener(t, 'IPv4', { receiveBufferSize: 4096 })
  const states: string[] = []
  const client = resetAtEnd(t, Socket.connect({ ...addressOf(listener), sendBufferSize: 4096 }))
  states.push(client.state)
  await connectOutcome(client)
  states.push(client.state)
  const server = resetAtEnd(t, await acceptNext(listener))
  fillSendQueue(client)
  client.close()
  states.push(client.state)
  await receiveToEnd(server)
  await until(() => client.state !== 'closing')
  states.push(client.state)
  t.deepEqual(states, ['connecting', 'open', 'closing', 'closed'])
})

test('an_accepted_socket_is_open_in_both_directions', async (t) => {
  const { server } = await connectedPair(t)
  t.deepEqual([server.state, server.readEnded, server.writeEnded], ['open', false, false])
})

test('readEnded_becomes_true_when_receive_returns_the_end', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('x')
  client.shutdown()
  t.like(await nextEvent(server, 'r'), { readable: true, readEnded: true })
  t.false(server.readEnded)
  t.is(server.receive(byte), 1)
  t.false(server.readEnded)
  t.is(server.receive(byte), 0)
  t.true(server.readEnded)
})

for (const family of FAMILIES) {
  test(`the_counters_count_both_directions_and_stay_after_close (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    t.deepEqual([client.bytesSent, client.bytesReceived], [0, 0])
    client.send('12345')
    client.send([Buffer.from('678'), Buffer.from('9')])
    await receiveExactly(server, 9)
    server.send('äö')
    await receiveExactly(client, 4)
    client.close()
    t.deepEqual([client.bytesSent, client.bytesReceived], [9, 4])
    t.deepEqual([server.bytesSent, server.bytesReceived], [4, 9])
  })

  test(`both_ends_agree_on_their_addresses (${family})`, async (t) => {
    const listener = testListener(t, family)
    const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
    const server = resetAtEnd(t, await acceptNext(listener))
    await connectOutcome(client)
    t.deepEqual(client.remoteAddress, listener.address)
    t.deepEqual(server.localAddress, listener.address)
    t.deepEqual(server.remoteAddress, client.localAddress)
    if (family === 'unix') t.deepEqual(client.localAddress, { path: '' })
    else t.like(client.localAddress, { family, address: family === 'IPv4' ? '127.0.0.1' : '::1' })
    client.close()
    t.is(client.localAddress, undefined)
    t.is(client.remoteAddress, undefined)
  })
}

test('an_abstract_address_begins_with_nul', async (t) => {
  const path = abstractName()
  const listener = testListener(t, 'unix', { path })
  const client = resetAtEnd(t, Socket.connect({ path }))
  const server = resetAtEnd(t, await acceptNext(listener))
  await connectOutcome(client)
  t.deepEqual([client.remoteAddress, server.localAddress], [{ path }, { path }])
})

test('the_descriptor_is_a_non_blocking_close_on_exec_socket', async (t) => {
  const { client, server } = await connectedPair(t)
  for (const { fd } of [client, server]) {
    t.regex(openDescriptors().get(fd) ?? '', /^socket:/)
    t.deepEqual(descriptorFlags(fd), { closeOnExec: true, nonBlocking: true })
  }
  client.close()
  t.is(client.fd, -1)
})

// Blocking mode

interface Report {
  readonly [step: string]: unknown
}

/** Runs a script of blocking-worker.ts on a connection whose other end `during` gets; returns the worker's report. */
async function blockingWorker(
  t: ExecutionContext,
  script: string,
  during: (server: Socket, reached: (step: string) => Promise<void>) => Promise<void>,
): Promise<Report> {
  const listener = testListener(t)
  const worker = new Worker(new URL('../support/blocking-worker.ts', import.meta.url), {
    workerData: { to: addressOf(listener), script },
  })
  t.teardown(() => worker.terminate())
  const steps: string[] = []
  const reported = new Promise<Report>((resolve, reject) => {
    worker.on('message', (message: string | Report) =>
      typeof message === 'string' ? steps.push(message) : resolve(message),
    )
    worker.on('error', reject)
  })
  const served = acceptNext(listener).then((server) =>
    during(resetAtEnd(t, server), (step) => until(() => steps.includes(step))),
  )
  const [report] = await Promise.all([reported, served])
  return report
}

test('blocking_receive_waits_for_data_and_for_the_end', async (t) => {
  const report = await blockingWorker(t, 'receive', async (server, reached) => {
    await reached('receives')
    await new Promise((resolve) => setTimeout(resolve, 100))
    server.send('at last')
    await reached('receives again')
    await new Promise((resolve) => setTimeout(resolve, 100))
    server.shutdown()
  })
  t.deepEqual(report, { before: null, first: 7, text: 'at last', second: 0, warnings: 0 })
})

test('blocking_send_waits_until_everything_is_sent', async (t) => {
  const length = 16 << 20
  const report = await blockingWorker(t, 'send', async (server, reached) => {
    await reached('sends')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const bytes = await receiveToEnd(server)
    t.is(bytes.length, length)
    t.true(bytes.every((value) => value === 0x61))
  })
  t.deepEqual(report, { status: 'sent', queued: 0, sent: length, warnings: 0 })
})

test('blocking_calls_wait_for_the_connect', async (t) => {
  const report = await blockingWorker(t, 'echo', async (server) => {
    server.send(await receiveExactly(server, 5))
  })
  t.deepEqual(report, { status: 'sent', received: 5, text: 'hello', warnings: 0 })
})

test('blocking_send_ends_when_the_peer_resets', async (t) => {
  const report = await blockingWorker(t, 'send', async (server, reached) => {
    await reached('sends')
    await new Promise((resolve) => setTimeout(resolve, 100))
    server.reset()
  })
  t.like(report, { status: 'closed', queued: 0 })
})

test('blocking_is_off_by_default_and_can_be_set', async (t) => {
  const { client } = await connectedPair(t, 'unix')
  t.false(client.blocking)
  client.blocking = true
  t.true(client.blocking)
  client.blocking = false
  t.is(client.receive(byte), null)
})

test('blocking_receive_returns_available_data_at_once', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  client.send('now')
  server.blocking = true
  t.is(server.receive(Buffer.alloc(100)), 3)
  client.close()
  t.is(server.receive(byte), 0)
})

test('flush_never_blocks_even_in_blocking_mode', async (t) => {
  const { client } = await smallBufferPair(t)
  fillSendQueue(client)
  // More than the peer's delayed ACK, sent after 40 ms, makes room for.
  t.is(client.send(new Uint8Array(50_000)), 'queued')
  client.blocking = true
  t.false(client.flush())
  t.true(client.queued > 0)
})

test('blocking_on_the_main_thread_warns_once', async (t) => {
  const listener = testListener(t)
  const { code, stderr } = await runModule(
    t,
    `
    import { Socket } from 'm-socket'
    const sockets = [1, 2].map(() => Socket.connect(${JSON.stringify(addressOf(listener))}))
    for (const socket of sockets) {
      socket.blocking = false
      socket.blocking = true
      socket.blocking = true
      socket.close()
    }`,
  )
  t.is(code, 0)
  t.is(stderr.match(/SocketBlockingWarning/g)?.length, 1)
})
