// What can be read and set while a relay runs, and what is refused.

import { once } from 'node:events'
import { constants } from 'node:os'

import test from 'ava'
import { Multiplexer, SocketClosedError, SocketError, toNetSocket } from 'm-socket'

import { KINDS, type Side, pattern, relaySide, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { give, receiveAll } from '../support/transfer.js'
import { receiveExactly, until } from '../support/waiting.js'
import { inherited, runPython } from '../support/python.js'

/** socket(7). */
const SOL_SOCKET = 1
const SO_ERROR = 4

for (const kind of KINDS) {
  test(`its_counters_can_be_read (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed)
    for (let round = 1; round <= 5; round++) {
      give(a.peer, pattern(100_000))
      await receiveExactly(b.peer, 100_000)
      t.is(socketOf(a).bytesReceived, round * 100_000)
      t.is(socketOf(b).bytesSent, round * 100_000)
      b.peer.send('answer')
      await receiveExactly(a.peer, 6)
      t.is(socketOf(a).bytesSent, round * 6)
      t.is(socketOf(b).bytesReceived, round * 6)
    }
    a.peer.shutdown()
    b.peer.shutdown()
    t.deepEqual(await relayed, { aToB: 500_000, bToA: 30 })
    t.is(socketOf(a).bytesReceived, 500_000)
    t.is(socketOf(b).bytesSent, 500_000)
  })

  test(`its_options_addresses_and_state_can_be_used (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed)
    const socket = socketOf(a)
    t.is(socket.state, 'open')
    t.is(a.relayed.state, 'open')
    t.true(socket.fd >= 0)
    t.deepEqual(socket.remoteAddress, a.peer.localAddress)
    t.deepEqual(socket.localAddress, a.peer.remoteAddress)
    socket.setOption('noDelay', true)
    t.true(socket.getOption('noDelay'))
    socket.setOption('receiveBufferSize', 100_000)
    t.is(socket.getOption('receiveBufferSize'), 200_000)
    t.is(socket.info().state, 'established')
    t.is(socket.queued, 0)
    a.peer.send('goes on')
    t.is(String(await receiveExactly(b.peer, 7)), 'goes on')
    a.peer.shutdown()
    await until(() => socketOf(b).writeEnded)
    t.true(socket.readEnded)
    b.peer.shutdown()
    await relayed
    t.is(socket.fd, -1)
  })
}

test('what_would_disturb_it_is_refused', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  const socket = socketOf(a)
  const busy = { instanceOf: SocketError, code: 'EBUSY' }
  t.throws(() => socket.receive(new Uint8Array(8)), busy)
  t.throws(() => socket.peek(new Uint8Array(8)), busy)
  t.throws(() => socket.send('mine'), busy)
  t.throws(() => socket.send([Buffer.from('mine')]), busy)
  for (const half of ['read', 'write', 'both'] as const) t.throws(() => socket.shutdown(half), busy)
  using multiplexer = new Multiplexer()
  t.throws(() => multiplexer.add(socket), { code: 'EEXIST' })
  t.true(socket.flush())
  t.is(socket.state, 'open')
  a.peer.send('undisturbed')
  t.is(String(await receiveExactly(b.peer, 11)), 'undisturbed')
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 11, bToA: 0 })
})

test('a_connection_that_is_relayed_reads_nothing', async (t) => {
  const a = await relaySide(t, { kind: 'connection', handlers: { data: () => t.fail(), end: () => t.fail() } })
  const b = await relaySide(t)
  if (!('resume' in a.relayed)) return t.fail()
  const connection = a.relayed
  const relayed = startRelay(connection, b.relayed)
  connection.pause().resume()
  connection.flush()
  connection.cork(() => {})
  connection.timeout(1)
  connection.timeout(0)
  connection.ref().unref().ref()
  const busy = { instanceOf: SocketError, code: 'EBUSY' }
  await t.throwsAsync(connection.read(new Uint8Array(8)), busy)
  await t.throwsAsync(connection[Symbol.asyncIterator]().next(), busy)
  for (const half of ['read', 'write', 'both'] as const) t.throws(() => connection.shutdown(half), busy)
  t.is(connection.state, 'open')
  a.peer.send('for the other side')
  t.is(String(await receiveExactly(b.peer, 18)), 'for the other side')
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 18, bToA: 0 })
})

for (const [name, { prepare, code }] of Object.entries({
  'both halves open': { prepare: async () => {}, code: 'ECONNRESET' },
  'its peer has ended': {
    prepare: async ({ a, b }: { a: Side; b: Side }) => {
      a.peer.shutdown()
      await receiveAll(b.peer)
    },
    code: 'EPIPE',
  },
  'it has been ended': {
    prepare: async ({ a, b }: { a: Side; b: Side }) => {
      b.peer.shutdown()
      await receiveAll(a.peer)
    },
    code: 'ECONNRESET',
  },
})) {
  test(`an_error_that_the_program_takes_by_getsockopt_is_the_one_of_the_relay (${name})`, async (t) => {
    const { a, b } = await relaySides(t)
    const relayed = startRelay(a.relayed, b.relayed)
    await prepare({ a, b })
    a.peer.reset()
    // Before the loop has seen the edge.
    const taken = socketOf(a).getsockopt(SOL_SOCKET, SO_ERROR)
    t.is(new Int32Array(new Uint8Array(taken).buffer)[0], constants.errno[code as 'EPIPE'])
    await t.throwsAsync(relayed, { instanceOf: SocketError, code })
  })
}

test('a_socket_that_is_given_to_node_net_leaves_it', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  a.peer.send('hello')
  t.is(String(await receiveExactly(b.peer, 5)), 'hello')
  const stream = toNetSocket(socketOf(a))
  t.teardown(() => stream.destroy())
  t.like(await t.throwsAsync(relayed, { instanceOf: SocketClosedError }), { aToB: 5, bToA: 0 })
  t.is((await receiveAll(b.peer)).error?.code, 'ECONNRESET')
  a.peer.send('still there')
  t.is(String((await once(stream, 'data'))[0]), 'still there')
})

test('urgent_bytes_are_left_out_and_what_follows_goes_on', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  const fd = a.peer.fd
  runPython(
    `import socket; s = ${inherited()}\ns.sendall(b'before')\ns.send(b'!', socket.MSG_OOB)\ns.sendall(b'behind')`,
    fd,
  )
  t.is(String(await receiveExactly(b.peer, 12)), 'beforebehind')
  a.peer.send(' and later')
  t.is(String(await receiveExactly(b.peer, 10)), ' and later')
  a.peer.shutdown()
  b.peer.shutdown()
  t.deepEqual(await relayed, { aToB: 22, bToA: 0 })
})

test('urgent_bytes_within_much_are_left_out_and_what_follows_goes_on', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  const received = receiveAll(b.peer)
  // The relay takes turns meanwhile.
  const rounds = 6
  for (let round = 0; round < rounds; round++) {
    runPython(
      `import socket; s = ${inherited()}; s.setblocking(True)\ns.sendall(b'a' * 100000)\ns.send(b'!', socket.MSG_OOB)\ns.sendall(b'b' * 300)\ns.setblocking(False)`,
      a.peer.fd,
    )
    await new Promise((resolve) => setTimeout(resolve, round % 3))
  }
  a.peer.shutdown()
  b.peer.shutdown()
  const { bytes, error } = await received
  t.is(error, undefined)
  const expected = Buffer.concat(
    Array.from({ length: rounds }, () => Buffer.from('a'.repeat(100_000) + 'b'.repeat(300))),
  )
  t.is(bytes.filter((byte) => byte !== 33).length, expected.length)
  t.true(Buffer.from(bytes.filter((byte) => byte !== 33)).equals(expected))
  t.log(`${bytes.length - expected.length} urgent bytes came as plain ones`)
  await relayed
})
