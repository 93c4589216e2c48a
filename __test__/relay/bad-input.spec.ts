// Arguments that are refused, and what they leave.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

import test from 'ava'
import { type Connection, Multiplexer, Socket, SocketClosedError, SocketError, relay, toDuplex, toWeb } from 'm-socket'

import { datagramDescriptor, openObjects } from '../support/descriptors.js'
import { testListener } from '../support/pair.js'
import { type Side, relaySide, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { testServer } from '../support/server.js'
import { receiveExactly } from '../support/waiting.js'

/** Whether two sides can still be relayed, as if nothing had happened. */
async function work(a: Side, b: Side): Promise<boolean> {
  const relayed = startRelay(a.relayed, b.relayed)
  a.peer.send('works')
  const text = String(await receiveExactly(b.peer, 5))
  a.peer.shutdown()
  b.peer.shutdown()
  const { aToB, bToA } = await relayed
  return text === 'works' && aToB === 5 && bToA === 0
}

test('what_is_no_socket_is_a_TypeError', async (t) => {
  const { a, b } = await relaySides(t)
  const listener = testListener(t)
  const server = testServer(t)
  const foreign = new net.Socket()
  t.teardown(() => foreign.destroy())
  for (const wrong of [
    undefined,
    null,
    0,
    'socket',
    {},
    [],
    () => {},
    Symbol('socket'),
    1n,
    listener,
    server,
    foreign,
    new Multiplexer(),
    Object.create(Socket.prototype) as unknown,
    new Proxy(socketOf(a), {}),
  ]) {
    const label = typeof wrong === 'symbol' ? 'symbol' : typeof wrong
    const expected = { instanceOf: TypeError }
    await t.throwsAsync(relay(wrong as Socket, b.relayed), expected, label)
    await t.throwsAsync(relay(a.relayed, wrong as Socket), expected, label)
  }
  t.true(await work(a, b))
})

test('options_are_checked', async (t) => {
  const { a, b } = await relaySides(t)
  for (const [wrong, expected] of [
    [null, { instanceOf: TypeError }],
    [1, { instanceOf: TypeError }],
    ['idleTimeout', { instanceOf: TypeError }],
    [{ idleTimeOut: 1 }, { instanceOf: TypeError }],
    [{ idleTimeout: '1' }, { instanceOf: TypeError }],
    [{ idleTimeout: null }, {}],
    [{ idleTimeout: -1 }, { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }],
    [{ idleTimeout: NaN }, { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }],
    [{ idleTimeout: 2 ** 31 }, { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }],
    [{ idleTimeout: Infinity }, { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }],
    [{ signal: null }, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }],
    [{ signal: {} }, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }],
    [{ signal: new AbortController() }, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }],
    [{ signal: { aborted: false } }, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' }],
  ] as const) {
    if (wrong !== null && typeof wrong === 'object' && 'idleTimeout' in wrong && wrong.idleTimeout === null) continue
    await t.throwsAsync(relay(a.relayed, b.relayed, wrong as never), expected, JSON.stringify(wrong))
  }
  t.true(await work(a, b))
})

test('an_option_whose_getter_throws_changes_nothing', async (t) => {
  const { a, b } = await relaySides(t)
  const options = {
    get signal(): AbortSignal {
      throw new RangeError('mine')
    },
  }
  await t.throwsAsync(relay(a.relayed, b.relayed, options), { instanceOf: RangeError, message: 'mine' })
  t.true(await work(a, b))
})

test('an_option_whose_getter_closes_a_socket_is_a_closed_socket', async (t) => {
  const { a, b } = await relaySides(t)
  const options = {
    get idleTimeout(): number {
      socketOf(b).close()
      return 10
    },
  }
  await t.throwsAsync(relay(a.relayed, b.relayed, options), { instanceOf: SocketClosedError })
  t.true(await work(a, await relaySide(t)))
})

test('a_signal_that_takes_no_listener_leaves_nothing_relayed', async (t) => {
  const { a, b } = await relaySides(t)
  const signal = {
    aborted: false,
    addEventListener() {
      throw new RangeError('mine')
    },
  }
  await t.throwsAsync(relay(a.relayed, b.relayed, { signal: signal as never }), { message: 'mine' })
  t.is(a.relayed.state, 'closed')
  t.is(b.relayed.state, 'closed')
})

for (const kind of ['socket', 'connection'] as const) {
  test(`one_twice_is_an_error (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const expected = { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE' }
    await t.throwsAsync(relay(a.relayed, a.relayed), expected)
    if (kind === 'connection') {
      await t.throwsAsync(relay(a.relayed, socketOf(a)), expected)
      await t.throwsAsync(relay(socketOf(a), a.relayed), expected)
    }
    t.is(a.relayed.state, 'open')
    t.true(await work(a, b))
  })

  test(`a_closed_one_is_an_error (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const c = await relaySide(t)
    if (kind === 'connection') (a.relayed as Connection).terminate()
    else socketOf(a).close()
    await t.throwsAsync(relay(a.relayed, b.relayed), { instanceOf: SocketClosedError })
    await t.throwsAsync(relay(b.relayed, a.relayed), { instanceOf: SocketClosedError })
    t.true(await work(b, c))
  })

  test(`one_of_another_relay_is_an_error (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const c = await relaySide(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed)
    for (const [one, other] of [
      [a, c],
      [c, a],
      [a, b],
      [b, c],
    ] as const) {
      const error = await t.throwsAsync(relay(one.relayed, other.relayed))
      t.is((error as SocketError).code, kind === 'socket' ? 'EEXIST' : 'ERR_INVALID_STATE')
      const beneath = await t.throwsAsync(relay(socketOf(one), socketOf(other)))
      t.is((beneath as SocketError).code, 'EEXIST')
    }
    a.peer.send('undisturbed')
    t.is(String(await receiveExactly(b.peer, 11)), 'undisturbed')
    a.peer.shutdown()
    b.peer.shutdown()
    t.deepEqual(await relayed, { aToB: 11, bToA: 0 })
    t.true(await work(c, await relaySide(t)))
  })
}

test('one_in_a_multiplexer_is_an_error', async (t) => {
  const { a, b } = await relaySides(t)
  const multiplexer = new Multiplexer(socketOf(a))
  const expected = { instanceOf: SocketError, code: 'EEXIST' }
  await t.throwsAsync(relay(a.relayed, b.relayed), expected)
  await t.throwsAsync(relay(b.relayed, a.relayed), expected)
  a.peer.send('still reported')
  const [event] = await multiplexer.wait(60_000)
  t.is(event?.target, socketOf(a))
  socketOf(a).receive(new Uint8Array(32))
  multiplexer.close()
  t.true(await work(a, b))
})

test('one_beneath_a_connection_is_an_error', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' }, {})
  await t.throwsAsync(relay(socketOf(a), b.relayed), { instanceOf: SocketError, code: 'EEXIST' })
  t.true(await work(a, b))
})

test('one_beneath_a_stream_is_an_error', async (t) => {
  for (const adapt of [toDuplex, toWeb]) {
    const { a, b } = await relaySides(t, { kind: 'connection' }, {})
    adapt(a.relayed as Connection)
    await t.throwsAsync(relay(a.relayed, b.relayed), { code: 'ERR_INVALID_STATE' })
    await t.throwsAsync(relay(b.relayed, a.relayed), { code: 'ERR_INVALID_STATE' })
    await t.throwsAsync(relay(b.relayed, socketOf(a)), { instanceOf: SocketError, code: 'EEXIST' })
    t.true(await work(b, await relaySide(t)))
  }
  const { a, b } = await relaySides(t)
  const duplex = toDuplex(socketOf(a))
  await t.throwsAsync(relay(a.relayed, b.relayed), { instanceOf: SocketError, code: 'EEXIST' })
  await t.throwsAsync(relay(b.relayed, a.relayed), { instanceOf: SocketError, code: 'EEXIST' })
  duplex.destroy()
  t.true(await work(b, await relaySide(t)))
})

test('a_connection_that_is_being_read_is_an_error', async (t) => {
  const { a, b } = await relaySides(t, { kind: 'connection' }, {})
  const read = (a.relayed as Connection).read(new Uint8Array(8))
  await t.throwsAsync(relay(a.relayed, b.relayed), { code: 'ERR_INVALID_STATE' })
  await t.throwsAsync(relay(b.relayed, a.relayed), { code: 'ERR_INVALID_STATE' })
  a.peer.send('for read')
  t.is(await read, 8)
  t.true(await work(a, b))
})

test('streams_of_a_relayed_one_are_refused', async (t) => {
  for (const kind of ['socket', 'connection'] as const) {
    const { a, b } = await relaySides(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed)
    t.throws(() => toDuplex(socketOf(a)), { code: 'EEXIST' })
    if (kind === 'connection') {
      t.throws(() => toDuplex(a.relayed as Connection), { code: 'ERR_INVALID_STATE' })
      t.throws(() => toWeb(a.relayed as Connection), { code: 'ERR_INVALID_STATE' })
    }
    a.peer.shutdown()
    b.peer.shutdown()
    await relayed
  }
})

test('a_closing_socket_is_closed', async (t) => {
  const { a, b } = await relaySides(t, { socket: { sendBufferSize: 4096, receiveBufferSize: 4096 } })
  socketOf(a).sendQueueLimit = 2 ** 24
  socketOf(a).send(Buffer.alloc(2 ** 20))
  socketOf(a).close()
  t.is(socketOf(a).state, 'closing')
  await t.throwsAsync(relay(a.relayed, b.relayed), { instanceOf: SocketClosedError })
  await t.throwsAsync(relay(b.relayed, a.relayed), { instanceOf: SocketClosedError })
  t.true(await work(b, await relaySide(t)))
})

test('a_datagram_socket_is_not_taken', async (t) => {
  const datagram = createSocket('udp4')
  t.teardown(() => datagram.close())
  datagram.bind(0, '127.0.0.1')
  await once(datagram, 'listening')
  t.throws(() => Socket.adopt(datagramDescriptor(datagram.address().port)), { code: 'EPROTOTYPE' })
})

test.serial('refusals_leave_nothing_open', async (t) => {
  const { a, b } = await relaySides(t)
  await t.throwsAsync(relay(a.relayed, a.relayed))
  const before = openObjects()
  for (let round = 0; round < 50; round++) {
    await t.throwsAsync(relay(a.relayed, a.relayed))
    await t.throwsAsync(relay(a.relayed, null as never))
    await t.throwsAsync(relay(a.relayed, b.relayed, { signal: AbortSignal.abort() }))
    await t.throwsAsync(relay(a.relayed, b.relayed, { idleTimeout: -1 }))
  }
  t.deepEqual(openObjects(), before)
  t.true(await work(a, b))
})
