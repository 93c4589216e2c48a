import { once } from 'node:events'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import { Listener } from 'm-socket'

import { outcomeOf, start } from './support/child.js'

const ECHO = fileURLToPath(new URL('../examples/echo.ts', import.meta.url))

/** Starts the example; resolves with its port once it says that it listens. */
async function startEcho(t: ExecutionContext, args: readonly string[], env: Record<string, string> = {}) {
  const child = start(t, process.execPath, ['--import', '@oxc-node/core/register', ECHO, ...args], { env: { ...process.env, ...env } })
  const outcome = outcomeOf(child)
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  const port = Number(/ port (\d+)\./.exec(line.toString())?.[1])
  return { child, outcome, port, line: line.toString() }
}

test('what_comes_in_goes_back_and_ctrl_c_prints_totals', async (t) => {
  const { child, outcome, port, line } = await startEcho(t, ['--host', '127.0.0.1', '--port', '0'])
  t.is(line, `Listening on 127.0.0.1 port ${port}. Try: nc 127.0.0.1 ${port}\n`)
  const sent = Buffer.alloc(3_000_000, 'm-socket')
  const client = connect(port, '127.0.0.1')
  client.end(sent)
  t.true((await buffer(client)).equals(sent))
  child.kill('SIGINT')
  const { code, signal, stdout } = await outcome
  t.deepEqual({ code, signal }, { code: 0, signal: null })
  t.regex(stdout, /\n1 connections, 3000000 bytes in, 3000000 bytes out\n$/)
})

test('a_peer_that_stays_does_not_hold_the_end_up', async (t) => {
  const { child, outcome, port } = await startEcho(t, ['--port', '0'])
  const client = connect(port, '127.0.0.1')
  client.write('hello')
  t.is((await once(client, 'data')).toString(), 'hello')
  child.kill('SIGTERM')
  await once(client, 'end')
  const { code, stdout } = await outcome
  client.destroy()
  t.is(code, 0)
  t.regex(stdout, /1 connections, 5 bytes in, 5 bytes out/)
})

test('host_and_port_come_from_the_environment_too', async (t) => {
  const { line } = await startEcho(t, [], { HOST: '127.0.0.2', PORT: '0' })
  t.regex(line, /^Listening on 127\.0\.0\.2 port [1-9]/)
})

for (const [title, args, message] of [
  ['a_wrong_port', ['--port', '99999'], /port should be >= 0 and < 65536/],
  ['a_name_as_host', ['--host', 'example.org', '--port', '0'], /numeric/],
  ['an_unknown_flag', ['--bort', '1'], /--bort/],
] as const) {
  test(`${title}_is_refused_with_a_clear_message`, async (t) => {
    const { code, stderr } = await outcomeOf(start(t, process.execPath, ['--import', '@oxc-node/core/register', ECHO, ...args]))
    t.is(code, 1)
    t.regex(stderr, /^echo: /)
    t.regex(stderr, message)
  })
}

test('a_port_in_use_is_refused_with_a_clear_message', async (t) => {
  using listener = Listener.bind({ host: '127.0.0.1' })
  const { port } = listener.address as { port: number }
  const args = ['--import', '@oxc-node/core/register', ECHO, '--host', '127.0.0.1', '--port', String(port)]
  const { code, stderr } = await outcomeOf(start(t, process.execPath, args))
  t.is(code, 1)
  t.is(stderr, `echo: bind EADDRINUSE 127.0.0.1:${port}\n`)
})
