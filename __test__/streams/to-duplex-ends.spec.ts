import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'

import test from 'ava'
import { Socket, SocketClosedError, type SocketStream, toDuplex } from 'm-socket'

import { logEvents } from '../support/both-nets.js'
import { openDescriptors } from '../support/descriptors.js'
import { closing, collected, duplexPair, failure, narrowDuplexPair } from '../support/duplex.js'
import { FAMILIES } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { onStreams } from '../support/streams.js'
import { sleep } from '../support/timing.js'
import { receiveExactly, receiveToEnd, until } from '../support/waiting.js'

for (const family of FAMILIES) {
  test(`with_allowHalfOpen_the_stream_still_writes_after_the_peers_end (${family})`, async (t) => {
    const { duplex, peer } = await duplexPair(t, family, { allowHalfOpen: true })
    peer.send('question')
    peer.shutdown('write')
    t.is(String(await collected(duplex)), 'question')
    t.true(duplex.readableEnded && duplex.writable && !duplex.destroyed)
    t.is(duplex.socket.state, 'open')
    duplex.write('ans')
    t.is((await receiveExactly(peer, 3)).toString(), 'ans')
    const closed = closing(duplex)
    duplex.end('wer')
    t.is((await receiveToEnd(peer)).toString(), 'wer')
    await closed
    t.is(duplex.socket.state, 'closed')
  })

  test(`without_allowHalfOpen_the_peers_end_is_answered_by_ours (${family})`, async (t) => {
    const { duplex, peer } = await duplexPair(t, family)
    const closed = closing(duplex)
    duplex.write('unasked')
    peer.send('question')
    peer.shutdown('write')
    t.is(String(await collected(duplex)), 'question')
    t.is((await receiveToEnd(peer)).toString(), 'unasked')
    await closed
    t.is(duplex.errored, null)
    t.is(duplex.socket.state, 'closed')
  })

  test(`after_end_the_stream_still_reads (${family})`, async (t) => {
    const { duplex, peer } = await duplexPair(t, family)
    const closed = closing(duplex)
    duplex.end('question')
    t.is((await receiveToEnd(peer)).toString(), 'question')
    t.true(duplex.readable && !duplex.destroyed)
    peer.send('ans')
    const [first] = (await once(duplex, 'data')) as [Buffer]
    t.is(first.toString(), 'ans')
    peer.send('wer')
    peer.close()
    t.is(String(await collected(duplex)), 'wer')
    await closed
    t.is(duplex.socket.state, 'closed')
  })
}

for (const allowHalfOpen of [false, true])
  onStreams(
    `the_peers_end_has_these_events_and_states (allowHalfOpen ${allowHalfOpen})`,
    async (stream, peer, log) => {
      logEvents(stream, log)
      const ended = once(stream, 'end')
      const closed = closing(stream)
      peer.send('question')
      peer.shutdown('write')
      await ended
      await sleep(20)
      log(`${stream.readyState} ${stream.writable} ${stream.destroyed}`)
      stream.end('late')
      await closed
      log(`${stream.readyState} ${(await receiveToEnd(peer)).toString()}`)
    },
    { allowHalfOpen },
  )

test('destroy_closes_the_descriptor_and_the_peer_reads_what_the_kernel_had_taken', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  const link = openDescriptors().get(duplex.socket.fd)!
  duplex.write('all of it')
  duplex.destroy()
  await closing(duplex)
  t.is(duplex.errored, null)
  t.is(duplex.socket.state, 'closed')
  t.false([...openDescriptors().values()].includes(link))
  t.is((await receiveToEnd(peer)).toString(), 'all of it')
})

const DESTROY: Readonly<Record<string, (stream: net.Socket) => void>> = {
  'destroy()': (stream) => void stream.destroy(),
  'destroy(error)': (stream) => void stream.destroy(new Error('reason')),
  'destroy(error) twice': (stream) => void stream.destroy(new Error('reason')).destroy(new Error('another')),
}

for (const [name, destroy] of Object.entries(DESTROY)) {
  onStreams(`${name} ends by FIN, and 'close' says whether there was an error`, async (stream, peer, log) => {
    logEvents(stream, log)
    stream.write('all of it')
    destroy(stream)
    await closing(stream)
    log((await receiveToEnd(peer)).toString())
  })

  onStreams(`${name} with unsent bytes drops them and ends by FIN`, async (stream, peer, log) => {
    logEvents(stream, log)
    const length = 16 << 20
    stream.write(Buffer.alloc(length), (error) => log(`in progress: ${error}`))
    stream.write('behind', (error) => log(`behind: ${error}`))
    await sleep(20)
    destroy(stream)
    await closing(stream)
    log((await receiveToEnd(peer)).length < length)
  })
}

test('a_socket_beneath_a_destroyed_stream_is_closed_and_has_no_queue', async (t) => {
  const { duplex } = await narrowDuplexPair(t)
  duplex.write(randomBytes(300_000))
  t.true(duplex.socket.queued > 0)
  duplex.destroy()
  await closing(duplex)
  t.is(duplex.socket.state, 'closed')
  t.is(duplex.socket.queued, 0)
})

onStreams('resetAndDestroy_resets_the_peer', async (stream, peer, log) => {
  logEvents(stream, log)
  stream.resetAndDestroy()
  await closing(stream)
  await receiveToEnd(peer).catch((error) => log(error.code))
})

const READERS: Readonly<Record<string, (stream: net.Socket) => void>> = {
  'a reader': (stream) => void stream.resume(),
  'no reader': () => {},
  'a paused reader': (stream) => void stream.pause(),
}

for (const [name, read] of Object.entries(READERS)) {
  onStreams(`a_reset_destroys_a_stream_with_${name}_that_has_read_all`, async (stream, peer, log) => {
    logEvents(stream, log, { without: ['data'] })
    read(stream)
    peer.send('last words')
    await until(() => stream.bytesRead === 10)
    peer.reset()
    await closing(stream)
    log(stream.readableLength)
  })

  onStreams(`a_reset_fails_a_pending_write_with_${name}`, async (stream, peer, log) => {
    logEvents(stream, log, { without: ['data'] })
    read(stream)
    stream.write(Buffer.alloc(16 << 20), (error) => log(`callback ${error}`))
    await sleep(20)
    const closed = closing(stream)
    peer.reset()
    await closed
  })
}

onStreams('data_before_a_reset_is_delivered_first', async (stream, peer, log) => {
  logEvents(stream, log)
  const read = once(stream, 'data')
  peer.send('last words')
  await read
  peer.reset()
  await closing(stream)
})

test('data_and_a_reset_that_arrive_together_are_both_reported', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  let received = ''
  duplex.on('data', (chunk: Buffer) => (received += chunk.toString()))
  peer.send('last words')
  peer.reset()
  t.is((await failure(duplex)).code, 'ECONNRESET')
  t.is(received, 'last words')
})

onStreams('after_end_a_reset_is_still_an_error_of_the_stream', async (stream, peer, log) => {
  logEvents(stream, log)
  const finished = once(stream, 'finish')
  stream.end()
  await finished
  peer.reset()
  await closing(stream)
})

test('a_write_after_a_reset_fails', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  peer.reset()
  const again = setInterval(() => duplex.write('x'), 1)
  t.teardown(() => clearInterval(again))
  const { code } = await failure(duplex)
  t.true(['ECONNRESET', 'EPIPE'].includes(code ?? ''), code)
  clearInterval(again)
})

onStreams('a_write_after_end_fails', async (stream, _, log) => {
  logEvents(stream, log)
  stream.end()
  stream.write('x', (error) => log(`callback ${(error as NodeJS.ErrnoException).code}`))
  await closing(stream)
})

onStreams('a_write_after_destroy_fails', async (stream, _, log) => {
  logEvents(stream, log)
  stream.destroy()
  stream.write('x', (error) => log(`callback ${(error as NodeJS.ErrnoException).code}`))
  await closing(stream)
})

test('a_write_to_a_stream_whose_socket_the_program_closed_fails', async (t) => {
  const { duplex } = await duplexPair(t)
  duplex.socket.close()
  duplex.write('x')
  t.true((await failure(duplex)) instanceof SocketClosedError)
})

test('closing_twice_is_harmless', async (t) => {
  const { duplex, peer } = await duplexPair(t)
  const closed = closing(duplex)
  duplex.resume()
  duplex.end()
  duplex.end()
  peer.close()
  await closed
  duplex.destroy()
  duplex.destroy()
  duplex.socket.close()
  duplex.socket.reset()
  duplex.end()
  t.is(duplex.errored, null)
})

/** How a stream that cannot connect is used. */
const USES: Readonly<Record<string, (duplex: SocketStream) => void>> = {
  read: (duplex) => duplex.resume(),
  written: (duplex) => duplex.write('x'),
  unused: () => {},
}

for (const [use, begin] of Object.entries(USES)) {
  test(`a_refused_connect_is_an_error_of_the_stream (${use})`, async (t) => {
    const port = freePort()
    const duplex = toDuplex(Socket.connect({ port }))
    const closed = new Promise((resolve) => duplex.once('close', resolve))
    t.true(duplex.connecting)
    begin(duplex)
    const error = await failure(duplex)
    t.is(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
    t.is(error.code, 'ECONNREFUSED')
    t.is(await closed, true)
    t.is(duplex.socket.state, 'closed')
  })
}
