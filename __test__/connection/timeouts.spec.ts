import test, { type ExecutionContext } from 'ava'
import { type Connection, type Handlers, Multiplexer, connect } from 'm-socket'

import { runModule } from '../support/child.js'
import { runFixture } from '../support/fixture.js'
import { closeAtEnd } from '../support/pair.js'
import { connectSocket, connectedSocket, testServer, withResolvers } from '../support/server.js'
import { nextTurn, sleep } from '../support/timing.js'
import { freePath } from '../support/unix.js'
import { receiveToEnd, until, waitUntil } from '../support/waiting.js'

/** Records calls and their times, in milliseconds since it was created. */
class Diary {
  readonly #began = performance.now()
  readonly entries: string[] = []
  readonly #times: number[] = []

  note(entry: string): void {
    this.entries.push(entry)
    this.#times.push(performance.now() - this.#began)
  }

  /** The time of the first entry of this name. */
  timeOf(entry: string): number {
    return this.#times[this.entries.indexOf(entry)] ?? Number.NaN
  }

  get handlers(): Handlers {
    return {
      data: (_, chunk) => this.note(`data ${chunk}`),
      end: () => this.note('end'),
      error: (_, error) => this.note(`error ${error.message}`),
      timeout: () => this.note('timeout'),
      close: (_, error) => this.note(error ? `close ${error.message}` : 'close'),
    }
  }
}

// When a connection times out

test('an_idle_connection_gets_timeout_and_is_closed', async (t) => {
  const diary = new Diary()
  const server = testServer(t, { idleTimeout: 200, socket: diary.handlers })
  const peer = await connectedSocket(t, server)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
  // Node's timers count whole milliseconds.
  t.true(diary.timeOf('timeout') >= 199, `after ${diary.timeOf('timeout')} ms`)
  t.is(server.connections, 0)
  t.is((await receiveToEnd(peer)).length, 0)
})

test('an_idle_connection_without_a_timeout_handler_is_closed', async (t) => {
  const diary = new Diary()
  const { timeout: _, ...handlers } = diary.handlers
  const server = testServer(t, { idleTimeout: 50, socket: handlers })
  const peer = await connectedSocket(t, server)
  t.is((await receiveToEnd(peer)).length, 0)
  await until(() => server.connections === 0)
  t.deepEqual(diary.entries, ['close'])
})

test('a_client_connection_times_out_too', async (t) => {
  const diary = new Diary()
  const server = testServer(t, { allowHalfOpen: true })
  const connection = await connect({
    host: '127.0.0.1',
    port: server.port!,
    idleTimeout: 50,
    socket: diary.handlers,
  })
  await until(() => diary.entries.length === 2)
  t.deepEqual(diary.entries, ['timeout', 'close'])
  t.is(connection.readyState, 0)
})

test('without_an_idleTimeout_a_connection_stays_open', async (t) => {
  const diary = new Diary()
  const server = testServer(t, { path: freePath(t), socket: diary.handlers })
  connectSocket(t, server)
  await until(() => server.connections === 1)
  await sleep(400)
  t.is(server.connections, 1)
  t.deepEqual(diary.entries, [])
})

test('a_timeout_with_a_stalled_queue_resets_and_drops_the_queue', async (t) => {
  const length = 16 << 20
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, {
    idleTimeout: 100,
    sendQueueLimit: length,
    socket: { ...diary.handlers, open: opened.resolve },
  })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  connection.write(Buffer.alloc(length))
  // The queue stalls, since the peer does not read.
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
  t.deepEqual([connection.socket!.state, connection.socket!.queued, connection.socket!.fd], ['closed', 0, -1])
  await t.throwsAsync(receiveToEnd(peer), { code: 'ECONNRESET' })
})

// What postpones the timeout

/** The machine was too busy for the timing that a test needs. */
class TooBusy extends Error {}

/** Declares a test that depends on `idle` milliseconds; it repeats with a longer time if the machine was too busy. */
function testWithin(title: string, run: (t: ExecutionContext, idle: number, began: number) => Promise<void>): void {
  test(title, async (t) => {
    for (let idle = 300; ; idle *= 3) {
      try {
        return await run(t, idle, performance.now())
      } catch (error) {
        if (!(error instanceof TooBusy) || idle > 10_000) throw error
      }
    }
  })
}

/** Calls `act` {@link TIMES} times, spread over twice `idle`; throws if it is late, counted from `began` at first. */
async function often(idle: number, began: number, act: () => void): Promise<void> {
  for (let count = 0, last = began; ; count++) {
    refuseLate(last, idle)
    if (count === TIMES) return
    last = performance.now()
    act()
    await sleep((2 * idle) / TIMES)
  }
}

/**
 * Throws, and so repeats the test, if a connection may have timed out since `began`. Half of `idle` is the limit, since
 * the effect of one call may come late and that of the next in time.
 */
function refuseLate(began: number, idle: number): void {
  const since = performance.now() - began
  if (since > idle / 2) throw new TooBusy(`${since} ms`)
}

const TIMES = 15

/** Blocks the thread. Tests that call it are serial, so that they delay no others. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

testWithin('received_data_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const server = testServer(t, { idleTimeout: idle, socket: { ...diary.handlers, data: () => {} } })
  const peer = await connectedSocket(t, server)
  await often(idle, began, () => peer.send('x'))
  t.deepEqual(diary.entries, [])
  diary.note('silence')
  await until(() => server.connections === 0)
  t.deepEqual(diary.entries, ['silence', 'timeout', 'close'])
})

test.serial('data_received_while_the_loop_was_blocked_postpones_the_timeout', async (t) => {
  const diary = new Diary()
  const server = testServer(t, { idleTimeout: 200, socket: diary.handlers })
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  peer.send('x')
  block(500)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['data x', 'timeout', 'close'])
})

test.serial('an_end_or_reset_while_the_loop_was_blocked_is_reported_instead_of_a_timeout', async (t) => {
  for (const [how, expected] of [
    ['close', ['end', 'close']],
    ['reset', ['error read ECONNRESET', 'close read ECONNRESET']],
  ] as const) {
    const diary = new Diary()
    const server = testServer(t, { idleTimeout: 200, socket: diary.handlers })
    const peer = await connectedSocket(t, server)
    await until(() => server.connections === 1)
    peer[how]()
    block(500)
    await until(() => diary.entries.some((entry) => entry.startsWith('close')))
    t.deepEqual(diary.entries, expected)
  }
})

testWithin('written_data_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, { idleTimeout: idle, socket: { ...diary.handlers, open: opened.resolve } })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  await often(idle, began, () => connection.write('x'))
  t.deepEqual(diary.entries, [])
  t.is((await receiveToEnd(peer)).length, TIMES)
  await until(() => server.connections === 0)
  t.deepEqual(diary.entries, ['timeout', 'close'])
})

testWithin('data_sent_by_tryWrite_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, { idleTimeout: idle, socket: { ...diary.handlers, open: opened.resolve } })
  await connectedSocket(t, server)
  const connection = await opened.promise
  await often(idle, began, () => connection.tryWrite('x'))
  t.deepEqual(diary.entries, [])
})

testWithin('data_read_by_iteration_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, { idleTimeout: idle, socket: { ...diary.handlers, open: opened.resolve } })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  const reading = (async () => {
    let read = 0
    for await (const chunk of connection) read += chunk.length
    return read
  })().catch((error: Error) => error)
  await often(idle, began, () => peer.send('x'))
  t.deepEqual(diary.entries, [])
  await until(() => server.connections === 0)
  t.deepEqual(diary.entries, ['timeout', 'close'])
  await reading
})

testWithin('a_draining_queue_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, {
    idleTimeout: idle,
    sendBufferSize: 4096,
    sendQueueLimit: 1 << 20,
    socket: { ...diary.handlers, open: opened.resolve },
  })
  const peer = await connectedSocket(t, server, { receiveBufferSize: 4096 })
  const connection = await opened.promise
  refuseLate(began, idle)
  t.is(connection.write(Buffer.alloc(1 << 20)), 1 << 20)
  const into = new Uint8Array(2048)
  const sent: number[] = []
  await often(idle, began, () => {
    sent.push(connection.bytesWritten)
    while (peer.receive(into));
  })
  t.deepEqual(diary.entries, [])
  t.true(new Set(sent).size > 10 && connection.socket!.queued > 0, 'the queue drained all the time')
})

for (const [name, closes] of [
  ['written in a handler', false],
  ['of a connection that is closing', true],
] as const) {
  testWithin(`a_draining_queue_postpones_the_timeout: ${name}`, async (t, idle, began) => {
    const diary = new Diary()
    const opened = withResolvers<Connection>()
    const server = testServer(t, {
      idleTimeout: idle,
      sendBufferSize: 4096,
      sendQueueLimit: 1 << 20,
      socket: {
        ...diary.handlers,
        open(connection) {
          t.is(connection.write(Buffer.alloc(1 << 20)), 1 << 20)
          if (closes) connection.shutdown('both')
          opened.resolve(connection)
        },
      },
    })
    const peer = await connectedSocket(t, server, { receiveBufferSize: 4096 })
    const connection = await opened.promise
    t.is(connection.state, closes ? 'closing' : 'open')
    const into = new Uint8Array(2048)
    const queued: number[] = []
    await often(idle, began, () => {
      queued.push(connection.socket!.queued)
      while (peer.receive(into));
    })
    t.deepEqual(diary.entries, [])
    t.true(new Set(queued).size > 10 && connection.socket!.queued > 0, 'the queue drained all the time')
    diary.note('stall')
    await until(() => server.connections === 0)
    t.is(diary.entries[1], 'timeout')
    await t.throwsAsync(receiveToEnd(peer), { code: 'ECONNRESET' })
  })
}

test('a_stalled_queue_that_a_handler_wrote_is_given_the_time_twice_at_most', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 300,
    sendQueueLimit: 16 << 20,
    socket: { ...diary.handlers, open: (connection) => connection.write(Buffer.alloc(16 << 20)) },
  })
  await connectedSocket(t, server)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
})

testWithin('traffic_of_other_connections_does_not_postpone_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const server = testServer<string>(t, {
    idleTimeout: idle,
    data: 'silent',
    socket: {
      data: (connection) => void (connection.data = 'busy'),
      close: ({ data }) => diary.note(data),
    },
  })
  const [busy] = [await connectedSocket(t, server), await connectedSocket(t, server)]
  await often(idle, began, () => busy.send('x'))
  t.deepEqual(diary.entries, ['silent'])
  t.is(server.connections, 1)
})

// What the timeout handler can do

test('a_timeout_handler_that_writes_keeps_the_connection_open', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 100,
    socket: {
      ...diary.handlers,
      timeout(connection) {
        diary.note('timeout')
        if (diary.entries.length < 3) connection.write('?')
      },
    },
  })
  const peer = await connectedSocket(t, server)
  t.is((await receiveToEnd(peer)).toString(), '??')
  await until(() => server.connections === 0)
  t.deepEqual(diary.entries, ['timeout', 'timeout', 'timeout', 'close'])
})

test('a_timeout_handler_that_sets_a_new_time_keeps_the_connection_open', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 100,
    socket: {
      ...diary.handlers,
      timeout(connection) {
        diary.note(`timeout ${diary.entries.length}`)
        if (diary.entries.length < 3) connection.timeout(200)
      },
    },
  })
  await connectedSocket(t, server)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout 0', 'timeout 1', 'timeout 2', 'close'])
  t.true(diary.timeOf('timeout 1') - diary.timeOf('timeout 0') >= 199)
})

test('a_timeout_handler_that_disables_the_timeout_keeps_the_connection_open', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 50,
    socket: {
      ...diary.handlers,
      timeout(connection) {
        diary.note('timeout')
        connection.timeout(0)
      },
    },
  })
  const peer = await connectedSocket(t, server)
  await until(() => diary.entries.length === 1)
  await sleep(300)
  peer.send('still there')
  await until(() => diary.entries.length === 2)
  t.deepEqual(diary.entries, ['timeout', 'data still there'])
})

test('an_exception_in_timeout_goes_to_error_and_the_connection_closes', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 50,
    socket: {
      ...diary.handlers,
      timeout() {
        throw new Error('mine')
      },
    },
  })
  await connectedSocket(t, server)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['error mine', 'close'])
})

test('a_timeout_handler_may_end_or_terminate_the_connection_itself', async (t) => {
  for (const how of ['end', 'terminate'] as const) {
    const diary = new Diary()
    const server = testServer(t, {
      idleTimeout: 50,
      socket: {
        ...diary.handlers,
        timeout(connection) {
          diary.note('timeout')
          connection[how]()
        },
      },
    })
    const peer = await connectedSocket(t, server)
    const received = receiveToEnd(peer).then(
      () => 'end',
      (error: NodeJS.ErrnoException) => error.code,
    )
    await until(() => diary.entries.includes('close'))
    t.deepEqual(diary.entries, ['timeout', 'close'], how)
    t.is(await received, how === 'end' ? 'end' : 'ECONNRESET')
  }
})

test('a_connection_terminated_by_another_timeout_handler_gets_no_timeout', async (t) => {
  const connections: Connection[] = []
  const calls: string[] = []
  const server = testServer(t, {
    path: freePath(t),
    idleTimeout: 150,
    socket: {
      open: (connection) => void connections.push(connection),
      timeout(connection) {
        calls.push(`timeout ${connections.indexOf(connection)}`)
        for (const other of connections) other.terminate()
      },
      close: (connection) => void calls.push(`close ${connections.indexOf(connection)}`),
    },
  })
  for (let count = 0; count < 3; count++) connectSocket(t, server)
  await until(() => calls.filter((it) => it.startsWith('close')).length === 3)
  t.is(calls.filter((it) => it.startsWith('timeout')).length, 1, calls.join(', '))
})

// connection.timeout

test('a_connection_sets_its_own_timeout', async (t) => {
  const diary = new Diary()
  let opened = 0
  const server = testServer<string>(t, {
    data: 'patient',
    socket: {
      open(connection) {
        if (opened++ === 0) connection.timeout(100).data = 'hasty'
      },
      timeout: ({ data }) => diary.note(`timeout ${data}`),
      close: ({ data }) => diary.note(`close ${data}`),
    },
  })
  await connectedSocket(t, server)
  await until(() => opened === 1)
  await connectedSocket(t, server)
  await until(() => opened === 2 && diary.entries.length === 2)
  t.deepEqual(diary.entries, ['timeout hasty', 'close hasty'])
  t.is(server.connections, 1)
})

for (const [first, then] of [
  [60_000, 100],
  [100, 400],
] as const) {
  test(`the_timeout_set_last_applies (${first}, then ${then})`, async (t) => {
    const diary = new Diary()
    const server = testServer(t, {
      idleTimeout: first,
      socket: { ...diary.handlers, open: (connection) => void connection.timeout(then) },
    })
    await connectedSocket(t, server)
    await until(() => diary.entries.includes('close'))
    t.deepEqual(diary.entries, ['timeout', 'close'])
    t.true(diary.timeOf('timeout') >= then - 1)
  })
}

test('a_timeout_of_0_disables_it', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 100,
    socket: { ...diary.handlers, open: (connection) => void connection.timeout(0) },
  })
  await connectedSocket(t, server)
  await until(() => server.connections === 1)
  await sleep(400)
  t.deepEqual(diary.entries, [])
  t.is(server.connections, 1)
})

test('an_invalid_timeout_is_refused_and_the_old_one_stays', async (t) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, { idleTimeout: 200, socket: { ...diary.handlers, open: opened.resolve } })
  await connectedSocket(t, server)
  const connection = await opened.promise
  for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
    t.throws(() => connection.timeout(bad), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  for (const wrong of ['5', null, undefined, {}])
    t.throws(() => connection.timeout(wrong as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
})

test('a_timeout_set_on_a_closed_connection_does_nothing', async (t) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, { socket: { ...diary.handlers, open: opened.resolve } })
  await connectedSocket(t, server)
  const connection = await opened.promise
  connection.terminate()
  await nextTurn()
  connection.timeout(20)
  await sleep(300)
  t.deepEqual(diary.entries, ['close'])
})

// Pauses and ends

test('a_paused_connection_with_unread_input_times_out', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 100,
    socket: { ...diary.handlers, open: (connection) => void connection.pause() },
  })
  const peer = await connectedSocket(t, server)
  peer.send('unread')
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
})

testWithin('data_delivered_after_resume_postpones_the_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const opened = withResolvers<Connection>()
  const server = testServer(t, {
    idleTimeout: idle,
    socket: { ...diary.handlers, open: (connection) => opened.resolve(connection.pause()) },
  })
  const peer = await connectedSocket(t, server)
  const connection = await opened.promise
  peer.send('x')
  await sleep(idle / 3)
  refuseLate(began, idle)
  connection.resume()
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['data x', 'timeout', 'close'])
  t.true(diary.timeOf('timeout') - diary.timeOf('data x') >= idle - 1)
})

test('a_half_open_connection_times_out', async (t) => {
  const diary = new Diary()
  const server = testServer(t, { idleTimeout: 100, allowHalfOpen: true, socket: diary.handlers })
  const peer = await connectedSocket(t, server)
  peer.shutdown()
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['end', 'timeout', 'close'])
})

test('an_ended_connection_times_out_if_the_peer_does_not_end', async (t) => {
  const diary = new Diary()
  const server = testServer(t, {
    idleTimeout: 100,
    socket: { ...diary.handlers, open: (connection) => void connection.end() },
  })
  const peer = await connectedSocket(t, server)
  await until(() => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['timeout', 'close'])
  t.is((await receiveToEnd(peer)).length, 0)
})

testWithin('a_connection_that_closes_in_time_gets_no_timeout', async (t, idle, began) => {
  const diary = new Diary()
  const server = testServer(t, { idleTimeout: idle, socket: diary.handlers })
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1 || diary.entries.length > 0)
  peer.close()
  await until(() => server.connections === 0)
  refuseLate(began, idle)
  await sleep(2 * idle)
  t.deepEqual(diary.entries, ['end', 'close'])
})

// What it costs

test.serial('10000_idle_connections_share_timers_use_no_cpu_and_all_time_out', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'idle-connections.ts', freePath(t), 5000, 2000)
  t.is(code, 0, stderr)
  const { cpu, timersToConnect, timersWhileIdle, ...counts } = JSON.parse(stdout) as {
    cpu: number
    timersToConnect: number
    timersWhileIdle: number
  }
  t.log(`${cpu} ms of work in 2000 ms, ${timersToConnect} timers for 10000 connections, ${timersWhileIdle} while idle`)
  t.deepEqual(counts, { once: 5000, early: 0, closed: 5000, left: 0 } as object)
  t.true(cpu < 100, `${cpu} ms of work in 2000 ms`)
  t.true(timersToConnect < 1000, `${timersToConnect} timers`)
  t.true(timersWhileIdle < 50, `${timersWhileIdle} timers`)
})

// Where timers run

/** Exits after a minute with a message, if something keeps the process alive that long. */
const EXIT_IF_KEPT_ALIVE = `setTimeout(() => { console.log('kept alive'); process.exit() }, 60_000).unref()`

test('truth 40: a_timeout_does_not_keep_the_process_alive', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    ${EXIT_IF_KEPT_ALIVE}
    const server = listen({ host: '127.0.0.1', idleTimeout: 60_000, socket: {
      open(connection) {
        server.unref()
        connection.unref().timeout(30_000)
        console.log('set')
      },
    } })
    globalThis.peer = Socket.connect({ port: server.port })`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'set\n', stderr: '' })
})

test('truth 40: the_timeout_of_close_does_not_keep_the_process_alive', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    ${EXIT_IF_KEPT_ALIVE}
    const server = listen({ host: '127.0.0.1', socket: {
      data: () => {},
      open(connection) {
        connection.unref()
        void server.close({ timeout: 60_000 })
        console.log('closing')
      },
    } })
    globalThis.peer = Socket.connect({ port: server.port })`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'closing\n', stderr: '' })
})

test('truth 40: a_referenced_connection_keeps_the_process_alive_until_its_timeout', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', idleTimeout: 300, socket: {
      open: () => server.unref(),
      timeout: () => console.log('timeout'),
      close: () => console.log('close'),
    } })
    globalThis.peer = Socket.connect({ port: server.port })`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'timeout\nclose\n', stderr: '' })
})

test('truth 40: a_referenced_connection_keeps_the_process_alive_until_the_timeout_of_close', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Socket, listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', socket: {
      data: () => {},
      open: () => void server.close({ timeout: 300 }).then(() => console.log('closed')),
      close: () => console.log('close'),
    } })
    globalThis.peer = Socket.connect({ port: server.port })`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'close\nclosed\n', stderr: '' })
})

test('a_connection_in_a_given_multiplexer_times_out_too', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const diary = new Diary()
  const server = testServer(t, { path: freePath(t), multiplexer, idleTimeout: 100, socket: diary.handlers })
  const peer = connectSocket(t, server)
  peer.send('x')
  await waitUntil(multiplexer, () => diary.entries.includes('close'))
  t.deepEqual(diary.entries, ['data x', 'timeout', 'close'])
})
