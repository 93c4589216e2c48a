// Bytes, counters and the regular end.

import test from 'ava'
import { relay } from 'm-socket'

import { FAMILIES } from '../support/pair.js'
import { KINDS, digest, pattern, relaySides, socketOf } from '../support/relayed.js'
import { give, receiveAll } from '../support/transfer.js'

for (const family of FAMILIES) {
  for (const other of FAMILIES) {
    for (const kind of KINDS) {
      test(`what_each_side_sends_comes_out_of_the_other_one (${family}, ${other}, ${kind})`, async (t) => {
        const { a, b } = await relaySides(t, { family, kind }, { family: other, kind })
        const [there, back] = [pattern(700_000, 1), pattern(300_000, 2)]
        const relayed = relay(a.relayed, b.relayed)
        give(a.peer, there, { end: true })
        give(b.peer, back, { end: true })
        const [atB, atA] = await Promise.all([receiveAll(b.peer), receiveAll(a.peer)])
        t.deepEqual(await relayed, { aToB: there.length, bToA: back.length })
        t.is(digest(atB.bytes), digest(there))
        t.is(digest(atA.bytes), digest(back))
        t.is(atA.error ?? atB.error, undefined)
        t.is(a.relayed.state, 'closed')
        t.is(b.relayed.state, 'closed')
        t.is(socketOf(a).bytesReceived, there.length)
        t.is(socketOf(a).bytesSent, back.length)
      })
    }
  }
}

test('a_socket_and_a_connection_are_relayed', async (t) => {
  const closed: unknown[] = []
  const handlers = {
    data: () => t.fail(),
    end: () => t.fail(),
    close: (...args: unknown[]) => void closed.push(args[1]),
  }
  const { a, b } = await relaySides(t, { kind: 'connection', handlers }, { kind: 'socket' })
  const relayed = relay(a.relayed, b.relayed)
  a.peer.send('one')
  b.peer.send('other')
  a.peer.shutdown()
  b.peer.shutdown()
  const [atB, atA] = await Promise.all([receiveAll(b.peer), receiveAll(a.peer)])
  t.deepEqual([String(atB.bytes), String(atA.bytes)], ['one', 'other'])
  t.deepEqual(await relayed, { aToB: 3, bToA: 5 })
  t.deepEqual(closed, [undefined])
})

test('sides_that_end_without_a_byte_are_closed', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = relay(a.relayed, b.relayed)
  a.peer.close()
  b.peer.close()
  t.deepEqual(await relayed, { aToB: 0, bToA: 0 })
})
