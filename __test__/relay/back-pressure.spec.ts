// A side that does not read stops the other one.

import test from 'ava'

import { KINDS, digest, pattern, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { give, receiveAll } from '../support/transfer.js'
import { nextTurn, sleep } from '../support/timing.js'
import { receiveExactly } from '../support/waiting.js'

const SMALL = { sendBufferSize: 4096, receiveBufferSize: 4096 }

/** So that the peer of a relayed side does not get rid of all its bytes. */
const BOUNDED = { sendBufferSize: 65536, receiveBufferSize: 65536 }

/** The most that a relay holds for a direction: a pipe. */
const HELD = 768 * 1024

const MIB = 2 ** 20

for (const kind of KINDS) {
  for (const [name, socket, size] of [
    ['default buffers', {}, 24 * MIB],
    ['small buffers', SMALL, 4 * MIB],
  ] as const) {
    test(`no_more_is_read_than_can_be_held (${kind}, ${name})`, async (t) => {
      const { a, b } = await relaySides(t, { kind, socket: size > 4 * MIB ? {} : BOUNDED }, { kind, socket })
      const relayed = startRelay(a.relayed, b.relayed)
      const bytes = pattern(size)
      give(a.peer, bytes, { end: true })
      await untilStill(() => socketOf(a).bytesReceived)
      const held = socketOf(a).bytesReceived - socketOf(b).bytesSent
      t.true(socketOf(a).bytesReceived < bytes.length)
      t.true(held <= HELD, `${held} bytes`)
      b.peer.shutdown()
      const received = await receiveAll(b.peer)
      t.is(digest(received.bytes), digest(bytes))
      t.deepEqual(await relayed, { aToB: bytes.length, bToA: 0 })
    })
  }
}

test('the_other_direction_goes_on_meanwhile', async (t) => {
  const { a, b } = await relaySides(t, { socket: SMALL })
  const relayed = startRelay(a.relayed, b.relayed)
  give(a.peer, pattern(MIB), { end: true })
  await untilStill(() => socketOf(a).bytesReceived)
  for (let round = 0; round < 50; round++) {
    b.peer.send(`answer ${String(round).padStart(3)}`)
    t.is(String(await receiveExactly(a.peer, 10)), `answer ${String(round).padStart(3)}`)
  }
  b.peer.shutdown()
  t.is((await receiveAll(b.peer)).bytes.length, MIB)
  await relayed
})

test('both_directions_may_wait_at_once', async (t) => {
  const { a, b } = await relaySides(t, { socket: SMALL })
  const relayed = startRelay(a.relayed, b.relayed)
  give(a.peer, pattern(MIB, 1), { end: true })
  give(b.peer, pattern(MIB, 2), { end: true })
  await untilStill(() => socketOf(a).bytesReceived + socketOf(b).bytesReceived)
  const [atA, atB] = await Promise.all([receiveAll(a.peer), receiveAll(b.peer)])
  t.is(digest(atA.bytes), digest(pattern(MIB, 2)))
  t.is(digest(atB.bytes), digest(pattern(MIB, 1)))
  t.deepEqual(await relayed, { aToB: MIB, bToA: MIB })
})

for (const limit of [0, 1, 4096, Number.MAX_SAFE_INTEGER]) {
  test(`whatever_the_limit_of_the_queue_is (${limit})`, async (t) => {
    const { a, b } = await relaySides(t, {}, { socket: SMALL })
    socketOf(b).sendQueueLimit = limit
    const relayed = startRelay(a.relayed, b.relayed)
    give(a.peer, pattern(MIB), { end: true })
    await untilStill(() => socketOf(a).bytesReceived)
    t.true(socketOf(b).queued <= 65536)
    b.peer.shutdown()
    t.is(digest((await receiveAll(b.peer)).bytes), digest(pattern(MIB)))
    t.deepEqual(await relayed, { aToB: MIB, bToA: 0 })
  })
}

/** Waits until a number has not changed for a while. */
async function untilStill(value: () => number): Promise<void> {
  let last = -1
  for (let same = 0; same < 5;) {
    await sleep(20)
    await nextTurn()
    same = value() === last && last > 0 ? same + 1 : 0
    last = value()
  }
}
