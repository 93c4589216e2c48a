import { text } from 'node:stream/consumers'

import test from 'ava'
import { Multiplexer, Socket, toWeb } from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { FAMILIES, addressOf, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { until } from '../support/waiting.js'

const REFUSED = { code: 'ECONNREFUSED', message: /^connect / }

for (const family of FAMILIES) {
  test(`web_streams_over_a_socket: ${family}`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    server.send('before ')
    const { readable, writable, opened, closed } = toWeb(client)
    const writer = writable.getWriter()
    await writer.write('question')
    await writer.close()
    t.is(await text(toWeb(server).readable), 'question')
    const { localAddress, remoteAddress } = await opened
    t.is(typeof localAddress, 'string')
    t.is(typeof remoteAddress, 'string')
    t.is(await text(readable), 'before ')
    await closed
    t.is(client.state, 'closed')
  })

  test(`web_streams_over_a_socket_that_connects: ${family}`, async (t) => {
    const listener = testListener(t, family)
    const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
    const web = toWeb(client)
    const written = web.writable.getWriter().write('early')
    const server = await accepted(listener)
    await web.opened
    await written
    const bytes = Buffer.alloc(5)
    await until(() => server.receive(bytes) !== null)
    t.is(bytes.toString(), 'early')
    server.close()
    t.is(await text(web.readable), '')
  })
}

async function accepted(listener: ReturnType<typeof testListener>): Promise<Socket> {
  let socket: Socket | null = null
  await until(() => (socket = listener.accept()) !== null)
  return socket!
}

test('web_streams_over_a_socket_that_cannot_connect_fail_with_the_reason', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const web = toWeb(Socket.connect(addressOf(listener)))
  const read = t.throwsAsync(web.readable.getReader().read(), REFUSED)
  const written = t.throwsAsync(web.writable.getWriter().write(new Uint8Array(10_000_000)), REFUSED)
  // The next SYN is refused.
  listener.close()
  await t.throwsAsync(web.opened, REFUSED)
  await t.throwsAsync(web.closed, REFUSED)
  await Promise.all([read, written])
})

test('a_connect_that_has_failed_is_thrown_by_toWeb', (t) => {
  const socket = Socket.connect({ host: '127.0.0.1', port: freePort() })
  t.throws(() => toWeb(socket), REFUSED)
  t.is(socket.state, 'closed')
})

test('a_socket_in_a_multiplexer_has_no_web_streams', async (t) => {
  const { client } = await connectedPair(t)
  using multiplexer = new Multiplexer(client)
  t.throws(() => toWeb(client), { code: 'EEXIST' })
  t.is(multiplexer.stats().targets, 1)
  t.throws(() => toWeb({} as Socket), { code: 'ERR_INVALID_ARG_TYPE', message: /a Socket or a Connection/ })
})
