import test from 'ava'
import { type Connection, type Handlers, Socket, constants } from 'm-socket'

import { type ConnectionPair, connectionPair } from '../support/connection-pair.js'
import { keepTimeStamps } from '../support/error-queue.js'
import { HandlerLog } from '../support/handler-log.js'
import { assertIdle, sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

const BROKEN = /^error (ECONNRESET|EPIPE),close (ECONNRESET|EPIPE)$/

/** A connection with handlers that are recorded, and its peer, whose input is not read. */
async function loggedPair(
  t: Parameters<typeof connectionPair>[0],
  acts: Handlers = {},
): Promise<ConnectionPair & { log: HandlerLog }> {
  const log = new HandlerLog()
  const pair = await connectionPair(t, { server: { socket: log.handlers(acts) } })
  log.entries.length = 0
  return { ...pair, log }
}

for (const act of ['terminate', 'detach', 'end'] as const) {
  test(`close_gets_the_reason_that_error_got_whatever_that_calls: ${act}`, async (t) => {
    const acts: Handlers = {
      error(connection) {
        if (act !== 'detach') connection[act]()
        else t.throws(() => connection.detach(), { code: 'ERR_SOCKET_CLOSED' })
      },
    }
    const { connection, log, server } = await loggedPair(t, acts)
    connection.terminate()
    await until(() => log.entries.length === 2)
    t.regex(log.entries.join(), BROKEN)
    t.like(server.stats(), { closed: 0, failed: 1 })
  })
}

const STATES: [name: string, prepare: (connection: Connection) => unknown][] = [
  ['paused', (connection) => connection.pause()],
  ['paused, with a queue', (connection) => fill(connection.pause())],
  ['with a queue', (connection) => fill(connection)],
  ['read by promises, with a queue', (connection) => (read(connection), fill(connection))],
  ['read by promises, paused', (connection) => (read(connection), connection.pause())],
  ['read by promises, with no read pending', (connection) => read(connection)],
  ['read by promises, with no read pending and a queue', (connection) => (read(connection), fill(connection))],
]

/** Writes more than the kernel takes, so that `drain` is waited for. */
function fill(connection: Connection): void {
  connection.write(Buffer.alloc(16 << 20))
}

/** The read is pending until something comes, or fails at the end of the test. */
function read(connection: Connection): void {
  connection.read(new Uint8Array(9)).catch(() => {})
}

for (const [name, prepare] of STATES) {
  test(`truth 43: a_reset_calls_error_and_close_once: ${name}`, async (t) => {
    const { connection: peer, accepted, log, server } = await loggedPair(t)
    prepare(accepted)
    if (name.includes('no read pending')) {
      peer.write('x')
      await until(() => accepted.bytesRead === 1)
    }
    if (name.includes('queue')) await until(() => accepted.socket!.queued > 0)
    peer.terminate()
    t.regex((await log.closed()).join(), BROKEN)
    t.is(server.connections, 0)
  })
}

test('truth 43: a_reset_that_a_corked_write_meets_calls_error_and_close_once', async (t) => {
  const { connection: peer, accepted, log } = await loggedPair(t, { data: () => {} })
  // The loop does not poll between the reset and the write.
  peer.terminate()
  accepted.pause().cork(() => accepted.write('corked'))
  t.regex((await log.closed()).join(), BROKEN)
})

for (const verb of ['shutdown', 'end', 'terminate'] as const) {
  test(`an_error_handler_that_fails_again_is_called_once: ${verb}`, async (t) => {
    const act = (connection: Connection) => (verb === 'shutdown' ? connection.shutdown('both') : connection[verb]())
    const { connection: peer, accepted, log } = await loggedPair(t, { error: act })
    peer.write('xy')
    await accepted.read(new Uint8Array(1))
    // The loop does not poll between the reset and the shutdown, and input is left.
    peer.terminate()
    accepted.shutdown('both')
    t.regex((await log.closed()).join(), /^error \w+,close( \w+)?$/)
  })
}

const LOOKS: [name: string, look: (socket: Socket) => unknown][] = [
  ['peek', (socket) => socket.peek(new Uint8Array(1))],
  ['receive', (socket) => socket.receive(new Uint8Array(1))],
  ['send', (socket) => socket.send('x')],
  ['state', (socket) => socket.state],
  ['getOption', (socket) => socket.getOption('noDelay')],
  ['SO_ERROR', (socket) => socket.getsockopt(constants.SOL_SOCKET, constants.SO_ERROR)],
  ['shutdown', (socket) => socket.shutdown('read')],
  ['flush', (socket) => socket.flush()],
]

for (const [name, look] of LOOKS) {
  for (const paused of [false, true]) {
    const state = paused ? 'paused' : 'reading'
    test(`a_program_that_uses_the_socket_does_not_take_the_error_of_a_connection: ${name} (${state})`, async (t) => {
      const { connection: peer, accepted, log, server } = await loggedPair(t)
      if (paused) accepted.pause()
      peer.terminate()
      for (let times = 0; times < 3; times++) {
        try {
          look(accepted.socket!)
        } catch {
          // The socket is closed by that; the connection is to get the error all the same.
        }
      }
      t.regex((await log.closed()).join(), BROKEN)
      t.is(server.connections, 0)
    })
  }
}

const IDLE: [name: string, handlers: Handlers, prepare: (connection: Connection) => unknown][] = [
  ['paused', { data() {} }, (connection) => connection.pause()],
  ['reading', { data() {} }, () => {}],
  ['no data handler', {}, () => {}],
  ['read by promises', { data() {} }, (connection) => read(connection)],
]

for (const [name, handlers, prepare] of IDLE) {
  for (const answers of [false, true]) {
    const input = answers ? 'with input' : 'without input'
    test.serial(`truth 30: an_error_queue_does_not_spin_and_breaks_nothing: ${name}, ${input}`, async (t) => {
      const log = new HandlerLog()
      const { connection, accepted } = await connectionPair(t, {
        server: { socket: { data: (peer, chunk) => void (answers && peer.write(chunk)) } },
        client: { socket: { ...handlers, error: log.handlers().error!, close: log.handlers().close! } },
      })
      prepare(connection)
      keepTimeStamps(connection.socket!)
      connection.write('hello')
      await until(() => accepted.bytesRead === 5)
      await sleep(20)
      await assertIdle(t, () => sleep(200))
      t.deepEqual(log.entries, [])
      t.is(connection.write('more'), 4)
    })
  }
}

test.serial('truth 30: an_error_queue_does_not_spin: waiting for drain', async (t) => {
  const { connection } = await connectionPair(t, {
    server: { socket: { open: (peer) => void peer.pause(), data() {} } },
    client: { socket: { data() {} } },
  })
  connection.pause()
  keepTimeStamps(connection.socket!)
  fill(connection)
  await sleep(50)
  await assertIdle(t, () => sleep(200))
  t.is(connection.state, 'open')
})
