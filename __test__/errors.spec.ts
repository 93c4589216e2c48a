import { once } from 'node:events'
import net from 'node:net'
import { inspect } from 'node:util'

import test from 'ava'
import { Listener, Multiplexer, Socket, SocketClosedError, SocketError, SocketQueueError } from 'm-socket'

import { freePort } from './support/ports.js'

/** The error of a failed connect of ours. */
async function ours(where: { host: string; port: number } | { path: string }): Promise<SocketError> {
  const socket = Socket.connect(where)
  using multiplexer = new Multiplexer(socket)
  for (;;) {
    try {
      if (socket.receive(new Uint8Array(1)) !== null) throw new Error('the connect did not fail')
      await multiplexer.wait(10_000)
    } catch (error) {
      if (error instanceof SocketError) return error
      throw error
    }
  }
}

/** The error of a failed connect of node:net. */
async function nodes(where: { host: string; port: number } | { path: string }): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(net.connect(where), 'error')) as [NodeJS.ErrnoException]
  return error
}

const REFUSED = [...['127.0.0.1', '::1'].map((host) => ({ host, port: freePort() })), { path: '/nonexistent/x.sock' }]

for (const where of REFUSED) {
  test(`a_failed_connect_has_the_same_error_as_in_node (${'path' in where ? where.path : where.host})`, async (t) => {
    const found = await ours(where)
    const expected = await nodes(where)
    t.is(found.message, expected.message)
    t.deepEqual({ ...found }, { ...expected } as never)
  })
}

test('an_abstract_path_has_an_at_sign_in_the_message_and_NUL_in_the_address', async (t) => {
  const error = await ours({ path: '\0m-socket-unused' })
  t.is(error.message, 'connect ECONNREFUSED @m-socket-unused')
  t.is(error.address, '\0m-socket-unused')
  t.is(error.port, undefined)
})

test('a_failed_bind_names_its_address', (t) => {
  const listener = Listener.bind({ host: '127.0.0.1' })
  t.teardown(() => listener.close())
  const { port } = listener.address as { port: number }
  t.throws(() => Listener.bind({ host: '127.0.0.1', port }), {
    instanceOf: SocketError,
    code: 'EADDRINUSE',
    message: new RegExp(`^(bind|listen) EADDRINUSE 127\\.0\\.0\\.1:${port}$`),
  })
})

test('the_error_classes_have_names_and_a_common_base', (t) => {
  const closed = new SocketClosedError()
  const full = new SocketQueueError()
  t.true(closed instanceof SocketError && full instanceof SocketError && closed instanceof Error)
  t.is(closed.code, 'ERR_SOCKET_CLOSED')
  t.is(full.code, 'ERR_SOCKET_QUEUE_FULL')
  t.is(closed.name, 'SocketClosedError')
  t.is(full.name, 'SocketQueueError')
  t.true(closed.stack?.startsWith('SocketClosedError: The socket is closed\n'))
  t.is(String(new SocketError('read ECONNRESET', 'ECONNRESET')), 'SocketError: read ECONNRESET')
  t.deepEqual(Object.keys(closed), ['code'])
  const cause = new Error('why')
  t.is(new SocketClosedError('wait', { cause }).cause, cause)
  t.regex(inspect(closed), /^SocketClosedError: .*code: 'ERR_SOCKET_CLOSED'/s)
})

const WRONG = {
  'type number (65536)': 65536,
  'type number (-1)': -1,
  'type number (1.5)': 1.5,
  'type number (NaN)': NaN,
  "type string ('80x')": '80x',
  'type bigint (80n)': 80n,
  'type symbol (Symbol(80))': Symbol('80'),
  "type string ('123456789012345678901234...)": '1'.concat('23456789012345678901234567890'),
  'an instance of Date': new Date(),
  '[Object: null prototype] {}': Object.create(null) as object,
  'function port': function port() {},
}

for (const [rendered, port] of Object.entries(WRONG)) {
  test(`a_bad_port_has_the_same_message_as_in_node: ${rendered}`, (t) => {
    t.throws(() => Listener.bind({ host: '127.0.0.1', port: port as number }), {
      instanceOf: RangeError,
      code: 'ERR_SOCKET_BAD_PORT',
      message: `port should be >= 0 and < 65536. Received ${rendered}.`,
    })
  })
}

test('an_argument_error_says_what_was_expected_and_what_was_received', (t) => {
  const hosts = (host: unknown) => () => Socket.connect({ host: host as string, port: 1 })
  t.throws(hosts(5), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'The "host" argument must be of type string. Received type number (5)',
  })
  t.throws(hosts('localhost'), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: /numeric .*resolve.* Received 'localhost'$/,
  })
  t.throws(hosts('1'.repeat(1000)), { code: 'ERR_INVALID_ARG_VALUE', message: /Received '1{127}\.\.\.$/ })
  t.throws(() => Listener.bind({ host: 'localhost' }), { code: 'ERR_INVALID_ARG_VALUE', message: /Listener\.bindHost/ })
  t.throws(() => Listener.bind(5 as never), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'The "options" argument must be of type object. Received type number (5)',
  })
})

test('a_unix_path_must_fit_into_sun_path', (t) => {
  const refused = (path: unknown, message: RegExp): void => {
    t.throws(() => Listener.bind({ path: path as string }), { instanceOf: TypeError, message })
  }
  refused('', /must not be empty/)
  refused(5, /must be of type string/)
  refused('/tmp/a\0b', /NUL/)
  refused('/'.padEnd(108, 'x'), /at most 107 bytes of UTF-8 and has 108/)
  refused('/'.padEnd(55, 'é'), /at most 107 bytes of UTF-8 and has 109/)
  refused('\0'.padEnd(109, 'x'), /at most 108 bytes of UTF-8 and has 109/)
})

test('an_abstract_path_may_fill_sun_path_and_contain_NUL', (t) => {
  for (const path of [`\0${process.pid}`.padEnd(108, 'x'), `\0${process.pid}\0m-socket\0`]) {
    const listener = Listener.bind({ path })
    t.deepEqual(listener.address, { path })
    listener.close()
  }
})

test('an_invalid_timeout_is_refused', async (t) => {
  using multiplexer = new Multiplexer()
  t.throws(() => multiplexer.waitSync(NaN), {
    instanceOf: RangeError,
    code: 'ERR_OUT_OF_RANGE',
    message: 'The value of "timeout" is out of range. It must be >= 0. Received NaN',
  })
  t.throws(() => multiplexer.waitSync(-1), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => multiplexer.waitSync('5' as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.deepEqual(multiplexer.waitSync(0.001), [])
})
