import test from 'ava'
import { Multiplexer, Socket, constants } from 'm-socket'

import { runModule } from '../support/child.js'
import { keepTimeStamps } from '../support/error-queue.js'
import { flagsFor } from '../support/event-flags.js'
import { connectedPair, resetAtEnd, smallBufferPair } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { assertIdle } from '../support/timing.js'
import { until } from '../support/waiting.js'

const GETTERS: [name: string, look: (socket: Socket) => unknown][] = [
  ['state', (socket) => socket.state],
  ['readEnded', (socket) => socket.readEnded],
  ['writeEnded', (socket) => socket.writeEnded],
  ['flush', (socket) => socket.flush()],
  ['SO_ERROR', (socket) => socket.getsockopt(constants.SOL_SOCKET, constants.SO_ERROR)],
]

for (const [name, look] of GETTERS) {
  for (const times of [1, 3]) {
    test(`a_refused_connect_is_reported_although_the_program_saw_it_first: ${name} (${times})`, async (t) => {
      const socket = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port: freePort() }))
      using multiplexer = new Multiplexer(socket)
      const waiting = multiplexer.wait(50_000)
      for (let left = times; left > 0; left--) look(socket)
      t.regex(flagsFor(socket, await waiting) ?? '', /error/)
      t.throws(() => socket.receive(new Uint8Array(1)), { code: 'ECONNREFUSED' })
    })
  }
}

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  for (const interest of ['r', 'w', 'rw'] as const) {
    test(`truth 43: a_pending_wait_reports_the_error_that_a_send_met: ${interest}, ${mode}`, async (t) => {
      const { client, server } = await connectedPair(t)
      using multiplexer = new Multiplexer()
      multiplexer.add(server, interest, mode)
      const waiting = multiplexer.wait(50_000)
      // The edge has not been fetched.
      client.reset()
      t.is(server.send('x'), 'closed')
      const first = flagsFor(server, await waiting) ?? ''
      const flags = first.includes('error') ? first : (flagsFor(server, await multiplexer.wait(50_000)) ?? '')
      t.regex(flags, /error/)
      t.throws(() => server.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
    })
  }
}

test('truth 43: peek_and_receive_throw_the_error_that_a_flush_met_after_the_input', async (t) => {
  const { client, server } = await smallBufferPair(t)
  client.send('last words')
  await until(() => server.peek(new Uint8Array(16)) === 10, server)
  while (server.queued === 0) server.send(Buffer.alloc(4096))
  client.reset()
  t.true(server.flush(), 'the queue was dropped')
  t.is(server.peek(new Uint8Array(16)), 10)
  t.is(server.receive(new Uint8Array(16)), 10)
  t.throws(() => server.peek(new Uint8Array(16)), { code: 'ECONNRESET' })
  t.is(server.state, 'closed')
})

for (const [interest, unread] of [
  ['r', ''],
  ['w', ''],
  ['rw', ''],
  ['w', 'unread'],
] as const) {
  const title = `truth 30: an_error_queue_does_not_spin_a_program_that_only_waits: ${interest} ${unread}`
  test.serial(title.trimEnd(), async (t) => {
    const { client, server } = await connectedPair(t)
    if (unread !== '') client.send(unread)
    keepTimeStamps(server)
    using multiplexer = new Multiplexer()
    multiplexer.add(server, interest)
    t.is(server.send('hello'), 'sent')
    await until(() => client.receive(new Uint8Array(8)) === 5, client)
    let waits = 0
    await assertIdle(t, async () => {
      for (const end = performance.now() + 300; performance.now() < end; waits++) await multiplexer.wait(50)
    })
    t.true(waits < 20, `${waits} waits`)
    client.send('input')
    await until(() => server.receive(new Uint8Array(16)) !== null)
    t.is(server.send('more'), 'sent')
  })
}

test('a_queue_of_a_refused_connect_that_reading_the_state_dropped_does_not_keep_the_process_alive', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1', backlog: 0 })
    const to = { host: '127.0.0.1', port: listener.address.port }
    // They fill the backlog, so that one more stays pending until its SYN is sent again: tcp(7).
    const others = Array.from({ length: 8 }, () => Socket.connect(to))
    const socket = Socket.connect(to)
    globalThis.kept = [socket, new Multiplexer(socket)]
    const status = socket.send('x')
    for (const other of others) other.reset()
    listener.close()
    // Node's loop does not run meanwhile.
    while (socket.state === 'connecting') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    console.log(status, socket.state, socket.queued)`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'queued closed 0\n', stderr: '' })
})
