// Files that connections send by sendfile(2).

import { execFile } from 'node:child_process'
import { ftruncateSync, statSync } from 'node:fs'
import { connect as connectByNode } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'

import test from 'ava'
import { type Connection, SocketClosedError, SocketError, listen } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { distinctBytes, fileWith, openFor, sparseFile } from '../support/files.js'
import { FAMILIES } from '../support/pair.js'
import { testServer } from '../support/server.js'
import { sleep } from '../support/timing.js'

/** Everything that comes until the peer's end. */
async function received(connection: Connection): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of connection) chunks.push(chunk)
  return Buffer.concat(chunks)
}

for (const family of FAMILIES) {
  test(`a_file_comes_behind_what_was_written_and_before_what_is_and_the_end: ${family}`, async (t) => {
    const bytes = distinctBytes(5_000_000)
    const fd = openFor(t, fileWith(t, bytes))
    const { connection, accepted } = await connectionPair(t, { family })
    const got = received(connection)
    accepted.cork(() => {
      accepted.write('head')
      accepted.write('er')
      const sent = accepted.sendFile(fd)
      accepted.write('trailer')
      accepted.end('!')
      return sent
    })
    t.true((await got).equals(Buffer.concat([Buffer.from('header'), bytes, Buffer.from('trailer!')])))
  })
}

test('curl_gets_a_file_and_ranges_of_it_over_one_connection', async (t) => {
  const bytes = distinctBytes(3_000_000)
  const path = fileWith(t, bytes)
  const fd = openFor(t, path)
  const { size } = statSync(path)
  let connections = 0
  const server = testServer(t, {
    host: '127.0.0.1',
    socket: {
      open: () => void connections++,
      async data(connection, chunk) {
        const range = /^range: bytes=(\d+)-(\d*)/im.exec(chunk.toString('latin1'))
        const start = Number(range?.[1] ?? 0)
        const end = range?.[2] ? Number(range[2]) : size - 1
        const status = range ? `206 Partial Content\r\nContent-Range: bytes ${start}-${end}/${size}` : '200 OK'
        connection.write(`HTTP/1.1 ${status}\r\nContent-Length: ${end + 1 - start}\r\n\r\n`)
        t.is(await connection.sendFile(fd, { start, end }), end + 1 - start)
      },
    },
  })
  const url = `http://127.0.0.1:${server.port}/file`
  const ranges = ['0-99', '1000000-', '2999999-2999999']
  const args = ranges.flatMap((range) => ['--next', '-sS', '-r', range, url])
  const { stdout } = await promisify(execFile)('curl', ['-sS', url, ...args], {
    encoding: 'buffer',
    maxBuffer: 2 ** 24,
  })
  const expected = [bytes, bytes.subarray(0, 100), bytes.subarray(1_000_000), bytes.subarray(2_999_999)]
  t.true(stdout.equals(Buffer.concat(expected)))
  t.is(connections, 1)
})

test('drain_is_called_when_the_file_and_what_is_behind_it_have_been_sent', async (t) => {
  const bytes = distinctBytes(1_000_000)
  const fd = openFor(t, fileWith(t, bytes))
  const calls: string[] = []
  const { connection, accepted } = await smallBufferConnectionPair(t, {
    server: { sendQueueLimit: 1000, socket: { drain: () => void calls.push('drain') } },
  })
  const sent = accepted.sendFile(fd).then(() => void calls.push('sent'))
  t.is(accepted.write(Buffer.alloc(5000, 'x')), 1000)
  const got = received(connection)
  await sent
  while (calls.length < 2) await sleep(1)
  t.deepEqual(calls.sort(), ['drain', 'sent'])
  accepted.end()
  t.is((await got).length, bytes.length + 1000)
})

test('a_peer_that_does_not_read_is_reset_after_the_idle_timeout', async (t) => {
  const fd = openFor(t, fileWith(t, distinctBytes(400_000)))
  let timeouts = 0
  const { accepted } = await smallBufferConnectionPair(t, {
    server: { idleTimeout: 200, socket: { timeout: () => void timeouts++ } },
  })
  const error = await t.throwsAsync(accepted.sendFile(fd), { instanceOf: SocketClosedError })
  t.true(error!.bytesSent! < 400_000)
  t.is(timeouts, 1)
})

test('a_file_that_cannot_be_sent_rejects_and_the_connection_closes_with_its_own_error', async (t) => {
  const fd = openFor(t, fileWith(t, distinctBytes(10_000_000)))
  const errors: (Error | undefined)[] = []
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: { error: (_, error) => void errors.push(error) } },
  })
  const sent = accepted.sendFile(fd)
  await connection.read(Buffer.alloc(1000))
  connection.terminate()
  const error = await t.throwsAsync(sent, { instanceOf: SocketError })
  t.true(['ECONNRESET', 'EPIPE'].includes(error!.code))
  while (accepted.state !== 'closed') await sleep(1)
  t.is(errors.length, 1)
  await t.throwsAsync(accepted.sendFile(fd), { instanceOf: SocketClosedError })
})

test('an_end_of_the_peer_closes_the_connection_behind_the_file', async (t) => {
  const bytes = distinctBytes(5_000_000)
  const fd = openFor(t, fileWith(t, bytes))
  const server = testServer(t, {
    host: '127.0.0.1',
    socket: {
      data(connection) {
        void connection.sendFile(fd)
      },
    },
  })
  const client = connectByNode(server.port!, '127.0.0.1')
  client.end('get')
  t.true((await buffer(client)).equals(bytes))
})

test('what_is_not_in_memory_is_sent_to_many_at_once', async (t) => {
  const path = sparseFile(t, 3_000_000, distinctBytes(100_000), 2_000_000)
  const fd = openFor(t, path)
  const server = listen({
    host: '127.0.0.1',
    port: 0,
    socket: {
      open(connection) {
        void connection.sendFile(fd)
        connection.end()
      },
    },
  })
  t.teardown(() => server.stop(true))
  const clients = Array.from({ length: 20 }, () => connectByNode(server.port!, '127.0.0.1'))
  const got = await Promise.all(clients.map((client) => buffer(client)))
  const expected = Buffer.concat([Buffer.alloc(2_000_000), distinctBytes(100_000), Buffer.alloc(900_000)])
  t.true(got.every((bytes) => bytes.equals(expected)))
})

test('a_file_that_shrinks_while_the_peer_does_not_read_ends_there', async (t) => {
  const fd = openFor(t, fileWith(t, distinctBytes(4_000_000)), 'r+')
  const { connection, accepted } = await smallBufferConnectionPair(t)
  const sent = accepted.sendFile(fd, { start: 1, end: 3_999_999 })
  ftruncateSync(fd, 1_500_001)
  const got = received(connection)
  t.is(await sent, 1_500_000)
  accepted.end()
  t.is((await got).length, 1_500_000)
})

test('a_connection_that_is_closed_sends_no_file', async (t) => {
  const { connection } = await connectionPair(t)
  const fd = openFor(t, fileWith(t, Buffer.from('x')))
  connection.terminate()
  await t.throwsAsync(connection.sendFile(fd), { instanceOf: SocketClosedError })
})
