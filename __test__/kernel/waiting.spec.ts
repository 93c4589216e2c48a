import { once } from 'node:events'
import { text } from 'node:stream/consumers'

import test from 'ava'
import { Multiplexer, SocketClosedError } from 'm-socket'

import { outcomeOf, start, startModule } from '../support/child.js'
import { run } from '../support/fixture.js'
import { connectedPair } from '../support/pair.js'
import { testWith } from '../support/peers.js'

const ROOT = new URL('../..', import.meta.url)

test('truth 31: a_storm_of_signals_neither_stretches_nor_cuts_a_wait', async (t) => {
  const child = startModule(t, `
    import { Multiplexer } from 'm-socket'
    process.on('SIGUSR2', () => {})
    process.send('ready')
    const multiplexer = new Multiplexer()
    const began = performance.now()
    const events = multiplexer.waitSync(100)
    process.send({ events: events.length, took: performance.now() - began })
    process.disconnect()`, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const ended = outcomeOf(child)
  await once(child, 'message')
  const storm = setInterval(() => child.kill('SIGUSR2'), 2)
  t.teardown(() => clearInterval(storm))
  const [report] = (await once(child, 'message')) as [{ events: number; took: number }]
  clearInterval(storm)
  t.is((await ended).code, 0)
  t.is(report.events, 0)
  t.true(report.took >= 99.9, `${report.took} ms`)
  t.true(report.took < 5000, `${report.took} ms`)
})

testWith(['strace'], 'truth 32: a_time_is_rounded_up_and_clamped', async (t) => {
  const source = `
    import { Multiplexer } from 'm-socket'
    const multiplexer = new Multiplexer()
    for (const time of [0.2, 0, 3]) multiplexer.waitSync(time)`
  const node = [process.execPath, '--input-type=module', '--eval', source]
  const { stderr } = await run(t, 'strace', ['-f', '-e', 'trace=epoll_wait', ...node], { cwd: ROOT })
  const waited = [...stderr.matchAll(/epoll_wait\(\d+, .*?, 1000, (\d+)\)/g)].map(([, time]) => Number(time))
  t.is(waited[0], 1)
  t.true(waited.includes(0) && waited.includes(3), String(waited))
})

test('truth 32: what_is_no_time_is_a_RangeError', async (t) => {
  using multiplexer = new Multiplexer()
  for (const time of [Number.NaN, -1, -Infinity]) {
    await t.throwsAsync(multiplexer.wait(time), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
    t.throws(() => multiplexer.waitSync(time), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  }
  const long = multiplexer.wait(2 ** 40)
  multiplexer.wake()
  t.deepEqual(await long, [], 'a time over 2^31-1 is no overflow')
})

test('truth 33: many_wakes_before_a_wait_are_one', async (t) => {
  using multiplexer = new Multiplexer()
  for (let index = 0; index < 10; index++) multiplexer.wake()
  t.deepEqual(await multiplexer.wait(), [])
  const next = multiplexer.wait()
  const raced = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 50, 'still waiting'))])
  t.is(raced, 'still waiting')
  multiplexer.wake()
  multiplexer.wake()
  t.deepEqual(await next, [])
  multiplexer.wake()
  t.deepEqual(multiplexer.waitSync(), [])
})

test('truth 33: waking_a_closed_multiplexer_is_harmless', async (t) => {
  const multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  multiplexer.close()
  t.notThrows(() => multiplexer.wake())
  t.deepEqual(await pending, [])
  await t.throwsAsync(multiplexer.wait(), { instanceOf: SocketClosedError })
})

test('truth 34: what_changes_while_a_wait_is_pending_takes_effect_at_once', async (t) => {
  const added = await connectedPair(t)
  const removed = await connectedPair(t)
  const modified = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(removed.server, 'r')
  multiplexer.add(modified.server, 'r', 'oneshot')
  modified.client.send('x')
  t.is((await multiplexer.wait(5000)).length, 1)

  let pending = multiplexer.wait()
  added.client.send('x')
  multiplexer.add(added.server, 'r')
  t.deepEqual((await pending).map(({ target }) => target), [added.server])
  added.server.close()

  pending = multiplexer.wait()
  multiplexer.modify(modified.server, 'r', 'oneshot')
  t.deepEqual((await pending).map(({ target }) => target), [modified.server])

  pending = multiplexer.wait(100)
  multiplexer.remove(removed.server)
  removed.client.send('x')
  t.deepEqual(await pending, [])
})

test('truth 35: the_epoll_descriptor_is_watched_by_nodes_own_loop', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const order: string[] = []
  const waited = multiplexer.wait().then(() => order.push('event'))
  setTimeout(() => {
    order.push('timer')
    client.send('x')
  }, 5)
  await waited
  t.deepEqual(order, ['timer', 'event'])
})

test('truth 35: a_second_wait_and_a_poll_during_one_are_refused', async (t) => {
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  const refused = { instanceOf: Error, code: 'ERR_INVALID_STATE', message: /pending/ }
  await t.throwsAsync(multiplexer.wait(), refused)
  t.throws(() => multiplexer.poll(), refused)
  t.throws(() => multiplexer.waitSync(1), refused)
  multiplexer.wake()
  t.deepEqual(await pending, [], 'the first is unharmed')
})

for (const error of ['ENOSPC', 'ENOMEM']) {
  testWith(['strace'], `truth 36: an_add_that_the_kernel_refuses_is_rolled_back (${error})`, async (t) => {
    // Reading synchronously: nothing but our own registration calls epoll_ctl once the tracer is there.
    const child = startModule(t, `
      import { readSync } from 'node:fs'
      import { Listener, Multiplexer, SocketError } from 'm-socket'
      const listener = Listener.bind({ host: '127.0.0.1' })
      const multiplexer = new Multiplexer()
      const attempt = () => {
        try { multiplexer.add(listener); return 'added' } catch (error) { return [error instanceof SocketError, error.code, error.syscall].join() }
      }
      process.stderr.write('ready')
      readSync(0, Buffer.alloc(1))
      const outcomes = [attempt(), attempt()]
      console.log(outcomes.join(' '))
      process.exit()`, { stdio: ['pipe', 'pipe', 'pipe'] })
    const ended = text(child.stdout!)
    await once(child.stderr!, 'data')
    const inject = `inject=epoll_ctl:error=${error}:when=1`
    const tracer = start(t, 'strace', ['-p', String(child.pid), '-e', 'trace=epoll_ctl', '-e', inject])
    await once(tracer.stderr!, 'data')
    child.stdin!.write('x')
    t.is(await ended, `true,${error},epoll_ctl added\n`)
  })
}
