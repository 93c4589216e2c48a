import { text } from 'node:stream/consumers'

import test from 'ava'
import fc from 'fast-check'
import { type Connection, type Data, SocketClosedError, SocketError, relay, toDuplex } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { seedOf } from '../support/seed.js'
import { nextTurn } from '../support/timing.js'
import { until } from '../support/waiting.js'

const FAMILIES = ['IPv4', 'unix'] as const
const BIG = Buffer.alloc(400_000, 'big')

for (const family of FAMILIES) {
  test(`pieces_are_written_as_one: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    const bytes = Buffer.from('bc')
    t.is(connection.write(['a', bytes, new Uint16Array([0x6564]), bytes.buffer.slice(0, 0), '\u00f6']), 7)
    t.is(connection.write([]), 0)
    t.is(connection.tryWrite(['1', '23']), 3)
    t.is(connection.end(['x', 'yz']), 3)
    t.is(await text(accepted), 'abcde\u00f6123xyz')
    t.is(connection.write(['a', 'b']), -1)
  })

  test(`of_many_pieces_as_many_bytes_are_accepted_as_there_is_room_for: ${family}`, async (t) => {
    const { connection, accepted } = await smallBufferConnectionPair(t, { family, client: { sendQueueLimit: 10_000 } })
    const pieces = Array.from({ length: 3000 }, (_, index) => `${index},`.repeat(50))
    const whole = pieces.join('')
    const taken = connection.write(pieces)
    t.true(taken >= 10_000 && taken < whole.length, String(taken))
    t.is(connection.socket!.queued, 10_000)
    void connection.writeAll(whole.slice(taken)).then(() => connection.end())
    t.is(await text(accepted), whole)
  })

  test(`writeAll_accepts_all_in_order_before_what_is_written_later: ${family}`, async (t) => {
    const drains: string[] = []
    const { connection, accepted } = await smallBufferConnectionPair(t, {
      family,
      client: { socket: { drain: () => void drains.push('drain') } },
    })
    const order: number[] = []
    const writes = [BIG, ['x', 'y'], 'z', [BIG, 'end']].map((data, index) =>
      connection.writeAll(data as Data).then(() => void order.push(index)),
    )
    t.is(connection.write('too early'), 0)
    t.is(connection.tryWrite('too early'), 0)
    t.is(connection.write(''), 0)
    await t.throwsAsync(connection.sendFile(0), { code: 'ERR_INVALID_STATE' })
    const received = text(accepted)
    await Promise.all(writes)
    t.deepEqual(order, [0, 1, 2, 3])
    await connection.drained()
    await until(() => drains.length === 1)
    connection.end('!')
    t.true((await received) === `${BIG.toString()}xyz${BIG.toString()}end!`)
  })

  test(`drained_waits_until_the_queue_is_empty: ${family}`, async (t) => {
    const { connection, accepted } = await smallBufferConnectionPair(t, { family })
    await connection.drained()
    connection.write(BIG)
    t.true(connection.socket!.queued > 0)
    const drained = connection.drained().then(() => connection.socket!.queued)
    const received = text(accepted)
    t.is(await drained, 0)
    connection.end()
    await connection.drained()
    await received
    await until(() => connection.state === 'closed')
    await connection.drained()
  })

  test(`what_breaks_or_ends_the_connection_rejects_writeAll_with_what_was_accepted: ${family}`, async (t) => {
    const acts: [string, (it: Connection, other: Connection) => unknown, string][] = [
      ['reset', (_, other) => other.terminate(), 'EPIPE|ECONNRESET'],
      ['terminate', (it) => it.terminate(), 'ERR_SOCKET_CLOSED'],
      ['reset of the socket', (it) => it.socket!.reset(), 'ERR_SOCKET_CLOSED'],
      ['end', (it) => it.end(), 'ERR_SOCKET_CLOSED'],
      ['shutdown', (it) => it.shutdown('both'), 'ERR_SOCKET_CLOSED'],
      ['detach', (it) => it.detach(), 'ERR_SOCKET_CLOSED'],
    ]
    for (const [name, act, codes] of acts) {
      const { connection, accepted } = await smallBufferConnectionPair(t, { family })
      const failures = [connection.writeAll(BIG), connection.writeAll('next')].map((it) =>
        it.then(
          () => t.fail(name),
          (error: unknown) => error as SocketError,
        ),
      )
      const { queued, bytesSent } = connection.socket!
      act(connection, accepted)
      const [first, second] = (await Promise.all(failures)) as SocketError[]
      for (const error of [first!, second!]) {
        t.true(error instanceof SocketError, name)
        t.regex(error.code, new RegExp(`^(${codes})$`), name)
      }
      t.is(first!.accepted, queued + bytesSent, name)
      t.is(second!.accepted, 0, name)
    }
  })
}

test('writeAll_and_drained_of_what_is_closed_are_rejected', async (t) => {
  const { connection } = await smallBufferConnectionPair(t)
  connection.write(BIG)
  const drained = connection.drained()
  connection.terminate()
  await t.throwsAsync(drained, { instanceOf: SocketClosedError })
  await t.throwsAsync(connection.drained(), { instanceOf: SocketClosedError })
  const error = await t.throwsAsync<SocketError>(connection.writeAll('x'), { instanceOf: SocketClosedError })
  t.is(error.accepted, 0)

  const ended = await smallBufferConnectionPair(t)
  ended.connection.end()
  const message = 'writeAll: our half of the connection has ended'
  await t.throwsAsync(ended.connection.writeAll('x'), { instanceOf: SocketClosedError, message })
})

test('drained_is_rejected_with_the_reason_why_the_connection_broke', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t)
  connection.write(BIG)
  const drained = connection.drained()
  accepted.terminate()
  t.regex((await t.throwsAsync<SocketError>(drained, { instanceOf: SocketError })).code, /EPIPE|ECONNRESET/)
})

test('our_half_ends_behind_the_peers_only_when_a_writeAll_is_done', async (t) => {
  for (const handlers of [{}, { data: () => {} }]) {
    const { connection, accepted } = await smallBufferConnectionPair(t, { server: { socket: handlers } })
    const writing = accepted.writeAll(BIG)
    const reading = 'data' in handlers ? null : accepted.read(new Uint8Array(1))
    connection.end()
    t.is(await reading, null)
    await nextTurn()
    const received = text(connection)
    await writing
    t.true((await received) === BIG.toString())
    await until(() => accepted.state === 'closed')
  }
})

test('what_is_being_written_cannot_be_adapted_and_what_is_adapted_cannot_be_written', async (t) => {
  const { connection, accepted } = await smallBufferConnectionPair(t)
  const other = await smallBufferConnectionPair(t)
  const writing = connection.writeAll(BIG)
  t.throws(() => toDuplex(connection), { code: 'ERR_INVALID_STATE', message: /being written/ })
  await t.throwsAsync(relay(connection, other.connection), { code: 'ERR_INVALID_STATE' })
  const received = accepted.readExactly(BIG.length)
  await writing
  await received
  toDuplex(connection).resume()
  await t.throwsAsync(connection.writeAll('x'), { code: 'ERR_INVALID_STATE' })
  await t.throwsAsync(connection.drained(), { code: 'ERR_INVALID_STATE' })
})

test('bad_pieces_are_refused_and_nothing_is_written', async (t) => {
  const { connection } = await smallBufferConnectionPair(t)
  const piece = { code: 'ERR_INVALID_ARG_TYPE', message: /"data\[1\]" argument must be .* Received type number \(5\)/ }
  const part = {
    code: 'ERR_INVALID_ARG_TYPE',
    message: /a part of it is to be written\. Received an instance of Array/,
  }
  for (const verb of ['write', 'tryWrite', 'end'] as const) {
    t.throws(() => connection[verb](['a', 5 as never]), piece)
    t.throws(() => connection[verb](['a', 'b'], 0), part)
    t.throws(() => connection[verb](['a', 'b'], undefined, 1), part)
  }
  await t.throwsAsync(connection.writeAll(['a', 5 as never]), piece)
  await t.throwsAsync(connection.writeAll(5 as never), { code: 'ERR_INVALID_ARG_TYPE', message: /"data"/ })
  t.is(connection.bytesWritten, 0)
})

const pieces = fc.array(fc.nat({ max: 30_000 }), { maxLength: 6 })
const writes = fc.array(fc.record({ kind: fc.constantFrom('all', 'write', 'drained'), lengths: pieces }), {
  maxLength: 12,
})

test('writes_of_all_kinds_arrive_whole_and_in_order', async (t) => {
  const property = fc.asyncProperty(writes, fc.boolean(), async (choices, isSmall) => {
    const { connection, accepted, server } = await (isSmall ? smallBufferConnectionPair : connectionPair)(t)
    const received = text(accepted)
    let expected = ''
    const promises: Promise<void>[] = []
    for (const [index, { kind, lengths }] of choices.entries()) {
      const data = lengths.map((length) => String.fromCharCode(97 + (index % 26)).repeat(length))
      if (kind === 'drained') promises.push(connection.drained())
      else if (kind === 'all') promises.push(connection.writeAll(data))
      const count = kind === 'write' ? connection.write(data) : Infinity
      if (kind !== 'drained') expected += data.join('').slice(0, count)
    }
    await Promise.all(promises)
    connection.end()
    t.true((await received) === expected)
    server.stop(true)
  })
  await fc.assert(property, { seed: Number(seedOf(process.env['SEED'])), numRuns: 30 })
})
