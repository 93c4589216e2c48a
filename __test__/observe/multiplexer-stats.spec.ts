// What a multiplexer counts.

import test from 'ava'
import { Multiplexer } from 'm-socket'

import { closeAtEnd, connectedPair, testListener } from '../support/pair.js'
import { connectSocket, testServer } from '../support/server.js'

test('a_multiplexer_begins_with_zeros', (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  t.deepEqual(multiplexer.stats(), { targets: 0, waits: 0, events: 0, wakeups: 0 })
})

test('targets_are_those_that_it_has_now', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client))
  multiplexer.add({ fd: testListener(t).fd }, 'r')
  multiplexer.add(server)
  t.is(multiplexer.stats().targets, 3)
  multiplexer.remove(client)
  server.close()
  t.is(multiplexer.stats().targets, 1)
  multiplexer.close()
  t.is(multiplexer.stats().targets, 0)
})

test('waits_of_every_kind_and_the_events_that_they_report_are_counted', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(server, 'r')
  let events = multiplexer.poll().length
  t.is(events, 0)
  client.send('x')
  events += (await multiplexer.wait()).length
  events += multiplexer.waitSync().length
  events += multiplexer.waitSync(0, []).length
  for await (const some of multiplexer) {
    events += some.length
    break
  }
  t.deepEqual(multiplexer.stats(), { targets: 1, waits: 5, events, wakeups: 0 })
  t.is(events, 4)
  t.throws(() => multiplexer.waitSync(-1))
  await t.throwsAsync(Promise.all([multiplexer.wait(1000), multiplexer.wait()]), { code: 'ERR_INVALID_STATE' })
  t.is(multiplexer.stats().waits, 6, 'a wait that is refused is none')
})

test('a_wake_is_counted_when_it_ends_a_wait', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.wake()
  multiplexer.wake()
  t.is(multiplexer.stats().wakeups, 0)
  await multiplexer.wait()
  t.deepEqual(multiplexer.stats(), { targets: 0, waits: 1, events: 0, wakeups: 1 })
  multiplexer.wake()
  multiplexer.waitSync()
  const pending = multiplexer.wait()
  multiplexer.wake()
  await pending
  await multiplexer.wait(1)
  multiplexer.close()
  multiplexer.wake()
  t.deepEqual(multiplexer.stats(), { targets: 0, waits: 4, events: 0, wakeups: 3 })
})

test('events_of_handlers_are_counted_too', (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  let chunks = 0
  const server = testServer(t, { multiplexer, socket: { data: () => void chunks++ } })
  t.is(multiplexer.stats().targets, 1)
  const client = connectSocket(t, server)
  while (server.connections === 0) multiplexer.waitSync(1000)
  t.deepEqual({ ...multiplexer.stats(), waits: 0 }, { targets: 2, waits: 0, events: 1, wakeups: 0 })
  client.send('x')
  while (chunks === 0) multiplexer.waitSync(1000)
  t.is(multiplexer.stats().events, 2)
})
