import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import nodeNet from 'node:net'
import type { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import tls from 'node:tls'

import test, { type ExecutionContext } from 'ava'
import { type Connection, Multiplexer, Socket, toDuplex, toNetSocket } from 'm-socket'
import net from 'm-socket/net'

import { runModule } from '../support/child.js'
import { certificate } from '../support/certificate.js'
import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { openDescriptors } from '../support/descriptors.js'
import {
  FAMILIES,
  type Family,
  addressOf,
  closeAtEnd,
  connectedPair,
  fillSendQueue,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { until } from '../support/waiting.js'

function destroyAtEnd<S extends Duplex>(t: ExecutionContext, socket: S): S {
  t.teardown(() => void socket.destroy())
  return socket
}

/** One of Node's own sockets over each kind of source, and the other end. */
const SOURCES: Record<string, (t: ExecutionContext, family: Family) => Promise<[nodeNet.Socket, Socket]>> = {
  async 'a socket'(t, family) {
    const { client, server } = await connectedPair(t, family)
    return [destroyAtEnd(t, toNetSocket(client)), server]
  },
  async 'a connection'(t, family) {
    const { connection, accepted } = await connectionPair(t, { family })
    return [destroyAtEnd(t, toNetSocket(connection)), accepted.socket!]
  },
  async 'a stream'(t, family) {
    const { client, server } = await connectedPair(t, family)
    return [destroyAtEnd(t, toNetSocket(toDuplex(client))), server]
  },
}

for (const [name, sourceOf] of Object.entries(SOURCES)) {
  for (const family of FAMILIES) {
    test(`Node's_own_socket_is_made_over_${name.replaceAll(' ', '_')}: ${family}`, async (t) => {
      const [own, peer] = await sourceOf(t, family)
      t.is(Object.getPrototypeOf(own), nodeNet.Socket.prototype)
      const streamOfPeer = destroyAtEnd(t, toNetSocket(peer, { allowHalfOpen: true }))
      own.write('there')
      t.is(String((await once(streamOfPeer, 'data'))[0]), 'there')
      streamOfPeer.end('and back')
      t.is(await text(own), 'and back')
      await once(streamOfPeer, 'close')
      t.true(own.destroyed)
    })
  }
}

test('what_was_received_and_not_read_is_read_first', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('one two ')
  const first = new Uint8Array(4)
  await until(() => client.receive(first) === 4)
  ;(client as unknown as { unread(bytes: Uint8Array): void }).unread(first)
  const own = destroyAtEnd(t, toNetSocket(client))
  server.send('three')
  server.shutdown('write')
  t.is(await text(own), 'one two three')
})

test('what_a_stream_has_received_and_not_delivered_is_read_first', async (t) => {
  const { client, server } = await connectedPair(t)
  const stream = toDuplex(client)
  server.send('one ')
  await until(() => stream.readableLength === 4)
  const own = destroyAtEnd(t, toNetSocket(stream))
  server.send('two')
  server.shutdown('write')
  t.is(await text(own), 'one two')
  t.true(stream.destroyed)
})

test('what_is_queued_is_sent_first_and_the_end_behind_it', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const accepted = fillSendQueue(client)
  client.shutdown('write')
  const own = destroyAtEnd(t, toNetSocket(client))
  const received = await buffer(toNetSocket(server))
  t.is(received.length, accepted)
  t.true(own.writableFinished)
})

test('what_a_connection_has_queued_is_sent_before_what_is_written_later', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t, { client: { sendQueueLimit: 1_000_000 } })
  const first = Buffer.alloc(500_000, 'a')
  t.is(connection.write(first), first.length)
  t.true(connection.socket!.queued > 0)
  const own = destroyAtEnd(t, toNetSocket(connection))
  own.end('b')
  const received = await buffer(toNetSocket(accepted))
  t.is(received.length, first.length + 1)
  t.is(received.at(-1), 'b'.charCodeAt(0))
})

test('the_source_is_closed_and_nothing_is_closed_with_it', async (t) => {
  const { client, server } = await connectedPair(t)
  const { fd } = client
  const inode = openDescriptors().get(fd)
  const own = destroyAtEnd(t, toNetSocket(client))
  t.is(client.state, 'closed')
  client.close()
  client.reset()
  t.is(openDescriptors().get(fd), inode)
  own.write('x')
  await until(() => server.receive(new Uint8Array(1)) === 1)
  own.destroy()
  await once(own, 'close')
  t.not(openDescriptors().get(fd), inode)
})

test('a_connection_calls_close_when_the_socket_of_Node_closes', async (t) => {
  const log: unknown[] = []
  const { connection, accepted } = await connectionPair(t, {
    client: { socket: { data: () => void log.push('data'), close: (_, error) => void log.push(error) } },
  })
  const { remoteAddress } = connection
  const own = toNetSocket(connection)
  accepted.write('x')
  await once(own, 'data')
  t.deepEqual(log, [])
  t.is(connection.write('y'), -1)
  own.destroy()
  await until(() => log.length > 0)
  t.deepEqual(log, [undefined])
  t.is(connection.remoteAddress, remoteAddress)
})

test('a_connection_that_is_terminated_destroys_the_socket_of_Node', async (t) => {
  const { connection } = await connectionPair(t)
  const own = toNetSocket(connection)
  connection.terminate()
  await once(own, 'close')
  t.true(own.destroyed)
})

test("a_socket_of_Node's_own_is_returned_as_it_is", (t) => {
  const socket = new nodeNet.Socket()
  t.is(toNetSocket(socket), socket)
})

test('half_open_connections_stay_so', async (t) => {
  const { client, server } = await connectedPair(t)
  const own = destroyAtEnd(t, toNetSocket(client, { allowHalfOpen: true }))
  server.shutdown('write')
  await once(own.resume(), 'end')
  own.end('late')
  t.is(await text(toNetSocket(server)), 'late')
})

test('a_reset_reaches_the_socket_of_Node', async (t) => {
  const { client, server } = await connectedPair(t)
  const own = destroyAtEnd(t, toNetSocket(client))
  server.reset()
  const [error] = (await once(own, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ECONNRESET')
})

test('Node_keeps_running_for_a_referenced_socket_only', async (t) => {
  const { stdout } = await runModule(
    t,
    `import { Listener, Socket, toNetSocket } from 'm-socket'
     const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
     const client = Socket.connect({ host: '127.0.0.1', port: listener.address.port })
     for await (const accepted of listener) {
       toNetSocket(accepted).unref()
       break
     }
     const own = toNetSocket(client)
     setImmediate(() => { console.log('alive'); setImmediate(() => own.unref()) })`,
  )
  t.is(stdout, 'alive\n')
})

/** Each is refused, and what it was goes on. */
const REFUSED: Record<
  string,
  [(t: ExecutionContext) => Promise<[unknown, () => void]> | [unknown, () => void], object]
> = {
  'a socket in a multiplexer': [
    async (t) => {
      const { client } = await connectedPair(t)
      const multiplexer = closeAtEnd(t, new Multiplexer(client))
      return [client, () => t.is(multiplexer.poll().length, 1)]
    },
    { code: 'EEXIST' },
  ],
  'a closed socket': [
    async (t) => {
      const { client } = await connectedPair(t)
      client.close()
      return [client, () => t.is(client.state, 'closed')]
    },
    { code: 'ERR_SOCKET_CLOSED' },
  ],
  'a socket that was given up already': [
    async (t) => {
      const { client } = await connectedPair(t)
      const own = destroyAtEnd(t, toNetSocket(client))
      return [client, () => t.false(own.destroyed)]
    },
    { code: 'ERR_SOCKET_CLOSED' },
  ],
  'a socket that closes': [
    async (t) => {
      const { client, server } = await smallBufferPair(t)
      const accepted = fillSendQueue(client)
      client.close()
      return [client, async () => t.is((await buffer(toNetSocket(server))).length, accepted)]
    },
    { code: 'ERR_SOCKET_CLOSED' },
  ],
  'a socket that connects': [
    (t) => {
      const client = resetAtEnd(t, Socket.connect(addressOf(testListener(t)) as { host: string; port: number }))
      // Nothing has asked for the outcome yet.
      Object.defineProperty(client, 'state', { value: 'connecting' })
      return [client, () => t.true(client.fd >= 0)]
    },
    { code: 'ERR_INVALID_STATE', message: /connecting/ },
  ],
  'a connection that is read': [
    async (t) => {
      const { connection, accepted } = await connectionPair(t)
      const into = new Uint8Array(1)
      const read = connection.read(into)
      return [
        connection,
        async () => {
          accepted.write('x')
          t.is(await read, 1)
        },
      ]
    },
    { code: 'ERR_INVALID_STATE', message: /read already/ },
  ],
  'a connection with a stream': [
    async (t) => {
      const { connection } = await connectionPair(t)
      const stream = destroyAtEnd(t, toDuplex(connection))
      return [connection, () => t.false(stream.destroyed)]
    },
    { code: 'ERR_INVALID_STATE', message: /read already/ },
  ],
  'a socket with a stream': [
    async (t) => {
      const { client, server } = await connectedPair(t)
      const stream = destroyAtEnd(t, toDuplex(client))
      return [
        client,
        async () => {
          server.send('x')
          t.is(String((await once(stream, 'data'))[0]), 'x')
        },
      ]
    },
    { code: 'ERR_INVALID_STATE', message: /has a stream already/ },
  ],
  'a closed connection': [
    async (t) => {
      const { connection } = await connectionPair(t)
      connection.terminate()
      return [connection, () => t.is(connection.state, 'closed')]
    },
    { code: 'ERR_SOCKET_CLOSED' },
  ],
  'a stream that connects': [
    async (t) => {
      const { port } = addressOf(testListener(t)) as { port: number }
      const stream = destroyAtEnd(t, net.connect(port, '127.0.0.1'))
      return [stream, async () => void (await once(stream, 'connect'))]
    },
    { code: 'ERR_INVALID_STATE', message: /connecting/ },
  ],
  'a stream that is read': [
    async (t) => {
      const { client, server } = await connectedPair(t)
      const stream = destroyAtEnd(t, toDuplex(client))
      const data = once(stream, 'data')
      return [
        stream,
        async () => {
          server.send('x')
          t.is(String((await data)[0]), 'x')
        },
      ]
    },
    { code: 'ERR_INVALID_STATE', message: /read already/ },
  ],
  'a stream with writes that wait': [
    async (t) => {
      const { client, server } = await smallBufferPair(t)
      const stream = destroyAtEnd(t, toDuplex(client))
      stream.end(Buffer.alloc(1_000_000))
      return [stream, async () => t.is((await buffer(toNetSocket(server))).length, 1_000_000)]
    },
    { code: 'ERR_INVALID_STATE', message: /writes that wait/ },
  ],
  'a destroyed stream': [
    async (t) => {
      const { client } = await connectedPair(t)
      const stream = toDuplex(client).destroy()
      return [stream, () => t.true(stream.destroyed)]
    },
    { code: 'ERR_SOCKET_CLOSED' },
  ],
}

for (const [name, [make, expected]] of Object.entries(REFUSED)) {
  test(`${name.replaceAll(' ', '_')}_is_refused_and_goes_on`, async (t) => {
    const [source, goesOn] = await make(t)
    t.throws(() => toNetSocket(source as Socket), expected)
    await goesOn()
  })
}

test('a_broken_socket_is_refused_with_the_reason_and_closed', async (t) => {
  const { client, server } = await connectedPair(t)
  server.reset()
  // Sending meets the reset, and the next use of the socket gets the reason.
  await until(() => client.send('x') === 'closed')
  t.throws(() => toNetSocket(client), { code: 'ECONNRESET' })
  t.is(client.state, 'closed')
})

for (const value of [undefined, null, 1, {}, 'socket']) {
  test(`toNetSocket_takes_nothing_else: ${value}`, (t) => {
    t.throws(() => toNetSocket(value as unknown as Socket), { code: 'ERR_INVALID_ARG_TYPE' })
  })
}

// TLS

const MUCH = 10_000_000

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The next `length` bytes. */
async function received(socket: nodeNet.Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let count = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    count += chunk.length
  })
  await until(() => count >= length)
  return Buffer.concat(chunks)
}

/** TLS over the sockets of Node that are made of a connection of ours and of what accepted it. */
async function tlsPair(t: ExecutionContext, family: Family): Promise<[tls.TLSSocket, tls.TLSSocket]> {
  const { connection, accepted } = await connectionPair(t, { family })
  const { key, cert } = certificate()
  const context = tls.createSecureContext({ key, cert })
  const server = new tls.TLSSocket(toNetSocket(accepted as Connection), {
    isServer: true,
    secureContext: context,
    ALPNProtocols: ['h2', 'echo'],
  })
  const client = tls.connect({
    socket: toNetSocket(connection),
    ca: cert,
    servername: 'localhost',
    ALPNProtocols: ['echo'],
  })
  destroyAtEnd(t, server)
  destroyAtEnd(t, client)
  await once(client, 'secureConnect')
  return [client, server]
}

for (const family of FAMILIES) {
  testWith(['openssl'], `TLS_carries_10_MB_each_way: ${family}`, async (t) => {
    const [client, server] = await tlsPair(t, family)
    t.is(client.alpnProtocol, 'echo')
    t.true(client.authorized)
    const [sent, answered] = [randomBytes(MUCH), randomBytes(MUCH)]
    client.write(sent)
    server.write(answered)
    const [there, back] = await Promise.all([received(server, MUCH), received(client, MUCH)])
    t.is(hash(there), hash(sent))
    t.is(hash(back), hash(answered))
  })
}

testWith(['openssl'], 'TLS_answers_a_peer_that_has_ended', async (t) => {
  const [client, server] = await tlsPair(t, 'IPv4')
  client.end('question')
  t.is(await text(server), 'question')
  await once(client, 'close')
})

testWith(['openssl'], 'TLS_reports_a_reset', async (t) => {
  const { client, server } = await connectedPair(t)
  const secure = destroyAtEnd(t, tls.connect({ socket: toNetSocket(client), rejectUnauthorized: false }))
  server.reset()
  const [error] = (await once(secure, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ECONNRESET')
})

testWith(['openssl'], 'TLS_begins_with_what_was_unread', async (t) => {
  const { key, cert } = certificate()
  const { client, server } = await connectedPair(t)
  const ours = toDuplex(server)
  const secure = destroyAtEnd(t, tls.connect({ socket: toNetSocket(client), ca: cert, servername: 'localhost' }))
  // The first message of the client has been received by the stream already.
  await until(() => ours.readableLength > 0)
  const other = new tls.TLSSocket(toNetSocket(ours), { isServer: true, key, cert } as tls.TLSSocketOptions)
  destroyAtEnd(t, other)
  await once(secure, 'secureConnect')
  secure.end('hello')
  t.is(await text(other), 'hello')
})
