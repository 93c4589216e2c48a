import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'

import test from 'ava'
import { type Listener, Multiplexer, Socket, SocketClosedError, SocketError, toDuplex } from 'm-socket'

import { HIGH_WATER_MARK, collected, cut, duplexPair, narrowDuplexPair, turns } from '../support/duplex.js'
import { FAMILIES, addressOf, connectedPair, fillSendQueue, smallBufferPair, testListener } from '../support/pair.js'
import { acceptNext, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

/** What one recv(2) returns from a narrow pair, at most. */
const CHUNK = 65536

for (const family of FAMILIES) {
  test(`data_flows_both_ways_at_once_unchanged (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const half = { allowHalfOpen: true }
    const [near, far] = [toDuplex(client, half), toDuplex(server, half)]
    const [there, back] = [randomBytes(5_000_000), randomBytes(5_000_000)]
    const [atFar, atNear] = await Promise.all([
      collected(far),
      collected(near),
      pipeline(Readable.from(cut(there, 70_001)), near, { end: true }),
      pipeline(Readable.from(cut(back, 1201)), far, { end: true }),
    ])
    t.true(atFar.equals(there))
    t.true(atNear.equals(back))
    await until(() => near.socket.state === 'closed' && far.socket.state === 'closed')
  })
}

test('strings_buffers_and_corked_writes_keep_their_order', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  duplex.write('one ')
  duplex.cork()
  duplex.write(Buffer.from('two '))
  duplex.write('dré ', 'latin1')
  duplex.uncork()
  duplex.write('bGFzdA==', 'base64')
  duplex.end()
  t.deepEqual(await receiveToEnd(peer), Buffer.from('one two dr\xe9 last', 'latin1'))
})

test('a_write_while_connecting_is_sent_once_connected', async (t) => {
  const listener = testListener(t)
  const duplex = toDuplex(Socket.connect(addressOf(listener) as { port: number }))
  t.teardown(() => void duplex.destroy())
  duplex.end('early')
  const peer = await acceptNext(listener)
  t.teardown(() => peer.close())
  t.is((await receiveToEnd(peer)).toString(), 'early')
  peer.send('late')
  peer.close()
  t.is(String(await collected(duplex)), 'late')
})

test('data_queued_before_toDuplex_is_sent_first', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const length = fillSendQueue(server)
  const duplex = toDuplex(server)
  t.teardown(() => void duplex.destroy())
  duplex.end('behind')
  const received = await receiveToEnd(client)
  t.is(received.length, length + 6)
  t.is(received.subarray(-6).toString(), 'behind')
})

test('write_returns_false_when_full_and_drain_follows', async (t) => {
  const { duplex, peer } = await narrowDuplexPair(t)
  const piece = randomBytes(10_000)
  const sum = createHash('sha256')
  let written = 0
  const write = (): void => {
    do {
      written += piece.length
      sum.update(piece)
    } while (duplex.write(piece) && written < 10_000_000)
  }
  let drains = 0
  write()
  t.true(written < 1_000_000, `${written} bytes were accepted while the peer read nothing`)
  duplex.on('drain', () => {
    drains++
    if (written < 3_000_000) write()
    else duplex.end()
  })
  await turns(50)
  const stalled = written
  await turns(50)
  t.is(written, stalled)
  t.true(duplex.writableLength <= HIGH_WATER_MARK + piece.length)
  t.true(duplex.socket.queued <= duplex.socket.sendQueueLimit + HIGH_WATER_MARK + piece.length)
  const received = await receiveToEnd(peer)
  t.is(received.length, written)
  t.is(createHash('sha256').update(received).digest('hex'), sum.digest('hex'))
  t.true(drains > 10)
})

test('a_write_callback_runs_when_the_kernel_has_all_of_the_data', async (t) => {
  const { duplex, peer } = await narrowDuplexPair(t)
  let done = false
  duplex.write(randomBytes(200_000), () => {
    done = true
    t.is(duplex.socket.queued, 0)
    t.is(duplex.socket.bytesSent, 200_000)
  })
  await turns(50)
  t.false(done)
  await receiveExactly(peer, 200_000)
  await until(() => done)
})

test('without_a_reader_receiving_stops_and_the_window_closes', async (t) => {
  const { duplex, peer } = await narrowDuplexPair(t)
  const listener = (): void => {}
  // A reader of one piece only.
  duplex.once('readable', listener)
  peer.sendQueueLimit = 1
  const piece = randomBytes(10_000)
  let sent = 0
  const send = (): void => {
    while (peer.send(piece) !== 'not-sent') sent += piece.length
  }
  using multiplexer = new Multiplexer(peer)
  send()
  // The window is closed when the kernel takes nothing for a while.
  for (let idle = 0; idle < 5; idle++) {
    if ((await multiplexer.wait(50)).length > 0) idle = -1
    send()
  }
  t.true(duplex.readableLength > 0 && duplex.readableLength <= HIGH_WATER_MARK + CHUNK)
  t.is(duplex.socket.bytesReceived, duplex.readableLength)
  t.true(sent > duplex.readableLength)
  const { sendWindow } = peer.info()
  // Linux before 5.4 does not report it.
  if (!Number.isNaN(sendWindow)) t.true(sendWindow < 2304, `${sendWindow} bytes of the window are still open`)
  multiplexer.remove(peer)
  peer.shutdown('write')
  t.is((await collected(duplex)).length, sent)
})

test('socket_is_the_socket_that_was_given', async (t) => {
  const { server } = await connectedPair(t)
  const duplex = toDuplex(server)
  t.is(duplex.socket, server)
  duplex.destroy()
  t.is(duplex.socket, server)
})

test('a_registered_socket_is_refused_and_stays_registered', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer(server)
  t.throws(() => toDuplex(server), { instanceOf: SocketError, code: 'EEXIST' })
  client.send('x')
  await until(() => server.peek(Buffer.alloc(1)) === 1)
  t.true((await multiplexer.wait(10_000)).some((event) => event.target === server && event.readable))

  const duplex = toDuplex(client)
  t.throws(() => toDuplex(client), { code: 'EEXIST' })
  t.throws(() => multiplexer.add(client), { code: 'EEXIST' })
  const answer = once(duplex, 'data')
  server.send('y')
  t.is(String((await answer)[0]), 'y')
  duplex.destroy()
})

test('toDuplex_refuses_anything_but_an_open_socket', async (t) => {
  for (const wrong of [null, undefined, 3, {}, testListener(t)]) {
    t.throws(() => toDuplex(wrong as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
      message: /"source".*a Socket or a Connection/,
    })
  }
  const { server } = await connectedPair(t)
  server.close()
  t.throws(() => toDuplex(server), { instanceOf: SocketClosedError })
})

test('pipeline_works_in_both_directions', async (t) => {
  const { client, server } = await connectedPair(t)
  const [near, far] = [toDuplex(client), toDuplex(server)]
  const sent = randomBytes(3_000_000)
  const back: Buffer[] = []
  const collecting = new Writable({ write: (chunk: Buffer, _, done) => void (back.push(chunk), setImmediate(done)) })
  await Promise.all([
    // An echo.
    pipeline(far, far),
    pipeline(Readable.from(cut(sent, 30_011)), near),
    pipeline(near, collecting),
  ])
  t.true(Buffer.concat(back).equals(sent))
})

test('pipeline_destroys_the_stream_when_its_source_fails', async (t) => {
  const { duplex, peer } = await narrowDuplexPair(t)
  const reason = new Error('reason')
  const source = new Readable({ read() {} })
  source.push(randomBytes(300_000))
  const copying = t.throwsAsync(pipeline(source, duplex))
  await turns(20)
  source.destroy(reason)
  t.is(await copying, reason)
  t.true(duplex.destroyed)
  // What was queued is dropped, and our end follows, as in node:net.
  t.true((await receiveToEnd(peer)).length < 300_000)
})

test('iteration_reads_to_the_end', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  const sent = randomBytes(500_000)
  const sending = toDuplex(peer).end(sent)
  const chunks: Buffer[] = []
  for await (const chunk of duplex) chunks.push(chunk as Buffer)
  t.true(Buffer.concat(chunks).equals(sent))
  duplex.end()
  await finished(sending.resume())
})

test('leaving_the_iteration_destroys_the_stream', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  peer.send('first')
  for await (const chunk of duplex) {
    t.is(String(chunk), 'first')
    break
  }
  t.true(duplex.destroyed)
  t.is((await receiveToEnd(peer)).length, 0)
})

test('chunks_stay_valid_after_later_reads', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  const kept: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => kept.push(chunk))
  const sent: string[] = []
  for (let index = 0; index < 50; index++) {
    const word = String.fromCharCode(97 + (index % 26)).repeat(1 + ((index * 7919) % 40_000))
    sent.push(word)
    peer.send(word)
    while (Buffer.concat(kept).length < sent.join('').length) await turns(1)
  }
  t.is(Buffer.concat(kept).toString(), sent.join(''))
})

test('many_streams_at_once_each_get_their_own_data', async (t) => {
  const listener = testListener(t)
  const pairs = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const near = toDuplex(Socket.connect(addressOf(listener) as { port: number }))
      const sent = randomBytes(1 + index * 500)
      near.end(sent)
      const back = await collected(near)
      return back.equals(sent)
    }).concat(echoing(listener, 100)),
  )
  t.is(pairs.filter(Boolean).length, 101)
})

/** Accepts `count` connections and echoes what each sends. */
async function echoing(listener: Listener, count: number): Promise<boolean> {
  const echoes: Promise<void>[] = []
  for await (const socket of listener) {
    const duplex = toDuplex(socket)
    echoes.push(pipeline(duplex, duplex))
    if (echoes.length === count) break
  }
  await Promise.all(echoes)
  return true
}

test('an_option_of_streams_that_sockets_do_not_have_is_ignored', async (t) => {
  const { client, server } = await connectedPair(t)
  const duplex = toDuplex(client, { objectMode: true } as object)
  server.send('text')
  const [chunk] = (await once(duplex, 'data')) as [Buffer]
  t.is(String(chunk), 'text')
  client.close()
  await once(duplex, 'close')
})
