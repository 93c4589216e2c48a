import { text } from 'node:stream/consumers'

import test from 'ava'
import { type Connection, type Handlers, type Socket, connect } from 'm-socket'

import { runModule } from '../support/child.js'
import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { HandlerLog } from '../support/handler-log.js'
import { FAMILIES, type Family, addressOf, freeAddress } from '../support/pair.js'
import { connectSocket, connectedSocket, testServer, withResolvers } from '../support/server.js'
import { sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

// What the peer does

for (const family of FAMILIES) {
  test(`truth 2: data_comes_before_an_end_that_arrived_with_it: ${family}`, async (t) => {
    const log = new HandlerLog()
    const server = testServer(t, { ...freeAddress(t, family), socket: log.handlers() })
    // Connects complete at once on Unix sockets and on the loopback, so all of this arrives before the server accepts.
    const peer = connectSocket(t, server)
    peer.send('hello')
    peer.shutdown()
    t.deepEqual(await log.closed(), ['open', 'data hello', 'end', 'close'])
    t.is(server.connections, 0)
  })

  test(`data_comes_before_a_later_end: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, { family, server: { socket: log.handlers() } })
    for (const word of ['one', 'two']) {
      connection.write(word)
      await until(() => log.entries.includes(`data ${word}`))
    }
    connection.end()
    t.deepEqual(await log.closed(), ['open', 'data one', 'data two', 'end', 'close'])
  })
}

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`truth 23: data_before_a_reset_is_delivered_first_then_error_then_close: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, { family, server: { socket: log.handlers() } })
    connection.tryWrite('last words')
    connection.terminate()
    t.deepEqual(await log.closed(), ['open', 'data last words', 'error ECONNRESET', 'close ECONNRESET'])
  })

  test(`a_reset_calls_error_and_then_close: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, { family, server: { socket: log.handlers() } })
    connection.terminate()
    t.deepEqual(await log.closed(), ['open', 'error ECONNRESET', 'close ECONNRESET'])
  })
}

test('truth 23: large_data_before_a_reset_is_delivered_whole', async (t) => {
  const lengths: number[] = []
  const log = new HandlerLog()
  const { data: _, ...others } = log.handlers()
  const { connection, accepted } = await connectionPair(t, {
    server: {
      receiveInto: new Uint8Array(512),
      socket: { ...others, data: (__, chunk) => void lengths.push(chunk.length) },
    },
  })
  accepted.pause()
  // It takes more receives than one turn makes, and still fits into the kernel's buffers.
  t.is(connection.tryWrite(Buffer.alloc(40_000)), 40_000)
  await sleep(20)
  connection.terminate()
  accepted.resume()
  t.deepEqual(await log.closed(), ['open', 'error ECONNRESET', 'close ECONNRESET'])
  t.is(
    lengths.reduce((sum, length) => sum + length),
    40_000,
  )
})

test('a_write_that_fails_by_a_reset_does_not_hide_data_or_error', async (t) => {
  for (const words of ['', 'last words']) {
    const log = new HandlerLog()
    const { connection, accepted } = await connectionPair(t, { server: { socket: log.handlers() } })
    connection.tryWrite(words)
    connection.terminate()
    t.is(accepted.write('x'), -1)
    t.deepEqual(log.entries, ['open'])
    t.deepEqual(await log.closed(), [
      'open',
      ...(words ? [`data ${words}`] : []),
      'error ECONNRESET',
      'close ECONNRESET',
    ])
  }
})

test('a_write_to_a_closed_Unix_socket_does_not_hide_data_or_error', async (t) => {
  for (const words of ['', 'last words']) {
    const log = new HandlerLog()
    const { connection, accepted } = await connectionPair(t, { family: 'unix', server: { socket: log.handlers() } })
    connection.tryWrite(words)
    connection.terminate()
    t.is(accepted.write('x'), -1)
    t.deepEqual(log.entries, ['open'])
    t.deepEqual(await log.closed(), ['open', ...(words ? [`data ${words}`] : []), 'error EPIPE', 'close EPIPE'])
  }
})

test('close_receives_the_same_error_as_error', async (t) => {
  const errors: (Error | undefined)[] = []
  const closed = withResolvers()
  const { connection } = await connectionPair(t, {
    server: {
      socket: {
        error: (_, error) => void errors.push(error),
        close(_, error) {
          errors.push(error)
          closed.resolve()
        },
      },
    },
  })
  connection.terminate()
  await closed.promise
  t.is(errors.length, 2)
  t.is(errors[0], errors[1])
  t.like(errors[0], { code: 'ECONNRESET', syscall: 'read', message: 'read ECONNRESET' })
})

test('a_Unix_peer_that_closes_with_unread_input_causes_a_reset', async (t) => {
  const log = new HandlerLog()
  const { connection } = await connectionPair(t, {
    family: 'unix',
    server: { socket: { ...log.handlers({ open: (it) => void it.write('unread') }) } },
  })
  // The open handler's write is sent at the end of its batch.
  await sleep(20)
  connection.terminate()
  t.deepEqual(await log.closed(), ['open', 'error ECONNRESET', 'close ECONNRESET'])
})

for (const family of FAMILIES) {
  test(`half_open_close_waits_for_our_own_end: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection, accepted } = await connectionPair(t, {
      family,
      server: { allowHalfOpen: true, socket: log.handlers() },
    })
    connection.end('question')
    await until(() => log.entries.includes('end'))
    await sleep(10)
    t.deepEqual(log.entries, ['open', 'data question', 'end'])
    accepted.end('answer')
    t.is(await text(connection), 'answer')
    t.deepEqual(await log.closed(), ['open', 'data question', 'end', 'close'])
  })

  test(`without_allowHalfOpen_the_end_handler_can_still_write: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, {
      family,
      server: { socket: log.handlers({ end: (it) => void it.write('answer') }) },
    })
    connection.end('question')
    t.is(await text(connection), 'answer')
    t.deepEqual(await log.closed(), ['open', 'data question', 'end', 'close'])
  })

  test(`after_the_peers_end_the_queue_is_sent_before_the_connection_closes: ${family}`, async (t) => {
    const log = new HandlerLog()
    const length = 1 << 20
    const { connection } = await smallBufferConnectionPair(t, {
      family,
      server: { sendQueueLimit: length, socket: log.handlers({ end: (it) => void it.write(Buffer.alloc(length)) }) },
    })
    connection.end()
    await until(() => log.entries.includes('end'))
    t.deepEqual(log.entries, ['open', 'end'])
    t.is((await text(connection)).length, length)
    t.deepEqual(await log.closed(), ['open', 'end', 'close'])
  })

  test(`both_sides_ending_at_once_close_without_an_error: ${family}`, async (t) => {
    const journals = [new HandlerLog(), new HandlerLog()] as const
    const { connection, accepted } = await connectionPair(t, {
      family,
      server: { socket: journals[0].handlers() },
      client: { socket: journals[1].handlers() },
    })
    connection.end('to the server')
    accepted.end('to the client')
    t.deepEqual(await journals[0].closed(), ['open', 'data to the server', 'end', 'close'])
    t.deepEqual(await journals[1].closed(), ['open', 'data to the client', 'end', 'close'])
  })

  test(`both_sides_terminating_at_once_close_without_an_error: ${family}`, async (t) => {
    const journals = [new HandlerLog(), new HandlerLog()] as const
    const { connection, accepted } = await connectionPair(t, {
      family,
      server: { socket: journals[0].handlers() },
      client: { socket: journals[1].handlers() },
    })
    connection.terminate()
    accepted.terminate()
    t.deepEqual(await journals[0].closed(), ['open', 'close'])
    t.deepEqual(await journals[1].closed(), ['open', 'close'])
  })
}

// What a handler does to its own connection

test('open_comes_before_data_that_arrived_with_the_connection', async (t) => {
  const log = new HandlerLog()
  const server = testServer(t, { socket: log.handlers({ open: async () => sleep(20) }) })
  connectSocket(t, server).send('early')
  await until(() => log.entries.length === 2)
  t.deepEqual(log.entries, ['open', 'data early'])
})

test('open_is_called_before_connect_resolves', async (t) => {
  const server = testServer(t)
  const log = new HandlerLog()
  const connection = await connect({ ...addressOf(server), socket: log.handlers() })
  log.entries.push('fulfilled')
  connection.terminate()
  t.deepEqual(await log.closed(), ['open', 'fulfilled', 'close'])
})

for (const family of FAMILIES) {
  test(`a_connection_ended_in_data_still_receives_the_rest: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, {
      family,
      server: { socket: log.handlers({ data: (it) => void it.end('bye') }) },
      client: { allowHalfOpen: true },
    })
    connection.write('one')
    t.is(await text(connection), 'bye')
    connection.end('two')
    t.deepEqual(await log.closed(), ['open', 'data one', 'data two', 'end', 'close'])
  })

  test(`a_connection_terminated_in_open_only_gets_close: ${family}`, async (t) => {
    const log = new HandlerLog()
    const server = testServer(t, { ...freeAddress(t, family), socket: log.handlers({ open: (it) => it.terminate() }) })
    const peer = connectSocket(t, server)
    peer.send('dropped')
    peer.shutdown()
    t.deepEqual(await log.closed(), ['open', 'close'])
    t.is(server.connections, 0)
  })

  test(`a_connection_ended_in_open_closes_after_the_peers_end: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, {
      family,
      server: { socket: log.handlers({ open: (it) => void it.end('hello and bye') }) },
    })
    t.is(await text(connection), 'hello and bye')
    t.deepEqual(await log.closed(), ['open', 'end', 'close'])
  })

  test(`a_client_can_end_and_terminate_in_open: ${family}`, async (t) => {
    const journals = [new HandlerLog(), new HandlerLog()] as const
    const server = testServer(t, { ...freeAddress(t, family), socket: { data: () => {} } })
    const ended = await connect({
      ...addressOf(server),
      socket: journals[0].handlers({ open: (it) => void it.end('x') }),
    })
    const terminated = await connect({
      ...addressOf(server),
      socket: journals[1].handlers({ open: (it) => it.terminate() }),
    })
    t.deepEqual(await journals[0].closed(), ['open', 'end', 'close'])
    t.deepEqual(await journals[1].closed(), ['open', 'close'])
    t.deepEqual([ended.readyState, terminated.readyState], [0, 0])
  })

  test(`a_connection_terminated_in_data_gets_no_more_data: ${family}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, {
      family,
      server: { receiveInto: new Uint8Array(1), socket: log.handlers({ data: (it) => it.terminate() }) },
    })
    connection.end('abc')
    t.deepEqual(await log.closed(), ['open', 'data a', 'close'])
  })
}

test('a_connection_terminated_in_end_closes_once', async (t) => {
  const log = new HandlerLog()
  const { connection } = await connectionPair(t, { server: { socket: log.handlers({ end: (it) => it.terminate() }) } })
  connection.end()
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
})

test('a_connection_terminated_in_error_closes_once', async (t) => {
  const log = new HandlerLog()
  const { connection } = await connectionPair(t, {
    server: { socket: log.handlers({ error: (it) => it.terminate() }) },
  })
  connection.terminate()
  const entries = await log.closed()
  t.deepEqual(
    entries.map((entry) => entry.split(' ')[0]),
    ['open', 'error', 'close'],
  )
})

test('a_connection_terminated_in_drain_closes_once', async (t) => {
  const log = new HandlerLog()
  const { connection } = await smallBufferConnectionPair(t, {
    server: { socket: { data: () => {} } },
    client: { socket: log.handlers({ drain: (it) => it.terminate() }) },
  })
  connection.write(Buffer.alloc(1 << 20))
  t.deepEqual(await log.closed(), ['open', 'drain', 'close'])
})

for (const [name, shutDown] of Object.entries<(it: Connection) => void>({
  'write half': (it) => it.shutdown(),
  'both halves': (it) => it.shutdown('both'),
  read: (it) => void it.read(new Uint8Array(1)).catch(() => {}),
})) {
  test(`a_broken_connection_that_is_used_in_its_error_handler_reports_one_error: ${name}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await connectionPair(t, { server: { socket: log.handlers({ error: shutDown }) } })
    connection.terminate()
    t.deepEqual(await log.closed(), ['open', 'error ECONNRESET', 'close ECONNRESET'])
  })
}

for (const [name, length] of [
  ['nothing more to receive', 1],
  ['more to receive', 4096],
] as const) {
  test(`a_connection_that_is_shut_down_in_data_behind_a_queue_closes_without_an_error: ${name}`, async (t) => {
    const log = new HandlerLog()
    const { connection } = await smallBufferConnectionPair(t, {
      server: {
        sendQueueLimit: 1 << 20,
        socket: log.handlers({
          data(it) {
            it.write(Buffer.alloc(1 << 20))
            it.shutdown('both')
            it.shutdown()
            t.is(it.state, 'closing')
            void it.read(new Uint8Array(1)).then((count) => log.entries.push(`read ${count}`))
          },
        }),
      },
      client: { allowHalfOpen: true },
    })
    connection.write('x'.repeat(length))
    let received = 0
    for await (const chunk of connection) received += chunk.length
    t.is(received, 1 << 20)
    const entries = await log.closed()
    t.deepEqual(
      entries.map((entry) => entry.slice(0, 9).trim()),
      ['open', `data ${'x'.repeat(length)}`.slice(0, 9), 'read null', 'close'],
    )
  })
}

test('calls_on_a_connection_in_its_close_handler_do_nothing', async (t) => {
  const results: unknown[] = []
  const log = new HandlerLog()
  const { connection } = await connectionPair(t, {
    server: {
      socket: log.handlers({
        close(it) {
          it.terminate()
          it.shutdown()
          it.pause().resume().ref().unref().timeout(5)
          results.push(it.end('x'), it.write('x'), it.tryWrite('x'), it.flush(), it.readyState)
        },
      }),
    },
  })
  connection.end()
  t.deepEqual(await log.closed(), ['open', 'end', 'close'])
  await sleep(250)
  t.deepEqual(results, [-1, -1, -1, true, 0])
  t.deepEqual(log.entries, ['open', 'end', 'close'])
})

test('close_is_never_called_inside_another_handler', async (t) => {
  let depth = 0
  const depths: number[] = []
  function nested<A extends unknown[]>(act: (connection: Connection, ...rest: A) => void) {
    return (connection: Connection, ...rest: A): void => {
      depths.push(depth++)
      act(connection, ...rest)
      depth--
    }
  }
  const closed = withResolvers()
  const { connection } = await connectionPair(t, {
    server: {
      socket: { open: nested(() => {}), data: nested((it) => it.terminate()), close: nested(() => closed.resolve()) },
    },
  })
  connection.write('x')
  await closed.promise
  t.deepEqual(depths, [0, 0, 0])
})

// Handlers that throw

/** For each handler, what makes it run. */
const OCCASIONS: Record<string, (t: Parameters<typeof connectionPair>[0], socket: Handlers) => Promise<unknown>> = {
  open: async (t, socket) => connectionPair(t, { server: { socket } }),
  data: async (t, socket) => (await connectionPair(t, { server: { socket } })).connection.write('x'),
  end: async (t, socket) => (await connectionPair(t, { server: { socket } })).connection.end(),
  close: async (t, socket) => (await connectionPair(t, { server: { socket } })).connection.end(),
  drain: async (t, socket) => {
    const { accepted } = await smallBufferConnectionPair(t, {
      server: { socket },
      client: { socket: { data: () => {} } },
    })
    accepted.write(Buffer.alloc(1 << 20))
  },
  timeout: async (t, socket) => connectionPair(t, { server: { socket, idleTimeout: 20 } }),
}

const EXPECTED: Record<string, string[]> = {
  open: ['open', 'error mine'],
  data: ['open', 'data x', 'error mine'],
  end: ['open', 'end', 'error mine'],
  close: ['open', 'end', 'close', 'error mine'],
  drain: ['open', 'drain', 'error mine'],
  timeout: ['open', 'timeout', 'error mine'],
}

for (const [name, occasion] of Object.entries(OCCASIONS)) {
  test(`an_exception_in_a_handler_goes_to_error: ${name}`, async (t) => {
    const log = new HandlerLog()
    await occasion(
      t,
      log.handlers({
        [name]: () => {
          throw new Error('mine')
        },
      }),
    )
    const expected = EXPECTED[name]!
    await until(() => log.entries.length >= expected.length)
    t.deepEqual(log.entries.slice(0, expected.length), expected)
  })

  test(`a_rejection_of_a_handler_goes_to_error: ${name}`, async (t) => {
    const log = new HandlerLog()
    await occasion(t, log.handlers({ [name]: async () => Promise.reject(new Error('mine')) }))
    await until(() => log.entries.includes('error mine'))
    t.is(log.entries.filter((entry) => entry === 'error mine').length, 1)
    t.true(log.entries.indexOf('error mine') > log.entries.findIndex((entry) => entry.startsWith(name)))
  })
}

test('a_handler_that_throws_leaves_its_connection_open', async (t) => {
  const log = new HandlerLog()
  const fail = (): never => {
    throw new Error('mine')
  }
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: log.handlers({ open: fail, data: fail, end: fail }) },
  })
  connection.write('one')
  await until(() => log.entries.length === 4)
  t.is(accepted.readyState, 1)
  connection.end('two')
  t.deepEqual(await log.closed(), [
    'open',
    'error mine',
    'data one',
    'error mine',
    'data two',
    'error mine',
    'end',
    'error mine',
    'close',
  ])
})

test('a_thrown_value_that_is_no_Error_goes_to_error_too', async (t) => {
  const thrown = withResolvers<unknown>()
  const { connection } = await connectionPair(t, {
    server: {
      socket: {
        data: () => {
          throw 'a string'
        },
        error: (_, error) => thrown.resolve(error),
      },
    },
  })
  connection.write('x')
  t.is(await thrown.promise, 'a string')
})

test('an_exception_in_connectError_goes_to_error_and_connect_still_rejects', async (t) => {
  const server = testServer(t)
  const to = addressOf(server)
  server.stop()
  const log = new HandlerLog()
  const connecting = connect({
    ...to,
    socket: {
      ...log.handlers(),
      connectError: () => {
        throw new Error('mine')
      },
    },
  })
  await t.throwsAsync(connecting, { code: 'ECONNREFUSED' })
  t.deepEqual(log.entries, ['error mine'])
})

/** A program in which the handler `name` fails; it prints the handlers called and the uncaught exceptions. */
const FAILING = (name: string, failure: string, error = ''): string => `
  import { Socket, listen } from 'm-socket'
  const calls = []
  process.on('uncaughtException', (error, origin) => calls.push(origin + ' ' + error.message))
  const socket = Object.fromEntries(['open', 'data', 'end', 'timeout', 'close'].map((name) => [name, () => { calls.push(name) }]))
  socket.${name} = () => { calls.push('${name}'); ${failure} }
  ${error}
  const server = listen({ host: '127.0.0.1', allowHalfOpen: true, idleTimeout: 100, socket })
  const peer = Socket.connect({ host: '127.0.0.1', port: server.port })
  peer.send('x')
  peer.shutdown()
  const look = setInterval(() => {
    if (!calls.includes('close')) return
    clearInterval(look)
    server.stop()
    console.log(calls.join())
  }, 20)
`

const CALLS = ['open', 'data', 'end', 'timeout', 'close']

for (const name of CALLS) {
  test(`without_an_error_handler_an_exception_is_uncaught: ${name}`, async (t) => {
    const { code, stdout, stderr } = await runModule(t, FAILING(name, `throw new Error('mine')`))
    t.is(code, 0, stderr)
    t.deepEqual(
      stdout.trim().split(','),
      CALLS.flatMap((each) => (each === name ? [each, 'uncaughtException mine'] : [each])),
    )
  })

  test(`without_an_error_handler_a_rejection_is_uncaught: ${name}`, async (t) => {
    const { code, stdout, stderr } = await runModule(t, FAILING(name, `return Promise.reject(new Error('mine'))`))
    t.is(code, 0, stderr)
    const said = stdout.trim().split(',')
    // A rejection is reported some microtasks later; close may come before it.
    t.deepEqual(
      said.filter((each) => each !== 'uncaughtException mine'),
      CALLS,
    )
    t.is(said.length, CALLS.length + 1)
    t.true(said.indexOf('uncaughtException mine') > said.indexOf(name))
  })
}

for (const failure of [`throw new Error('mine')`, `return Promise.reject(new Error('mine'))`]) {
  test(`a_failure_of_the_error_handler_is_uncaught: ${failure}`, async (t) => {
    const { code, stdout, stderr } = await runModule(
      t,
      FAILING('data', `throw new Error('first')`, `socket.error = () => { calls.push('error'); ${failure} }`),
    )
    t.is(code, 0, stderr)
    t.deepEqual(stdout.trim().split(','), [
      'open',
      'data',
      'error',
      'uncaughtException mine',
      'end',
      'timeout',
      'close',
    ])
  })
}

test('without_an_error_handler_an_exception_in_drain_is_uncaught', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { connect, listen } from 'm-socket'
    process.on('uncaughtException', ({ message }) => console.log(message))
    const server = listen({ host: '127.0.0.1', socket: {
      open: (it) => console.log('short', it.write(Buffer.alloc(16 << 20)) < 16 << 20),
      drain(it) { it.end(); throw new Error('mine') },
      close() { console.log('close'); server.stop() },
    } })
    await connect({ host: '127.0.0.1', port: server.port, socket: { data() {} } })
  `,
  )
  t.is(code, 0, stderr)
  t.deepEqual(stdout.trim().split('\n'), ['short true', 'mine', 'close'])
})

test('without_an_error_handler_an_exception_in_connectError_is_uncaught', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { connect, listen } from 'm-socket'
    process.on('uncaughtException', ({ message }) => console.log(message))
    const server = listen({ host: '127.0.0.1' })
    const { port } = server
    server.stop()
    await connect({ host: '127.0.0.1', port, socket: { connectError() { throw new Error('mine') } } }).catch(({ name }) => console.log(name))
  `,
  )
  t.is(code, 0, stderr)
  t.deepEqual(stdout.trim().split('\n').toSorted(), ['SocketError', 'mine'])
})

test('a_broken_connection_closes_even_if_its_error_handler_throws', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    process.on('uncaughtException', ({ message }) => console.log(message))
    const server = listen({ host: '127.0.0.1', socket: {
      data: () => peer.reset(),
      error() { console.log('error'); throw new Error('mine') },
      close(_, { code }) { console.log('close', code); server.stop() },
    } })
    const peer = Socket.connect({ host: '127.0.0.1', port: server.port })
    peer.send('x')
  `,
  )
  t.is(code, 0, stderr)
  t.deepEqual(stdout.trim().split('\n').toSorted(), ['close ECONNRESET', 'error', 'mine'])
})

test('an_uncaught_exception_of_a_handler_ends_the_process', async (t) => {
  const { code, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', socket: { open() { throw new RangeError('not caught') } } })
    Socket.connect({ host: '127.0.0.1', port: server.port })
    setTimeout(() => process.exit(0), 60_000)
  `,
  )
  t.not(code, 0)
  t.regex(stderr, /RangeError: not caught/)
})

// Other connections of the same batch

const SIZE = 20

/** Connections whose data arrives in one batch; `journals` has the handler calls of each. */
interface Batch {
  readonly journals: HandlerLog[]
  /** How many times `data` was called before any microtask ran. */
  inOneBatch: number
}

/** Lets `SIZE` peers send their index at once; the data handler of each connection calls `act`. */
async function batchOf(
  t: Parameters<typeof connectionPair>[0],
  family: Family,
  act: (connection: Connection<number>, all: Connection<number>[]) => void,
): Promise<Batch> {
  const journals = Array.from({ length: SIZE }, () => new HandlerLog())
  const all: Connection<number>[] = []
  let calls = 0
  const batch: Batch = { journals, inOneBatch: 0 }
  const note = (it: Connection<number>, entry: string): void => void journals[it.data]!.entries.push(entry)
  const server = testServer<number>(t, {
    ...freeAddress(t, family),
    data: -1,
    socket: {
      open(it) {
        it.data = all.push(it) - 1
      },
      data(it, chunk) {
        if (calls++ === 0) queueMicrotask(() => (batch.inOneBatch = calls))
        note(it, `data ${chunk}`)
        act(it, all)
      },
      end: (it) => note(it, 'end'),
      error: (it, error) => note(it, `error ${(error as NodeJS.ErrnoException).code ?? error.message}`),
      close: (it, error) =>
        note(it, error ? `close ${(error as NodeJS.ErrnoException).code ?? error.message}` : 'close'),
    },
  })
  const peers: Socket[] = []
  for (let count = 0; count < SIZE; count++) {
    peers.push(await connectedSocket(t, server))
    await until(() => all.length === count + 1)
  }
  for (const [index, peer] of peers.entries()) peer.send(String(index))
  await until(() => calls > 0)
  await sleep(50)
  for (const peer of peers) peer.close()
  await until(() => server.connections === 0)
  await sleep(10)
  return batch
}

for (const family of ['IPv4', 'unix'] as const) {
  test(`truth 39: an_exception_in_a_handler_does_not_affect_the_rest_of_the_batch: ${family}`, async (t) => {
    const { journals, inOneBatch } = await batchOf(t, family, ({ data }) => {
      if (data % 2 === 0) throw new Error('mine')
    })
    t.is(inOneBatch, SIZE)
    for (const [index, { entries }] of journals.entries()) {
      t.deepEqual(
        entries,
        index % 2 === 0 ? [`data ${index}`, 'error mine', 'end', 'close'] : [`data ${index}`, 'end', 'close'],
      )
    }
  })

  test(`truth 39: a_connection_that_terminates_itself_does_not_affect_the_rest_of_the_batch: ${family}`, async (t) => {
    const { journals, inOneBatch } = await batchOf(t, family, (it) => {
      if (it.data % 2 === 0) it.terminate()
    })
    t.is(inOneBatch, SIZE)
    for (const [index, { entries }] of journals.entries()) {
      t.deepEqual(entries, index % 2 === 0 ? [`data ${index}`, 'close'] : [`data ${index}`, 'end', 'close'])
    }
  })

  test(`truth 6: connections_terminated_by_another_handler_only_get_close: ${family}`, async (t) => {
    let first = -1
    const { journals } = await batchOf(t, family, (it, all) => {
      if (first >= 0) return
      first = it.data
      for (const other of all) if (other !== it) other.terminate()
    })
    for (const [index, { entries }] of journals.entries()) {
      t.deepEqual(entries, index === first ? [`data ${index}`, 'end', 'close'] : ['close'])
    }
  })

  test(`connections_ended_by_another_handler_still_get_data_and_end: ${family}`, async (t) => {
    const { journals, inOneBatch } = await batchOf(t, family, (_, all) => {
      for (const other of all) other.end()
    })
    t.is(inOneBatch, SIZE)
    for (const [index, { entries }] of journals.entries()) t.deepEqual(entries, [`data ${index}`, 'end', 'close'])
  })
}

test('truth 7: events_of_closed_connections_do_not_reach_new_ones_that_reuse_their_descriptors', async (t) => {
  const received: string[] = []
  const fresh = testServer(t, { socket: { data: (_, chunk) => void received.push(chunk.toString()) } })
  const opened: Promise<Connection>[] = []
  const strays: string[] = []
  const { journals } = await batchOf(t, 'IPv4', (it, all) => {
    if (opened.length > 0) return
    for (const other of all) if (other !== it) other.terminate()
    // The kernel assigns the lowest free descriptors: those of the connections just closed.
    for (let count = 1; count < SIZE; count++) {
      opened.push(
        connect({
          ...addressOf(fresh),
          socket: { open: (c) => void c.write('fresh '), data: (_, chunk) => void strays.push(chunk.toString()) },
        }),
      )
    }
  })
  const connections = await Promise.all(opened)
  t.teardown(() => connections.forEach((it) => it.terminate()))
  await until(() => received.join('') === 'fresh '.repeat(SIZE - 1))
  t.deepEqual(strays, [])
  t.is(journals.filter(({ entries }) => entries.length === 1 && entries[0] === 'close').length, SIZE - 1)
})

test('a_close_handler_can_open_another_connection', async (t) => {
  const server = testServer(t, { socket: { data: (it) => void it.end() } })
  const log = new HandlerLog()
  let left = 5
  const again = async (): Promise<void> => {
    await connect({
      ...addressOf(server),
      socket: log.handlers({
        open: (it) => void it.write('x'),
        close: async () => {
          if (--left > 0) await again()
        },
      }),
    })
  }
  await again()
  await until(() => left === 0 && server.connections === 0)
  t.deepEqual(log.entries, Array.from({ length: 5 }, () => ['open', 'end', 'close']).flat())
})

test('an_open_handler_can_stop_its_server', async (t) => {
  const log = new HandlerLog()
  const server = testServer(t, { socket: log.handlers({ open: (it) => it.listener!.stop(true) }) })
  const peers = [connectSocket(t, server), connectSocket(t, server)]
  t.deepEqual(await log.closed(), ['open', 'close'])
  t.is(server.connections, 0)
  for (const peer of peers) await until(() => hasEnded(peer), peer)
  t.is(log.entries.length, 2)
})

/** Whether the peer of a socket has ended or reset the connection. */
function hasEnded(socket: Socket): boolean {
  try {
    return socket.receive(new Uint8Array(1)) === 0
  } catch {
    return true
  }
}
