// An idle timeout and a signal.

import { getEventListeners } from 'node:events'

import test from 'ava'
import { SocketError, relay } from 'm-socket'

import { KINDS, pattern, relaySides, socketOf, startRelay } from '../support/relayed.js'
import { give, receiveAll } from '../support/transfer.js'
import { sleep } from '../support/timing.js'
import { receiveExactly } from '../support/waiting.js'

for (const kind of KINDS) {
  test(`a_relay_without_bytes_ends_after_its_idle_timeout (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const relayed = startRelay(a.relayed, b.relayed, { idleTimeout: 60 })
    const error = await t.throwsAsync(relayed, { instanceOf: SocketError, code: 'ETIMEDOUT' })
    t.like(error, { syscall: 'relay', aToB: 0, bToA: 0 })
    t.is((await receiveAll(a.peer)).error?.code, 'ECONNRESET')
    t.is((await receiveAll(b.peer)).error?.code, 'ECONNRESET')
    t.is(a.relayed.state, 'closed')
    t.is(b.relayed.state, 'closed')
  })

  test(`an_aborted_signal_ends_it (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const controller = new AbortController()
    const relayed = startRelay(a.relayed, b.relayed, { signal: controller.signal })
    a.peer.send('hello')
    t.is(String(await receiveExactly(b.peer, 5)), 'hello')
    const reason = new Error('mine')
    controller.abort(reason)
    const error = await t.throwsAsync(relayed, { instanceOf: SocketError, code: 'ABORT_ERR', name: 'AbortError' })
    t.is(error!.cause, reason)
    t.like(error, { aToB: 5, bToA: 0 })
    t.is((await receiveAll(a.peer)).error?.code, 'ECONNRESET')
    t.is((await receiveAll(b.peer)).error?.code, 'ECONNRESET')
  })

  test(`a_signal_that_was_aborted_before_changes_nothing (${kind})`, async (t) => {
    const { a, b } = await relaySides(t, { kind })
    const signal = AbortSignal.abort('before')
    const error = await t.throwsAsync(relay(a.relayed, b.relayed, { signal }), {
      code: 'ABORT_ERR',
      name: 'AbortError',
    })
    t.like(error, { cause: 'before', aToB: 0, bToA: 0 })
    t.is(a.relayed.state, 'open')
    t.is(b.relayed.state, 'open')
    a.peer.send('goes on')
    const relayed = startRelay(a.relayed, b.relayed)
    t.is(String(await receiveExactly(b.peer, 7)), 'goes on')
    a.peer.shutdown()
    b.peer.shutdown()
    await relayed
  })
}

test('bytes_of_either_direction_keep_it_from_being_idle', async (t) => {
  const { a, b } = await relaySides(t)
  const settled: unknown[] = []
  const relayed = startRelay(a.relayed, b.relayed, { idleTimeout: 2000 })
  relayed.then(
    () => settled.push('ended'),
    () => settled.push('failed'),
  )
  const began = performance.now()
  while (performance.now() - began < 3000) {
    await sleep(100)
    ;(performance.now() % 2 < 1 ? a : b).peer.send('.')
  }
  t.deepEqual(settled, [])
  a.peer.shutdown()
  b.peer.shutdown()
  await relayed
})

test('a_reader_that_does_not_read_lets_it_become_idle', async (t) => {
  const { a, b } = await relaySides(t, { socket: { sendBufferSize: 4096, receiveBufferSize: 4096 } })
  const relayed = startRelay(a.relayed, b.relayed, { idleTimeout: 300 })
  give(a.peer, pattern(1_000_000))
  const error = (await t.throwsAsync(relayed, { code: 'ETIMEDOUT' })) as unknown as { aToB: number }
  t.is(error.aToB, socketOf(b).bytesSent)
  t.true(error.aToB > 0)
})

test('a_regular_end_leaves_no_listener_on_the_signal', async (t) => {
  const { a, b } = await relaySides(t)
  const { signal } = new AbortController()
  const relayed = startRelay(a.relayed, b.relayed, { signal, idleTimeout: 60_000 })
  t.is(getEventListeners(signal, 'abort').length, 1)
  a.peer.close()
  b.peer.close()
  await relayed
  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('an_abort_after_the_end_changes_nothing', async (t) => {
  const { a, b } = await relaySides(t)
  const controller = new AbortController()
  const relayed = startRelay(a.relayed, b.relayed, { signal: controller.signal })
  a.peer.close()
  b.peer.close()
  const totals = await relayed
  controller.abort()
  t.deepEqual(totals, { aToB: 0, bToA: 0 })
})

test('one_signal_ends_many_relays', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  const all = await Promise.all(Array.from({ length: 20 }, () => relaySides(t)))
  const relays = all.map(({ a, b }) => relay(a.relayed, b.relayed, { signal }))
  t.is(getEventListeners(signal, 'abort').length, 1)
  controller.abort()
  const outcomes = await Promise.allSettled(relays)
  t.true(outcomes.every((it) => it.status === 'rejected' && it.reason.code === 'ABORT_ERR'))
  t.is(new Set(outcomes.map((it) => (it as PromiseRejectedResult).reason)).size, 20)
})
