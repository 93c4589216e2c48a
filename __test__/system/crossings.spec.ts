// How often JavaScript and the addon call each other: a call costs 30 to 450 ns, and so they are counted.

import { CALLBACK, crossingsOf, startCounting, stopCounting } from '../support/crossings.js'

import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { type Connection, Listener, Multiplexer, Socket, connect } from 'm-socket'
import { type Socket as NetSocket, createServer } from 'm-socket/net'

import { closeAtEnd, connectedPair, inetAddressOf, resetAtEnd } from '../support/pair.js'
import { ON_NODE } from '../support/runtime.js'
import { connectSocket, testServer, withResolvers } from '../support/server.js'
import { receiveToEnd } from '../support/waiting.js'

/** Bun and Deno load an addon in other ways. */
const testOnNode = ON_NODE ? test.serial : test.serial.skip

const IDLE_TIMEOUT = 60_000
const BUFFER = new Uint8Array(64)

/** Resolves in the closing phase of the next turn of Node's loop at the earliest: what a batch does has been done. */
function nextTurns(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}

/** After a batch of several events the poller polls again. */
function polledAgain(events: number): string[] {
  return events > 1 ? [CALLBACK, 'wait'] : []
}

/** A connection of a server with an idle timeout, and its peer. */
async function servedConnection(t: ExecutionContext): Promise<{ connection: Connection; peer: Socket }> {
  const { promise, resolve } = withResolvers<Connection>()
  const socket = { open: resolve, data: (connection: Connection, chunk: Buffer) => connection.write(chunk) }
  const server = testServer(t, { idleTimeout: IDLE_TIMEOUT, socket })
  const peer = connectSocket(t, server)
  const connection = await promise
  await nextTurns()
  return { connection, peer }
}

for (const count of [1, 10]) {
  testOnNode(`a_server_accepts_${count}`, async (t) => {
    const { promise, resolve } = withResolvers()
    let opened = 0
    const open = () => void (++opened === count && resolve())
    const server = testServer(t, { idleTimeout: IDLE_TIMEOUT, socket: { open, data() {} } })
    await nextTurns()
    for (let index = 0; index < count; index++) connectSocket(t, server)
    startCounting()
    await promise
    await nextTurns()
    t.deepEqual(stopCounting(), [CALLBACK, 'wait', 'flushCorked', ...polledAgain(count)])
  })

  testOnNode(`a_server_of_the_net_module_accepts_${count}`, async (t) => {
    const { promise, resolve } = withResolvers()
    let opened = 0
    const server = createServer({ noDelay: true }, (stream) => {
      stream.resume().on('error', () => {})
      if (++opened === count) resolve()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    await nextTurns()
    const { port } = server.address() as { port: number }
    for (let index = 0; index < count; index++) resetAtEnd(t, Socket.connect({ port }))
    startCounting()
    await promise
    await nextTurns()
    t.deepEqual(stopCounting(), [CALLBACK, 'wait', 'flushCorked', ...polledAgain(count)])
  })
}

testOnNode('a_wait_by_promise', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  const send = () => setImmediate(() => client.send('x'))
  send()
  await multiplexer.wait()
  server.receive(BUFFER)
  for (let round = 0; round < 3; round++) {
    send()
    await multiplexer.wait()
    server.receive(BUFFER)
    // The first of these is that of the sender.
    const waited = multiplexer.wait()
    send()
    startCounting()
    await waited
    server.receive(BUFFER)
    const next = multiplexer.wait()
    await nextTurns()
    const counted = stopCounting()
    t.deepEqual(counted, ['send', CALLBACK, 'wait', 'receive'])
    send()
    await next
    server.receive(BUFFER)
  }
})

testOnNode('a_batch_that_wrote', async (t) => {
  const { peer } = await servedConnection(t)
  peer.send('x')
  startCounting()
  await nextTurns()
  t.deepEqual(stopCounting(), [CALLBACK, 'wait', 'write', 'flushCorked'])
})

testOnNode('an_end_with_data_and_an_idle_timeout', async (t) => {
  const { connection, peer } = await servedConnection(t)
  const counted = crossingsOf(() => t.is(connection.end('bye'), 3))
  t.deepEqual(counted, ['end', 'setInterest'])
  t.is((await receiveToEnd(peer)).toString(), 'bye')
})

testOnNode('tryWrite', async (t) => {
  const { connection } = await servedConnection(t)
  const counted = crossingsOf(() => t.is(connection.tryWrite('hello'), 5))
  t.deepEqual(counted, ['tryWrite'])
})

testOnNode('a_connect_by_name', async (t) => {
  const listener = closeAtEnd(t, Listener.bind())
  const { port } = inetAddressOf(listener)
  startCounting()
  const connection = await connect({ host: 'localhost', port, socket: { data() {} } })
  const counted = stopCounting()
  t.teardown(() => connection.terminate())
  // Of the attempt that won: without IPv6 another one has failed before.
  const attempt = counted.slice(counted.lastIndexOf('open'))
  const ofBatch = [CALLBACK, 'wait', 'flushCorked']
  t.deepEqual(
    attempt.filter((name) => !ofBatch.includes(name)),
    ['open', 'setOption', 'connect', 'add', 'state', 'modify'],
  )
})

testOnNode('a_close', async (t) => {
  const { promise, resolve } = withResolvers()
  const server = testServer(t, { socket: { data() {}, close: () => resolve() } })
  const peer = connectSocket(t, server)
  await nextTurns()
  peer.close()
  startCounting()
  await promise
  await nextTurns()
  const counted = stopCounting()
  t.deepEqual(counted, [CALLBACK, 'wait', 'receive', 'localAddress', 'remoteAddress', 'totals', 'close', 'flushCorked'])
})

testOnNode('a_close_in_the_net_module', async (t) => {
  const accepted = withResolvers<NetSocket>()
  const server = createServer((stream) => accepted.resolve(stream.resume())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const peer = resetAtEnd(t, Socket.connect({ port }))
  const stream = await accepted.promise
  await nextTurns()
  peer.close()
  startCounting()
  await once(stream, 'close')
  const counted = stopCounting().filter((name) => name !== CALLBACK && name !== 'openClosingPhase')
  // A stream that is not read any more is not watched for input; then its half ends, and both do.
  const ending = ['modify', 'flushCorked', 'end', 'totals', 'discard', 'requestClosingPhase']
  t.deepEqual(counted.slice(0, 8), ['wait', 'receive', ...ending])
})
