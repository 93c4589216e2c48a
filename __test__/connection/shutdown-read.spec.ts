import test from 'ava'
import { type Connection, type ShutdownHow, toDuplex, toWeb } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { HandlerLog } from '../support/handler-log.js'
import { nextTurn } from '../support/timing.js'
import { until } from '../support/waiting.js'

const HALVES: (boolean | ShutdownHow)[] = [true, 'read', 'both']

const TIMES: [name: string, rest: () => unknown][] = [
  ['at once', () => {}],
  ['later', nextTurn],
]

for (const how of HALVES) {
  for (const [time, rest] of TIMES) {
    for (const paused of [false, true]) {
      const title = `a_pending_read_gets_the_end_of_a_shutdown: ${how}, ${time}${paused ? ', paused' : ''}`
      test(title, async (t) => {
        const { connection } = await connectionPair(t, { server: { socket: { data() {} } } })
        if (paused) connection.pause()
        const reading = connection.read(Buffer.alloc(9))
        await rest()
        connection.shutdown(how)
        t.is(await reading, null)
        t.is(await connection.read(Buffer.alloc(9)), null)
        await nextTurn()
        t.is(connection.readyState, how === 'both' ? 0 : 1)
      })
    }

    test(`a_loop_over_a_connection_ends_with_a_shutdown: ${how}, ${time}`, async (t) => {
      const { connection, accepted } = await connectionPair(t, { server: { socket: { data() {} } } })
      accepted.write('word')
      const words: string[] = []
      const looping = (async () => {
        for await (const chunk of connection) words.push(String(chunk))
      })()
      await until(() => words.length === 1)
      await rest()
      connection.shutdown(how)
      await looping
      t.deepEqual(words, ['word'])
    })
  }
}

test('after_a_shutdown_for_reading_our_half_stays_open_and_input_is_discarded', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: { data() {} } },
    client: { socket: log.handlers() },
  })
  connection.shutdown('read')
  accepted.write('discarded')
  await until(() => connection.bytesRead === 9)
  t.is(connection.write('ours'), 4)
  await until(() => accepted.bytesRead === 4)
  t.deepEqual(log.entries, ['open'])
  connection.end()
  t.deepEqual(await log.closed(), ['open', 'close'])
})

test('a_reset_after_a_shutdown_for_reading_calls_error_and_close', async (t) => {
  const log = new HandlerLog()
  const { connection, accepted } = await connectionPair(t, { client: { socket: log.handlers() } })
  connection.shutdown('read')
  await nextTurn()
  accepted.terminate()
  t.deepEqual(await log.closed(), ['open', 'error ECONNRESET', 'close ECONNRESET'])
})

const STREAMS: [name: string, shutdown: (connection: Connection) => void][] = [
  ['connection', (connection) => connection.shutdown('read')],
  ['socket', (connection) => connection.socket!.shutdown('read')],
]

for (const [name, shutdown] of STREAMS) {
  for (const reads of [true, false]) {
    const when = reads ? 'while it is read' : 'before it is read'
    test(`the_readable_side_of_a_stream_ends_with_a_shutdown_of_its_${name}: ${when}`, async (t) => {
      const { connection, accepted } = await connectionPair(t, {
        server: { allowHalfOpen: true, socket: { data() {} } },
        client: { allowHalfOpen: true },
      })
      const duplex = toDuplex(connection, { allowHalfOpen: true })
      const events: string[] = []
      duplex.on('end', () => events.push('end')).on('error', (error) => events.push(error.message))
      if (reads) duplex.resume()
      await nextTurn()
      shutdown(connection)
      await nextTurn()
      duplex.resume()
      await until(() => events.length > 0)
      t.deepEqual(events, ['end'])
      duplex.write('ours')
      await until(() => accepted.bytesRead === 4)
      duplex.destroy()
    })
  }
}

test('a_stream_closes_with_a_shutdown_of_both_halves_of_its_connection_behind_the_queue', async (t) => {
  let received = 0
  const { connection } = await connectionPair(t, {
    server: { socket: { data: (_, chunk) => void (received += chunk.length) } },
    client: { sendQueueLimit: 64 << 20 },
  })
  const duplex = toDuplex(connection, { allowHalfOpen: true })
  const events: string[] = []
  duplex.on('close', () => events.push('close')).on('error', (error) => events.push(error.message))
  let failure: Error | null | undefined
  duplex.write(Buffer.alloc(16 << 20), (error) => (failure = error ?? null))
  t.true(connection.socket!.queued > 0)
  connection.shutdown('both')
  await until(() => events.includes('close') && received === 16 << 20)
  t.deepEqual(events, ['close'])
  t.is(failure, null)
})

test('a_web_stream_that_is_cancelled_while_it_reads_ends', async (t) => {
  const { connection, accepted } = await connectionPair(t, { server: { socket: { data() {} } } })
  const { readable, writable } = toWeb(connection)
  const reader = readable.getReader()
  const reading = reader.read()
  await nextTurn()
  await reader.cancel()
  t.deepEqual(await reading, { done: true, value: undefined })
  const writer = writable.getWriter()
  await writer.write('ours')
  await until(() => accepted.bytesRead === 4)
})
