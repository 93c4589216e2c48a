import test, { type ExecutionContext } from 'ava'
import { type Connection, type WebStreams, toWeb } from 'm-socket'

import { smallBufferConnectionPair } from '../support/connection-pair.js'
import { until } from '../support/waiting.js'

interface Streams {
  readonly web: WebStreams
  readonly connection: Connection
  readonly accepted: Connection
}

/** Web streams over the client's side; the server's side is paused. */
async function streams(t: ExecutionContext): Promise<Streams> {
  const options = { allowHalfOpen: true, sendQueueLimit: 1000 }
  const { connection, accepted } = await smallBufferConnectionPair(t, {
    server: { ...options, socket: { open: (it) => void it.pause() } },
    client: options,
  })
  return { web: toWeb(connection), connection, accepted }
}

const MUCH = new Uint8Array(20_000_000)

/** A write that waits for room, as its outcome. */
async function waitingWrite({ web, connection }: Streams): Promise<{
  writer: WritableStreamDefaultWriter
  written: Promise<unknown>
}> {
  const writer = web.writable.getWriter() as WritableStreamDefaultWriter
  const written = reasonOf(writer.write(MUCH))
  await until(() => connection.socket!.queued > 0)
  return { writer, written }
}

type WritableStreamDefaultWriter = ReturnType<WebStreams['writable']['getWriter']>

/** What a promise is rejected with. */
async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

test('aborting_while_a_write_waits_for_room_rejects_it_and_resets_the_connection', async (t) => {
  const pair = await streams(t)
  const { writer, written } = await waitingWrite(pair)
  const next = reasonOf(writer.write('next'))
  const closed = reasonOf(writer.closed)
  const reason = new Error('given up')
  const aborted = writer.abort(reason)
  t.is(pair.connection.state, 'closed')
  await aborted
  t.is(await written, reason)
  t.is(await next, reason)
  t.is(await closed, reason)
  await pair.web.closed
  await t.throwsAsync(readToEnd(pair.accepted.resume()), { code: 'ECONNRESET' })
})

test('aborting_while_a_close_waits_behind_a_write_resets_the_connection', async (t) => {
  const pair = await streams(t)
  const { writer, written } = await waitingWrite(pair)
  const reason = new Error('given up')
  const closing = reasonOf(writer.close())
  await writer.abort(reason)
  t.is(await written, reason)
  t.is(await closing, reason)
  await t.throwsAsync(readToEnd(pair.accepted.resume()), { code: 'ECONNRESET' })
})

test('aborting_after_the_writable_has_closed_changes_nothing', async (t) => {
  const { web, accepted } = await streams(t)
  const writer = web.writable.getWriter()
  await writer.write('all')
  await writer.close()
  await writer.abort(new Error('too late'))
  t.is((await readToEnd(accepted.resume())).toString(), 'all')
  accepted.end('answer')
  t.is(await textOf(web), 'answer')
})

test('close_rejects_a_write_that_waits_for_room_and_delivers_what_was_taken', async (t) => {
  const pair = await streams(t)
  const { writer, written } = await waitingWrite(pair)
  const closed = pair.web.close()
  t.like(await written, { code: 'ERR_SOCKET_CLOSED' })
  t.like(await reasonOf(writer.closed), { code: 'ERR_SOCKET_CLOSED' })
  const taken = pair.connection.bytesWritten + pair.connection.socket!.queued
  t.is((await readToEnd(pair.accepted.resume())).length, taken)
  await closed
})

test('closing_the_writable_waits_behind_a_write_that_waits_for_room', async (t) => {
  const pair = await streams(t)
  const { writer, written } = await waitingWrite(pair)
  const closing = writer.close()
  t.is((await readToEnd(pair.accepted.resume())).length, MUCH.length)
  t.is(await written, undefined)
  await closing
  await writer.closed
})

test('cancelling_the_readable_ends_a_read_that_is_pending', async (t) => {
  const { web, connection } = await streams(t)
  const reader = web.readable.getReader()
  const reading = reader.read()
  await reader.cancel('enough')
  t.true((await reading).done)
  t.is(connection.state, 'open')
  t.true(connection.socket!.readEnded)
  await web.writable.close()
  await web.closed
})

test('a_reset_is_not_read_as_an_end_and_ends_idle_streams', async (t) => {
  const { web, accepted } = await streams(t)
  const writer = web.writable.getWriter()
  accepted.terminate()
  t.like(await reasonOf(web.closed), { code: 'ECONNRESET' })
  t.like(await reasonOf(writer.closed), { code: 'ECONNRESET' })
  t.like(await reasonOf(web.readable.getReader().read()), { code: 'ECONNRESET' })
})

async function readToEnd(connection: Connection): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of connection) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function textOf({ readable }: WebStreams): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readable) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
