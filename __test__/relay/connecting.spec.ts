// A relay of sockets that are still connecting.

import test from 'ava'
import { Socket, SocketError, relay } from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { addressOf, resetAtEnd, testListener } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { KINDS, pattern, relaySide, startRelay } from '../support/relayed.js'
import { nextTurn } from '../support/timing.js'
import { give, receiveAll } from '../support/transfer.js'
import { acceptNext } from '../support/waiting.js'

for (const place of ['a', 'b'] as const) {
  for (const kind of KINDS) {
    test(`what_comes_before_the_connect_goes_on_after_it (${place} connects, the other is a ${kind})`, async (t) => {
      const open = await relaySide(t, { kind })
      give(open.peer, pattern(200_000), { end: true })
      const listener = testListener(t)
      const connecting = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
      const relayed = place === 'a' ? startRelay(connecting, open.relayed) : startRelay(open.relayed, connecting)
      const accepted = resetAtEnd(t, await acceptNext(listener))
      give(accepted, 'welcome', { end: true })
      const [there, back] = await Promise.all([receiveAll(accepted), receiveAll(open.peer)])
      t.true(there.bytes.equals(pattern(200_000)))
      t.is(String(back.bytes), 'welcome')
      t.deepEqual(await relayed, place === 'a' ? { aToB: 7, bToA: 200_000 } : { aToB: 200_000, bToA: 7 })
    })

    test(`a_refused_connect_is_the_error (${place} connects, the other is a ${kind})`, async (t) => {
      const open = await relaySide(t, { kind })
      open.peer.send('for none')
      const port = freePort()
      const connecting = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port }))
      const relayed = place === 'a' ? startRelay(connecting, open.relayed) : startRelay(open.relayed, connecting)
      const error = await t.throwsAsync(relayed, { instanceOf: SocketError, code: 'ECONNREFUSED' })
      t.like(error, { syscall: 'connect', address: '127.0.0.1', port, aToB: 0, bToA: 0 })
      t.is(connecting.state, 'closed')
      t.is(open.relayed.state, 'closed')
      t.is((await receiveAll(open.peer)).error?.code, 'ECONNRESET')
    })

    test(`an_aborted_signal_ends_a_connect (${place} connects, the other is a ${kind})`, async (t) => {
      const open = await relaySide(t, { kind })
      const listener = await blackhole(t, '127.0.0.1')
      const connecting = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
      const controller = new AbortController()
      const { signal } = controller
      const relayed =
        place === 'a'
          ? startRelay(connecting, open.relayed, { signal })
          : startRelay(open.relayed, connecting, { signal })
      open.peer.send('waits')
      t.is(connecting.state, 'connecting')
      controller.abort(new Error('too slow'))
      t.like(await t.throwsAsync(relayed, { name: 'AbortError' }), { code: 'ABORT_ERR', aToB: 0, bToA: 0 })
      t.is(connecting.state, 'closed')
      t.is((await receiveAll(open.peer)).error?.code, 'ECONNRESET')
    })
  }
}

test('an_idle_timeout_ends_a_connect', async (t) => {
  const open = await relaySide(t)
  const listener = await blackhole(t, '127.0.0.1')
  const connecting = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
  const error = await t.throwsAsync(relay(open.relayed, connecting, { idleTimeout: 50 }), { code: 'ETIMEDOUT' })
  t.is((error as SocketError).syscall, 'relay')
})

test('a_peer_that_resets_meanwhile_ends_the_connect', async (t) => {
  const open = await relaySide(t)
  const listener = await blackhole(t, '127.0.0.1')
  const connecting = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
  const relayed = startRelay(open.relayed, connecting)
  open.peer.send('waits')
  open.peer.reset()
  await t.throwsAsync(relayed, { code: 'ECONNRESET' })
  t.is(connecting.state, 'closed')
})

test('both_may_be_connecting', async (t) => {
  const [one, other] = [testListener(t), testListener(t)]
  const connect = (to: typeof one): Socket =>
    resetAtEnd(t, Socket.connect(addressOf(to) as { host: string; port: number }))
  const relayed = startRelay(connect(one), connect(other))
  const [left, right] = [resetAtEnd(t, await acceptNext(one)), resetAtEnd(t, await acceptNext(other))]
  give(left, 'from left', { end: true })
  give(right, 'from the right', { end: true })
  const [atLeft, atRight] = await Promise.all([receiveAll(left), receiveAll(right)])
  t.deepEqual([String(atLeft.bytes), String(atRight.bytes)], ['from the right', 'from left'])
  t.deepEqual(await relayed, { aToB: 9, bToA: 14 })
})

test('what_was_queued_before_the_connect_goes_first', async (t) => {
  const open = await relaySide(t)
  const listener = testListener(t)
  const connecting = resetAtEnd(t, Socket.connect(addressOf(listener) as { host: string; port: number }))
  connecting.send('header ')
  const relayed = startRelay(open.relayed, connecting)
  give(open.peer, 'and body', { end: true })
  const accepted = resetAtEnd(t, await acceptNext(listener))
  accepted.shutdown()
  t.is(String((await receiveAll(accepted)).bytes), 'header and body')
  t.deepEqual(await relayed, { aToB: 8, bToA: 0 })
})

for (const kind of KINDS) {
  test(`a_connect_that_has_failed_before_is_the_error (${kind})`, async (t) => {
    for (const place of ['a', 'b'] as const) {
      const closed: unknown[] = []
      const open = await relaySide(t, { kind, handlers: { close: (_, error) => void closed.push(error) } })
      const port = freePort()
      const failed = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port }))
      while (failed.state === 'connecting') await nextTurn()
      const relayed = place === 'a' ? startRelay(failed, open.relayed) : startRelay(open.relayed, failed)
      const error = await t.throwsAsync(relayed, { instanceOf: SocketError, code: 'ECONNREFUSED' })
      t.like(error, { syscall: 'connect', port, aToB: 0, bToA: 0 })
      t.is(open.relayed.state, 'closed')
      t.is((await receiveAll(open.peer)).error?.code, 'ECONNRESET')
      if (kind === 'connection') t.deepEqual(closed, [error])
    }
  })
}

test('a_unix_path_without_a_listener_is_the_error', async (t) => {
  const open = await relaySide(t)
  const path = '\0m-socket no listener here'
  const missing = resetAtEnd(t, Socket.connect({ path }))
  t.like(await t.throwsAsync(relay(open.relayed, missing)), { code: 'ECONNREFUSED', syscall: 'connect', address: path })
})
