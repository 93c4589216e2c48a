// The program closes one side of a relay.

import test from 'ava'
import { type Connection, SocketClosedError, type Socket, relay } from 'm-socket'

import { KINDS, type Side, pattern, relaySide, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { withResolvers } from '../support/server.js'
import { nextTurn } from '../support/timing.js'
import { give, receiveAll } from '../support/transfer.js'
import { receiveExactly } from '../support/waiting.js'

const SMALL = { sendBufferSize: 4096, receiveBufferSize: 4096 }

const ways: Record<string, { kind: 'socket' | 'connection'; act: (side: Side) => unknown }> = {
  'socket.close()': { kind: 'socket', act: ({ relayed }) => (relayed as Socket).close() },
  'socket.reset()': { kind: 'socket', act: ({ relayed }) => (relayed as Socket).reset() },
  'connection.terminate()': { kind: 'connection', act: ({ relayed }) => (relayed as Connection).terminate() },
  'connection.socket.close()': { kind: 'connection', act: (side) => socketOf(side).close() },
  'connection.socket.reset()': { kind: 'connection', act: (side) => socketOf(side).reset() },
  'server.stop(true)': { kind: 'connection', act: ({ relayed }) => (relayed as Connection).server!.stop(true) },
  'server.close({ timeout: 1 })': {
    kind: 'connection',
    act: ({ relayed }) => (relayed as Connection).server!.close({ timeout: 1 }),
  },
}

for (const [name, { kind, act }] of Object.entries(ways)) {
  for (const place of ['a', 'b'] as const) {
    test(`ends_it_and_closes_the_other_one: ${name} of ${place}`, async (t) => {
      const closed: unknown[][] = []
      const handlers = {
        error: (...args: unknown[]) => t.fail(String(args[1])),
        close: (...args: unknown[]) => void closed.push(args),
      }
      const { a, b } = await relaySides(t, { kind, handlers })
      const relayed = startRelay(a.relayed, b.relayed)
      a.peer.send('hello')
      t.is(String(await receiveExactly(b.peer, 5)), 'hello')
      const [one, other] = place === 'a' ? [a, b] : [b, a]
      const acted = act(one)
      const error = await t.throwsAsync(relayed, { instanceOf: SocketClosedError })
      t.like(error, { aToB: 5, bToA: 0 })
      await acted
      t.is(a.relayed.state, 'closed')
      t.is(b.relayed.state, 'closed')
      t.is((await receiveAll(other.peer)).error?.code, 'ECONNRESET')
      await receiveAll(one.peer)
      await nextTurn()
      if (kind === 'socket') return
      t.deepEqual(new Set(closed.map(([connection]) => connection)), new Set([a.relayed, b.relayed]))
      t.is(closed.length, 2)
      t.is(closed.find(([connection]) => connection === other.relayed)![1], error)
    })

    test(`ends_it_while_bytes_are_under_way: ${name} of ${place}`, async (t) => {
      const { a, b } = await relaySides(t, { kind, socket: SMALL })
      const relayed = startRelay(a.relayed, b.relayed)
      give(a.peer, pattern(1_000_000, 1))
      give(b.peer, pattern(1_000_000, 2))
      await receiveExactly(b.peer, 50_000)
      await Promise.all([
        act(place === 'a' ? a : b),
        t.throwsAsync(relayed, { instanceOf: SocketClosedError }),
        receiveAll(a.peer),
        receiveAll(b.peer),
      ])
      t.is(a.relayed.state, 'closed')
      t.is(b.relayed.state, 'closed')
    })
  }
}

test('both_may_be_closed_at_once', async (t) => {
  for (const kind of KINDS) {
    const { a, b } = await relaySides(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed)
    socketOf(a).reset()
    socketOf(b).close()
    await t.throwsAsync(relayed, { instanceOf: SocketClosedError })
  }
})

test('one_may_be_closed_right_after_the_beginning', async (t) => {
  for (const kind of KINDS) {
    for (const place of ['a', 'b'] as const) {
      const sides = await relaySides(t, { kind })
      sides.a.peer.send('hello')
      const relayed = startRelay(sides.a.relayed, sides.b.relayed)
      socketOf(sides[place]).close()
      await t.throwsAsync(relayed, { instanceOf: SocketClosedError })
    }
  }
})

test('server_close_waits_for_the_relay', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' }, {})
  const relayed = startRelay(a.relayed, b.relayed)
  let closed = false
  const closing = (a.relayed as Connection).server!.close().then(() => (closed = true))
  a.peer.send('ping')
  t.is(String(await receiveExactly(b.peer, 4)), 'ping')
  b.peer.send('pong')
  t.is(String(await receiveExactly(a.peer, 4)), 'pong')
  t.false(closed)
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 4, bToA: 4 })
  await closing
})

test('a_handler_of_another_connection_may_close_one', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' })
  const relayed = startRelay(a.relayed, b.relayed)
  const third = await relaySide(t, {
    kind: 'connection',
    handlers: {
      data() {
        ;(b.relayed as Connection).terminate()
        socketOf(a).reset()
      },
    },
  })
  // What they do comes in one batch.
  for (let round = 0; round < 10; round++) give(a.peer, pattern(1000))
  third.peer.send('now')
  await t.throwsAsync(relayed, { instanceOf: SocketClosedError })
})

test('a_close_handler_may_begin_another_relay', async (t) => {
  const [b, c, d] = [await relaySide(t), await relaySide(t), await relaySide(t)]
  const next = withResolvers<unknown>()
  const a = await relaySide(t, {
    kind: 'connection',
    handlers: { close: () => next.resolve(relay(c.relayed, d.relayed)) },
  })
  const relayed = startRelay(a.relayed, b.relayed)
  a.peer.close()
  b.peer.close()
  give(c.peer, 'next', { end: true })
  await relayed
  t.is(String((await receiveAll(d.peer)).bytes), 'next')
  d.peer.shutdown()
  t.deepEqual(await next.promise, { aToB: 4, bToA: 0 })
})

test('a_relay_within_open_is_possible', async (t) => {
  const b = await relaySide(t)
  const relayed = withResolvers<unknown>()
  const a = await relaySide(t, {
    kind: 'connection',
    handlers: { open: (connection) => relayed.resolve(relay(connection, b.relayed)), data: () => t.fail() },
  })
  give(a.peer, 'at once', { end: true })
  t.is(String((await receiveAll(b.peer)).bytes), 'at once')
  b.peer.shutdown()
  t.deepEqual(await relayed.promise, { aToB: 7, bToA: 0 })
})
