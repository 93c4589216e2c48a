// A send queue without a limit, as a stream of node:net has.

import { createHash } from 'node:crypto'

import test from 'ava'
import { Multiplexer } from 'm-socket'

import { connectedPair } from '../support/pair.js'

const MEGABYTE = 1_000_000

test('a_queue_without_a_limit_takes_large_and_small_writes_whole_and_sends_them_in_order', async (t) => {
  const { client, server } = await connectedPair(t)
  client.sendQueueLimit = Number.MAX_SAFE_INTEGER
  const sent = createHash('sha256')
  let total = 0
  const send = (bytes: Buffer): string => {
    sent.update(bytes)
    total += bytes.length
    return client.send(bytes)
  }
  t.is(send(Buffer.alloc(100 * MEGABYTE, 'large')), 'partially-sent')
  for (let piece = 0; piece < 1000; piece++) t.is(send(Buffer.alloc(1 + piece, piece)), 'queued')
  t.is(send(Buffer.alloc(50 * MEGABYTE, 'again')), 'queued')
  t.is(client.bytesSent + client.queued, total)

  const received = createHash('sha256')
  const into = new Uint8Array(MEGABYTE)
  using multiplexer = new Multiplexer(client, server)
  for (let got = 0; got < total;) {
    await multiplexer.wait()
    for (let count; (count = server.receive(into)); got += count) received.update(into.subarray(0, count))
    t.true(client.bytesSent + client.queued === total)
  }
  t.is(client.queued, 0)
  t.is(received.digest('hex'), sent.digest('hex'))
})
