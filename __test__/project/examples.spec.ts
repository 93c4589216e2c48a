import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { buffer, text } from 'node:stream/consumers'

import test from 'ava'
import fc from 'fast-check'
import { Listener, Socket } from 'm-socket'

import { CommandParser } from '../../examples/resp.js'
import { outcomeOf, sendSignal, start } from '../support/child.js'
import { lackingInfo, testUnless } from '../support/emulation.js'
import { type ExampleName, interrupt, runExample, startServer } from '../support/example.js'
import { run } from '../support/fixture.js'
import { LineClient } from '../support/line-client.js'
import { resetAtEnd } from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { HOST, isDelay, runReconnect } from '../support/reconnect.js'
import { Recorder } from '../support/recorder.js'
import { untilStalled } from '../support/stall.js'
import { nextTurn } from '../support/timing.js'
import { acceptNext, receiveExactly, until } from '../support/waiting.js'

test.serial('echo: input_is_echoed_and_SIGINT_prints_totals', async (t) => {
  const { child, outcome, port, line } = await startServer(t, 'echo', ['--host', '127.0.0.1', '--port', '0'])
  t.is(line, `Listening on 127.0.0.1 port ${port}. Try: nc 127.0.0.1 ${port}\n`)
  const sent = Buffer.alloc(3_000_000, 'm-socket')
  const client = connect(port, '127.0.0.1')
  client.end(sent)
  t.true((await buffer(client)).equals(sent))
  sendSignal(child, 'SIGINT')
  const { code, signal, stdout } = await outcome
  t.deepEqual({ code, signal }, { code: 0, signal: null })
  t.regex(stdout, /\n1 connections, 3000000 bytes in, 3000000 bytes out\n$/)
})

test.serial('echo: an_open_connection_does_not_delay_the_exit', async (t) => {
  const { child, outcome, port } = await startServer(t, 'echo', ['--port', '0'])
  const client = connect(port, '127.0.0.1')
  client.write('hello')
  t.is((await once(client, 'data')).toString(), 'hello')
  sendSignal(child, 'SIGTERM')
  await once(client, 'end')
  const { code, stdout } = await outcome
  client.destroy()
  t.is(code, 0)
  t.regex(stdout, /1 connections, 5 bytes in, 5 bytes out/)
})

test.serial('echo: host_and_port_can_come_from_the_environment', async (t) => {
  const { line } = await startServer(t, 'echo', [], { HOST: '127.0.0.2', PORT: '0' })
  t.regex(line, /^Listening on 127\.0\.0\.2 port [1-9]/)
})

for (const [title, args, message] of [
  ['an_invalid_port', ['--port', '99999'], /port should be >= 0 and < 65536/],
  ['a_host_name', ['--host', 'example.org', '--port', '0'], /numeric/],
  ['an_unknown_flag', ['--bort', '1'], /--bort/],
] as const) {
  test.serial(`echo: ${title}_is_refused_with_a_clear_message`, async (t) => {
    const { code, stderr } = await runExample(t, 'echo', args).outcome
    t.is(code, 1)
    t.regex(stderr, /^echo: /)
    t.regex(stderr, message)
  })
}

test.serial('a_port_in_use_is_refused_with_a_clear_message', async (t) => {
  using listener = Listener.bind({ host: '127.0.0.1' })
  const { port } = listener.address as { port: number }
  for (const name of ['echo', 'chat'] as const) {
    const { code, stderr } = await runExample(t, name, ['--host', '127.0.0.1', '--port', String(port)]).outcome
    t.is(code, 1)
    t.is(stderr, `${name}: bind EADDRINUSE 127.0.0.1:${port}\n`)
  }
})

for (const name of ['chat', 'lines', 'redis'] satisfies ExampleName[]) {
  test.serial(`${name}: the_server_prints_one_line_and_exits_with_a_connection_open`, async (t) => {
    const server = await startServer(t, name)
    t.is(server.line, `Listening on 127.0.0.1 port ${server.port}\n`)
    const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
    // All three answer this line. A connection that is still in the backlog would be reset when the server exits.
    client.write('ECHO 1\n')
    await once(client, 'data')
    const ended = once(client, 'end')
    await interrupt(t, server)
    await ended
    client.destroy()
    t.is((await server.outcome).stdout, server.line)
  })
}

test.serial('lines: commands_are_answered_in_order_at_any_chunk_boundary', async (t) => {
  const server = await startServer(t, 'lines')
  const client = await LineClient.connect(t, server.port)
  client.socket.setNoDelay()
  for (const byte of Buffer.from('ECHO h\u00e9 h\u00e9\r\nsum 1 2.5 -3\nSUM\nHELP\n')) {
    client.socket.write(Buffer.of(byte))
    await nextTurn()
  }
  t.deepEqual(await client.take(4), ['OK h\u00e9 h\u00e9', 'OK 0.5', 'OK 0', 'OK TIME ECHO SUM HELP QUIT'])
  client.say('TIME')
  const [, time] = /^OK (.*)$/.exec((await client.next())!)!
  t.is(new Date(time!).toISOString(), time!)
  await interrupt(t, server)
})

test.serial('lines: an_invalid_line_is_answered_and_the_next_line_works', async (t) => {
  const server = await startServer(t, 'lines')
  const client = await LineClient.connect(t, server.port)
  for (const line of [
    'FOO',
    '',
    '__proto__',
    'SUM 1 two',
    'SUM 1 Infinity',
    'x'.repeat(1025),
    'x'.repeat(1_000_000),
    `ECHO ${'x'.repeat(1019)}`,
  ]) {
    client.say(line)
  }
  const unknown = 'ERROR unknown command, try HELP'
  const [numbers, long] = ['ERROR SUM takes numbers', 'ERROR a line has at most 1024 bytes']
  t.deepEqual(await client.take(8), [unknown, unknown, unknown, numbers, numbers, long, long, `OK ${'x'.repeat(1019)}`])
  await interrupt(t, server)
})

test.serial('lines: nothing_is_answered_after_QUIT', async (t) => {
  const server = await startServer(t, 'lines')
  const client = await LineClient.connect(t, server.port)
  client.say('ECHO 1\nQUIT\nECHO 2')
  t.deepEqual(await client.rest(), ['OK 1', 'OK bye'])
  await interrupt(t, server)
})

test.serial('lines: a_client_that_does_not_read_is_paused_and_gets_all_answers_later', async (t) => {
  const server = await startServer(t, 'lines')
  const client = connect(server.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const count = 40_000
  client.write(Array.from({ length: count }, (_, index) => `ECHO ${index} ${'x'.repeat(1000)}\n`).join(''))
  t.true((await untilStalled(client)) > 0, 'the server has read everything without being able to answer')
  client.end('QUIT\n')
  const lines = (await text(client)).split('\n')
  t.is(lines.length, count + 2)
  t.true(
    lines
      .slice(0, count)
      .every((line, index) => line.startsWith(`OK ${index} x`) && line.length === `OK ${index} `.length + 1000),
  )
  t.deepEqual(lines.slice(count), ['OK bye', ''])
  await interrupt(t, server)
})

test.serial('chat: clients_join_talk_and_leave', async (t) => {
  const server = await startServer(t, 'chat')
  const [ann, bob] = [await LineClient.connect(t, server.port), await LineClient.connect(t, server.port)]
  ann.say('Ann\nhello?')
  t.deepEqual(await ann.take(2), ['* Your nick name?', '* Welcome, Ann. Here: Ann'])
  for (const nick of ['', 'Ann', 'two words', 'x'.repeat(21), 'Bob']) bob.say(nick)
  const please = '* 1 to 20 letters, digits, _ or -, please'
  t.deepEqual(await bob.take(6), [
    '* Your nick name?',
    please,
    '* Ann is taken',
    please,
    please,
    '* Welcome, Bob. Here: Ann, Bob',
  ])
  t.is(await ann.next(), '* Bob has joined')
  ann.say('hello, \x1b[31mB\u00f6b\x07')
  t.is(await bob.next(), 'Ann: hello, [31mB\u00f6b')
  bob.say(`${'x'.repeat(513)}\n/who\n/quit\nthis is dropped`)
  t.deepEqual(await bob.rest(), ['* A line has at most 512 bytes', '* Here: Ann, Bob', '* Bye'])
  t.is(await ann.next(), '* Bob has left')
  const carl = await LineClient.connect(t, server.port)
  carl.say('Carl')
  t.is(await ann.next(), '* Carl has joined')
  carl.socket.resetAndDestroy()
  t.is(await ann.next(), '* Carl has left')
  ann.say('/who')
  t.is(await ann.next(), '* Here: Ann')
  await interrupt(t, server)
})

test.serial('chat: a_slow_reader_skips_lines_gets_their_count_and_delays_no_other_client', async (t) => {
  const server = await startServer(t, 'chat')
  const [slow, quick, speaker] = [
    await LineClient.connect(t, server.port),
    await LineClient.connect(t, server.port),
    await LineClient.connect(t, server.port),
  ]
  for (const [index, client] of [slow, quick, speaker].entries()) {
    client.say(`n${index}`)
    t.is((await client.take(2)).length, 2)
  }
  t.deepEqual([await slow.take(2), await quick.next()], [['* n1 has joined', '* n2 has joined'], '* n2 has joined'])
  slow.socket.pause()
  // More than two kernel buffers can take: the limits of net.ipv4.tcp_rmem and tcp_wmem are 10 MB together.
  const [rounds, each] = [1200, 24]
  for (let round = 0; round < rounds; round++) {
    speaker.say(Array.from({ length: each }, (_, index) => `${round * each + index} ${'x'.repeat(500)}`).join('\n'))
    const lines = await quick.take(each)
    if (!lines.every((line, index) => line?.startsWith(`n2: ${round * each + index} x`)))
      return t.fail(`missed: ${lines}`)
  }
  slow.socket.resume()
  // A gap is reported before the next line.
  let spoken = rounds * each
  const more = setInterval(() => speaker.say(`${spoken++} more`), 20)
  let skipped = 0
  for (let expected = 0; skipped === 0 && expected < rounds * each; expected++) {
    let line = await slow.next()
    skipped = Number(/^\* (\d+) lines skipped$/.exec(line!)?.[1] ?? 0)
    expected += skipped
    if (skipped > 0) line = await slow.next()
    if (!line?.startsWith(`n2: ${expected} `)) return t.fail(`${line} instead of line ${expected}`)
  }
  clearInterval(more)
  t.true(skipped > 0)
  await interrupt(t, server)
})

for (const pipelined of [1, 16]) {
  testWith(['redis-benchmark'], `redis: redis_benchmark_gets_all_answers_with_${pipelined}_in_flight`, async (t) => {
    const server = await startServer(t, 'redis')
    const args = ['-p', String(server.port), '-c', '100', '-n', '20000', '-P', String(pipelined), '-t', 'ping,set,get']
    const { code, stdout, stderr } = await run(t, 'redis-benchmark', args)
    t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    t.notRegex(stdout, /error|warning/i)
    t.is(stdout.match(/20000 requests completed/g)?.length, 4, stdout)
    await interrupt(t, server)
  })
}

testWith(['redis-cli'], 'redis: redis_cli_stores_and_gets_binary_and_large_values', async (t) => {
  const server = await startServer(t, 'redis')
  const cli = (...args: string[]) => ['-p', String(server.port), ...args]
  for (const value of [Buffer.from('\0\r\n$-1\r\n\xff\xfe', 'latin1'), randomBytes(5_000_000), Buffer.alloc(0)]) {
    const setting = start(t, 'redis-cli', cli('-x', 'SET', 'k\u00f6y'), { stdio: ['pipe', 'pipe', 'pipe'] })
    setting.stdin!.end(value)
    t.is((await outcomeOf(setting)).stdout, 'OK\n')
    const getting = start(t, 'redis-cli', cli('--raw', 'GET', 'k\u00f6y'), { stdio: ['ignore', 'pipe', 'inherit'] })
    const got = await buffer(getting.stdout!)
    // redis-cli appends a newline.
    t.true(got.equals(Buffer.concat([value, Buffer.from('\n')])), `${value.length} bytes`)
  }
  const stdouts: string[] = []
  for (const command of [
    'INCR n',
    'INCR n',
    'GET n',
    'EXISTS n m n',
    'DEL n m',
    'GET n',
    'CONFIG GET save',
    'FOO',
    'GET',
  ]) {
    stdouts.push((await run(t, 'redis-cli', cli('--no-raw', ...command.split(' ')))).stdout.trimEnd())
  }
  t.deepEqual(stdouts, [
    '(integer) 1',
    '(integer) 2',
    '"2"',
    '(integer) 2',
    '(integer) 1',
    '(nil)',
    '1) "save"\n2) ""',
    "(error) ERR unknown command 'FOO'",
    "(error) ERR wrong number of arguments for 'get' command",
  ])
  await interrupt(t, server)
})

test.serial('redis: commands_are_answered_at_any_chunk_boundary', async (t) => {
  const server = await startServer(t, 'redis')
  const client = connect({ port: server.port, host: '127.0.0.1', noDelay: true })
  const commands =
    '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\n$b\r\n*0\r\nget k\r\n\r\n PING  hi \n*2\r\n$4\r\nincr\r\n$1\r\nk\r\n*1\r\n$4\r\nQUIT\r\nPING\r\n'
  for (const byte of Buffer.from(commands)) {
    client.write(Buffer.of(byte))
    await nextTurn()
  }
  t.is(
    await text(client),
    '+OK\r\n$5\r\na\r\n$b\r\n$2\r\nhi\r\n-ERR value is not an integer or out of range\r\n+OK\r\n',
  )
  await interrupt(t, server)
})

testUnless(
  lackingInfo,
  'redis: answers_to_the_commands_of_one_chunk_are_one_write',
  async (t) => {
    const server = await startServer(t, 'redis')
    const client = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port: server.port }))
    const answer = '+PONG\r\n$1\r\nx\r\n'.repeat(100)
    for (let round = 1; round <= 20; round++) {
      client.send('*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n'.repeat(100))
      t.is((await receiveExactly(client, answer.length)).toString(), answer)
    }
    // With TCP_NODELAY each write is a segment of its own. A segment that is acknowledged late is sent twice.
    t.true(client.info().dataSegmentsIn < 40)
    client.close()
    await interrupt(t, server)
  },
  test.serial,
)

test.serial('redis: a_protocol_error_is_answered_and_ends_the_connection', async (t) => {
  const server = await startServer(t, 'redis')
  for (const [sent, answer] of [
    ['*x\r\n', 'invalid multibulk length'],
    ['*99999999\r\n', 'invalid multibulk length'],
    ['*1\r\n:5\r\n', "expected '$', got ':'"],
    ['*1\r\n$-5\r\n', 'invalid bulk length'],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'invalid bulk length'],
    ['*1\r\n$000000000003\r\n', 'invalid bulk length'],
    ['*1\r\n$3\rabc', 'expected a newline'],
    ['*1\r\n$3\r\nabcde', 'invalid end of an argument'],
    ['x'.repeat(4097), 'too big inline request'],
  ] as const) {
    const client = connect(server.port, '127.0.0.1')
    client.write(`PING\r\n${sent}`)
    t.is(await text(client), `+PONG\r\n-ERR Protocol error: ${answer}\r\n`)
  }
  await interrupt(t, server)
})

test.serial('redis: an_invalid_command_is_answered_and_the_next_one_works', async (t) => {
  const server = await startServer(t, 'redis')
  const client = await LineClient.connect(t, server.port)
  const most = '9223372036854775807'
  for (const value of [most, '-1', '1.5', '99999999999999999999']) client.say(`SET n ${value}\nINCR n`)
  client.say('SET n\n\x01\x02\nECHO\nCONFIG SET a b\n__proto__')
  const [overflow, range] = [
    '-ERR increment or decrement would overflow',
    '-ERR value is not an integer or out of range',
  ]
  t.deepEqual(await client.take(13), [
    '+OK',
    overflow,
    '+OK',
    ':0',
    '+OK',
    range,
    '+OK',
    range,
    "-ERR wrong number of arguments for 'set' command",
    "-ERR unknown command '??'",
    "-ERR wrong number of arguments for 'echo' command",
    '-ERR only CONFIG GET name is known',
    "-ERR unknown command '__proto__'",
  ])
  await interrupt(t, server)
})

test.serial('redis: commands_of_a_client_that_does_not_read_wait', async (t) => {
  const server = await startServer(t, 'redis')
  const [lazy, other] = [connect(server.port, '127.0.0.1'), await LineClient.connect(t, server.port)]
  t.teardown(() => lazy.destroy())
  const value = Buffer.alloc(1_000_000, 'x')
  lazy.write(
    Buffer.concat([Buffer.from(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${value.length}\r\n`), value, Buffer.from('\r\n')]),
  )
  t.is((await once(lazy, 'data')).toString(), '+OK\r\n')
  lazy.pause()
  const count = 50
  lazy.write('INCR begun\n' + 'GET big\n'.repeat(count) + 'INCR done\nQUIT\n')
  let begun = '$-1'
  while (begun === '$-1') {
    other.say('GET begun')
    begun = (await other.next())!
  }
  t.is(await other.next(), '1')
  // The server has begun and goes no further until the client reads; other clients are served before and after.
  for (let round = 0; round < 100; round++) {
    other.say('GET done')
    t.is(await other.next(), '$-1')
  }
  const answers = await buffer(lazy)
  t.is(answers.length, ':1\r\n'.length + count * ('$1000000\r\n\r\n'.length + value.length) + ':1\r\n+OK\r\n'.length)
  t.is(answers.subarray(-9).toString(), ':1\r\n+OK\r\n')
  other.say('GET done')
  t.deepEqual(await other.take(2), ['$1', '1'])
  await interrupt(t, server)
})

test('redis: a_command_parser_gives_the_same_commands_at_any_chunk_boundary', (t) => {
  const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))
  const command = fc.array(argument, { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      (commands, sizes) => {
        const bytes = Buffer.concat(commands.flatMap(encode))
        const parser = new CommandParser()
        const parsed: Buffer[][] = []
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length]!
          parser.push(Buffer.from(bytes.subarray(at, at + size)))
          at += size
          for (let next = parser.next(); next; next = parser.next()) parsed.push(next)
        }
        t.deepEqual(parsed, commands)
      },
    ),
  )
})

/** A command as an array of bulk strings, as clients send it. */
function encode(args: readonly Buffer[]): Buffer[] {
  return [
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
  ]
}

test.serial('reconnect: delays_grow_up_to_a_limit_until_a_server_listens', async (t) => {
  const port = freePort()
  const { stdin, outcome, output, delays } = runReconnect(t, [
    '--port',
    String(port),
    '--shortest',
    '10',
    '--longest',
    '100',
  ])
  stdin.write('hello\n')
  await until(() => delays().length >= 7)
  t.true(output.stderr.startsWith(`connect ECONNREFUSED ${HOST}:${port}: again in `), output.stderr)
  const recorder = new Recorder(t, HOST, port)
  await until(() => recorder.text === 'hello\n')
  t.true(
    delays().every((delay, index) => isDelay(delay, index, 10, 100)),
    `${delays()}`,
  )
  recorder.connections[0]!.write('welcome\n')
  stdin.end('bye')
  const { code, stdout } = await outcome
  t.deepEqual({ code, stdout, received: recorder.text }, { code: 0, stdout: 'welcome\n', received: 'hello\nbye\n' })
})

test.serial('reconnect: the_client_connects_again_after_each_restart_of_the_server', async (t) => {
  const port = freePort()
  let recorder = new Recorder(t, HOST, port)
  const { child, stdin, outcome, output } = runReconnect(t, [
    '--port',
    String(port),
    '--shortest',
    '10',
    '--longest',
    '100',
  ])
  for (let life = 1; life <= 3; life++) {
    stdin.write(`line ${life}\n`)
    await until(() => recorder.text === `line ${life}\n`)
    recorder.connections[0]!.write(`answer ${life}\n`)
    await until(() => output.stdout.endsWith(`answer ${life}\n`))
    recorder.server.stop(true)
    await until(() => output.stderr.split('ECONNREFUSED').length > life)
    recorder = new Recorder(t, HOST, port)
  }
  await until(() => output.stderr.split(`Connected to ${HOST} port ${port}`).length === 5)
  t.is(recorder.connections.length, 1)
  sendSignal(child, 'SIGTERM')
  const { code, stdout } = await outcome
  t.deepEqual({ code, stdout }, { code: 0, stdout: 'answer 1\nanswer 2\nanswer 3\n' })
})

test.serial('reconnect: input_that_cannot_be_sent_waits_in_stdin', async (t) => {
  const port = freePort()
  const { stdin, outcome, delays } = runReconnect(t, ['--port', String(port), '--shortest', '10', '--longest', '100'])
  const lines = Array.from({ length: 100_000 }, (_, index) => `line ${index} ${'x'.repeat(80)}\n`).join('')
  stdin.end(lines)
  await until(() => delays().length > 0)
  t.true((await untilStalled(stdin)) > lines.length / 2, 'the client has read most of its stdin')
  const recorder = new Recorder(t, HOST, port)
  const { code } = await outcome
  t.is(code, 0)
  t.true(recorder.text === lines, `${recorder.text.length} of ${lines.length} bytes`)
})

test.serial('reconnect: an_incomplete_line_is_sent_whole_on_the_next_connection', async (t) => {
  const port = freePort()
  const listener = Listener.bind({ host: HOST, port, receiveBufferSize: 4096 })
  const { stdin, outcome } = runReconnect(t, ['--port', String(port), '--shortest', '10', '--longest', '100'])
  const lines = Array.from({ length: 200 }, (_, index) => `${index} ${'x'.repeat(65_000)}\n`)
  const first = await acceptNext(listener)
  stdin.end(lines.join(''))
  t.true((await untilStalled(stdin)) > 0, 'the client has read all of its stdin')
  listener.close()
  first.reset()
  const recorder = new Recorder(t, HOST, port)
  t.is((await outcome).code, 0)
  const [begin] = recorder.text.split(' ', 1)
  t.true(
    recorder.text === lines.slice(Number(begin)).join(''),
    `${recorder.text.length} bytes, not whole lines from ${begin!.slice(0, 5)} on`,
  )
})

test.serial('reconnect: SIGINT_ends_it_connected_or_not', async (t) => {
  const recorder = new Recorder(t, HOST)
  for (const port of [recorder.server.port!, freePort()]) {
    const { child, outcome, output } = runReconnect(t, ['--port', String(port)])
    await until(() => output.stderr !== '')
    sendSignal(child, 'SIGINT')
    const { code, signal } = await outcome
    t.deepEqual({ code, signal }, { code: 0, signal: null })
  }
})

for (const [args, message] of [
  [['--port', '99999'], /port should be >= 0 and < 65536/],
  [['--port', '1', '--shortest', '0'], /0 < shortest <= longest/],
  [['--port', '1', '--longest', 'never'], /0 < shortest <= longest/],
] as const) {
  test.serial(`reconnect: ${args.join(' ')} is refused`, async (t) => {
    const { code, stderr } = await runExample(t, 'reconnect', args).outcome
    t.is(code, 1)
    t.regex(stderr, /^reconnect: [^\n]*\n$/)
    t.regex(stderr, message)
  })
}
