// NODE_DEBUG=m-socket: a line for each event in the life of servers and connections.

import process from 'node:process'

import test, { type ExecutionContext } from 'ava'

import { type Outcome, runModule } from '../support/child.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

const run = (t: ExecutionContext, source: string, NODE_DEBUG = 'm-socket'): Promise<Outcome> =>
  runModule(t, source, { env: { ...process.env, NODE_DEBUG } })

/** The lines, with the process id and the port numbers that vary replaced: `S` is the server's port, `C` a client's. */
function linesOf({ stderr, stdout }: Outcome): string[] {
  const port = /^port (\d+)$/m.exec(stdout)?.[1]
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('M-SOCKET '))
    .map((line) =>
      line.replace(/^M-SOCKET \d+: /, '').replaceAll(/(?<=[\d\]]:)\d+/g, (found) => (found === port ? 'S' : 'C')),
    )
}

const SERVER = `
  import { connect, listen } from 'm-socket'
  const server = listen({ host: '127.0.0.1', port: 0, socket: { data: (it, chunk) => it.write(chunk) } })
  console.log('port ' + server.port)
  const dial = (options) => connect({ host: '127.0.0.1', port: server.port, ...options })
  const closed = () => new Promise((resolve) => setInterval(() => server.connections || resolve(), 5).unref())`

test('the_life_of_a_connection_is_a_few_lines', async (t) => {
  const outcome = await run(
    t,
    `${SERVER}
    const connection = await dial()
    connection.write('hello')
    for await (const chunk of connection) connection.end()
    await closed()
    server.stop()`,
  )
  t.is(outcome.code, 0, outcome.stderr)
  const lines = linesOf(outcome)
  t.is(lines[0], 'listen 127.0.0.1:S')
  t.is(lines.at(-1), 'stop 127.0.0.1:S')
  t.deepEqual(
    lines.toSorted(),
    [
      'close 127.0.0.1:C -> 127.0.0.1:S: ended, 5 bytes read, 5 bytes written',
      'close 127.0.0.1:S <- 127.0.0.1:C: ended, 5 bytes read, 5 bytes written',
      'connect end 127.0.0.1:C -> 127.0.0.1:S',
      'connect start 127.0.0.1:S',
      'listen 127.0.0.1:S',
      'open 127.0.0.1:C -> 127.0.0.1:S',
      'open 127.0.0.1:S <- 127.0.0.1:C',
      'stop 127.0.0.1:S',
    ].toSorted(),
  )
})

test('a_close_has_its_reason', async (t) => {
  const outcome = await run(
    t,
    `${SERVER}
    for (const act of [(it) => it.terminate(), (it) => it.timeout(1)]) {
      const connection = await dial()
      // The server has it, too.
      connection.write('x')
      await new Promise((resolve) => setTimeout(resolve, 50))
      act(connection)
      await closed()
    }
    server.stop()`,
  )
  const closes = linesOf(outcome).filter((line) => line.startsWith('close'))
  t.deepEqual(
    closes.map((line) => line.replace(/, .*/, '')).toSorted(),
    [
      'close 127.0.0.1:C -> 127.0.0.1:S: idle timeout',
      'close 127.0.0.1:C -> 127.0.0.1:S: terminated',
      'close 127.0.0.1:S <- 127.0.0.1:C: ended',
      'close 127.0.0.1:S <- 127.0.0.1:C: read ECONNRESET',
    ].toSorted(),
  )
})

test('a_connect_that_fails_has_its_attempts_and_its_error', async (t) => {
  const outcome = await run(
    t,
    `
    import { Listener, connect } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const { port } = listener.address
    listener.close()
    console.log('port ' + port)
    await connect({ host: 'localhost', port }).catch(() => {})
    await connect({ path: '/no/where\\n' }).catch(() => {})`,
  )
  const lines = linesOf(outcome)
  t.is(lines[0], 'connect start localhost:' + /^port (\d+)/.exec(outcome.stdout)![1])
  t.true(lines.includes('connect attempt: connect ECONNREFUSED 127.0.0.1:S'), lines.join('\n'))
  t.regex(
    lines.find((line) => line.startsWith('connect error localhost'))!,
    /ECONNREFUSED/,
  )
  t.deepEqual(lines.slice(-3), [
    'connect start /no/where ',
    'connect attempt: connect ENOENT /no/where ',
    'connect error /no/where : connect ENOENT /no/where ',
  ])
})

test('a_server_says_that_it_accepts_no_more_and_unix_paths_are_shown', async (t) => {
  const path = `\\0m-socket-${process.pid}-debug`
  const outcome = await run(
    t,
    `
    import { connect, listen } from 'm-socket'
    const server = listen({ path: '${path}', maxConnections: 1, socket: { data() {} } })
    const connection = await connect({ path: '${path}' })
    setTimeout(() => { connection.terminate(); server.stop(true) }, 50)`,
  )
  const name = path.replace('\\0', '@')
  const lines = linesOf(outcome)
  t.true(lines.includes(`listen ${name}`), lines.join('\n'))
  t.true(lines.includes(`accept paused ${name}: maxConnections`), lines.join('\n'))
  t.true(lines.includes(`open ${name} <- (unnamed)`), lines.join('\n'))
  t.true(lines.includes(`connect end (unnamed) -> ${name}`), lines.join('\n'))
})

testWith(['strace'], 'pauses_of_accepting_are_lines', async (t) => {
  const source = `
    import { connect, listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', port: 0, socket: { open: () => server.stop(true) } })
    await connect({ host: '127.0.0.1', port: server.port })
    setTimeout(() => process.exit(), 500)`
  process.env['NODE_DEBUG'] = 'm-socket'
  try {
    const { code, stderr } = await runUnderStrace(t, source, 'accept4', 'accept4:error=EMFILE:when=1..2')
    t.is(code, 0, stderr)
    t.is(stderr.match(/M-SOCKET \d+: accept paused 127\.0\.0\.1:\d+: accept4 EMFILE/g)?.length, 2, stderr)
  } finally {
    delete process.env['NODE_DEBUG']
  }
})

test('nothing_is_written_without_it', async (t) => {
  for (const debug of ['', 'net,http']) {
    const { code, stderr } = await run(
      t,
      `${SERVER}
      const connection = await dial()
      connection.terminate()
      await closed()
      server.stop(true)`,
      debug,
    )
    t.is(code, 0)
    t.false(stderr.includes('M-SOCKET'), stderr)
  }
})
