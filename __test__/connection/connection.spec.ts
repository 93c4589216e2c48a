import { createHash, randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'

import test from 'ava'
import { Connection, type Handlers, type ReadyState, Socket, SocketError, connect } from 'm-socket'

import { runModule } from '../support/child.js'
import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { HandlerLog } from '../support/handler-log.js'
import { FAMILIES } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { testServer, withResolvers } from '../support/server.js'
import { runUnderStrace } from '../support/strace.js'
import { nextTurn, sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

// Writing

for (const family of FAMILIES) {
  test(`write_takes_strings_buffers_and_views: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    const bytes = Buffer.from('<bytes>')
    t.is(connection.write(bytes), 7)
    t.is(connection.write(Uint8Array.from(bytes)), 7)
    t.is(connection.write(new Uint8Array([60, 98, 117, 102, 62]).buffer), 5)
    t.is(connection.write(new DataView(Uint8Array.from(bytes).buffer, 1, 5)), 5)
    t.is(connection.write(Uint16Array.from([0x4241, 0x4443])), 4)
    t.is(connection.write('größer €'), 12)
    connection.end()
    t.is(await text(accepted), '<bytes><bytes><buf>bytesABCDgrößer €')
  })
}

test('offset_and_length_select_what_is_written', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const bytes = Buffer.from('0123456789')
  t.is(connection.write(bytes, 7), 3)
  t.is(connection.write(bytes, 0, 2), 2)
  t.is(connection.write(bytes, 4, 0), 0)
  t.is(connection.write(bytes, 10), 0)
  t.is(connection.write(bytes, undefined, 1), 1)
  t.is(connection.write(new DataView(bytes.buffer, bytes.byteOffset + 5, 4), 1, 2), 2)
  t.is(connection.tryWrite(bytes, 3, 2), 2)
  t.is(connection.end(bytes, 8, 1), 1)
  t.is(await text(accepted), '789' + '01' + '0' + '67' + '34' + '8')
})

test('offset_and_length_are_ignored_for_a_string', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  t.is(connection.write('first', 2), 5)
  t.is(connection.tryWrite('then', 1, 2), 4)
  t.is(connection.end('last', 3), 4)
  t.is(await text(accepted), 'firstthenlast')
})

test('the_caller_may_reuse_its_buffer_as_soon_as_write_returns', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t)
  const buffer = Buffer.alloc(32768)
  let expected = ''
  for (const letter of 'abcdef') {
    const taken = connection.write(buffer.fill(letter))
    buffer.fill('!')
    expected += letter.repeat(taken)
  }
  t.true(connection.socket!.queued > 0)
  connection.end()
  t.true((await text(accepted)) === expected)
})

test('write_accepts_exactly_what_the_kernel_and_the_queue_have_room_for', async (t) => {
  const { connection } = await smallBufferConnectionPair(t, { client: { sendQueueLimit: 10_000 } })
  const data = Buffer.alloc(1 << 20)
  const taken = connection.write(data)
  t.true(taken >= 10_000 && taken < data.length)
  t.is(connection.socket!.queued, 10_000)
  t.is(connection.bytesWritten, taken - 10_000)
  t.is(connection.write(data), 0)
})

test('with_a_queue_limit_of_0_write_accepts_only_what_the_kernel_takes', async (t) => {
  const { connection } = await smallBufferConnectionPair(t, { client: { sendQueueLimit: 0 } })
  const taken = connection.write(Buffer.alloc(1 << 20))
  t.true(taken > 0 && taken < 1 << 20)
  t.is(connection.bytesWritten, taken)
  t.is(connection.socket!.queued, 0)
})

test('tryWrite_queues_nothing_and_returns_0_while_the_queue_is_not_empty', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t, { client: { sendQueueLimit: 1000 } })
  const taken = connection.tryWrite(Buffer.alloc(1 << 20, 'a'))
  t.true(taken > 0 && taken < 1 << 20)
  t.is(connection.socket!.queued, 0)
  t.is(connection.bytesWritten, taken)

  // The kernel may have made room meanwhile.
  const more = connection.write(Buffer.alloc(1 << 20, 'b'))
  t.is(connection.socket!.queued, 1000)
  t.is(connection.tryWrite('c'), 0)
  t.is(connection.socket!.sendQueueLimit, 1000)
  const received = text(accepted)
  await until(() => connection.socket!.queued === 0)
  t.is(connection.tryWrite('d'), 1)
  connection.end()
  t.true((await received) === 'a'.repeat(taken) + 'b'.repeat(more) + 'd')
})

test('writes_fail_after_end_and_after_close', async (t) => {
  const { connection, accepted } = await connectionPair(t, { server: { allowHalfOpen: true } })
  t.is(connection.end('last'), 4)
  t.is(connection.write('more'), -1)
  t.is(connection.tryWrite('more'), -1)
  t.is(connection.write(''), -1)
  t.is(await text(accepted), 'last')

  connection.terminate()
  t.is(connection.write('more'), -1)
  t.is(connection.tryWrite('more'), -1)
  t.is(connection.end('more'), -1)
  t.is(connection.bytesWritten, 4)
})

test('writes_fail_after_a_reset_by_the_peer', async (t) => {
  const closed = withResolvers<Error | undefined>()
  const { connection, accepted } = await connectionPair(t, {
    client: { socket: { close: (_, error) => closed.resolve(error) } },
  })
  accepted.terminate()
  t.is(((await closed.promise) as NodeJS.ErrnoException).code, 'ECONNRESET')
  t.is(connection.write('more'), -1)
})

test('an_empty_write_returns_0_and_causes_no_drain', async (t) => {
  const log = new HandlerLog()
  const { connection } = await connectionPair(t, { client: { socket: log.handlers() } })
  t.is(connection.write(''), 0)
  t.is(connection.write(Buffer.alloc(0)), 0)
  t.is(connection.tryWrite(new ArrayBuffer(0)), 0)
  await sleep(20)
  t.deepEqual(log.entries, ['open'])
})

// When writes are sent

test('small_writes_of_a_handler_are_sent_at_the_end_of_the_batch_and_large_ones_at_once', async (t) => {
  const written: number[] = []
  const { connection, accepted } = await connectionPair(t, {
    server: {
      socket: {
        data(it) {
          for (const length of [100, 4096, 4097, 5]) {
            it.write(Buffer.alloc(length))
            written.push(it.bytesWritten)
          }
        },
      },
    },
  })
  connection.tryWrite('go')
  // The large write also sends the corked one before it.
  await until(() => accepted.bytesWritten === 100 + 8193 + 5)
  t.deepEqual(written, [0, 0, 100 + 8193, 100 + 8193])
})

test('small_writes_beyond_the_queue_limit_are_sent_before_the_batch_ends', async (t) => {
  const accepts: number[] = []
  const { connection, accepted } = await connectionPair(t, {
    server: {
      sendQueueLimit: 1000,
      socket: {
        data: (it) => {
          for (let count = 0; count < 5; count++) accepts.push(it.write(Buffer.alloc(400)))
        },
      },
    },
  })
  connection.tryWrite('go')
  await until(() => accepted.bytesWritten === 2000)
  t.deepEqual(accepts, [400, 400, 400, 400, 400])
})

test('a_write_outside_a_handler_is_sent_at_once', async (t) => {
  const { connection } = await connectionPair(t)
  connection.write('x')
  t.is(connection.bytesWritten, 1)
})

test('flush_in_a_handler_sends_at_once', async (t) => {
  const seen = withResolvers<unknown[]>()
  const { connection } = await connectionPair(t, {
    server: {
      socket: {
        data(it) {
          it.write('small')
          seen.resolve([it.bytesWritten, it.flush(), it.bytesWritten])
        },
      },
    },
  })
  connection.tryWrite('go')
  t.deepEqual(await seen.promise, [0, true, 5])
})

test('flush_returns_whether_the_queue_is_empty', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t)
  connection.write(Buffer.alloc(1 << 20))
  t.false(connection.flush())
  const received = text(accepted)
  await until(() => connection.flush())
  t.is(connection.socket!.queued, 0)
  connection.end()
  t.is((await received).length, connection.bytesWritten)
  connection.terminate()
  t.true(connection.flush())
})

/** Three connections send a question at once; a server answers each in pieces. */
const ANSWERING = (pieces: string): string => `
  import { Socket, listen } from 'm-socket'
  let left = 3
  let asking = 3
  const server = listen({ host: '127.0.0.1', socket: {
    data(connection) {
      ${pieces}
      connection.end()
      if (--asking === 0) setImmediate(() => sockets.forEach((socket) => socket.close()))
    },
    close: () => --left || server.stop(),
  } })
  const sockets = Array.from({ length: 3 }, () => Socket.connect({ host: '127.0.0.1', port: server.port }))
  const wait = setInterval(() => {
    if (server.connections < 3) return
    clearInterval(wait)
    for (const socket of sockets) socket.send('?')
  }, 10)
`

testWith(['strace'], 'small_writes_of_a_batch_are_sent_in_one_system_call_per_socket', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(
    t,
    ANSWERING(`for (let count = 0; count < 10; count++) connection.write('answer')`),
    'sendto,sendmsg,write,writev',
  )
  t.is(code, 0, stderr)
  const answers = calls.filter((call) => call.includes('answer'))
  t.is(answers.length, 3, calls.join('\n'))
  for (const answer of answers) t.regex(answer, /^send\w+\(.* = 60$/)
  t.is(new Set(answers.map((answer) => /^\w+\((\d+)/.exec(answer)![1])).size, 3)
})

testWith(['strace'], 'a_large_write_is_sent_at_once_with_the_small_ones_before_it', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(
    t,
    ANSWERING(`
    connection.write('small')
    connection.write('small')
    connection.write(Buffer.alloc(20000, 'large'))
    connection.write('tiny')
    connection.write('tiny')
  `),
    'sendto,sendmsg,write,writev',
  )
  t.is(code, 0, stderr)
  const lengths = calls
    .filter((call) => /small|large|tiny/.test(call))
    .map((call) => Number(/ = (-?\d+)$/.exec(call)![1]))
  t.deepEqual(
    lengths.toSorted((a, b) => a - b),
    [8, 8, 8, 10, 10, 10, 20000, 20000, 20000],
  )
})

// Ending

test('end_sends_its_data_and_the_end_after_the_queue', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t)
  const first = connection.write(Buffer.alloc(1 << 20, 'a'))
  const data = randomBytes(1 << 20)
  t.true(connection.socket!.queued > 0)
  t.is(connection.end(data), 1 << 20)
  t.is(connection.readyState, -2)
  const hash = createHash('sha256')
  let count = 0
  for await (const chunk of accepted) {
    hash.update(chunk)
    count += chunk.length
  }
  t.is(count, first + data.length)
  t.is(hash.digest('hex'), createHash('sha256').update(Buffer.alloc(first, 'a')).update(data).digest('hex'))
})

test('ending_twice_is_harmless', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, { client: { socket: log.handlers() } })
  t.is(connection.end(), 0)
  t.is(connection.end(), -1)
  t.is(connection.end('more'), -1)
  t.is(await text(accepted), '')
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
  t.is(connection.end(), -1)
})

for (const how of ['write', undefined, false] as const) {
  test(`shutdown_of_the_write_half_leaves_reading_open: ${how}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { server: { allowHalfOpen: true } })
    connection.write('question')
    connection.shutdown(how)
    t.is(connection.readyState, -2)
    t.is(connection.write('more'), -1)
    t.is(await text(accepted), 'question')
    accepted.end('answer')
    t.is(await text(connection), 'answer')
  })
}

for (const how of ['read', true] as const) {
  test(`truth 28: shutdown_of_the_read_half_drops_input_and_leaves_writing_open: ${how}`, async (t) => {
    const log = new HandlerLog()
    const { connection, accepted } = await connectionPair(t, {
      server: { allowHalfOpen: true },
      client: { socket: log.handlers() },
    })
    connection.shutdown(how)
    accepted.write('dropped')
    await sleep(20)
    t.is(connection.readyState, 1)
    t.is(connection.write('still'), 5)
    const received = text(accepted)
    await sleep(20)
    connection.end(' here')
    t.is(await received, 'still here')
    // Dropped input is not an end: the peer has sent none.
    t.deepEqual(await log.closed(), ['open', 'close'])
  })
}

test('shutdown_of_both_halves_closes', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, { client: { socket: log.handlers() } })
  connection.write('last')
  connection.shutdown('both')
  t.is(await text(accepted), 'last')
  t.deepEqual(await log.closed(), ['open', 'close'])
  t.is(connection.readyState, 0)
  t.notThrows(() => connection.shutdown())
})

for (const family of FAMILIES) {
  test(`terminate_resets_the_peer_and_drops_the_queue: ${family}`, async (t) => {
    const journals = { server: new HandlerLog(), client: new HandlerLog() }
    const { connection } = await smallBufferConnectionPair(t, {
      family,
      server: { socket: { ...journals.server.handlers(), data: () => {} } },
      client: { socket: journals.client.handlers() },
    })
    connection.write(Buffer.alloc(1 << 20))
    t.true(connection.socket!.queued > 0)
    connection.terminate()
    connection.terminate()
    t.is(connection.readyState, 0)
    t.is(connection.socket!.queued, 0)
    t.deepEqual(await journals.client.closed(), ['open', 'close'])
    // Closing a Unix socket resets the peer only if the peer's data was left unread; else the peer reads EOF: unix(7).
    t.deepEqual(
      await journals.server.closed(),
      family === 'unix' ? ['open', 'end', 'close'] : ['open', 'error ECONNRESET', 'close ECONNRESET'],
    )
  })
}

test('leaving_the_scope_of_using_ends_our_half_behind_the_queue', async (t) => {
  const log = new HandlerLog()
  const {
    accepted,
    connection: peer,
    server,
  } = await connectionPair(t, {
    client: { socket: {} },
    server: { sendQueueLimit: 8_000_000, socket: log.handlers() },
  })
  {
    using connection = accepted
    t.is(connection.write(Buffer.alloc(8_000_000)), 8_000_000)
    t.true(connection.socket!.queued > 0)
  }
  t.is(accepted.readyState, -2)
  let received = 0
  for await (const chunk of peer) received += chunk.length
  t.is(received, 8_000_000)
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
  t.is(server.connections, 0)
})

test('a_half_open_connection_sends_after_the_peers_end', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, { server: { allowHalfOpen: true, socket: log.handlers() } })
  connection.end('question')
  await until(() => log.entries.includes('end'))
  await sleep(20)
  t.is(accepted.readyState, 1)
  t.is(accepted.write('answer'), 6)
  accepted.end('!')
  t.is(await text(connection), 'answer!')
  t.deepEqual(await log.closed(), ['open', 'data question', 'end', 'close'])
})

// Receiving

test('chunks_stay_valid_and_do_not_overlap', async (t) => {
  const chunks: Buffer[] = []
  const { connection } = await connectionPair(t, {
    server: { socket: { data: (_, chunk) => void chunks.push(chunk) } },
  })
  const sent: string[] = []
  for (const length of [1, 7, 2000, 3000, 8192, 20000, 3, 1500, 1, 64]) {
    for (let count = 0; count < 10; count++) {
      const piece = String.fromCharCode(97 + (sent.length % 26)).repeat(length)
      connection.write(piece)
      sent.push(piece)
      while (bytesOf(chunks) < sent.join('').length) await nextTurn()
    }
  }
  t.true(chunks.every((chunk) => Buffer.isBuffer(chunk)))
  t.true(Buffer.concat(chunks).toString() === sent.join(''))
  // Chunks of one pool share an ArrayBuffer: a transfer would detach them all. Node refuses it; Node 20 copies instead.
  const { length } = chunks[0]!
  try {
    structuredClone(chunks[0], { transfer: [chunks[0]!.buffer as ArrayBuffer] })
  } catch (error) {
    t.true(error instanceof Error)
  }
  t.is(chunks[0]!.length, length)
  // Writing into one chunk does not change another.
  chunks[0]!.fill('!')
  t.true(Buffer.concat(chunks.slice(1)).toString() === sent.join('').slice(chunks[0]!.length))
})

test('receiveInto_delivers_views_of_the_given_memory', async (t) => {
  const receiveInto = new Uint8Array(new ArrayBuffer(32), 8, 16)
  const chunks: Buffer[] = []
  const seen: string[] = []
  const { connection } = await connectionPair(t, {
    server: {
      receiveInto,
      socket: {
        data(_, chunk) {
          chunks.push(chunk)
          seen.push(chunk.toString())
        },
      },
    },
  })
  connection.write('first')
  await until(() => seen.length === 1)
  connection.write('other')
  await until(() => seen.length === 2)
  connection.write('longer than the memory is')
  await until(() => seen.join('').length === 5 + 5 + 25)
  t.deepEqual(seen, ['first', 'other', 'longer than the ', 'memory is'])
  for (const chunk of chunks) {
    t.is(chunk.buffer, receiveInto.buffer)
    t.is(chunk.byteOffset, 8)
  }
  t.is(chunks[0]!.toString(), 'memor')
})

test('a_paused_connection_reports_nothing_until_resume', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, { server: { socket: log.handlers() } })
  t.is(accepted.pause(), accepted)
  connection.write('one')
  await sleep(20)
  t.deepEqual(log.entries, ['open'])
  t.is(accepted.bytesRead, 0)
  t.is(accepted.resume(), accepted)
  await until(() => log.entries.length === 2)
  accepted.pause()
  connection.end('two')
  await sleep(20)
  accepted.resume()
  t.deepEqual(await log.closed(), ['open', 'data one', 'data two', 'end', 'close'])
})

test('pause_applies_back_pressure_to_the_peer', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t, { server: { socket: { data: () => {} } } })
  accepted.pause()
  const taken = connection.write(Buffer.alloc(8 << 20))
  t.true(taken < 8 << 20)
  const before = connection.bytesWritten
  await sleep(50)
  t.true(connection.socket!.queued > 0)
  accepted.resume()
  await until(() => connection.socket!.queued === 0)
  t.is(connection.bytesWritten, taken)
  t.true(taken > before)
})

test('a_data_handler_that_pauses_is_not_called_until_resume', async (t) => {
  const lengths: number[] = []
  const { connection, accepted } = await connectionPair(t, {
    server: {
      receiveInto: new Uint8Array(10),
      socket: {
        data(it, chunk) {
          lengths.push(chunk.length)
          it.pause()
        },
      },
    },
  })
  connection.write(Buffer.alloc(25))
  for (let chunks = 1; chunks <= 3; chunks++) {
    await until(() => lengths.length === chunks)
    await sleep(10)
    t.is(lengths.length, chunks)
    accepted.resume()
  }
  t.deepEqual(lengths, [10, 10, 5])
})

// Properties

test('byte_counts_are_exact_and_remain_after_close', async (t) => {
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: { data: (it, chunk) => void it.write(Buffer.concat([chunk, chunk])) } },
  })
  t.deepEqual([connection.bytesRead, connection.bytesWritten], [0, 0])
  connection.end('12345')
  t.is((await text(connection)).length, 10)
  t.deepEqual([connection.bytesRead, connection.bytesWritten], [10, 5])
  await until(() => accepted.readyState === 0)
  t.deepEqual([accepted.bytesRead, accepted.bytesWritten], [5, 10])
})

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`each_end_knows_both_addresses: ${family}`, async (t) => {
    const { connection, accepted, server } = await connectionPair(t, { family })
    const host = family === 'IPv4' ? '127.0.0.1' : '::1'
    const { localAddress, localFamily, localPort, remoteAddress, remoteFamily, remotePort } = connection
    t.deepEqual(
      { localAddress, localFamily, remoteAddress, remoteFamily },
      { localAddress: host, localFamily: family, remoteAddress: host, remoteFamily: family },
    )
    t.is(remotePort, server.port)
    t.true(localPort! > 0 && localPort !== remotePort)
    t.deepEqual([accepted.localPort, accepted.remotePort], [remotePort, localPort])
    t.deepEqual([accepted.localAddress, accepted.remoteAddress], [host, host])
    connection.terminate()
    t.deepEqual(
      [connection.localAddress, connection.localFamily, connection.localPort],
      [undefined, undefined, undefined],
    )
    t.deepEqual(
      [connection.remoteAddress, connection.remoteFamily, connection.remotePort],
      [undefined, undefined, undefined],
    )
  })
}

test('on_a_Unix_socket_the_addresses_are_paths', async (t) => {
  const { connection, accepted, server } = await connectionPair(t, { family: 'unix' })
  t.is(connection.remoteAddress, server.path)
  t.is(accepted.localAddress, server.path)
  t.deepEqual([connection.remotePort, connection.remoteFamily, connection.localPort], [undefined, undefined, undefined])
})

test('readyState_follows_the_life_of_a_connection', async (t) => {
  const states: [string, ReadyState][] = []
  const note =
    (word: string) =>
    (it: Connection): void =>
      void states.push([word, it.readyState])
  const socket: Handlers = { open: note('open'), data: note('data'), end: note('end'), close: note('close') }
  const { connection, accepted } = await connectionPair(t, { server: { allowHalfOpen: true }, client: { socket } })
  t.is(connection.readyState, 1)
  accepted.write('x')
  await until(() => states.length === 2)
  connection.end()
  t.is(connection.readyState, -2)
  accepted.end()
  await until(() => states.length === 4)
  t.deepEqual(states, [
    ['open', 1],
    ['data', 1],
    ['end', -2],
    ['close', 0],
  ])
  t.is(connection.readyState, 0)
})

test('a_connection_that_failed_to_connect_is_closed', async (t) => {
  const server = testServer(t)
  const port = server.port!
  server.stop()
  const seen: unknown[] = []
  const connectError = (it: Connection): void =>
    void seen.push(it.readyState, it.write('x'), it.end(), it.socket, it.remoteAddress)
  await t.throwsAsync(connect({ host: '127.0.0.1', port, socket: { connectError } }))
  t.deepEqual(seen, [0, -1, -1, undefined, undefined])
})

test('data_starts_as_the_option_and_can_be_replaced', async (t) => {
  const shared = { name: 'shared' }
  const { connection, accepted } = await connectionPair<object>(t, {
    server: { data: shared },
    client: { data: { name: 'mine' } },
  })
  t.is(accepted.data, shared)
  t.deepEqual(connection.data, { name: 'mine' })
  accepted.data = { name: 'other' }
  t.deepEqual(accepted.data, { name: 'other' })
  t.deepEqual(shared, { name: 'shared' })
  const { connection: plain } = await connectionPair(t)
  t.is(plain.data, undefined)
})

test('a_connection_refers_to_the_server_that_accepted_it', async (t) => {
  const { connection, accepted, server } = await connectionPair(t)
  t.is(accepted.listener, server)
  t.is(connection.listener, undefined)
})

test('the_underlying_socket_is_a_Socket_and_closes_with_the_connection', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  t.true(connection instanceof Connection && connection.socket instanceof Socket)
  t.true(accepted.socket!.fd >= 0)
  t.is(connection.socket!.info().state, 'established')
  connection.terminate()
  t.is(connection.socket!.state, 'closed')
  t.is(connection.socket!.fd, -1)
})

// Options

test('noDelay_is_on_by_default_and_can_be_changed', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  for (const it of [connection, accepted]) {
    t.true(it.socket!.getOption('noDelay'))
    t.is(it.setNoDelay(false), it)
    t.false(it.socket!.getOption('noDelay'))
    it.setNoDelay()
    t.true(it.socket!.getOption('noDelay'))
  }
  const slow = await connectionPair(t, { server: { noDelay: false }, client: { noDelay: false } })
  t.false(slow.connection.socket!.getOption('noDelay'))
  t.false(slow.accepted.socket!.getOption('noDelay'))
})

test('setKeepAlive_switches_keep_alive_on_and_off', async (t) => {
  const { connection } = await connectionPair(t)
  t.is(connection.socket!.getOption('keepAlive'), false)
  t.is(connection.setKeepAlive(), connection)
  t.truthy(connection.socket!.getOption('keepAlive'))
  connection.setKeepAlive(true, 7000)
  t.like(connection.socket!.getOption('keepAlive'), { idle: 7000 })
  connection.setKeepAlive(false, 9000)
  t.is(connection.socket!.getOption('keepAlive'), false)
})

test('setting_options_of_a_closed_connection_throws', async (t) => {
  const { connection } = await connectionPair(t)
  connection.terminate()
  t.throws(() => connection.setNoDelay(), { code: 'ERR_SOCKET_CLOSED' })
  t.throws(() => connection.setKeepAlive(), { code: 'ERR_SOCKET_CLOSED' })
})

// Keeping the process alive

const CONNECTED = `
  import { connect, listen } from 'm-socket'
  const server = listen({ host: '127.0.0.1', socket: { open: (it) => { it.unref() } } }).unref()
  const connection = await connect({ host: '127.0.0.1', port: server.port, socket: { close: () => console.log('closed') } })
`

test('truth 40: an_open_connection_keeps_the_process_alive', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `${CONNECTED}
    setTimeout(() => { console.log('still here'); connection.end() }, 200).unref()
  `,
  )
  t.deepEqual([code, stdout], [0, 'still here\nclosed\n'])
})

test('truth 40: an_unreferenced_connection_does_not_keep_the_process_alive', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `${CONNECTED}
    if (connection.unref().unref() !== connection) throw new Error('it returns itself')
    process.on('exit', () => console.log('gone', connection.readyState))
  `,
  )
  t.deepEqual([code, stdout], [0, 'gone 1\n'])
})

test('truth 40: a_connection_referenced_again_keeps_the_process_alive', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `${CONNECTED}
    connection.unref().ref().ref()
    setTimeout(() => { console.log('still here'); connection.unref() }, 200).unref()
    process.on('exit', () => console.log('gone', connection.readyState))
  `,
  )
  t.deepEqual([code, stdout], [0, 'still here\ngone 1\n'])
})

test('truth 40: queued_output_of_an_unreferenced_connection_keeps_the_process_alive', async (t) => {
  const { code, stdout } = await runModule(
    t,
    `
    import { connect, listen } from 'm-socket'
    let received = 0
    const server = listen({ host: '127.0.0.1', receiveBufferSize: 4096, socket: {
      open: (it) => { it.pause().unref(); setTimeout(() => it.resume(), 200).unref() },
      data: (_, chunk) => { received += chunk.length },
    } }).unref()
    const connection = await connect({ host: '127.0.0.1', port: server.port, sendBufferSize: 4096, sendQueueLimit: 1 << 20 })
    connection.write(Buffer.alloc(1 << 20))
    connection.unref()
    process.on('exit', () => console.log(connection.bytesWritten, connection.socket.queued))
  `,
  )
  t.deepEqual([code, stdout], [0, `${1 << 20} 0\n`])
})

// Bad input

for (const verb of ['write', 'tryWrite', 'end'] as const) {
  test(`data_of_a_wrong_type_is_refused: ${verb}`, async (t) => {
    const { connection } = await connectionPair(t)
    for (const data of [null, 5, true, {}, [1, 2], Symbol('x'), () => {}, new Date(0)]) {
      t.throws(
        () => connection[verb](data as never),
        { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' },
        String(data),
      )
    }
    if (verb !== 'end')
      t.throws(() => connection[verb](undefined as never), {
        code: 'ERR_INVALID_ARG_TYPE',
        message:
          /"data" argument must be a string, an ArrayBuffer, a view of one, or an array of these\. Received undefined/,
      })
    t.is(connection.bytesWritten, 0)
    t.is(connection.readyState, 1)
  })

  test(`an_offset_or_length_outside_the_data_is_refused: ${verb}`, async (t) => {
    const { connection } = await connectionPair(t)
    const data = Buffer.alloc(10)
    for (const [offset, length] of [
      [-1],
      [11],
      [0.5],
      [Number.NaN],
      [0, -1],
      [0, 11],
      [5, 6],
      [10, 1],
      [0, 1.5],
      [0, Infinity],
      [undefined, 11],
    ] as const) {
      t.throws(
        () => connection[verb](data, offset, length),
        { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' },
        `${offset} ${length}`,
      )
    }
    for (const [offset, length] of [['1'], [null], [{}], [0, '1'], [0, null]] as const) {
      t.throws(
        () => connection[verb](data, offset as never, length as never),
        { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' },
        `${offset} ${length}`,
      )
    }
    t.is(connection.bytesWritten, 0)
    t.is(connection.readyState, 1)
    t.is(connection[verb](data), 10)
  })
}

test('truth 41: a_detached_buffer_has_no_bytes_to_write', async (t) => {
  const { connection } = await connectionPair(t)
  const data = new Uint8Array(10)
  structuredClone(data, { transfer: [data.buffer] })
  t.is(connection.write(data), 0)
  t.throws(() => connection.write(data, 0, 1), { code: 'ERR_OUT_OF_RANGE' })
})

test('shutdown_refuses_an_invalid_half', async (t) => {
  const { connection } = await connectionPair(t)
  for (const how of ['reading', '', 'WRITE', 1, null, {}]) {
    t.throws(
      () => connection.shutdown(how as never),
      {
        instanceOf: TypeError,
        code: 'ERR_INVALID_ARG_VALUE',
        message: /'how' must be one of: 'read', 'write', 'both'/,
      },
      String(how),
    )
  }
  t.is(connection.readyState, 1)
})

test('timeout_refuses_an_invalid_time', async (t) => {
  const { connection } = await connectionPair(t)
  for (const ms of [-1, Number.NaN, Infinity, 2 ** 31])
    t.throws(() => connection.timeout(ms), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }, String(ms))
  for (const ms of ['1', null, undefined, {}])
    t.throws(() => connection.timeout(ms as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }, String(ms))
  t.is(connection.timeout(1000), connection)
  t.is(connection.timeout(0), connection)
})

test('the_longest_timeout_does_not_overflow_a_timer', async (t) => {
  const { code, stderr } = await runModule(
    t,
    `${CONNECTED}
    connection.timeout(2 ** 31 - 1)
    setTimeout(() => connection.terminate(), 20)
  `,
  )
  t.deepEqual([code, stderr], [0, ''])
})

test('setNoDelay_and_setKeepAlive_refuse_invalid_values', async (t) => {
  const { connection } = await connectionPair(t)
  for (const enable of [1, 'yes', null, {}]) {
    t.throws(() => connection.setNoDelay(enable as never), { code: 'ERR_INVALID_ARG_TYPE' }, String(enable))
  }
  for (const enable of [1, 'yes', null])
    t.throws(() => connection.setKeepAlive(enable as never), { code: 'ERR_INVALID_ARG_TYPE' }, String(enable))
  for (const delay of [-1, 0.5, 2 ** 31])
    t.throws(() => connection.setKeepAlive(true, delay), { code: 'ERR_OUT_OF_RANGE' }, String(delay))
  t.throws(() => connection.setKeepAlive(true, '1' as never), { code: 'ERR_INVALID_ARG_TYPE' })
  const { connection: unix } = await connectionPair(t, { family: 'unix' })
  t.throws(() => unix.setNoDelay(), { instanceOf: SocketError })
})

function bytesOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0)
}
