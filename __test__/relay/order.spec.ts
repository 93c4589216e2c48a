// What was received and not read, and what was queued, goes first.

import test from 'ava'
import { type Connection, relay } from 'm-socket'

import { pattern, relaySide, relaySides, socketOf } from '../support/relayed.js'
import { withResolvers } from '../support/server.js'
import { give, receiveAll } from '../support/transfer.js'
import { fillSendQueue } from '../support/pair.js'
import { until } from '../support/waiting.js'

const SMALL = { sendBufferSize: 4096, receiveBufferSize: 4096 }

test('what_a_socket_has_not_read_goes_first', async (t) => {
  const { a, b } = await relaySides(t)
  a.peer.send('before ')
  await until(() => socketOf(a).peek(new Uint8Array(16)) === 7)
  t.is(socketOf(a).receive(new Uint8Array(2)), 2)
  const relayed = relay(a.relayed, b.relayed)
  a.peer.send('and after')
  a.peer.shutdown()
  b.peer.shutdown()
  t.is(String((await receiveAll(b.peer)).bytes), 'fore and after')
  t.deepEqual(await relayed, { aToB: 14, bToA: 0 })
})

test('an_end_that_had_come_before_goes_on', async (t) => {
  const { a, b } = await relaySides(t)
  a.peer.send('last words')
  a.peer.shutdown()
  await until(() => socketOf(a).peek(new Uint8Array(16)) === 10)
  const relayed = relay(a.relayed, b.relayed)
  t.is(String((await receiveAll(b.peer)).bytes), 'last words')
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 10, bToA: 0 })
})

test('an_end_that_was_received_before_goes_on', async (t) => {
  const ended = withResolvers()
  const handlers = { data: () => {}, end: () => ended.resolve() }
  const a = await relaySide(t, { kind: 'connection', handlers, server: { allowHalfOpen: true } })
  const b = await relaySide(t)
  a.peer.shutdown()
  await ended.promise
  const relayed = relay(a.relayed, b.relayed)
  t.is((await receiveAll(b.peer)).bytes.length, 0)
  b.peer.send('answer')
  b.peer.shutdown()
  t.is(String((await receiveAll(a.peer)).bytes), 'answer')
  t.deepEqual(await relayed, { aToB: 0, bToA: 6 })
})

test('a_half_that_the_program_has_ended_before_takes_nothing', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection', server: { allowHalfOpen: true } }, {})
  ;(a.relayed as Connection).end('done')
  const relayed = relay(a.relayed, b.relayed)
  b.peer.shutdown()
  a.peer.send('still')
  a.peer.shutdown()
  t.is(String((await receiveAll(a.peer)).bytes), 'done')
  t.is(String((await receiveAll(b.peer)).bytes), 'still')
  t.deepEqual(await relayed, { aToB: 5, bToA: 0 })
})

test('bytes_for_a_half_that_the_program_has_ended_are_an_error', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection', server: { allowHalfOpen: true } }, {})
  ;(a.relayed as Connection).end('done')
  const relayed = relay(a.relayed, b.relayed)
  b.peer.send('too late')
  await t.throwsAsync(relayed, { code: 'EPIPE' })
  t.is((await receiveAll(b.peer)).error?.code, 'ECONNRESET')
})

for (const kind of ['socket', 'connection'] as const) {
  test(`what_was_queued_goes_first (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind, socket: SMALL }, {})
    const accepted = fillSendQueue(socketOf(a))
    t.true(socketOf(a).queued > 0)
    const relayed = relay(a.relayed, b.relayed)
    t.is(socketOf(a).state, 'open')
    give(b.peer, pattern(100_000), { end: true })
    a.peer.shutdown()
    const { bytes } = await receiveAll(a.peer)
    t.is(bytes.length, accepted + 100_000)
    t.true(bytes.subarray(accepted).equals(pattern(100_000)))
    t.deepEqual(await relayed, { aToB: 0, bToA: 100_000 })
  })
}

test('what_a_handler_has_corked_goes_first', async (t) => {
  const b = await relaySide(t)
  const relayed = withResolvers<unknown>()
  const a = await relaySide(t, {
    kind: 'connection',
    handlers: {
      data(connection, chunk) {
        connection.write('greeting ')
        relayed.resolve(relay(connection, b.relayed))
        b.peer.send(`after ${chunk}`)
        b.peer.shutdown()
      },
    },
  })
  a.peer.send('hello')
  a.peer.shutdown()
  t.is(String((await receiveAll(a.peer)).bytes), 'greeting after hello')
  t.deepEqual(await relayed.promise, { aToB: 0, bToA: 11 })
})

test('within_a_data_handler_the_rest_of_the_input_goes_on', async (t) => {
  const b = await relaySide(t)
  const [chunks, relayed] = [[] as Buffer[], withResolvers<unknown>()]
  const a = await relaySide(t, {
    kind: 'connection',
    handlers: {
      data(connection, chunk) {
        chunks.push(Buffer.from(chunk))
        relayed.resolve(relay(connection, b.relayed))
      },
      end: () => t.fail(),
    },
  })
  const bytes = pattern(500_000)
  give(a.peer, bytes, { end: true })
  b.peer.shutdown()
  const received = (await receiveAll(b.peer)).bytes
  t.is(chunks.length, 1)
  t.true(Buffer.concat([...chunks, received]).equals(bytes))
  t.deepEqual(await relayed.promise, { aToB: bytes.length - chunks[0]!.length, bToA: 0 })
})

test('a_handler_that_relays_another_connection_of_the_batch_takes_its_input_with_it', async (t) => {
  // All are received by one wait. The first of them whose handler runs relays the others.
  const sides = await Promise.all(Array.from({ length: 6 }, () => relaySide(t)))
  const peers: (typeof sides)[number]['peer'][] = []
  const open: Connection[] = []
  const relays: Promise<unknown>[] = []
  const own: string[] = []
  for (let count = 0; count < 6; count++) {
    const { peer, relayed } = await relaySide(t, {
      kind: 'connection',
      handlers: {
        data(connection, chunk) {
          own.push(String(chunk))
          if (relays.length > 0) return
          for (const [index, other] of open.entries()) {
            if (other !== connection) relays.push(relay(other, sides[index]!.relayed))
          }
        },
      },
    })
    peers.push(peer)
    open.push(relayed as Connection)
  }
  for (const [index, peer] of peers.entries()) {
    peer.send(`of ${index}`)
    peer.shutdown()
    sides[index]!.peer.shutdown()
  }
  await until(() => relays.length === 5)
  t.is(own.length, 1)
  const left = [...sides.entries()].filter(([index]) => own[0] !== `of ${index}`)
  for (const [index, side] of left) t.is(String((await receiveAll(side.peer)).bytes), `of ${index}`)
  for (const totals of await Promise.all(relays)) t.deepEqual(totals, { aToB: 4, bToA: 0 })
})

test('what_a_paused_connection_has_not_read_goes_first', async (t) => {
  const b = await relaySide(t)
  const paused = withResolvers()
  const read: Buffer[] = []
  const a = await relaySide(t, {
    kind: 'connection',
    handlers: {
      data(connection, chunk) {
        read.push(Buffer.from(chunk))
        connection.pause()
        paused.resolve()
      },
    },
  })
  const bytes = pattern(400_000)
  give(a.peer, bytes, { end: true })
  await paused.promise
  const relayed = relay(a.relayed, b.relayed)
  b.peer.shutdown()
  const { bytes: rest } = await receiveAll(b.peer)
  t.true(Buffer.concat([...read, rest]).equals(bytes))
  await relayed
})

test('after_a_read_the_rest_goes_on', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' }, {})
  const bytes = pattern(300_000)
  give(a.peer, bytes, { end: true })
  const into = Buffer.alloc(1000)
  const count = (await (a.relayed as Connection).read(into))!
  const relayed = relay(a.relayed, b.relayed)
  b.peer.shutdown()
  const { bytes: rest } = await receiveAll(b.peer)
  t.true(Buffer.concat([into.subarray(0, count), rest]).equals(bytes))
  t.deepEqual(await relayed, { aToB: bytes.length - count, bToA: 0 })
})

test('after_a_loop_over_chunks_the_rest_goes_on', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' }, {})
  const bytes = pattern(300_000)
  give(a.peer, bytes, { end: true })
  const chunks: Buffer[] = []
  for await (const chunk of a.relayed as Connection) {
    chunks.push(Buffer.from(chunk))
    break
  }
  const relayed = relay(a.relayed, b.relayed)
  b.peer.shutdown()
  const { bytes: rest } = await receiveAll(b.peer)
  t.true(Buffer.concat([...chunks, rest]).equals(bytes))
  await relayed
})
