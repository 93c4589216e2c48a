import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { text } from 'node:stream/consumers'

import test from 'ava'
import { type Event, Multiplexer, Socket, SocketClosedError, listen } from 'm-socket'
import * as native from 'm-socket/native'

import { outcomeOf, sendSignal, start, startModule } from '../support/child.js'
import { run } from '../support/fixture.js'
import { multiplexerAndDescriptor } from '../support/epoll.js'
import { assertIdle, sleep } from '../support/timing.js'
import { closeAtEnd, connectedPair, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { EPOLL_WAIT, ignoreUnknown, timeoutOf } from '../support/strace.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import { until } from '../support/waiting.js'

const ROOT = new URL('../..', import.meta.url)

test('truth 31: a_storm_of_signals_neither_stretches_nor_cuts_a_wait', async (t) => {
  const child = startModule(
    t,
    `
    import { Multiplexer } from 'm-socket'
    process.on('SIGUSR2', () => {})
    process.send('ready')
    const multiplexer = new Multiplexer()
    const began = performance.now()
    const events = multiplexer.waitSync(100)
    process.send({ events: events.length, took: performance.now() - began })
    process.once('message', () => process.disconnect())`,
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
  )
  const ended = outcomeOf(child)
  await once(child, 'message')
  const storm = setInterval(() => sendSignal(child, 'SIGUSR2'), 2)
  t.teardown(() => clearInterval(storm))
  const [report] = (await once(child, 'message')) as [{ events: number; took: number }]
  clearInterval(storm)
  // A signal that comes while the process ends, when its handler is gone, would kill it.
  child.send('the storm is over')
  t.is((await ended).code, 0)
  t.is(report.events, 0)
  t.true(report.took >= 99.9, `${report.took} ms`)
  t.true(report.took < 60_000, `${report.took} ms`)
})

testWith(['strace'], 'truth 32: a_time_is_rounded_up_and_clamped', async (t) => {
  const source = `
    import { Multiplexer } from 'm-socket'
    const multiplexer = new Multiplexer()
    for (let round = 0; round < 20; round++) for (const time of [0.2, 0, 3]) multiplexer.waitSync(time)`
  const node = [process.execPath, ...sourceArguments(source)]
  const { stderr } = await run(t, 'strace', ['-f', '-e', `trace=${ignoreUnknown(EPOLL_WAIT)}`, ...node], { cwd: ROOT })
  const waited = stderr.split('\n').flatMap(timeoutOf)
  // Other threads of the runtime's may wait, too; and of a time that has passed in part before the call, less is left.
  t.true(
    [1, 0, 3].every((time) => waited.includes(time)),
    String(waited),
  )
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
  t.deepEqual(
    (await pending).map(({ target }) => target),
    [added.server],
  )
  added.server.close()

  pending = multiplexer.wait()
  multiplexer.modify(modified.server, 'r', 'oneshot')
  t.deepEqual(
    (await pending).map(({ target }) => target),
    [modified.server],
  )

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
    const child = startModule(
      t,
      `
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
      process.exit()`,
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    const ended = text(child.stdout!)
    await once(child.stderr!, 'data')
    const inject = `inject=epoll_ctl:error=${error}:when=1`
    const tracer = start(t, 'strace', ['-p', String(child.pid), '-e', 'trace=epoll_ctl', '-e', inject])
    await once(tracer.stderr!, 'data')
    child.stdin!.write('x')
    t.is(await ended, `true,${error},epoll_ctl added\n`)
  })
}

for (const [how, wait] of [
  ['wait', 'await multiplexer.wait(100)'],
  ['waitSync', 'multiplexer.waitSync(100)'],
] as const) {
  test(`truth 31: in_a_storm_of_signals_each_wait_lasts_its_time_and_the_next_one_too (${how})`, async (t) => {
    const child = startModule(
      t,
      `
      import { Multiplexer } from 'm-socket'
      let signals = 0
      for (const signal of ['SIGUSR2', 'SIGWINCH']) process.on(signal, () => signals++)
      process.send('ready')
      const multiplexer = new Multiplexer()
      const times = []
      for (let round = 0; round < 5 || (signals <= 5 && round < 200); round++) {
        const began = performance.now()
        const events = ${wait}
        times.push(performance.now() - began + events.length * 1e6)
        // Deno tells of a signal some turns later.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      process.send({ times, signals })
      process.once('message', () => process.disconnect())`,
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    )
    const ended = outcomeOf(child)
    await once(child, 'message')
    const storm = setInterval(() => {
      for (let blow = 0; blow < 5; blow++) sendSignal(child, blow % 2 === 0 ? 'SIGUSR2' : 'SIGWINCH')
    }, 1)
    t.teardown(() => clearInterval(storm))
    const [{ times, signals }] = (await once(child, 'message')) as [{ times: number[]; signals: number }]
    clearInterval(storm)
    child.send('the storm is over')
    t.is((await ended).code, 0)
    t.true(signals > 5, `${signals} signals`)
    t.true(times.length >= 5)
    for (const time of times) t.true(time >= 100 && time < 60_000, `${time} ms`)
  })
}

test('truth 31: what_happens_in_a_storm_of_signals_is_told', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const ignore = (): void => {}
  process.on('SIGWINCH', ignore)
  t.teardown(() => process.off('SIGWINCH', ignore))
  for (let round = 0; round < 50; round++) {
    const pending = multiplexer.wait(10_000)
    process.kill(process.pid, 'SIGWINCH')
    client.send('x')
    process.kill(process.pid, 'SIGWINCH')
    t.is(flagsFor(server, await pending), 'readable')
    t.is(server.receive(new Uint8Array(10)), 1)
  }
})

test('truth 32: no_wait_ends_before_its_time_however_short', async (t) => {
  using multiplexer = new Multiplexer()
  for (const time of [0, 0.01, 0.5, 0.999, 1, 1.001, 2.5, 10, 33.3]) {
    const began = performance.now()
    t.deepEqual(multiplexer.waitSync(time), [])
    t.true(performance.now() - began >= time, `waitSync(${time})`)
    const begun = performance.now()
    t.deepEqual(await multiplexer.wait(time), [])
    t.true(performance.now() - begun >= time, `wait(${time})`)
  }
})

test('truth 32: a_wait_that_is_longer_than_an_int_can_say_is_long', async (t) => {
  const warnings: Error[] = []
  const keep = (warning: Error): void => void warnings.push(warning)
  process.on('warning', keep)
  t.teardown(() => process.off('warning', keep))
  for (const time of [2 ** 31 - 1, 2 ** 31, 2 ** 40, Number.MAX_VALUE, Infinity]) {
    using multiplexer = new Multiplexer()
    const outcome = await Promise.race([multiplexer.wait(time), sleep(30)])
    t.is(outcome, undefined, `wait(${time})`)
  }
  t.deepEqual(warnings, [])
})

test('truth 33: a_wake_ends_the_wait_that_is_pending_and_no_other', async (t) => {
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  for (let call = 0; call < 100; call++) multiplexer.wake()
  t.deepEqual(await pending, [])
  t.is(await Promise.race([multiplexer.wait(), sleep(30)]), undefined)
})

test('truth 33: a_wake_after_a_wait_is_kept_for_the_next_one_of_any_kind', async (t) => {
  using multiplexer = new Multiplexer()
  const waits: [string, () => Event[] | Promise<Event[]>][] = [
    ['wait', () => multiplexer.wait()],
    ['waitSync', () => multiplexer.waitSync()],
  ]
  for (const [name, wait] of waits) {
    multiplexer.wake()
    multiplexer.wake()
    t.deepEqual(await wait(), [], name)
    t.deepEqual(multiplexer.waitSync(5), [], name)
  }
})

test('truth 33: a_wake_loses_no_event_and_takes_none_of_anothers', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  using other = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  await until(() => server.peek(new Uint8Array(1)) === 1)
  multiplexer.wake()
  t.is(flagsFor(server, await multiplexer.wait()), 'readable', 'a wait that is woken tells what there is')
  const pending = other.wait()
  multiplexer.wake()
  t.is(await Promise.race([pending, sleep(30)]), undefined)
})

test('truth 34: a_pending_wait_sees_each_change_of_interest_and_of_membership', async (t) => {
  const { client, server } = await connectedPair(t)
  const other = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')

  let pending = multiplexer.wait()
  await sleep(5)
  multiplexer.modify(server, 'w')
  t.is(flagsFor(server, await pending), 'writable', 'an interest that is new')

  client.send('x')
  await until(() => server.peek(new Uint8Array(1)) === 1)
  pending = multiplexer.wait()
  multiplexer.modify(server, 'r')
  t.is(flagsFor(server, await pending), 'readable', 'data that waits already')

  pending = multiplexer.wait()
  multiplexer.remove(server)
  multiplexer.add(other.server, 'rw')
  const events = await pending
  t.deepEqual(targetsOf(events), [other.server], 'one comes and one goes')
  t.is(flagsOf(events[0]!), 'writable')

  pending = multiplexer.wait(50)
  other.server.close()
  t.deepEqual(await pending, [], 'who is closed is gone')
})

test.serial('truth 34: queued_output_goes_out_of_a_socket_that_comes_while_a_wait_is_pending', async (t) => {
  const { client, server } = await smallBufferPair(t)
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  while (client.queued === 0) client.send(new Uint8Array(4096))
  multiplexer.add(client, 'w')
  const into = new Uint8Array(65536)
  let answered = false
  void pending.then(() => (answered = true))
  await until(() => {
    server.receive(into)
    return answered
  })
  t.is(flagsFor(client, await pending), 'writable')
  t.is(client.queued, 0)
})

test.serial('truth 35: one_multiplexer_watches_another', async (t) => {
  const { client, server } = await connectedPair(t)
  const { multiplexer: inner, epoll } = multiplexerAndDescriptor()
  closeAtEnd(t, inner).add(server, 'r')
  using outer = new Multiplexer()
  const target = { fd: epoll }
  outer.add(target, 'r', 'level')
  t.deepEqual(outer.poll(), [])
  client.send('x')
  t.is(flagsFor(target, outer.waitSync(5000)), 'readable')
  t.is(flagsFor(server, inner.poll()), 'readable')
  t.is(server.receive(new Uint8Array(10)), 1)
  t.deepEqual(outer.poll(), [])
  outer.remove(target)
})

test.serial('truth 35: waiting_on_nodes_loop_is_sleep_until_there_is_news', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const pending = multiplexer.wait()
  await assertIdle(t, () => sleep(300))
  client.send('x')
  t.is(flagsFor(server, await pending), 'readable')
  // Not read, and nobody waits: whatever the loop is told of is no reason to go on about it.
  await assertIdle(t, () => sleep(300))
})

for (const [how, drive] of [
  ['wait', async (multiplexer: Multiplexer) => void (await multiplexer.wait(20))],
  ['waitSync', (multiplexer: Multiplexer) => void multiplexer.waitSync(20)],
] as const) {
  test(`truth 35: a_handler_that_polls_the_multiplexer_it_is_called_from_is_refused (${how})`, async (t) => {
    using multiplexer = new Multiplexer()
    const refusals: unknown[] = []
    const received: string[] = []
    let depth = 0
    const server = listen({
      hostname: '127.0.0.1',
      multiplexer,
      socket: {
        data(_, chunk) {
          depth++
          t.is(depth, 1, 'no other handler runs inside of this one')
          for (const poll of [() => multiplexer.poll(), () => multiplexer.waitSync(5)]) {
            const { code, message } = t.throws(poll, { code: 'ERR_INVALID_STATE' }) as Error & { code: string }
            refusals.push([code, /pending|handle/.test(message)])
          }
          received.push(String(chunk))
          depth--
        },
      },
    })
    t.teardown(() => server.stop(true))
    const clients = [0, 1, 2].map(() => resetAtEnd(t, Socket.connect({ port: server.port! })))
    for (const client of clients) await until(() => client.state === 'open')
    for (let turn = 0; turn < 3; turn++) await drive(multiplexer)
    for (const [index, client] of clients.entries()) client.send(String(index))
    for (let turn = 0; turn < 20 && received.length < 3; turn++) await drive(multiplexer)
    t.deepEqual(received.toSorted(), ['0', '1', '2'])
    t.deepEqual(refusals, Array(6).fill(['ERR_INVALID_STATE', true]))
    t.deepEqual(multiplexer.poll(), [], 'and afterwards it can be polled')
  })
}

test('truth 36: a_slot_that_was_to_hold_a_refused_target_is_free_again', (t) => {
  const plex = native.openMultiplexer(() => {})
  t.teardown(() => native.closeMultiplexer(plex))
  // EPERM, of what epoll cannot watch, takes the same way back as ENOSPC and ENOMEM do.
  const directory = openSync('/', 'r')
  t.teardown(() => closeSync(directory))
  const answers = Array.from({ length: 5000 }, () => native.addDescriptor(plex, directory, 1, 0))
  t.deepEqual(new Set(answers), new Set([-constants.errno.EPERM]))
  const handle = native.addDescriptor(plex, testListener(t).fd, 1, 0)
  // The slot is what stands above the nine bits of the generation.
  t.true(handle >= 0 && handle >>> 9 < 1000, `slot ${handle >>> 9}`)
  t.is(native.remove(plex, handle), 0)
})
