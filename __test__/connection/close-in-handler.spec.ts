import test from 'ava'
import { type Connection, Multiplexer, connect, listen } from 'm-socket'

import { closeAtEnd } from '../support/pair.js'
import { waitUntil } from '../support/waiting.js'

test('close_in_a_handler_opens_what_the_batch_has_accepted', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const opened: Connection[] = []
  let closed: Promise<void> | undefined
  const server = listen({
    host: '127.0.0.1',
    multiplexer,
    socket: {
      open: (connection) => void opened.push(connection),
      data: (connection, chunk) => {
        connection.write(chunk)
        closed ??= server.close()
      },
    },
  })
  t.teardown(() => server.stop(true))
  const to = { host: '127.0.0.1', port: server.port! }
  const first = await connect(to)
  t.teardown(() => first.terminate())
  await waitUntil(multiplexer, () => opened.length === 1)
  first.write('close')
  const others = await Promise.all([connect(to), connect(to), connect(to)])
  await waitUntil(multiplexer, () => server.address === undefined)
  t.is(opened.length, 4)
  const answers = others.map((client) => {
    client.end('x')
    return client.read(Buffer.alloc(1))
  })
  first.end()
  await waitUntil(multiplexer, () => server.connections === 0)
  t.deepEqual(await Promise.all(answers), [1, 1, 1])
  await closed
})
