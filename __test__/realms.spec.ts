import { createContext, runInContext } from 'node:vm'

import test from 'ava'
import {
  Listener,
  Multiplexer,
  type ReadyEvent,
  Socket,
  type SocketConnectOptions,
  TCP_INFO_FIELDS,
  connect,
  toDuplex,
  toWeb,
} from 'm-socket'
import * as native from 'm-socket/native'

import { connectionPair } from './support/connection-pair.js'
import { ForeignSignal } from './support/foreign-signal.js'
import { addressOf, connectedPair, inetAddressOf, testListener } from './support/pair.js'
import { testServer } from './support/server.js'
import { receiveExactly, receiveToEnd, until } from './support/waiting.js'

// A context of node:vm has constructors of its own, as the environments of test runners have.

const REALM = createContext({ console })

/** The value of an expression in the other realm. */
function foreign<T>(expression: string): T {
  return runInContext(`(${expression})`, REALM) as T
}

/** Bytes of the other realm. */
const bytes = (text: string): Uint8Array => foreign(`new Uint8Array([${Array.from(Buffer.from(text)).join()}])`)
const room = (length: number): Uint8Array => foreign(`new Uint8Array(${length})`)

const textOf = (array: Uint8Array): string => Buffer.from(array).toString()

test('the_other_realm_has_constructors_of_its_own', (t) => {
  t.false(room(1) instanceof Uint8Array)
  t.false(foreign('[]') instanceof Array)
  t.false(foreign('new ArrayBuffer(1)') instanceof ArrayBuffer)
})

test('a_socket_sends_arrays_of_another_realm', async (t) => {
  const { client, server } = await connectedPair(t)
  t.is(client.send(bytes('whole ')), 'sent')
  t.is(client.send(bytes('a part of it '), 2, 5), 'sent')
  t.is(client.send(foreign<Uint8Array[]>('[new Uint8Array([97]), new Uint8Array([98])]')), 'sent')
  t.is(client.send([bytes('c'), Buffer.from('d')]), 'sent')
  t.is((await receiveExactly(server, 15)).toString(), 'whole part abcd')
})

test('a_socket_receives_and_peeks_into_arrays_of_another_realm', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('hello world')
  const [whole, part, peeked] = [room(6), room(8), room(4)]
  await until(() => server.peek(peeked) === 4)
  t.is(textOf(peeked), 'hell')
  t.is(server.receive(whole), 6)
  t.is(textOf(whole), 'hello ')
  t.is(server.receive(part, 1, 5), 5)
  t.is(textOf(part.subarray(1, 6)), 'world')
})

test('options_and_information_come_in_arrays_of_another_realm', async (t) => {
  const { client } = await connectedPair(t, 'IPv4')
  const [SOL_SOCKET, SO_KEEPALIVE] = [1, 9]
  client.setsockopt(SOL_SOCKET, SO_KEEPALIVE, foreign<Uint8Array>('new Uint8Array([1, 0, 0, 0])'))
  t.is(client.getsockopt(SOL_SOCKET, SO_KEEPALIVE).readInt32LE(), 1)
  client.setOption('keepAlive', foreign('{ idle: 5000, count: 3 }'))
  t.like(client.getOption('keepAlive'), { idle: 5000, count: 3 })
  const numbers = foreign<Float64Array>(`new Float64Array(${TCP_INFO_FIELDS.length})`)
  t.true(client.infoInto(numbers) > 0)
  t.is(numbers[TCP_INFO_FIELDS.indexOf('state')], 1)
})

test('a_connection_writes_and_reads_arrays_of_another_realm', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  t.is(connection.write(bytes('array ')), 6)
  t.is(connection.write(bytes('a part of it '), 2, 5), 5)
  t.is(connection.tryWrite(foreign<ArrayBuffer>('new Uint8Array([98, 32]).buffer')), 2)
  t.is(connection.write(foreign<DataView>('new DataView(new Uint8Array([118, 32]).buffer)')), 2)
  t.is(connection.end(bytes('end')), 3)
  const received: string[] = []
  const into = room(5)
  for (let count; (count = await accepted.read(into)) !== null;) received.push(textOf(into.subarray(0, count)))
  t.is(received.join(''), 'array part b v end')
})

test('chunks_are_views_of_an_array_of_another_realm', async (t) => {
  const received: string[] = []
  const receiveInto = room(100)
  const { connection } = await connectionPair(t, {
    server: { receiveInto, socket: { data: (_, chunk) => void received.push(chunk.toString()) } },
  })
  connection.end('hello')
  await until(() => received.length === 1)
  t.deepEqual(received, ['hello'])
  t.is(textOf(receiveInto.subarray(0, 5)), 'hello')
})

test('streams_take_arrays_of_another_realm', async (t) => {
  const { client, server } = await connectedPair(t)
  const duplex = toDuplex(client)
  duplex.end(bytes('to a stream'))
  t.is((await receiveToEnd(server)).toString(), 'to a stream')
  duplex.destroy()
  const { connection, accepted } = await connectionPair(t)
  const writer = toWeb(connection).writable.getWriter()
  await writer.write(bytes('to '))
  await writer.write(foreign<ArrayBuffer>('new Uint8Array([119, 101, 98]).buffer'))
  const into = room(6)
  let count = 0
  while (count < 6) count += (await accepted.read(into.subarray(count)))!
  t.is(textOf(into), 'to web')
})

test('options_and_handlers_may_be_objects_of_another_realm', async (t) => {
  const server = testServer(
    t,
    foreign<{ host: string }>(
      "{ host: '127.0.0.1', port: 0, socket: { data: (connection, chunk) => void connection.end(chunk) } }",
    ),
  )
  const options = foreign<{ host: string; port: number }>(`{ host: '127.0.0.1', port: ${server.port}, noDelay: true }`)
  const connection = await connect(options)
  connection.write('hello')
  const chunks: Buffer[] = []
  for await (const chunk of connection) chunks.push(chunk)
  t.is(Buffer.concat(chunks).toString(), 'hello')
  using listener = Listener.bind(foreign("{ host: '127.0.0.1' }"))
  const { port } = inetAddressOf(listener)
  using socket = Socket.connect(foreign<SocketConnectOptions>(`{ host: '127.0.0.1', port: ${port} }`))
  t.is(socket.state, 'connecting')
})

test('events_are_put_into_an_array_of_another_realm', async (t) => {
  const { client } = await connectedPair(t)
  using multiplexer = new Multiplexer(client)
  const into = foreign<ReadyEvent[]>('[]')
  t.is(multiplexer.waitSync(1000, into), into)
  t.is(into[0]!.target, client)
})

test('an_error_of_another_realm_goes_to_the_error_handler', async (t) => {
  const errors: unknown[] = []
  await connectionPair(t, {
    client: {
      socket: {
        open: foreign("() => { throw new Error('thrown') }"),
        error: (_, error) => void errors.push(error.message),
      },
    },
  })
  const rejecting = foreign<() => Promise<void>>("async () => { throw new Error('rejected') }")
  await connectionPair(t, {
    client: { socket: { open: rejecting, error: (_, error) => void errors.push(error.message) } },
  })
  await until(() => errors.length === 2)
  t.deepEqual(errors, ['thrown', 'rejected'])
})

// Signals

test('a_signal_of_another_implementation_aborts_connect', async (t) => {
  const address = addressOf(testListener(t)) as { host: string; port: number }
  const reason = new Error('aborted')
  const before = new ForeignSignal()
  before.abort(reason)
  t.is(await t.throwsAsync(connect({ ...address, signal: before.signal })), reason)
  const during = new ForeignSignal()
  const connecting = connect({ host: 'localhost', port: address.port, signal: during.signal })
  during.abort(reason)
  t.is(await t.throwsAsync(connecting), reason)
  const connection = await connect({ ...address, signal: new ForeignSignal().signal })
  connection.terminate()
})

test('a_signal_without_a_reason_aborts_with_an_AbortError', async (t) => {
  const address = addressOf(testListener(t)) as { host: string; port: number }
  const signal = new ForeignSignal()
  const connecting = connect({ ...address, signal: signal.signal })
  signal.abort()
  // AVA does not take a DOMException for an error.
  const name = await connecting.then(
    () => undefined,
    (error: Error) => error.name,
  )
  t.is(name, 'AbortError')
})

test('what_is_no_signal_is_refused', async (t) => {
  for (const signal of [null, {}, 1, 'abort', foreign('{}'), new EventTarget(), { aborted: false }] as unknown[]) {
    const options = { host: '127.0.0.1', port: 1, signal: signal as AbortSignal }
    await t.throwsAsync(connect(options), { code: 'ERR_INVALID_ARG_TYPE', message: /AbortSignal/ }, String(signal))
  }
})

// What is refused

test('arrays_of_other_types_are_refused_from_every_realm', async (t) => {
  const { client } = await connectedPair(t)
  const { connection } = await connectionPair(t)
  const refused = { code: 'ERR_INVALID_ARG_TYPE' }
  for (const value of ['new Uint16Array(4)', 'new ArrayBuffer(4)', 'new SharedArrayBuffer(4)', '[1, 2]', '{}']) {
    const array = foreign<Uint8Array>(value)
    t.throws(() => client.receive(array), refused, value)
    t.throws(() => client.receive(array, 0, 1), refused, value)
    t.throws(() => client.peek(array), refused, value)
    t.throws(() => client.send(array), refused, value)
    t.throws(() => client.send(array, 0, 1), refused, value)
    await t.throwsAsync(connection.read(array), refused, value)
    t.throws(() => testServer(t, { receiveInto: array }), refused, value)
    t.throws(() => client.infoInto(array as unknown as Float64Array), refused, value)
  }
  for (const value of ['new SharedArrayBuffer(4)', '[1, 2]', '{}', 'null', '1']) {
    t.throws(() => connection.write(foreign<Uint8Array>(value)), refused, value)
    t.throws(() => connection.end(foreign<Uint8Array>(value)), refused, value)
  }
})

test('the_raw_functions_take_arrays_of_another_realm', async (t) => {
  const { client, server } = await connectedPair(t)
  const [from, to] = [client, server].map((socket) => (socket as unknown as { handle: number }).handle) as [
    number,
    number,
  ]
  t.is(native.send(from, bytes('ab')), 0)
  t.is(native.write(from, bytes('cd'), false), 2)
  t.is(native.sendPieces(from, foreign('[new Uint8Array([101])]')), 0)
  const into = room(5)
  await until(() => native.peek(to, into) === 5)
  t.is(native.receive(to, into), 5)
  t.is(textOf(into), 'abcde')
})
