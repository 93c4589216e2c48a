import { once } from 'node:events'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  type Handlers,
  type Server,
  type ServerOptions,
  SocketClosedError,
  connect,
  listen,
  toDuplex,
} from 'm-socket'

import { until } from '../support/waiting.js'

/** A server and one connection to it, both terminated at the end of the test. */
async function connected(
  t: ExecutionContext,
  server: Handlers | ServerOptions<undefined> = {},
  client: Handlers = {},
): Promise<{ accepted: Connection; connection: Connection; server: Server }> {
  const options = 'socket' in server || 'sendQueueLimit' in server ? server : { socket: server as Handlers }
  const listening = listen({ host: '127.0.0.1', port: 0, ...options })
  t.teardown(() => listening.stop(true))
  const next = listening[Symbol.asyncIterator]().next()
  const connection = await connect({ host: '127.0.0.1', port: listening.port!, socket: client })
  t.teardown(() => connection.terminate())
  return { accepted: (await next).value!, connection, server: listening }
}

test('read_resolves_with_a_length_and_with_null_at_the_end', async (t) => {
  const { accepted, connection } = await connected(t)
  connection.write('hello')
  const into = Buffer.alloc(16)
  t.is(await accepted.read(into), 5)
  t.is(into.toString('utf8', 0, 5), 'hello')
  const later = accepted.read(into)
  connection.end('!')
  t.is(await later, 1)
  t.is(await accepted.read(into), null)
  t.is(await accepted.read(into), null)
})

test('unread_input_stays_in_the_kernel', async (t) => {
  const { accepted, connection } = await connected(t)
  connection.write('early')
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.is(accepted.bytesRead, 0)
  const into = Buffer.alloc(16)
  t.is(await accepted.read(into), 5)
})

test('read_replaces_the_data_and_end_handlers_but_not_close', async (t) => {
  const calls: string[] = []
  const closed = resolvers<number>()
  const { accepted, connection } = await connected(t, {
    data: () => void calls.push('data'),
    end: () => void calls.push('end'),
    close: () => closed.resolve(calls.push('close')),
  })
  const read = accepted.read(Buffer.alloc(1))
  connection.end('xy')
  t.is(await read, 1)
  t.is(await accepted.read(Buffer.alloc(1)), 1)
  t.is(await accepted.read(Buffer.alloc(1)), null)
  await closed.promise
  t.deepEqual(calls, ['close'])
})

test('a_connection_can_write_after_iterating_to_the_peers_end', async (t) => {
  const { accepted, connection } = await connected(t)
  const answer = text(connection)
  connection.end('question')
  let question = ''
  for await (const chunk of accepted) question += chunk.toString()
  t.is(accepted.write(`${question}?`), 9)
  t.is(await answer, 'question?')
})

test('data_before_a_reset_is_read_first', async (t) => {
  const { accepted, connection } = await connected(t)
  connection.tryWrite('last words')
  connection.terminate()
  const into = Buffer.alloc(100)
  t.is(await accepted.read(into), 10)
  await t.throwsAsync(accepted.read(into), { code: 'ECONNRESET' })
  await t.throwsAsync(accepted.read(into), { instanceOf: SocketClosedError })
})

test('terminate_rejects_a_pending_read', async (t) => {
  const { accepted } = await connected(t)
  const read = accepted.read(Buffer.alloc(1))
  accepted.terminate()
  await t.throwsAsync(read, { instanceOf: SocketClosedError })
})

test('invalid_reads_are_refused', async (t) => {
  const { accepted } = await connected(t)
  await t.throwsAsync(accepted.read('into' as never), { code: 'ERR_INVALID_ARG_TYPE' })
  await t.throwsAsync(accepted.read(Buffer.alloc(0)), { code: 'ERR_OUT_OF_RANGE' })
  const pending = accepted.read(Buffer.alloc(1))
  await t.throwsAsync(accepted.read(Buffer.alloc(1)), { code: 'ERR_INVALID_STATE' })
  t.throws(() => toDuplex(accepted), { code: 'ERR_INVALID_STATE' })
  accepted.terminate()
  await t.throwsAsync(pending)
  t.throws(() => toDuplex(accepted), { instanceOf: SocketClosedError })
})

test('a_pending_read_on_a_paused_connection_waits_for_resume', async (t) => {
  const { accepted, connection } = await connected(t)
  accepted.pause()
  const read = accepted.read(Buffer.alloc(8))
  connection.write('later')
  t.is(await Promise.race([read, new Promise((resolve) => setTimeout(resolve, 20, 'nothing'))]), 'nothing')
  accepted.resume()
  t.is(await read, 5)
})

test('a_connection_that_ended_without_reading_drops_input_and_closes', async (t) => {
  const closed = resolvers<Error | undefined>()
  const listening = listen({
    host: '127.0.0.1',
    socket: { open: (it) => void it.end('bye'), close: (_, error) => closed.resolve(error) },
  })
  t.teardown(() => listening.stop(true))
  const client = await connect({ host: '127.0.0.1', port: listening.port! })
  client.end(Buffer.alloc(100_000))
  t.is(await text(client), 'bye')
  t.is(await closed.promise, undefined)
  t.is(listening.connections, 0)
})

test('the_peers_end_is_reported_without_a_data_handler', async (t) => {
  const ended = resolvers()
  const { connection } = await connected(t, { end: () => ended.resolve() })
  connection.end()
  await t.notThrowsAsync(ended.promise)
})

test('truth 23: a_paused_connection_without_unread_input_reports_a_reset_at_once', async (t) => {
  const broken = resolvers<Error>()
  const { accepted, connection } = await connected(t, { data: () => {}, error: (_, error) => broken.resolve(error) })
  accepted.pause()
  connection.terminate()
  t.is(((await broken.promise) as NodeJS.ErrnoException).code, 'ECONNRESET')
})

test('truth 23: a_paused_connection_with_unread_input_reports_a_reset_after_it', async (t) => {
  const calls: string[] = []
  const closed = resolvers()
  const { accepted, connection } = await connected(t, {
    data: (_, chunk) => void calls.push(chunk.toString()),
    error: (_, error) => void calls.push((error as NodeJS.ErrnoException).code!),
    close: () => closed.resolve(),
  })
  accepted.pause()
  connection.tryWrite('data')
  connection.terminate()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.deepEqual(calls, [])
  accepted.resume()
  await closed.promise
  t.deepEqual(calls, ['data', 'ECONNRESET'])
})

test('corked_writes_are_sent_together_when_the_outermost_cork_ends', async (t) => {
  const { accepted, connection } = await connected(t)
  const returned = connection.cork(() => {
    connection.write('a')
    connection.cork(() => connection.write('b'))
    t.is(connection.bytesWritten, 0)
    return connection.write('c')
  })
  t.is(returned, 1)
  t.is(connection.bytesWritten, 3)
  const into = Buffer.alloc(8)
  t.is(await accepted.read(into), 3)
  t.throws(
    () =>
      connection.cork(() => {
        connection.write('d')
        throw new RangeError('mine')
      }),
    { instanceOf: RangeError },
  )
  t.is(await accepted.read(into), 1)
})

test('toDuplex_takes_over_a_connection_and_close_is_still_called', async (t) => {
  const calls: string[] = []
  const closed = resolvers<Error | undefined>()
  const { accepted, connection, server } = await connected(t, {
    data: () => void calls.push('data'),
    end: () => void calls.push('end'),
    close: (_, error) => closed.resolve(error),
  })
  const stream = toDuplex(accepted)
  t.is(stream.socket, accepted.socket!)
  t.throws(() => toDuplex(accepted), { code: 'ERR_INVALID_STATE' })
  stream.pipe(stream)
  connection.end('through the stream')
  t.is(await text(connection), 'through the stream')
  t.is(await closed.promise, undefined)
  t.deepEqual(calls, [])
  t.is(server.connections, 0)
})

test('close_and_stop_of_a_server_reach_the_duplexes_of_its_connections', async (t) => {
  const { accepted, connection, server } = await connected(t)
  const stream = toDuplex(accepted)
  stream.resume()
  const closing = server.close({ end: true })
  t.is(await text(connection), '')
  await closing
  t.true(stream.writableEnded)

  const other = await connected(t)
  const idle = toDuplex(other.accepted)
  const reading = t.throwsAsync(other.connection.read(Buffer.alloc(1)), { code: 'ECONNRESET' })
  other.server.stop(true)
  await once(idle, 'close')
  t.is(other.server.connections, 0)
  await reading
})

for (const [name, act] of Object.entries<(it: Connection) => void>({
  reload: (it) => it.server!.reload({ socket: {} }),
  pause: (it) => it.pause(),
  resume: (it) => it.resume(),
})) {
  test(`a_stream_over_a_connection_still_reads_and_writes_after_${name}`, async (t) => {
    const { accepted, connection } = await connected(t)
    const stream = toDuplex(accepted)
    const requests: string[] = []
    stream.on('data', (chunk: Buffer) => requests.push(String(chunk)))
    connection.write('one')
    await until(() => requests.length === 1)
    const bytes = Buffer.alloc(16 << 20)
    let isWritten = false
    stream.write(bytes, () => (isWritten = true))
    t.true(stream.socket.queued > 0)
    act(accepted)
    connection.write('two')
    await until(() => requests.length === 2)
    let received = 0
    for await (const chunk of connection) if ((received += chunk.length) === bytes.length) break
    await until(() => isWritten)
  })
}

test('close_receives_the_error_that_destroyed_the_stream', async (t) => {
  const closed = resolvers<Error | undefined>()
  const { accepted } = await connected(t, { close: (_, error) => closed.resolve(error) })
  const stream = toDuplex(accepted)
  stream.on('error', () => {})
  stream.destroy(new RangeError('enough'))
  t.true((await closed.promise) instanceof RangeError)
})

test('a_connection_closes_without_a_reader_and_a_late_read_gives_null', async (t) => {
  const { accepted, connection, server } = await connected(t)
  connection.write('first')
  t.is(await accepted.read(Buffer.alloc(10)), 5)
  accepted.end()
  connection.end()
  await server.close()
  t.is(accepted.readyState, 0)
  t.is(await accepted.read(Buffer.alloc(10)), null)
  for await (const chunk of accepted) t.fail(chunk.toString())
})

/** Promise.withResolvers, which Node 20 lacks. */
function resolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((fulfill) => (resolve = fulfill))
  return { promise, resolve }
}
