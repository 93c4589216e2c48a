import type { LookupFunction, NetConnectOpts, Socket } from 'node:net'

import { type Listener } from 'm-socket'
import test from 'ava'
import ourNet from 'm-socket/net'

import { blackhole } from '../support/blackhole.js'
import { errorText, eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

const answers = (...addresses: string[]): LookupFunction =>
  ((_name: string, _options: object, callback: (...args: unknown[]) => void) =>
    process.nextTick(
      callback,
      null,
      addresses.map((address) => ({ address, family: 4 })),
    )) as LookupFunction

/** Of an attempt that never ends, in milliseconds. */
const PATIENCE = 30

const options = (port: number, ...addresses: string[]) =>
  ({
    port,
    host: 'some.name',
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: PATIENCE,
    lookup: answers(...addresses),
  }) as NetConnectOpts

onBoth('an_address_that_does_not_answer_is_followed_by_the_next', async (net, log, { server, track, t }) => {
  const port = portOf(await server((socket) => socket.end('hello')))
  await blackhole(t, '127.0.0.7', port)
  const client = track(net.connect(options(port, '127.0.0.7', '127.0.0.1')))
  logEvents(client, log, { port })
  await eventOf(client, 'close')
  log(client.autoSelectFamilyAttemptedAddresses!.join().replaceAll(String(port), 'PORT'))
})

onBoth('a_timed_out_attempt_and_a_refused_one_are_both_in_the_error', async (net, log, { server, track, t }) => {
  const listening = await server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  await blackhole(t, '127.0.0.8', port)
  const client = track(net.connect(options(port, '127.0.0.8', '127.0.0.1')))
  logEvents(client, log, { port })
  client.on('error', (error) => {
    for (const part of (error as AggregateError).errors) log(errorText(part, port))
  })
  await eventOf(client, 'close')
})

for (const [name, end] of Object.entries({
  destroyed: (client: Socket) => client.destroy(),
  'destroyed with an error': (client: Socket) => client.destroy(new Error('of the program')),
  aborted: (_: Socket, controller: AbortController) => controller.abort(),
})) {
  onBoth(`a_stream_that_is_${name}_during_an_attempt_tries_nothing_more`, async (net, log, { server, track, t }) => {
    const port = portOf(await server(() => log('connected')))
    await blackhole(t, '127.0.0.9', port)
    const controller = new AbortController()
    const client = track(
      net.connect({ ...options(port, '127.0.0.9', '127.0.0.1'), signal: controller.signal } as NetConnectOpts),
    )
    logEvents(client, log, { port })
    client.once('connectionAttempt', () => process.nextTick(() => end(client, controller)))
    await eventOf(client, 'close')
    await new Promise((resolve) => setTimeout(resolve, 2 * PATIENCE))
    log(`${client.destroyed} ${client.connecting}`)
  })
}

test('an_attempt_whose_time_was_up_goes_on_and_may_win', async (t) => {
  const first: Listener = await blackhole(t, '127.0.0.10')
  const { port } = first.address as { port: number }
  const second = await blackhole(t, '127.0.0.11', port)
  t.truthy(second)
  const client = ourNet.connect(options(port, '127.0.0.10', '127.0.0.11'))
  await eventOf(client, 'connectionAttemptTimeout')
  // Room in the first backlog: the kernel sends its next SYN after a second.
  while (first.accept()) void 0
  await eventOf(client, 'connect')
  t.is(client.remoteAddress, '127.0.0.10')
  const closed = eventOf(client, 'close')
  client.destroy()
  await closed
})
