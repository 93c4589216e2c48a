// Ends, resets and failures that come at odd times.

import { text } from 'node:stream/consumers'

import test from 'ava'
import { Socket, adopt, relay, toNetSocket, toWeb } from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { runModule } from '../support/child.js'
import { connectionPair } from '../support/connection-pair.js'
import { addressOf } from '../support/pair.js'
import { sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

const FAMILIES = ['IPv4', 'unix'] as const

for (const family of FAMILIES) {
  test(`an_end_behind_what_a_read_found_waiting_closes_the_connection: ${family}`, async (t) => {
    const { connection, accepted, server } = await connectionPair(t, { family, server: { socket: { data: () => {} } } })
    accepted.write('220 hello\nrest')
    await sleep(20)
    t.is((await connection.readUntil('\n')).toString(), '220 hello\n')
    t.is((await connection.readExactly(4)).toString(), 'rest')
    connection.end()
    await until(() => server.connections === 0 && connection.state === 'closed')
    t.pass()
  })

  test(`a_read_that_a_data_handler_begins_gets_all_that_follows: ${family}`, async (t) => {
    const sent = Buffer.from(Uint32Array.from({ length: 500_000 }, (_, index) => index).buffer)
    let at = 0
    let rest: Promise<Buffer> | undefined
    const { connection } = await connectionPair(t, {
      family,
      server: { socket: { open: async (it) => void (await it.writeAll(sent), it.end()) } },
      client: {
        socket: {
          data(it, chunk) {
            t.is(rest, undefined)
            at += chunk.length
            if (at > 2048) rest = it.readExactly(sent.length - at)
          },
        },
      },
    })
    for (const end = performance.now() + 50; performance.now() < end;);
    await until(() => rest !== undefined)
    t.true((await rest!).equals(sent.subarray(at)))
    connection.terminate()
  })

  test(`unread_bytes_in_front_of_an_end_are_read_after_attach: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family, server: { allowHalfOpen: true } })
    connection.end(Buffer.alloc(300_000, 'x'))
    await t.throwsAsync(accepted.readExactly(400_000), { code: 'ERR_UNEXPECTED_END' })
    const adopted = adopt(Socket.attach(accepted.detach()), { allowHalfOpen: true })
    let read = 0
    for await (const chunk of adopted) {
      read += chunk.length
      await new Promise(setImmediate)
    }
    t.is(read, 300_000)
    adopted.end()
  })
}

test('the_signal_of_a_read_that_is_refused_concerns_no_other_read', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const [first, second] = [new AbortController(), new AbortController()]
  const read = connection.readExactly(4, { signal: first.signal })
  await t.throwsAsync(connection.readExactly(4, { signal: second.signal }), { code: 'ERR_INVALID_STATE' })
  second.abort()
  accepted.write('1234')
  t.is((await read).toString(), '1234')
  const next = connection.readExactly(4, { signal: first.signal })
  first.abort()
  await t.throwsAsync(next, { name: 'AbortError' })
})

for (const state of ['read by a handler', 'paused', 'read by promises'] as const) {
  test(`a_reset_behind_the_peers_end_is_an_error: ${state}`, async (t) => {
    const reasons: (string | undefined)[] = []
    const { connection, accepted } = await connectionPair(t, {
      server: {
        allowHalfOpen: true,
        socket: {
          ...(state === 'read by promises' ? {} : { data: () => {} }),
          error: (_, error) => void reasons.push((error as NodeJS.ErrnoException).code),
          close: (_, error) => void reasons.push((error as NodeJS.ErrnoException).code),
        },
      },
      client: { allowHalfOpen: true },
    })
    connection.end()
    if (state === 'read by promises') t.is(await accepted.read(Buffer.alloc(1)), null)
    else await until(() => accepted.socket!.readEnded)
    if (state === 'paused') accepted.pause()
    connection.terminate()
    await until(() => reasons.length === 2)
    // Linux: EPIPE, for a reset in CLOSE-WAIT.
    t.regex(reasons.join(), /^(EPIPE|ECONNRESET),(EPIPE|ECONNRESET)$/)
  })
}

test('what_waits_for_a_connect_that_fails_is_rejected_with_the_reason', async (t) => {
  const listener = await blackhole(t, '127.0.0.1')
  const refused = { code: 'ECONNREFUSED' }
  const connection = adopt(Socket.connect(addressOf(listener)), {})
  connection.write('x')
  const waiting = [connection.drained(), connection.writeAll(Buffer.alloc(1_000_000)), connection.read(Buffer.alloc(1))]
  const outcomes = waiting.map((promise) => t.throwsAsync(promise as Promise<unknown>, refused))
  const web = toWeb(adopt(Socket.connect(addressOf(listener)), {}))
  outcomes.push(t.throwsAsync(web.closed, refused))
  listener.close()
  await Promise.all(outcomes)
})

test('a_relayed_connection_has_no_idle_timeout', async (t) => {
  const [one, other] = [await connectionPair(t), await connectionPair(t)]
  const relayed = relay(one.accepted, other.accepted)
  one.accepted.timeout(20)
  await sleep(300)
  one.connection.end('x')
  t.is(await text(other.connection), 'x')
  other.connection.end()
  t.deepEqual(await relayed, { aToB: 1, bToA: 0 })
})

test('drained_is_rejected_where_the_queue_is_lost', async (t) => {
  const outcome: Promise<unknown>[] = []
  const { connection, accepted } = await connectionPair(t, {
    server: { sendQueueLimit: 20_000_000, socket: { data: () => {}, error: (it) => void outcome.push(it.drained()) } },
  })
  accepted.write(Buffer.alloc(20_000_000))
  connection.terminate()
  await until(() => outcome.length === 1)
  await t.throwsAsync(outcome[0]!, { code: 'ERR_SOCKET_CLOSED' })
})

test('the_socket_of_Node_that_a_connection_becomes_in_its_end_handler_stays_open', async (t) => {
  const { connection } = await connectionPair(t, {
    server: {
      allowHalfOpen: true,
      socket: {
        data: () => {},
        end(it) {
          const own = toNetSocket(it, { allowHalfOpen: true })
          setTimeout(() => own.end('answer'), 20)
        },
      },
    },
    client: { allowHalfOpen: true },
  })
  connection.end('question')
  t.is(await text(connection), 'answer')
})

/** A program with a list that throws; it prints what is uncaught, and what each of two clients has met. */
const BROKEN_LIST = `
  import { once } from 'node:events'
  import net, { BlockList } from 'node:net'
  import { listen } from 'm-socket'
  process.on('uncaughtException', ({ message }) => console.log(message))
  class Broken extends BlockList { check() { throw new Error('check') } }
  let received = ''
  const good = listen({ host: '127.0.0.1', socket: { data: (_, chunk) => { received += chunk } } })
  const proxyProtocol = { mode: 'require', from: new Broken() }
  const proxied = listen({ host: '127.0.0.1', proxyProtocol, socket: { data() {} } })
  const [client, peer] = [good, proxied].map(({ port }) => net.connect(port, '127.0.0.1'))
  const [error] = await once(peer, 'error')
  for (let count = 1; count <= 3; count++) {
    client.write('abc')
    while (received.length < 3 * count) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  console.log(error.code, received)
  client.destroy()
  good.stop(true)
  proxied.stop(true)
`

test('a_list_of_trusted_peers_that_throws_concerns_its_peer_alone', async (t) => {
  const { code, stdout, stderr } = await runModule(t, BROKEN_LIST)
  t.is(code, 0, stderr)
  t.is(stdout, 'check\nECONNRESET abcabcabc\n')
})
