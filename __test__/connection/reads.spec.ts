import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { type Connection, Socket, SocketClosedError, SocketError, adopt, relay, toDuplex, toNetSocket } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { ForeignSignal } from '../support/foreign-signal.js'
import { seedOf } from '../support/seed.js'
import { nextTurn } from '../support/timing.js'
import { until } from '../support/waiting.js'

const FAMILIES = ['IPv4', 'unix'] as const

/** The rest of the input, by reads of a few bytes. */
async function restOf(connection: Connection): Promise<string> {
  const into = Buffer.alloc(3)
  let text = ''
  for (;;) {
    const count = await connection.read(into)
    if (count === null) return text
    text += into.toString('latin1', 0, count)
  }
}

for (const family of FAMILIES) {
  test(`readExactly_resolves_with_so_many_bytes_however_they_were_cut: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    const first = accepted.readExactly(5)
    connection.write('ab')
    await nextTurn()
    connection.write('cdefgh')
    t.is((await first).toString(), 'abcde')
    const into = new Uint8Array(2)
    t.is(await accepted.readExactly(into), into)
    t.deepEqual([...into], [...Buffer.from('fg')])
    const large = accepted.readExactly(300_000)
    connection.end(Buffer.alloc(299_999, 'i'))
    t.is((await large).toString('latin1'), `h${'i'.repeat(299_999)}`)
    t.is(await accepted.read(into), null)
  })

  test(`readUntil_resolves_with_the_delimiter_and_leaves_what_follows: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    connection.write('GET /\r\nHost: a\r\n\r\nbody')
    t.is((await accepted.readUntil('\r\n\r\n', { limit: 100 })).toString(), 'GET /\r\nHost: a\r\n\r\n')
    t.is((await accepted.readUntil(new Uint8Array([0x79]))).toString(), 'body')
    const cut = accepted.readUntil('--end--')
    for (const piece of ['x--e', 'nd-', '--end-', '-rest']) {
      connection.write(piece)
      await nextTurn()
    }
    t.is((await cut).toString(), 'x--end--')
    connection.end()
    t.is(await restOf(accepted), '-end--rest')
  })

  test(`lines_are_without_their_ends_and_the_last_one_may_have_none: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    for (const piece of ['one\n\ntw\u00f6\r', '\n\r\nthree\rfour\n', Buffer.from([0xe2, 0x82])]) {
      connection.write(piece)
      await nextTurn()
    }
    const lines: string[] = []
    const read = (async () => {
      for await (const line of accepted.lines({ limit: 100 })) lines.push(line)
    })()
    await until(() => lines.length === 5)
    connection.end(Buffer.from([0xac]))
    await read
    t.deepEqual(lines, ['one', '', 'tw\u00f6', '', 'three\rfour', '\u20ac'])
  })

  test(`an_end_in_the_middle_says_how_many_bytes_came_and_they_stay_readable: ${family}`, async (t) => {
    for (const read of [
      (it: Connection) => it.readExactly(10),
      (it: Connection) => it.readExactly(100_000),
      (it: Connection) => it.readExactly(new Uint8Array(10)),
      (it: Connection) => it.readUntil('\n'),
    ]) {
      const { connection, accepted } = await connectionPair(t, { family })
      const reading = read(accepted)
      connection.end('abcdef')
      const error = await t.throwsAsync<SocketError>(reading, { instanceOf: SocketError, code: 'ERR_UNEXPECTED_END' })
      t.is(error.received, 6)
      t.is((await accepted.readExactly(1)).toString(), 'a')
      t.is(await restOf(accepted), 'bcdef')
      await t.throwsAsync(accepted.readExactly(1), { code: 'ERR_UNEXPECTED_END' })
    }
  })

  test(`what_came_before_an_end_can_be_read_after_the_close: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    const reading = accepted.readUntil('\n')
    connection.end('abc')
    await t.throwsAsync(reading, { code: 'ERR_UNEXPECTED_END' })
    await until(() => accepted.state === 'closed')
    t.deepEqual(await linesOf(accepted), ['abc'])
    t.is(await accepted.read(new Uint8Array(1)), null)
  })

  test(`beyond_the_limit_nothing_is_received_and_all_of_it_stays_readable: ${family}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { family })
    const sent = 'x'.repeat(2_000_000)
    void connection.writeAll(sent).then(() => connection.end())
    const options = { code: 'ERR_LIMIT_EXCEEDED', message: 'What is read has more than 1000 bytes' }
    const error = await t.throwsAsync<SocketError>(accepted.readUntil('\n', { limit: 1000 }), options)
    t.is(error.received, 1000)
    t.is(accepted.bytesRead, 1000)
    const first = await t.throwsAsync<SocketError>(accepted.lines({ limit: 1000 }).next(), options)
    t.true(first.received! <= 1002)
    t.true(accepted.bytesRead <= 1002)
    t.is((await wholeRestOf(accepted)).length, sent.length)
  })
}

async function linesOf(connection: Connection): Promise<string[]> {
  const lines: string[] = []
  for await (const line of connection.lines()) lines.push(line)
  return lines
}

async function wholeRestOf(connection: Connection): Promise<string> {
  let text = ''
  for await (const chunk of connection) text += chunk.toString('latin1')
  return text
}

test('the_limit_counts_the_delimiter_of_readUntil_and_not_the_end_of_a_line', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  connection.write('1234567\n12345678\n12345678\r\n12345678\n123456789\n')
  t.is((await accepted.readUntil('\n', { limit: 8 })).toString(), '1234567\n')
  await t.throwsAsync(accepted.readUntil('\n', { limit: 8 }), { code: 'ERR_LIMIT_EXCEEDED' })
  const lines = accepted.lines({ limit: 8 })
  for (let count = 0; count < 3; count++) t.is((await lines.next()).value, '12345678')
  await t.throwsAsync(lines.next(), { code: 'ERR_LIMIT_EXCEEDED' })
  t.is((await accepted.readUntil('\n')).toString(), '123456789\n')
})

test('a_reset_in_the_middle_says_how_many_bytes_came', async (t) => {
  for (const read of [
    (it: Connection) => it.readExactly(10),
    (it: Connection) => it.readExactly(100_000),
    (it: Connection) => it.readExactly(new Uint8Array(10)),
    (it: Connection) => it.readUntil('\n'),
    (it: Connection) => it.lines().next(),
  ]) {
    const errors: Error[] = []
    const { connection, accepted } = await connectionPair(t, {
      server: { socket: { error: (_, error) => void errors.push(error) } },
    })
    const reading = read(accepted)
    connection.write('abc')
    await until(() => accepted.bytesRead === 3)
    connection.terminate()
    const error = await t.throwsAsync<SocketError>(reading, { code: 'ECONNRESET' })
    t.is(error.received, 3)
    t.deepEqual(errors, [error])
    t.is((await accepted.readExactly(3)).toString(), 'abc')
    await t.throwsAsync(accepted.readExactly(1), { instanceOf: SocketClosedError })
  }
})

test('a_read_ends_when_the_connection_is_terminated_detached_or_shut_down', async (t) => {
  for (const end of [(it: Connection) => it.terminate(), (it: Connection) => void it.detach()]) {
    const { connection, accepted } = await connectionPair(t)
    const reading = accepted.readExactly(5)
    connection.write('abc')
    await until(() => accepted.bytesRead === 3)
    end(accepted)
    t.is((await t.throwsAsync<SocketError>(reading, { instanceOf: SocketClosedError })).received, 3)
  }
  const { accepted } = await connectionPair(t)
  const reading = accepted.readExactly(5)
  accepted.shutdown('read')
  await t.throwsAsync(reading, { code: 'ERR_UNEXPECTED_END' })
})

test('a_signal_ends_a_read_and_what_came_stays_readable', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const reads = [
    (signal: AbortSignal) => accepted.readExactly(10, { signal }),
    (signal: AbortSignal) => accepted.readExactly(100_000, { signal }),
    (signal: AbortSignal) => accepted.readExactly(new Uint8Array(10), { signal }),
    (signal: AbortSignal) => accepted.readUntil('\n', { signal }),
    (signal: AbortSignal) => accepted.lines({ signal }).next(),
  ]
  connection.write('abc')
  for (const Controller of [AbortController, ForeignSignal]) {
    for (const read of reads) {
      const controller = new Controller()
      const reading = read(controller.signal)
      await until(() => accepted.bytesRead === 3)
      controller.abort(new RangeError('enough'))
      const error = await t.throwsAsync<SocketError>(reading, { name: 'AbortError', code: 'ABORT_ERR' })
      t.is(error.received, 3)
      t.true(error.cause instanceof RangeError)
    }
  }
  const aborted = AbortSignal.abort()
  for (const read of reads) await t.throwsAsync(read(aborted), { name: 'AbortError' })
  connection.end('d\n')
  t.deepEqual(await linesOf(accepted), ['abcd'])
})

test('a_signal_of_many_reads_has_no_callback_of_those_that_are_over', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const { signal } = new AbortController()
  let listeners = 0
  const count = (by: number, method: 'addEventListener' | 'removeEventListener') => {
    const original = signal[method].bind(signal) as (...all: unknown[]) => void
    signal[method] = (...all: unknown[]) => ((listeners += by), original(...all))
  }
  count(1, 'addEventListener')
  count(-1, 'removeEventListener')
  for (let round = 0; round < 3; round++) {
    const reading = accepted.readExactly(1, { signal })
    t.is(listeners, 1)
    connection.write('x')
    await reading
    t.is(listeners, 0)
  }
})

test('a_signal_that_throws_fails_its_read_alone', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const signal = {
    aborted: false,
    addEventListener() {
      throw new RangeError('mine')
    },
  } as unknown as AbortSignal
  await t.throwsAsync(accepted.readExactly(1, { signal }), { instanceOf: RangeError, message: 'mine' })
  connection.end('x')
  t.is((await accepted.readExactly(1)).toString(), 'x')
})

test('two_reads_at_once_are_refused_whatever_they_are', async (t) => {
  const { accepted } = await connectionPair(t)
  const pending = accepted.readUntil('\n')
  const reads = [
    accepted.read(new Uint8Array(1)),
    accepted.readExactly(1),
    accepted.readExactly(0),
    accepted.readUntil('\n'),
    accepted.lines().next(),
    accepted[Symbol.asyncIterator]().next(),
  ]
  for (const read of reads) await t.throwsAsync(read, { code: 'ERR_INVALID_STATE' })
  t.throws(() => toDuplex(accepted), { code: 'ERR_INVALID_STATE' })
  accepted.terminate()
  await t.throwsAsync(pending)
})

test('nothing_is_read_at_once', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const into = new Uint8Array(0)
  t.is((await accepted.readExactly(0)).length, 0)
  t.is(await accepted.readExactly(into), into)
  connection.end('x')
  t.is((await accepted.readExactly(1)).toString(), 'x')
  t.is((await accepted.readExactly(0)).length, 0)
})

test('bad_arguments_of_reads_are_refused', async (t) => {
  const { accepted } = await connectionPair(t)
  const calls: [() => unknown, string, RegExp][] = [
    [
      () => accepted.readExactly('5' as never),
      'ERR_INVALID_ARG_TYPE',
      /"target" argument must be .* Received type string/,
    ],
    [() => accepted.readExactly(-1), 'ERR_OUT_OF_RANGE', /"length" .* It must be >= 0 && <= \d+\. Received -1/],
    [() => accepted.readExactly(1.5), 'ERR_OUT_OF_RANGE', /an integer/],
    [() => accepted.readExactly(1, null as never), 'ERR_INVALID_ARG_TYPE', /"options"/],
    [() => accepted.readExactly(1, { limit: 5 } as never), 'ERR_INVALID_ARG_VALUE', /options\.limit/],
    [() => accepted.readExactly(1, { signal: {} as never }), 'ERR_INVALID_ARG_TYPE', /an AbortSignal/],
    [() => accepted.readUntil(''), 'ERR_INVALID_ARG_VALUE', /'delimiter' must not be empty/],
    [() => accepted.readUntil(10 as never), 'ERR_INVALID_ARG_TYPE', /"delimiter" .* Received type number \(10\)/],
    [() => accepted.readUntil('abc', { limit: 2 }), 'ERR_OUT_OF_RANGE', />= 3/],
    [() => accepted.readUntil('\n', { limit: '5' as never }), 'ERR_INVALID_ARG_TYPE', /options\.limit/],
    [() => accepted.lines({ limit: -1 }), 'ERR_OUT_OF_RANGE', /options\.limit/],
    [() => accepted.lines({ encoding: 'utf16le' }), 'ERR_INVALID_ARG_VALUE', /Received 'utf16le'/],
    [() => accepted.lines({ encoding: 'x' as never }), 'ERR_INVALID_ARG_VALUE', /options\.encoding/],
    [() => accepted.lines({ length: 5 } as never), 'ERR_INVALID_ARG_VALUE', /options\.length/],
  ]
  for (const [call, code, message] of calls) await t.throwsAsync(async () => await call(), { code, message })
})

test('an_array_that_is_detached_meanwhile_fails_its_read_alone', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const into = new Uint8Array(4)
  const reading = accepted.readExactly(into)
  structuredClone(into.buffer, { transfer: [into.buffer] })
  connection.write('abcd')
  await t.throwsAsync(reading, { code: 'ERR_OUT_OF_RANGE' })
  t.is((await accepted.readExactly(4)).toString(), 'abcd')
})

test('a_delimiter_may_be_changed_while_the_read_waits_for_it', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const delimiter = Buffer.from('\n')
  const reading = accepted.readUntil(delimiter)
  delimiter[0] = 0x78
  connection.write('axb\n')
  t.is((await reading).toString(), 'axb\n')
})

test('a_paused_connection_serves_no_read_before_it_is_resumed', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  connection.write('one\ntwo\n')
  const lines = accepted.lines()
  t.is((await lines.next()).value, 'one')
  accepted.pause()
  let line: unknown
  const reading = lines.next().then(({ value }) => (line = value))
  await nextTurn()
  t.is(line, undefined)
  accepted.resume()
  t.is(await reading, 'two')
})

test('what_was_buffered_goes_on_to_a_relay_a_stream_and_another_thread', async (t) => {
  const take = async (it: Connection) => {
    t.is((await it.readUntil('\n')).toString(), 'first\n')
    return it
  }
  const relayed = await connectionPair(t)
  const other = await connectionPair(t)
  relayed.connection.write('first\nsecond')
  const totals = relay(await take(relayed.accepted), other.connection)
  relayed.connection.end()
  t.is((await other.accepted.readExactly(6)).toString(), 'second')
  other.accepted.end()
  t.deepEqual(await totals, { aToB: 6, bToA: 0 })

  for (const streamOver of [toDuplex, toNetSocket]) {
    const { connection, accepted } = await connectionPair(t)
    connection.write('first\nsecond')
    const stream = streamOver(await take(accepted))
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    t.is(chunk.toString(), 'second')
    stream.destroy()
  }

  const travelling = await connectionPair(t)
  travelling.connection.end('first\nsecond')
  const chunks: Buffer[] = []
  let ended = false
  adopt(Socket.attach((await take(travelling.accepted)).detach()), {
    socket: { data: (_, chunk) => void chunks.push(chunk), close: () => (ended = true) },
  })
  await until(() => ended)
  t.is(Buffer.concat(chunks).toString(), 'second')
})

test('an_unread_rest_hides_neither_the_end_nor_a_reset_that_comes_behind_it', async (t) => {
  const { connection, accepted } = await connectionPair(t, { server: { allowHalfOpen: true } })
  connection.write('one\ntwo')
  t.is((await accepted.readUntil('\n')).toString(), 'one\n')
  accepted.end()
  connection.end('!')
  await nextTurn()
  t.is(accepted.state, 'open')
  t.is(await restOf(accepted), 'two!')
  await until(() => accepted.state === 'closed')

  const broken = await connectionPair(t)
  broken.connection.write('one\ntwo')
  t.is((await broken.accepted.readUntil('\n')).toString(), 'one\n')
  broken.connection.terminate()
  await nextTurn()
  t.is((await broken.accepted.readExactly(3)).toString(), 'two')
  await t.throwsAsync(broken.accepted.readExactly(1), { code: 'ECONNRESET' })
})

test('a_shutdown_of_reading_drops_what_was_buffered', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  connection.write('one\ntwo')
  await accepted.readUntil('\n')
  accepted.shutdown('read')
  t.is(await accepted.read(new Uint8Array(1)), null)
})

test('reads_work_with_memory_that_the_program_lends_for_chunks', async (t) => {
  const { connection, accepted } = await connectionPair(t, { server: { receiveInto: Buffer.alloc(4) } })
  connection.end('one\ntwo\nthree')
  t.is((await accepted.readUntil('\n')).toString(), 'one\n')
  t.is((await accepted.readExactly(2)).toString(), 'tw')
  t.is(await wholeRestOf(accepted), 'o\nthree')
})

/** One kind of read, checked against the bytes that were sent. Returns how many bytes it took; -1 at the end. */
type Step = (t: ExecutionContext, it: Connection, rest: Buffer) => Promise<number>

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((count) => exactStep(count, (it) => it.readExactly(count))),
  fc.integer({ min: 0, max: 40 }).map((count) => exactStep(count, (it) => it.readExactly(new Uint8Array(count)))),
  fc.integer({ min: 17_000, max: 200_000 }).map((count) => exactStep(count, (it) => it.readExactly(count))),
  fc.constantFrom('\n', '\r\n', 'aba', 'aa').map(untilStep),
  fc.integer({ min: 1, max: 20 }).map(readStep),
  fc.constant<Step>(lineStep),
  fc.constant<Step>(chunkStep),
)

function exactStep(count: number, read: (it: Connection) => Promise<Uint8Array>): Step {
  return async (t, it, rest) => {
    if (rest.length >= count) {
      t.deepEqual(Buffer.from(await read(it)), rest.subarray(0, count))
      return count
    }
    const error = await t.throwsAsync<SocketError>(read(it), { code: 'ERR_UNEXPECTED_END' })
    t.is(error.received, rest.length)
    return 0
  }
}

function untilStep(delimiter: string): Step {
  return async (t, it, rest) => {
    const at = rest.indexOf(delimiter)
    const reading = it.readUntil(delimiter, { limit: 1 << 20 })
    if (at >= 0) {
      t.deepEqual(await reading, rest.subarray(0, at + delimiter.length))
      return at + delimiter.length
    }
    t.is((await t.throwsAsync<SocketError>(reading, { code: 'ERR_UNEXPECTED_END' })).received, rest.length)
    return 0
  }
}

function readStep(room: number): Step {
  return async (t, it, rest) => {
    const into = Buffer.alloc(room)
    const count = await it.read(into)
    if (count === null) return (t.is(rest.length, 0), -1)
    t.deepEqual(into.subarray(0, count), rest.subarray(0, count))
    return count
  }
}

async function lineStep(t: ExecutionContext, it: Connection, rest: Buffer): Promise<number> {
  for await (const line of it.lines({ limit: 1 << 20, encoding: 'latin1' })) {
    const at = rest.indexOf('\n')
    const whole = at < 0 ? rest : rest.subarray(0, at + 1)
    t.is(line, whole.toString('latin1').replace(/\r?\n$/, ''))
    return whole.length
  }
  t.is(rest.length, 0)
  return -1
}

async function chunkStep(t: ExecutionContext, it: Connection, rest: Buffer): Promise<number> {
  for await (const chunk of it) {
    t.deepEqual(Buffer.from(chunk), rest.subarray(0, chunk.length))
    return chunk.length
  }
  t.is(rest.length, 0)
  return -1
}

const alphabet = fc.array(fc.constantFrom('a', 'b', '\r', '\n', '\r\n', 'abab', 'a'.repeat(70_000)), { maxLength: 30 })

for (const family of FAMILIES) {
  test(`reads_of_all_kinds_in_any_order_see_the_bytes_as_they_were_sent_wherever_they_are_cut: ${family}`, async (t) => {
    const property = fc.asyncProperty(
      alphabet,
      fc.array(fc.nat({ max: 200 }), { maxLength: 8 }),
      fc.array(steps, { minLength: 1, maxLength: 30 }),
      async (words, cuts, choices) => {
        const bytes = Buffer.from(words.join(''))
        const { connection, accepted, server } = await connectionPair(t, { family })
        const sending = send(connection, bytes, cuts)
        let at = 0
        for (const step of choices) {
          const count = await step(t, accepted, bytes.subarray(at))
          if (count < 0) break
          at += count
        }
        t.is(await wholeRestOf(accepted), bytes.toString('latin1', at))
        await sending
        server.stop(true)
      },
    )
    await fc.assert(property, { seed: Number(seedOf(process.env['SEED'])), numRuns: 30 })
  })
}

/** Sends the bytes in pieces, each in another turn of Node's loop, and ends. */
async function send(connection: Connection, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  let at = 0
  for (const cut of cuts) {
    await connection.writeAll(bytes.subarray(at, at + cut))
    at += cut
    await nextTurn()
  }
  await connection.writeAll(bytes.subarray(at))
  connection.end()
}
