import { createServer } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { type Connection, Listener, Multiplexer, Socket, type SocketOptions, listen, toDuplex } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { closeAtEnd, connectedPair, testListener } from '../support/pair.js'

// A call that throws for its arguments has done nothing.

const BAD: readonly [args: unknown[], code: string][] = [
  [[42], 'ERR_INVALID_ARG_TYPE'],
  [[null], 'ERR_INVALID_ARG_TYPE'],
  [[{}], 'ERR_INVALID_ARG_TYPE'],
  [[Buffer.alloc(5), 6], 'ERR_OUT_OF_RANGE'],
  [[Buffer.alloc(5), 1, 5], 'ERR_OUT_OF_RANGE'],
  [[Buffer.alloc(5), -1], 'ERR_OUT_OF_RANGE'],
  [[Buffer.alloc(5), '1'], 'ERR_INVALID_ARG_TYPE'],
]

/** A client whose queue has a limit of 1000 bytes, and a server that reads nothing. */
async function limited(t: ExecutionContext): Promise<{ connection: Connection; accepted: Connection }> {
  return smallBufferConnectionPair(t, {
    server: { socket: { open: (it) => void it.pause() } },
    client: { sendQueueLimit: 1000 },
  })
}

for (const verb of ['end', 'write', 'tryWrite'] as const) {
  test(`${verb}_that_refuses_its_arguments_does_nothing`, async (t) => {
    const { connection } = await limited(t)
    for (const [args, code] of BAD) t.throws(() => (connection[verb] as (...all: unknown[]) => void)(...args), { code })
    t.is(connection.readyState, 1)
    t.is(connection.socket!.sendQueueLimit, 1000)
    const size = 64 << 20
    t.true(connection.write(Buffer.alloc(size)) < size)
    t.true(connection.socket!.queued <= 1000)
  })
}

test('end_takes_its_data_whole_and_leaves_the_limit_as_it_was', async (t) => {
  const { connection, accepted } = await limited(t)
  const bytes = Buffer.from(Array.from({ length: 5_000_000 }, (_, at) => at % 251))
  connection.socket!.sendQueueLimit = 3000
  t.is(connection.end(bytes, 3), bytes.length - 3)
  t.is(connection.socket!.sendQueueLimit, 3000)
  const chunks: Buffer[] = []
  for await (const chunk of accepted.resume()) chunks.push(chunk)
  t.true(Buffer.concat(chunks).equals(bytes.subarray(3)))
})

test('end_of_a_connection_that_broke_leaves_the_limit_as_it_was', async (t) => {
  const { connection, accepted } = await limited(t)
  accepted.terminate()
  const { socket } = connection
  // Until send(2) meets the reset.
  while (connection.tryWrite('x') >= 0) await new Promise((resolve) => setTimeout(resolve, 1))
  connection.end(Buffer.alloc(5000))
  t.true(socket!.fd < 0 || socket!.sendQueueLimit === 1000)
})

/** Options of which the last one is refused by the kernel, and what the others are before. */
const REFUSED: SocketOptions = {
  sendBufferSize: 30_000,
  receiveBufferSize: 40_000,
  keepAlive: { idle: 5000 },
  linger: 5000,
  maxSegment: 1000,
  notSentLowWater: 5,
  congestion: 'nonesuch',
}
const NAMES = Object.keys(REFUSED) as (keyof SocketOptions & Parameters<Socket['getOption']>[0])[]
const optionsOf = (source: Listener | Socket): unknown[] =>
  [...NAMES, 'noDelay' as const].map((it) => source.getOption(it))

test('a_listener_keeps_its_options_when_listen_refuses_it', (t) => {
  const listener = testListener(t)
  const before = optionsOf(listener)
  t.throws(() => listen({ listener, ...REFUSED }), { code: 'ENOENT' })
  t.throws(() => listen({ listener, linger: 5000, freeBind: true }), { code: 'ERR_INVALID_STATE' })
  t.deepEqual(optionsOf(listener), before)
  const multiplexer = closeAtEnd(t, new Multiplexer(listener))
  t.throws(() => listen({ listener, linger: 5000, keepAlive: true }), { code: 'EEXIST' })
  t.deepEqual(optionsOf(listener), before)
  multiplexer.remove(listener)
  const server = listen({ listener, linger: 5000 })
  t.is(listener.getOption('linger'), 5000)
  server.stop()
})

test('a_descriptor_keeps_its_options_when_it_is_refused', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  if (fd === undefined || fd < 0) return t.pass('this runtime does not show the descriptor')
  t.throws(() => listen({ fd, ...REFUSED }), { code: 'ENOENT' })
  t.throws(() => Listener.bind({ fd, ...REFUSED }), { code: 'ENOENT' })
  const listener = Listener.bind({ fd })
  const { linger, keepAlive } = { linger: listener.getOption('linger'), keepAlive: listener.getOption('keepAlive') }
  listener.detach()
  t.deepEqual([linger, keepAlive], [false, false])
})

test('keepAlive_with_a_bad_number_changes_none_of_them', async (t) => {
  const { client } = await connectedPair(t)
  client.setOption('keepAlive', { idle: 7000, interval: 8000, count: 9 })
  const before = client.getOption('keepAlive')
  for (const bad of [
    { idle: 1000, count: 'x' },
    { idle: 1000, interval: -1 },
    { idle: 1000, count: 1000 },
    { idle: 1000, many: 1 },
  ]) {
    t.throws(() => client.setOption('keepAlive', bad as never))
    t.deepEqual(client.getOption('keepAlive'), before)
  }
})

test('a_connection_is_as_it_was_when_toDuplex_refuses_its_options', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  t.throws(() => toDuplex(connection, { highWaterMark: -5 }), { code: 'ERR_OUT_OF_RANGE' })
  accepted.end('answer')
  let got = ''
  for await (const chunk of toDuplex(connection)) got += chunk
  t.is(got, 'answer')
})
