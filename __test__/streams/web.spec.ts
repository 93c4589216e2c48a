import test, { type ExecutionContext } from 'ava'
import { type Connection, SocketClosedError, type WebStreams, connect, listen, toWeb } from 'm-socket'

/** Web streams over the client's side of a connection, and the server's side. */
async function streams(t: ExecutionContext): Promise<{ accepted: Connection; web: WebStreams; port: number }> {
  const server = listen({ host: '127.0.0.1', allowHalfOpen: true, sendQueueLimit: 1000, receiveBufferSize: 4096 })
  t.teardown(() => server.stop(true))
  const next = server[Symbol.asyncIterator]().next()
  const connection = await connect({
    host: '127.0.0.1',
    port: server.port!,
    sendBufferSize: 4096,
    sendQueueLimit: 1000,
    allowHalfOpen: true,
  })
  t.teardown(() => connection.terminate())
  return { accepted: (await next).value!, web: toWeb(connection), port: server.port! }
}

async function readAll(connection: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of connection) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('bytes_flow_both_ways_and_closed_resolves_after_both_ends', async (t) => {
  const { accepted, web } = await streams(t)
  const writer = web.writable.getWriter()
  await writer.write('hello ')
  await writer.write(Buffer.from('world'))
  await writer.close()
  t.is((await readAll(accepted)).toString(), 'hello world')
  accepted.end('answer')
  const decoded: string[] = []
  for await (const chunk of web.readable) decoded.push(Buffer.from(chunk).toString())
  t.is(decoded.join(''), 'answer')
  await web.closed
})

test('a_byob_reader_reads_into_its_own_buffer', async (t) => {
  const { accepted, web } = await streams(t)
  accepted.end('abcdef')
  const reader = web.readable.getReader({ mode: 'byob' })
  const first = await reader.read(new Uint8Array(4))
  t.is(Buffer.from(first.value!).toString(), 'abcd')
  const second = await reader.read(new Uint8Array(4))
  t.is(Buffer.from(second.value!).toString(), 'ef')
  t.true((await reader.read(new Uint8Array(4))).done)
})

test('a_write_resolves_when_the_connection_has_accepted_it', async (t) => {
  const { accepted, web } = await streams(t)
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => at % 251))
  const writer = web.writable.getWriter()
  let done = false
  const writing = writer.write(bytes).then(() => (done = true))
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.false(done)
  void writing.then(() => writer.close())
  t.true((await readAll(accepted)).equals(bytes))
  t.true(await writing)
})

test('opened_resolves_with_both_addresses', async (t) => {
  const { accepted, port, web } = await streams(t)
  t.deepEqual(await web.opened, {
    localAddress: `127.0.0.1:${accepted.remotePort}`,
    remoteAddress: `127.0.0.1:${port}`,
  })
})

test('close_ends_both_halves_after_the_written_data', async (t) => {
  const { accepted, web } = await streams(t)
  await web.writable.getWriter().write('last')
  const reading = web.readable.getReader().read()
  await web.close()
  t.true((await reading).done)
  t.is((await readAll(accepted)).toString(), 'last')
})

test('a_reset_rejects_reads_writes_and_closed', async (t) => {
  const { accepted, web } = await streams(t)
  const writing = web.writable.getWriter().write(Buffer.alloc(5_000_000))
  accepted.terminate()
  await t.throwsAsync(web.readable.getReader().read(), { code: 'ECONNRESET' })
  await t.throwsAsync(writing, { code: 'ECONNRESET' })
  await t.throwsAsync(web.closed, { code: 'ECONNRESET' })
})

test('aborting_the_writable_resets_the_connection', async (t) => {
  const { accepted, web } = await streams(t)
  await web.writable.abort()
  await t.throwsAsync(accepted.read(Buffer.alloc(1)), { code: 'ECONNRESET' })
})

test('toWeb_refuses_anything_but_an_open_unused_connection', async (t) => {
  t.throws(() => toWeb({} as never), { code: 'ERR_INVALID_ARG_TYPE' })
  const { accepted } = await streams(t)
  toWeb(accepted)
  t.throws(() => toWeb(accepted), { code: 'ERR_INVALID_STATE' })
  accepted.terminate()
  t.throws(() => toWeb(accepted), { instanceOf: SocketClosedError })
})
