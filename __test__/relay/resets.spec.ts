// A reset goes on as a reset.

import test from 'ava'
import { Multiplexer, SocketError } from 'm-socket'

import { KINDS, type Side, pattern, relaySide, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { withResolvers } from '../support/server.js'
import { give, receiveAll } from '../support/transfer.js'
import { receiveExactly, until, waitUntil } from '../support/waiting.js'

const SMALL = { sendBufferSize: 4096, receiveBufferSize: 4096 }

for (const kind of KINDS) {
  for (const from of ['a', 'b'] as const) {
    test(`a_reset_goes_on (from ${from}, ${kind})`, async (t) => {
      const { a, b } = await relaySides(t, { kind })
      const relayed = startRelay(a.relayed, b.relayed)
      const [first, second] = from === 'a' ? [a, b] : [b, a]
      first.peer.send('hello')
      t.is(String(await receiveExactly(second.peer, 5)), 'hello')
      first.peer.reset()
      t.is((await receiveAll(second.peer)).error?.code, 'ECONNRESET')
      const error = (await t.throwsAsync(relayed, { instanceOf: SocketError, code: 'ECONNRESET' })) as SocketError
      t.is(error.syscall, 'read')
      t.like(error, from === 'a' ? { aToB: 5, bToA: 0 } : { aToB: 0, bToA: 5 })
      t.is(a.relayed.state, 'closed')
      t.is(b.relayed.state, 'closed')
    })

    test(`a_reset_behind_data_comes_behind_it (from ${from}, ${kind})`, async (t) => {
      const { a, b } = await relaySides(t, { kind })
      const relayed = startRelay(a.relayed, b.relayed)
      const [first, second] = from === 'a' ? [a, b] : [b, a]
      const bytes = pattern(20_000)
      first.peer.send(bytes)
      await until(() => socketOf(second).bytesSent === bytes.length)
      first.peer.reset()
      const received = await receiveAll(second.peer)
      t.true(received.bytes.equals(bytes))
      t.is(received.error?.code, 'ECONNRESET')
      await t.throwsAsync(relayed, { code: 'ECONNRESET' })
    })

    test(`a_reset_of_a_side_whose_peer_has_ended_goes_on (from ${from}, ${kind})`, async (t) => {
      const { a, b } = await relaySides(t, { kind })
      const relayed = startRelay(a.relayed, b.relayed)
      const [first, second] = from === 'a' ? [a, b] : [b, a]
      first.peer.shutdown()
      t.is((await receiveAll(second.peer)).bytes.length, 0)
      first.peer.reset()
      await untilBroken(second)
      // The error of a connection whose peer had ended: tcp_reset in net/ipv4/tcp_input.c.
      await t.throwsAsync(relayed, { code: 'EPIPE' })
    })

    test(`a_reset_of_a_side_that_has_been_ended_goes_on (from ${from}, ${kind})`, async (t) => {
      const { a, b } = await relaySides(t, { kind })
      const relayed = startRelay(a.relayed, b.relayed)
      const [first, second] = from === 'a' ? [a, b] : [b, a]
      second.peer.shutdown()
      t.is((await receiveAll(first.peer)).bytes.length, 0)
      first.peer.reset()
      await untilBroken(second)
      await t.throwsAsync(relayed, { code: 'ECONNRESET' })
    })
  }
}

test('the_reset_of_a_reader_reaches_the_writer', async (t) => {
  const { a, b } = await relaySides(t, {}, { socket: SMALL })
  const relayed = startRelay(a.relayed, b.relayed)
  give(a.peer, pattern(2_000_000))
  await receiveExactly(b.peer, 1000)
  b.peer.reset()
  t.is((await receiveAll(a.peer)).error?.code, 'ECONNRESET')
  const error = await t.throwsAsync(relayed)
  t.regex((error as SocketError).code, /^(ECONNRESET|EPIPE)$/)
})

test('bytes_for_a_peer_that_has_closed_are_a_reset_of_their_sender', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = startRelay(a.relayed, b.relayed)
  b.peer.close()
  t.is((await receiveAll(a.peer)).bytes.length, 0)
  a.peer.send('for none')
  await untilBroken(a)
  t.regex(((await t.throwsAsync(relayed)) as SocketError).code, /^(ECONNRESET|EPIPE)$/)
})

test('what_a_slow_reader_has_to_take_comes_before_the_reset_of_its_writer', async (t) => {
  const { a, b } = await relaySides(t, {}, { socket: SMALL })
  const relayed = startRelay(a.relayed, b.relayed)
  const settled = relayed.catch((error: unknown) => error)
  const bytes = pattern(60_000)
  give(a.peer, bytes)
  // The relay has received it all, and its target has not taken it.
  await until(() => socketOf(a).bytesReceived === bytes.length)
  t.true(socketOf(b).bytesSent < bytes.length)
  a.peer.reset()
  const received = await receiveAll(b.peer)
  t.is(received.error?.code, 'ECONNRESET')
  t.true(received.bytes.equals(bytes.subarray(0, received.bytes.length)))
  t.true(socketOf(b).bytesSent === bytes.length)
  t.like(await settled, { code: 'ECONNRESET', aToB: bytes.length })
})

test('a_unix_peer_that_closes_with_unread_input_resets', async (t) => {
  const { a, b } = await relaySides(t, { family: 'unix' }, {})
  const relayed = startRelay(a.relayed, b.relayed)
  b.peer.send('unread')
  await until(() => a.peer.peek(new Uint8Array(8)) === 6)
  a.peer.reset()
  t.is((await receiveAll(b.peer)).error?.code, 'ECONNRESET')
  t.like(await t.throwsAsync(relayed), { code: 'ECONNRESET', bToA: 6 })
})

test('close_of_both_is_called_once_with_the_error', async (t) => {
  const closed: unknown[] = []
  const both = withResolvers()
  const side = (name: string): Promise<Side> =>
    relaySide(t, {
      kind: 'connection',
      handlers: {
        error: () => t.fail(),
        end: () => t.fail(),
        close(connection, error) {
          t.is(connection.state, 'closed')
          t.truthy(connection.remoteAddress)
          closed.push(name, error)
          if (closed.length === 4) both.resolve()
        },
      },
    })
  const [a, b] = [await side('a'), await side('b')]
  const relayed = startRelay(a.relayed, b.relayed)
  a.peer.reset()
  const error = await t.throwsAsync(relayed, { code: 'ECONNRESET' })
  await both.promise
  t.deepEqual(closed, ['a', error, 'b', error])
})

/** Waits for an event with an error: a receive returns none once the peer's end has been received. */
async function untilBroken({ peer }: Side): Promise<void> {
  using multiplexer = new Multiplexer(peer)
  let broken = false
  await waitUntil(
    multiplexer,
    () => broken,
    (events) => {
      for (const event of events) broken ||= event.error
    },
  )
}
