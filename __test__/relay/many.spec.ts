// Many relays at once, and what they leave.

import test from 'ava'
import { relay } from 'm-socket'

import { openObjects } from '../support/descriptors.js'
import { pattern, relaySides, socketOf } from '../support/relayed.js'
import { sleep } from '../support/timing.js'
import { give, receiveAll } from '../support/transfer.js'
import { unixPairs } from '../support/unix-pairs.js'
import { receiveExactly, until } from '../support/waiting.js'

const MANY = 1000
const MIB = 2 ** 20

test.serial('a_thousand_relays_at_once_end', async (t) => {
  const [left, right] = [unixPairs(t, MANY), unixPairs(t, MANY)]
  const relays = left.map(({ server }, index) => relay(server, right[index]!.server))
  for (const [index, { client }] of left.entries()) give(client, `to ${index}`, { end: true })
  const there = await Promise.all(right.map(({ client }) => receiveAll(client)))
  for (const [index, { client }] of right.entries()) give(client, `from ${index}`, { end: true })
  const back = await Promise.all(left.map(({ client }) => receiveAll(client)))
  t.deepEqual(
    there.map(({ bytes }) => String(bytes)),
    left.map((_, index) => `to ${index}`),
  )
  t.deepEqual(
    back.map(({ bytes }) => String(bytes)),
    left.map((_, index) => `from ${index}`),
  )
  const totals = await Promise.all(relays)
  t.deepEqual(
    totals,
    left.map((_, index) => ({ aToB: `to ${index}`.length, bToA: `from ${index}`.length })),
  )
})

test.serial('the_loop_turns_meanwhile', async (t) => {
  const [left, right] = [unixPairs(t, 200), unixPairs(t, 200)]
  const bytes = pattern(100_000)
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns++
    if (!isDone) setImmediate(count)
  }
  // All is there at once.
  for (const { client } of left) give(client, bytes)
  const relays = left.map(({ server }, index) => relay(server, right[index]!.server))
  count()
  const received = await Promise.all(right.map(({ client }) => receiveExactly(client, bytes.length)))
  isDone = true
  for (const { client } of [...left, ...right]) client.shutdown()
  await Promise.all(relays)
  t.true(received.every((it) => it.equals(bytes)))
  // A turn ends after 4 MiB, or once what a direction moves at most is above that.
  t.true(turns >= (200 * bytes.length) / (5 * MIB), `${turns} turns`)
})

test.serial('a_busy_relay_does_not_keep_a_small_one_from_its_turn', async (t) => {
  const busy = await relaySides(t)
  const small = await relaySides(t)
  const [one, other] = [relay(busy.a.relayed, busy.b.relayed), relay(small.a.relayed, small.b.relayed)]
  give(busy.a.peer, Buffer.alloc(64 * MIB), { end: true })
  busy.b.peer.shutdown()
  const received = receiveAll(busy.b.peer)
  give(small.a.peer, 'quick', { end: true })
  small.b.peer.shutdown()
  t.is(String((await receiveAll(small.b.peer)).bytes), 'quick')
  await other
  t.true(socketOf(busy.b).bytesSent < 64 * MIB)
  t.is((await received).bytes.length, 64 * MIB)
  await one
})

test.serial('an_idle_relay_has_no_pipe_and_an_ended_one_no_descriptor', async (t) => {
  const warm = await relaySides(t)
  const first = relay(warm.a.relayed, warm.b.relayed)
  warm.a.peer.close()
  warm.b.peer.close()
  await first
  const before = openObjects().length
  const sides = await Promise.all(Array.from({ length: 20 }, () => relaySides(t)))
  const withSockets = openObjects().length
  const relays = sides.map(({ a, b }) => relay(a.relayed, b.relayed))
  t.is(openObjects().length, withSockets)
  for (const { a } of sides) give(a.peer, pattern(MIB))
  // Their targets do not read: each has a pipe, or none where a copy is enough.
  await sleep(50)
  for (const { a, b } of sides) {
    give(a.peer, '', { end: true })
    b.peer.shutdown()
  }
  const received = await Promise.all(sides.map(({ b }) => receiveAll(b.peer)))
  t.true(received.every(({ bytes }) => bytes.equals(pattern(MIB))))
  await Promise.all(relays)
  for (const { a, b } of sides) {
    a.peer.close()
    b.peer.close()
  }
  // The thread keeps at most 16 empty pipes for the next ones.
  await until(() => openObjects().filter((it) => !it.startsWith('pipe:')).length <= before)
  t.true(openObjects().length <= before + 32)
})
