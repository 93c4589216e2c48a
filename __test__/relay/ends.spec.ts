// The end of one half, and the other half that stays open.

import test from 'ava'
import { type Connection, type Socket } from 'm-socket'

import { FAMILIES } from '../support/pair.js'
import { KINDS, digest, pattern, relaySides, startRelay } from '../support/relayed.js'
import { give, receiveAll } from '../support/transfer.js'
import { receiveExactly } from '../support/waiting.js'

for (const family of FAMILIES) {
  for (const kind of KINDS) {
    test(`a_side_that_has_ended_still_receives (${family}, ${kind})`, async (t) => {
      const { a, b } = await relaySides(t, { family, kind })
      for (const [first, second] of [[a, b] as const]) {
        const relayed = startRelay(first.relayed, second.relayed)
        give(first.peer, pattern(200_000), { end: true })
        t.is(digest((await receiveAll(second.peer)).bytes), digest(pattern(200_000)))
        for (let round = 0; round < 3; round++) {
          second.peer.send(`answer ${round}`)
          t.is(String(await receiveExactly(first.peer, 8)), `answer ${round}`)
        }
        t.not(first.relayed.state, 'closed')
        second.peer.shutdown()
        t.is((await receiveAll(first.peer)).bytes.length, 0)
        t.deepEqual(await relayed, { aToB: 200_000, bToA: 24 })
      }
    })
  }
}

test('the_other_side_may_end_first', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  give(b.peer, 'goodbye', { end: true })
  t.is(String((await receiveAll(a.peer)).bytes), 'goodbye')
  give(a.peer, pattern(300_000), { end: true })
  t.is(digest((await receiveAll(b.peer)).bytes), digest(pattern(300_000)))
  t.deepEqual(await relayed, { aToB: 300_000, bToA: 7 })
})

test('the_end_comes_behind_what_a_slow_reader_has_not_taken', async (t) => {
  const { a, b } = await relaySides(t, {}, { socket: { sendBufferSize: 4096, receiveBufferSize: 4096 } })
  const relayed = startRelay(a.relayed, b.relayed)
  give(a.peer, pattern(1_500_000), { end: true })
  b.peer.shutdown()
  const { bytes, error } = await receiveAll(b.peer)
  t.is(error, undefined)
  t.is(digest(bytes), digest(pattern(1_500_000)))
  t.deepEqual(await relayed, { aToB: 1_500_000, bToA: 0 })
})

test('end_of_a_connection_ends_its_half_alone', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' })
  const relayed = startRelay(a.relayed, b.relayed)
  a.peer.send('before')
  t.is(String(await receiveExactly(b.peer, 6)), 'before')
  t.is((b.relayed as Connection).end(), 0)
  t.is((await receiveAll(b.peer)).bytes.length, 0)
  b.peer.send('still open')
  t.is(String(await receiveExactly(a.peer, 10)), 'still open')
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 6, bToA: 10 })
})

test('end_of_both_connections_ends_the_relay_once_both_peers_have_ended', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' })
  const relayed = startRelay(a.relayed, b.relayed)
  ;(a.relayed as Connection).end()
  ;(b.relayed as Connection).end()
  t.is((await receiveAll(a.peer)).bytes.length, 0)
  t.is((await receiveAll(b.peer)).bytes.length, 0)
  t.deepEqual(await relayed, { aToB: 0, bToA: 0 })
})

test('end_comes_behind_what_has_been_received_for_a_slow_reader', async (t) => {
  const socket = { sendBufferSize: 4096, receiveBufferSize: 4096 }
  const { a, b } = await relaySides(t, { kind: 'connection' }, { kind: 'connection', socket })
  const relayed = startRelay(a.relayed, b.relayed)
  const bytes = pattern(1_000_000)
  give(a.peer, bytes)
  // So long that the relay has received more than the kernel takes.
  await receiveExactly(b.peer, 1)
  const inside = (a.relayed as Connection).socket!.bytesReceived
  ;(b.relayed as Connection).end()
  const { bytes: rest, error } = await receiveAll(b.peer)
  t.is(error, undefined)
  t.true(rest.length + 1 >= inside, `${rest.length + 1} of ${inside}`)
  t.true(rest.equals(bytes.subarray(1, 1 + rest.length)))
  b.peer.shutdown()
  a.peer.shutdown()
  t.is((await relayed).aToB, rest.length + 1)
})

test('a_relayed_connection_takes_no_data_of_the_program', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' })
  const relayed = startRelay(a.relayed, b.relayed)
  const connection = a.relayed as Connection
  t.is(connection.write('nothing'), -1)
  t.is(connection.tryWrite('nothing'), -1)
  b.peer.send('of the relay')
  t.is(String(await receiveExactly(a.peer, 12)), 'of the relay')
  t.is(connection.end('nothing'), -1)
  t.is((await receiveAll(a.peer)).bytes.length, 0)
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 0, bToA: 12 })
})

test('a_side_that_is_closed_by_its_peer_after_the_end_of_both_is_no_failure', async (t) => {
  for (let round = 0; round < 20; round++) {
    const { a, b } = await relaySides(t)
    const relayed = startRelay(a.relayed, b.relayed)
    a.peer.send('ping')
    t.is(String(await receiveExactly(b.peer, 4)), 'ping')
    close(a.peer, round)
    close(b.peer, round >> 1)
    t.deepEqual(await relayed, { aToB: 4, bToA: 0 })
  }

  function close(socket: Socket, how: number): void {
    if (how % 2 === 0) socket.close()
    else socket.shutdown()
  }
})
