import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { text } from 'node:stream/consumers'

import test from 'ava'
import { Multiplexer, type ReadyEvent, Socket, SocketClosedError, listen } from 'm-socket'
import * as native from 'm-socket/native'

import { outcomeOf, sendSignal, start, startModule } from '../support/child.js'
import { multiplexerAndDescriptor } from '../support/epoll.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import { run } from '../support/fixture.js'
import { closeAtEnd, connectedPair, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { EPOLL_WAIT, ignoreUnknown, timeoutOf } from '../support/strace.js'
import { assertIdle, sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

const ROOT = new URL('../..', import.meta.url)

test('truth 31: a_signal_storm_neither_lengthens_nor_shortens_a_wait', async (t) => {
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
  // A signal that arrives during the exit, after its handler is gone, would kill the process.
  child.send('the storm is over')
  t.is((await ended).code, 0)
  t.is(report.events, 0)
  t.true(report.took >= 99.9, `${report.took} ms`)
  t.true(report.took < 60_000, `${report.took} ms`)
})

testWith(['strace'], 'truth 32: a_fractional_timeout_is_rounded_up_and_0_stays_0', async (t) => {
  const source = `
    import { Multiplexer } from 'm-socket'
    const multiplexer = new Multiplexer()
    for (let round = 0; round < 20; round++) for (const time of [0.2, 0, 3]) multiplexer.waitSync(time)`
  const node = [process.execPath, ...sourceArguments(source)]
  const { stderr } = await run(t, 'strace', ['-f', '-e', `trace=${ignoreUnknown(EPOLL_WAIT)}`, ...node], { cwd: ROOT })
  const waited = stderr.split('\n').flatMap(timeoutOf)
  // Other threads of the runtime may wait too, and time that passes before the call shortens the timeout.
  t.true(
    [1, 0, 3].every((time) => waited.includes(time)),
    String(waited),
  )
})

test('truth 32: an_invalid_timeout_throws_a_RangeError', async (t) => {
  using multiplexer = new Multiplexer()
  for (const time of [Number.NaN, -1, -Infinity]) {
    await t.throwsAsync(multiplexer.wait(time), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
    t.throws(() => multiplexer.waitSync(time), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  }
  const long = multiplexer.wait(2 ** 40)
  multiplexer.wake()
  t.deepEqual(await long, [], 'a timeout over 2^31-1 does not overflow')
})

test('truth 33: several_wakes_before_a_wait_count_as_one', async (t) => {
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

test('truth 34: changes_during_a_pending_wait_take_effect_at_once', async (t) => {
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

test('truth 35: nodes_loop_polls_the_epoll_descriptor', async (t) => {
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

test('truth 35: a_second_wait_or_poll_during_a_wait_is_rejected', async (t) => {
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  const refused = { instanceOf: Error, code: 'ERR_INVALID_STATE', message: /pending/ }
  await t.throwsAsync(multiplexer.wait(), refused)
  t.throws(() => multiplexer.poll(), refused)
  t.throws(() => multiplexer.waitSync(1), refused)
  multiplexer.wake()
  t.deepEqual(await pending, [], 'the first wait is unaffected')
})

for (const error of ['ENOSPC', 'ENOMEM']) {
  testWith(['strace'], `truth 36: an_add_that_the_kernel_refuses_is_rolled_back (${error})`, async (t) => {
    // readSync: once the tracer is attached, only our own registration calls epoll_ctl(2).
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
  test(`truth 31: each_of_several_waits_keeps_its_timeout_in_a_signal_storm (${how})`, async (t) => {
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
        // Deno delivers a signal some turns later.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      process.send({ times, signals })
      process.once('message', () => process.disconnect())`,
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    )
    const ended = outcomeOf(child)
    await once(child, 'message')
    const storm = setInterval(() => {
      for (let count = 0; count < 5; count++) sendSignal(child, count % 2 === 0 ? 'SIGUSR2' : 'SIGWINCH')
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

test('truth 31: events_are_reported_in_a_signal_storm', async (t) => {
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

test('truth 32: no_wait_ends_before_its_timeout', async (t) => {
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

test('truth 32: timeouts_above_an_int32_do_not_overflow', async (t) => {
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

test('truth 33: a_wake_ends_only_the_pending_wait', async (t) => {
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  for (let call = 0; call < 100; call++) multiplexer.wake()
  t.deepEqual(await pending, [])
  t.is(await Promise.race([multiplexer.wait(), sleep(30)]), undefined)
})

test('truth 33: a_wake_between_waits_ends_the_next_wait', async (t) => {
  using multiplexer = new Multiplexer()
  const waits: [string, () => ReadyEvent[] | Promise<ReadyEvent[]>][] = [
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

test('truth 33: a_wake_loses_no_events_and_wakes_no_other_multiplexer', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  using other = new Multiplexer()
  multiplexer.add(server, 'r')
  client.send('x')
  await until(() => server.peek(new Uint8Array(1)) === 1)
  multiplexer.wake()
  t.is(flagsFor(server, await multiplexer.wait()), 'readable', 'a wait that is woken reports its events')
  const pending = other.wait()
  multiplexer.wake()
  t.is(await Promise.race([pending, sleep(30)]), undefined)
})

test('truth 34: a_pending_wait_sees_modify_add_remove_and_close', async (t) => {
  const { client, server } = await connectedPair(t)
  const other = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')

  let pending = multiplexer.wait()
  await sleep(5)
  multiplexer.modify(server, 'w')
  t.is(flagsFor(server, await pending), 'writable', 'new interest')

  client.send('x')
  await until(() => server.peek(new Uint8Array(1)) === 1)
  pending = multiplexer.wait()
  multiplexer.modify(server, 'r')
  t.is(flagsFor(server, await pending), 'readable', 'data that is already there')

  pending = multiplexer.wait()
  multiplexer.remove(server)
  multiplexer.add(other.server, 'rw')
  const events = await pending
  t.deepEqual(targetsOf(events), [other.server], 'one added, one removed')
  t.is(flagsOf(events[0]!), 'writable')

  pending = multiplexer.wait(50)
  other.server.close()
  t.deepEqual(await pending, [], 'a closed socket is not reported')
})

test.serial('truth 34: the_queue_of_a_socket_that_is_added_during_a_wait_is_sent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  using multiplexer = new Multiplexer()
  const pending = multiplexer.wait()
  while (client.queued === 0) client.send(new Uint8Array(4096))
  multiplexer.add(client, 'w')
  const into = new Uint8Array(65536)
  let resolved = false
  void pending.then(() => (resolved = true))
  await until(() => {
    server.receive(into)
    return resolved
  })
  t.is(flagsFor(client, await pending), 'writable')
  t.is(client.queued, 0)
})

test.serial('truth 35: a_multiplexer_can_watch_another_one', async (t) => {
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

test.serial('truth 35: a_wait_on_nodes_loop_uses_no_cpu_before_an_event', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const pending = multiplexer.wait()
  await assertIdle(t, () => sleep(300))
  client.send('x')
  t.is(flagsFor(server, await pending), 'readable')
  // The data is unread and no wait is pending: Node's loop must not spin on the readable epoll descriptor.
  await assertIdle(t, () => sleep(300))
})

for (const [how, drive] of [
  ['wait', async (multiplexer: Multiplexer) => void (await multiplexer.wait(20))],
  ['waitSync', (multiplexer: Multiplexer) => void multiplexer.waitSync(20)],
] as const) {
  test(`truth 35: polling_a_multiplexer_from_its_own_handler_throws (${how})`, async (t) => {
    using multiplexer = new Multiplexer()
    const refusals: unknown[] = []
    const received: string[] = []
    let depth = 0
    const server = listen({
      host: '127.0.0.1',
      multiplexer,
      socket: {
        data(_, chunk) {
          depth++
          t.is(depth, 1, 'handlers do not nest')
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
    t.deepEqual(multiplexer.poll(), [], 'it can be polled afterwards')
  })
}

test('truth 36: a_refused_add_frees_its_slot', (t) => {
  const plex = native.openMultiplexer(() => {})
  t.teardown(() => native.closeMultiplexer(plex))
  // EPERM, for a descriptor that epoll cannot watch, is rolled back in the same way as ENOSPC and ENOMEM.
  const directory = openSync('/', 'r')
  t.teardown(() => closeSync(directory))
  const results = Array.from({ length: 5000 }, () => native.addDescriptor(plex, directory, 1, 0))
  t.deepEqual(new Set(results), new Set([-constants.errno.EPERM]))
  const handle = native.addDescriptor(plex, testListener(t).fd, 1, 0)
  // A handle is a slot above nine bits of generation.
  t.true(handle >= 0 && handle >>> 9 < 1000, `slot ${handle >>> 9}`)
  t.is(native.remove(plex, handle), 0)
})
