import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'

import test, { type ExecutionContext } from 'ava'
import {
  type Listener,
  Multiplexer,
  Socket,
  SocketClosedError,
  type SocketDuplex,
  type SocketDuplexOptions,
  SocketError,
  SocketQueueError,
  toDuplex,
} from 'm-socket'

import { outcomeOf, runModule, startModule } from '../support/child.js'
import { openDescriptors } from '../support/descriptors.js'
import {
  FAMILIES,
  type Family,
  addressOf,
  connectedPair,
  fillSendQueue,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { acceptNext, receiveExactly, receiveToEnd, until } from '../support/waiting.js'

/** The most that a stream buffers: its high water mark, and what one recv(2) returns from a narrow pair. */
const HIGH_WATER_MARK = 65536
const CHUNK = 65536

interface Ends {
  readonly duplex: SocketDuplex
  readonly peer: Socket
}

/** A duplex and the raw socket that it is connected to; both are closed after the test. */
async function connected(
  t: ExecutionContext,
  family: Family = 'IPv4',
  options: SocketDuplexOptions = {},
): Promise<Ends> {
  return over(t, await connectedPair(t, family), options)
}

/** The same over a connection whose kernel buffers are small. */
async function narrow(t: ExecutionContext, options: SocketDuplexOptions = {}): Promise<Ends> {
  return over(t, await smallBufferPair(t), options)
}

function over(
  t: ExecutionContext,
  { client, server }: { client: Socket; server: Socket },
  options: SocketDuplexOptions,
): Ends {
  const duplex = toDuplex(server, { highWaterMark: HIGH_WATER_MARK, ...options })
  t.teardown(() => void duplex.on('error', () => {}).destroy())
  return { duplex, peer: client }
}

/** Resolves with the stream's error. */
async function failure(duplex: SocketDuplex): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(duplex, 'error')) as [NodeJS.ErrnoException]
  return error
}

for (const family of FAMILIES) {
  test(`data_flows_both_ways_at_once_unchanged (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const [near, far] = [toDuplex(client), toDuplex(server)]
    const [there, back] = [randomBytes(5_000_000), randomBytes(5_000_000)]
    const [atFar, atNear] = await Promise.all([
      collected(far),
      collected(near),
      pipeline(Readable.from(cut(there, 70_001)), near, { end: true }),
      pipeline(Readable.from(cut(back, 1201)), far, { end: true }),
    ])
    t.true(atFar.equals(there))
    t.true(atNear.equals(back))
    t.is(near.socket.state, 'closed')
    t.is(far.socket.state, 'closed')
  })
}

test('strings_buffers_and_corked_writes_keep_their_order', async (t) => {
  const { duplex, peer } = await connected(t)
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
  const { duplex, peer } = await narrow(t)
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
  const { duplex, peer } = await narrow(t)
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
  const { duplex, peer } = await narrow(t)
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

for (const family of FAMILIES) {
  test(`the_peers_end_is_reported_and_the_stream_still_writes (${family})`, async (t) => {
    const { duplex, peer } = await connected(t, family)
    peer.send('question')
    peer.shutdown('write')
    t.is(String(await collected(duplex)), 'question')
    t.true(duplex.readableEnded && duplex.writable && !duplex.destroyed)
    t.is(duplex.socket.state, 'open')
    duplex.write('ans')
    t.is((await receiveExactly(peer, 3)).toString(), 'ans')
    duplex.end('wer')
    t.is((await receiveToEnd(peer)).toString(), 'wer')
    await closed(duplex)
    t.is(duplex.socket.state, 'closed')
  })

  test(`after_end_the_stream_still_reads (${family})`, async (t) => {
    const { duplex, peer } = await connected(t, family)
    duplex.end('question')
    t.is((await receiveToEnd(peer)).toString(), 'question')
    t.true(duplex.readable && !duplex.destroyed)
    peer.send('ans')
    const [first] = (await once(duplex, 'data')) as [Buffer]
    t.is(first.toString(), 'ans')
    peer.send('wer')
    peer.close()
    t.is(String(await collected(duplex)), 'wer')
    await closed(duplex)
    t.is(duplex.socket.state, 'closed')
  })
}

test('destroy_closes_the_descriptor_and_the_peer_reads_the_end', async (t) => {
  const { duplex, peer } = await connected(t)
  const link = openDescriptors().get(duplex.socket.fd)!
  duplex.write('all of it')
  duplex.destroy()
  await closed(duplex)
  t.is(duplex.errored, null)
  t.is(duplex.socket.state, 'closed')
  t.false([...openDescriptors().values()].includes(link))
  t.is((await receiveToEnd(peer)).toString(), 'all of it')
})

test('destroy_with_an_error_emits_it_once_and_closes', async (t) => {
  const { duplex, peer } = await connected(t)
  const reason = new Error('reason')
  let errors = 0
  duplex.on('error', (error) => {
    errors++
    t.is(error, reason)
  })
  duplex.destroy(reason)
  duplex.destroy(new Error('another'))
  await closed(duplex)
  t.is(errors, 1)
  t.is(duplex.socket.state, 'closed')
  t.is((await receiveToEnd(peer)).length, 0)
})

for (const reason of [undefined, new Error('reason')]) {
  test(`destroy_with_unsent_bytes_resets_the_peer (${reason ? 'with an error' : 'without an error'})`, async (t) => {
    const { duplex, peer } = await narrow(t)
    const write = new Promise<Error | null | undefined>((resolve) => duplex.write(randomBytes(300_000), resolve))
    await turns(20)
    t.true(duplex.socket.queued > 0)
    duplex.on('error', () => {}).destroy(reason)
    await closed(duplex)
    t.is(duplex.socket.state, 'closed')
    t.is(duplex.socket.queued, 0)
    await t.throwsAsync(receiveToEnd(peer), { instanceOf: SocketError, code: 'ECONNRESET' })
    t.true((await write) instanceof Error, 'the pending write fails')
  })
}

test('data_before_a_reset_is_delivered_first', async (t) => {
  const { duplex, peer } = await connected(t)
  let received = ''
  peer.send('last words')
  duplex.on('data', (chunk: Buffer) => (received += chunk.toString()))
  await until(() => received.length > 0)
  peer.reset()
  const error = await failure(duplex)
  t.true(error instanceof SocketError)
  t.is(error.message, 'read ECONNRESET')
  t.is(received, 'last words')
  await closed(duplex)
  t.is(duplex.socket.state, 'closed')
})

test('data_and_a_reset_that_arrive_together_are_both_reported', async (t) => {
  const { duplex, peer } = await connected(t)
  let received = ''
  duplex.on('data', (chunk: Buffer) => (received += chunk.toString()))
  peer.send('last words')
  peer.reset()
  t.is((await failure(duplex)).code, 'ECONNRESET')
  t.is(received, 'last words')
})

test('end_after_a_reset_leaves_data_and_error_to_the_reader', async (t) => {
  const { duplex, peer } = await connected(t)
  let received = ''
  peer.send('last words')
  peer.reset()
  await turns(5)
  duplex.end()
  await once(duplex, 'finish')
  duplex.on('data', (chunk: Buffer) => (received += chunk.toString()))
  t.is((await failure(duplex)).code, 'ECONNRESET')
  t.is(received, 'last words')
})

test('a_write_after_a_reset_fails', async (t) => {
  const { duplex, peer } = await connected(t)
  peer.reset()
  const again = setInterval(() => duplex.write('x'), 1)
  t.teardown(() => clearInterval(again))
  const { code } = await failure(duplex)
  t.true(['ECONNRESET', 'EPIPE'].includes(code ?? ''), code)
  clearInterval(again)
})

test('a_reset_fails_a_pending_write_without_a_reader', async (t) => {
  const { duplex, peer } = await narrow(t)
  const failed = failure(duplex)
  const write = new Promise<Error | null | undefined>((resolve) => duplex.write(randomBytes(300_000), resolve))
  await turns(20)
  t.true(duplex.socket.queued > 0)
  peer.reset()
  t.is((await failed).code, 'ECONNRESET')
  t.is(((await write) as NodeJS.ErrnoException).code, 'ECONNRESET')
})

/** How a stream that cannot connect is used. */
const USES: Readonly<Record<string, (duplex: SocketDuplex) => void>> = {
  read: (duplex) => duplex.resume(),
  written: (duplex) => duplex.write('x'),
  unused: () => {},
}

for (const [use, begin] of Object.entries(USES)) {
  test(`a_refused_connect_is_an_error_of_the_stream (${use})`, async (t) => {
    const port = freePort()
    const duplex = toDuplex(Socket.connect({ port }))
    begin(duplex)
    const error = await failure(duplex)
    t.is(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
    t.is(error.code, 'ECONNREFUSED')
    await closed(duplex)
    t.is(duplex.socket.state, 'closed')
  })
}

test('with_whenFull_error_a_write_to_a_full_queue_is_a_SocketQueueError', async (t) => {
  const { duplex } = await narrow(t, { whenFull: 'error' })
  const piece = Buffer.alloc(20_000)
  let written = 0
  const writing = (async () => {
    for (;;) {
      await new Promise<void>((resolve, reject) => duplex.write(piece, (error) => (error ? reject(error) : resolve())))
      written += piece.length
    }
  })()
  const [error] = await Promise.all([
    failure(duplex),
    t.throwsAsync(writing, { instanceOf: SocketQueueError, code: 'ERR_SOCKET_QUEUE_FULL' }),
  ])
  t.true(error instanceof SocketQueueError)
  t.true(written >= duplex.socket.bytesSent)
  t.is(duplex.socket.state, 'closed')
})

test('with_whenFull_error_end_still_sends_the_queue', async (t) => {
  const { duplex, peer } = await narrow(t, { whenFull: 'error' })
  const sent = randomBytes(60_000)
  duplex.end(sent)
  await once(duplex, 'finish')
  t.true(duplex.socket.queued > 0)
  t.true((await receiveToEnd(peer)).equals(sent))
})

test('a_write_after_end_or_close_fails', async (t) => {
  const ended = (await connected(t)).duplex
  ended.end()
  ended.write('x')
  t.is((await failure(ended)).code, 'ERR_STREAM_WRITE_AFTER_END')

  const destroyed = (await connected(t)).duplex
  destroyed.destroy()
  t.is(
    await new Promise((resolve) => destroyed.write('x', (error) => resolve((error as NodeJS.ErrnoException).code))),
    'ERR_STREAM_DESTROYED',
  )

  const shut = (await connected(t)).duplex
  shut.socket.close()
  shut.write('x')
  t.true((await failure(shut)) instanceof SocketClosedError)
})

test('closing_twice_is_harmless', async (t) => {
  const { duplex, peer } = await connected(t)
  duplex.resume()
  duplex.end()
  duplex.end()
  peer.close()
  await closed(duplex)
  duplex.destroy()
  duplex.destroy()
  duplex.socket.close()
  duplex.socket.reset()
  duplex.end()
  t.is(duplex.errored, null)
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
  const { duplex, peer } = await narrow(t)
  const reason = new Error('reason')
  const source = new Readable({ read() {} })
  source.push(randomBytes(300_000))
  const copying = t.throwsAsync(pipeline(source, duplex))
  await turns(20)
  source.destroy(reason)
  t.is(await copying, reason)
  t.true(duplex.destroyed)
  await t.throwsAsync(receiveToEnd(peer), { code: 'ECONNRESET' })
})

test('iteration_reads_to_the_end', async (t) => {
  const { duplex, peer } = await connected(t)
  const sent = randomBytes(500_000)
  const sending = toDuplex(peer).end(sent)
  const chunks: Buffer[] = []
  for await (const chunk of duplex) chunks.push(chunk as Buffer)
  t.true(Buffer.concat(chunks).equals(sent))
  duplex.end()
  await finished(sending.resume())
})

test('leaving_the_iteration_destroys_the_stream', async (t) => {
  const { duplex, peer } = await connected(t)
  peer.send('first')
  for await (const chunk of duplex) {
    t.is(String(chunk), 'first')
    break
  }
  t.true(duplex.destroyed)
  t.is((await receiveToEnd(peer)).length, 0)
})

test('chunks_stay_valid_after_later_reads', async (t) => {
  const { duplex, peer } = await connected(t)
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

/** A program that ends its side of a stream and waits for the peer's end, if something keeps it alive that long. */
function patient(t: ExecutionContext, reference: string): { child: ChildProcess; listener: Listener } {
  const listener = testListener(t)
  const child = startModule(
    t,
    `import { Socket, toDuplex } from 'm-socket'
    const duplex = toDuplex(Socket.connect({ port: ${(listener.address as { port: number }).port} }))${reference}
    duplex.on('end', () => console.log('ended')).resume()
    duplex.end()`,
  )
  return { child, listener }
}

for (const reference of ['', '.unref().ref()']) {
  test(`an_open_stream_keeps_the_process_alive ('${reference}')`, async (t) => {
    const { child, listener } = patient(t, reference)
    const outcome = outcomeOf(child)
    const peer = await acceptNext(listener)
    t.teardown(() => peer.close())
    await receiveToEnd(peer)
    await new Promise((resolve) => setTimeout(resolve, 300))
    t.is(child.exitCode, null)
    peer.close()
    t.like(await outcome, { code: 0, stdout: 'ended\n', stderr: '' })
  })
}

test('an_unreferenced_stream_does_not_keep_the_process_alive', async (t) => {
  const { child } = patient(t, '.unref()')
  t.like(await outcomeOf(child), { code: 0, stdout: '', stderr: '' })
})

test('queued_output_of_an_unreferenced_stream_is_sent_before_the_process_exits', async (t) => {
  const listener = testListener(t)
  const { port } = listener.address as { port: number }
  const outcome = runModule(
    t,
    `import { Socket, toDuplex } from 'm-socket'
    toDuplex(Socket.connect({ port: ${port} })).unref().end(Buffer.alloc(8_000_000, 'x'))`,
  )
  const peer = await acceptNext(listener)
  t.teardown(() => peer.close())
  t.is((await receiveToEnd(peer)).length, 8_000_000)
  t.like(await outcome, { code: 0, stderr: '' })
})

test('an_exception_in_a_data_listener_is_uncaught_and_affects_no_other_stream', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `import { Listener, Socket, toDuplex } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const { port } = listener.address
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    let left = 10
    for (let index = 0; index < 10; index++) toDuplex(Socket.connect({ port })).resume().end(String(index))
    for await (const socket of listener) {
      const duplex = toDuplex(socket)
      duplex.on('data', (chunk) => {
        if (Number(chunk) % 2) throw new Error(chunk)
        console.log('read', String(chunk))
      })
      duplex.on('end', () => {
        duplex.destroy()
        if (--left === 0) listener.close()
      })
    }`,
  )
  const expected = Array.from({ length: 10 }, (_, index) => `${index % 2 ? 'uncaught' : 'read'} ${index}`)
  t.deepEqual(stdout.trimEnd().split('\n').toSorted(), expected.toSorted())
  t.is(code, 0, stderr)
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

/** Reads to the end. Iteration would destroy the stream there, and the half that writes with it. */
async function collected(duplex: SocketDuplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(duplex, 'end')
  return Buffer.concat(chunks)
}

/** Resolves once 'close' has been emitted. */
async function closed(duplex: SocketDuplex): Promise<void> {
  if (!duplex.closed) await once(duplex, 'close')
  // `closed` is true one tick before 'close' is emitted.
  await turns(1)
}

/** Lets Node's loop turn at least this often. */
async function turns(count: number): Promise<void> {
  while (count-- > 0) await new Promise((resolve) => setTimeout(resolve, 1))
}

function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}
