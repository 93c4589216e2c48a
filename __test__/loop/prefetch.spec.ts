// Prefetch: a wait receives the input of a whole batch of connections before it calls their handlers. In these tests a
// handler acts on another connection of the same batch, whose input is prefetched and not reported yet.

import test, { type ExecutionContext } from 'ava'
import { type Connection, Multiplexer, type Socket, toDuplex, toWeb } from 'm-socket'

import { FAMILIES, freeAddress } from '../support/pair.js'
import { connectSocket, testServer } from '../support/server.js'
import { sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

/** Two connections of one batch: the calls of their handlers, in order, and the connection that is reported second. */
interface Batch {
  readonly calls: string[]
  readonly second: Connection<number>
  readonly peers: Socket[]
}

/** Sends to two connections at once; the handler of the one that is reported first acts on the other. */
async function inOneBatch(
  t: ExecutionContext,
  act: (second: Connection<number>) => void,
  options: object = {},
): Promise<Batch> {
  const calls: string[] = []
  const connections: Connection<number>[] = []
  let second: Connection<number> | undefined
  const server = testServer<number>(t, {
    data: 0,
    ...options,
    socket: {
      open: (connection) => void (connection.data = connections.push(connection) - 1),
      data(connection, chunk) {
        calls.push(`${connection === second ? 'second' : 'first'} ${chunk}`)
        if (second) return
        second = connections[1 - connection.data]!
        act(second)
        calls.push('acted')
      },
      end: (connection) => void calls.push(`end ${connection === second ? 'second' : 'first'}`),
      close: (connection) => void calls.push(`close ${connection === second ? 'second' : 'first'}`),
    },
  })
  const peers = [connectSocket(t, server), connectSocket(t, server)]
  await until(() => connections.length === 2)
  for (const peer of peers) peer.send('hello')
  await until(() => calls.includes('acted'))
  return { calls, second: second!, peers }
}

for (const family of FAMILIES) {
  test(`prefetched_input_of_a_paused_connection_waits_for_resume: ${family}`, async (t) => {
    const { calls, second } = await inOneBatch(t, (other) => other.pause(), freeAddress(t, family))
    await sleep(20)
    t.deepEqual(calls, ['first hello', 'acted'])
    t.is(second.bytesRead, 0)
    second.resume()
    await until(() => calls.length > 2)
    t.deepEqual(calls, ['first hello', 'acted', 'second hello'])
    t.is(second.bytesRead, 5)
  })
}

test('prefetched_input_is_reported_once_after_pause_and_resume', async (t) => {
  const { calls } = await inOneBatch(t, (other) => other.pause().resume())
  await sleep(20)
  t.deepEqual(calls, ['first hello', 'acted', 'second hello'])
})

test('later_input_follows_unread_input', async (t) => {
  const { calls, second, peers } = await inOneBatch(t, (other) => other.pause())
  for (const peer of peers) peer.send(' again')
  await until(() => calls.includes('first  again'))
  second.resume()
  const words = (): string => calls.flatMap((it) => /^second (.*)/.exec(it)?.[1] ?? []).join('')
  await until(() => words().length >= 11)
  t.is(words(), 'hello again')
})

test('a_read_into_a_small_buffer_leaves_the_rest_for_the_next_read', async (t) => {
  const { second } = await inOneBatch(t, (other) => other.pause())
  const into = Buffer.alloc(5)
  const reads = [second.read(into.subarray(0, 2))]
  second.resume()
  t.is(await reads[0], 2)
  t.is(await second.read(into.subarray(2)), 3)
  t.is(String(into), 'hello')
})

test('read_returns_prefetched_input', async (t) => {
  const into = new Uint8Array(64)
  let read: Promise<number | null> | undefined
  const { calls } = await inOneBatch(t, (other) => void (read = other.read(into)))
  t.is(await read, 5)
  t.is(Buffer.from(into).toString('utf8', 0, 5), 'hello')
  t.deepEqual(calls, ['first hello', 'acted'])
})

test('an_iteration_begins_with_prefetched_input', async (t) => {
  let next: Promise<IteratorResult<Buffer, void>> | undefined
  await inOneBatch(t, (other) => void (next = other[Symbol.asyncIterator]().next()))
  t.is(String((await next!).value), 'hello')
})

test('toDuplex_and_toWeb_begin_with_prefetched_input', async (t) => {
  const chunks: string[] = []
  await inOneBatch(t, (other) => void toDuplex(other).on('data', (chunk) => chunks.push(String(chunk))))
  await until(() => chunks.length > 0)
  let web: ReadableStreamDefaultReader<Uint8Array> | undefined
  await inOneBatch(t, (other) => void (web = toWeb(other).readable.getReader()))
  chunks.push(Buffer.from((await web!.read()).value!).toString())
  t.deepEqual(chunks, ['hello', 'hello'])
})

test('the_socket_returns_prefetched_input_first', async (t) => {
  const into = Buffer.alloc(64)
  const counts: (number | null)[] = []
  const { calls } = await inOneBatch(t, (other) => {
    const socket = other.socket!
    counts.push(socket.peek(into), socket.receive(into, 0, 2), socket.receive(into, 2), socket.receive(into))
  })
  await sleep(20)
  t.deepEqual(counts, [5, 2, 3, null])
  t.is(into.toString('utf8', 0, 5), 'hello')
  t.deepEqual(calls, ['first hello', 'acted'])
})

test('prefetched_input_is_not_reported_after_a_reset_or_a_shutdown_of_reading', async (t) => {
  const reset = await inOneBatch(t, (other) => other.terminate())
  const shut = await inOneBatch(t, (other) => other.shutdown('read'))
  await sleep(20)
  t.deepEqual(reset.calls, ['first hello', 'acted', 'close second'])
  t.deepEqual(shut.calls, ['first hello', 'acted'])
})

test('handlers_set_by_reload_get_prefetched_input', async (t) => {
  const chunks: string[] = []
  await inOneBatch(t, (other) => other.reload({ socket: { data: (_, chunk) => void chunks.push(String(chunk)) } }))
  t.deepEqual(chunks, ['hello'])
  const later: string[] = []
  const { second } = await inOneBatch(t, (other) => other.reload({ socket: {} }))
  await sleep(20)
  second.reload({ socket: { data: (_, chunk) => void later.push(String(chunk)) } })
  await until(() => later.length > 0)
  t.deepEqual(later, ['hello'])
})

test('input_that_is_not_delivered_yet_is_dropped_when_a_handler_closes_the_multiplexer', async (t) => {
  const multiplexer = new Multiplexer()
  t.teardown(() => multiplexer.close())
  const running = (async () => {
    for await (const _ of multiplexer);
  })()
  const { calls, second } = await inOneBatch(t, () => multiplexer.close(), { multiplexer })
  await running
  await until(() => calls.length === 4)
  t.deepEqual(calls.slice(0, 2), ['first hello', 'acted'])
  t.deepEqual(calls.slice(2).sort(), ['close first', 'close second'])
  t.is(second.bytesRead, 0)
})

test('a_batch_may_fill_the_whole_receive_buffer', async (t) => {
  const COUNT = 40
  const received = new Map<Connection<undefined>, Buffer[]>()
  const failures: Error[] = []
  const server = testServer(t, {
    socket: {
      open: (connection) => void received.set(connection, []),
      data: (connection, chunk) => void received.get(connection)!.push(chunk),
      error: (_, error) => void failures.push(error),
    },
  })
  const peers = Array.from({ length: COUNT }, () => connectSocket(t, server))
  await until(() => received.size === COUNT)
  let total = 0
  for (const size of [2048, 100, 2040, 2048, 5000, 8, 2048, 1]) {
    for (const peer of peers) peer.send(Buffer.alloc(size, `${size}`))
    total += size
    await until(() => failures.length > 0 || [...received.keys()].every((connection) => connection.bytesRead === total))
  }
  t.deepEqual(failures, [])
  const expected = Buffer.concat([2048, 100, 2040, 2048, 5000, 8, 2048, 1].map((size) => Buffer.alloc(size, `${size}`)))
  for (const chunks of received.values()) t.true(Buffer.concat(chunks).equals(expected))
})

test('closing_the_multiplexer_in_a_handler_ends_every_kind_of_wait', async (t) => {
  for (const wait of [
    async (multiplexer: Multiplexer) => void (await multiplexer.wait()),
    async (multiplexer: Multiplexer) => void multiplexer.waitSync(10_000),
    async (multiplexer: Multiplexer) => {
      for await (const _ of multiplexer);
    },
  ]) {
    const multiplexer = new Multiplexer()
    t.teardown(() => multiplexer.close())
    const server = testServer(t, { multiplexer, socket: { data: () => multiplexer.close() } })
    const peers = [connectSocket(t, server), connectSocket(t, server)]
    while (server.connections < 2) await multiplexer.wait(50)
    for (const peer of peers) peer.send('hello')
    await sleep(20)
    await wait(multiplexer)
    await t.throwsAsync(multiplexer.wait(), { code: 'ERR_SOCKET_CLOSED' })
  }
})

test('a_message_as_large_as_a_prefetch_is_reported_whole', async (t) => {
  for (const size of [2047, 2048, 2049, 6000]) {
    const received: Buffer[] = []
    const server = testServer(t, { socket: { data: (_, chunk) => void received.push(Buffer.from(chunk)) } })
    const peer = connectSocket(t, server)
    const message = Buffer.alloc(size, 'abcdefg')
    for (let round = 1; round <= 3; round++) {
      peer.send(message)
      await until(() => Buffer.concat(received).length === round * size)
    }
    t.true(Buffer.concat(received).equals(Buffer.concat([message, message, message])))
  }
})

test('unread_input_is_reported_by_the_next_multiplexer_of_the_socket', async (t) => {
  const multiplexer = new Multiplexer()
  const running = (async () => {
    for await (const events of multiplexer) t.deepEqual(events, [])
  })()
  const { second } = await inOneBatch(t, (other) => other.pause(), { multiplexer })
  await sleep(20)
  multiplexer.remove(second.socket!)
  multiplexer.close()
  await running
  const next = new Multiplexer()
  t.teardown(() => next.close())
  next.add(second.socket!, 'r')
  t.deepEqual(
    next.waitSync(2000).map(({ target, readable }) => [target === second.socket, readable]),
    [[true, true]],
  )
  const into = Buffer.alloc(16)
  t.is(into.toString('utf8', 0, second.socket!.receive(into)!), 'hello')
})
