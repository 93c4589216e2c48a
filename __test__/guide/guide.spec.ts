import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'

import { outcomeOf, sendSignal, start } from '../support/child.js'
import { ROOT, textOf } from '../support/code-blocks.js'
import { LineClient } from '../support/line-client.js'
import { testListener } from '../support/pair.js'
import {
  type RunningProgram,
  isAsShown,
  shownCommands,
  shownOutput,
  startProgram,
  startServing,
} from '../support/pages.js'
import { startWithDescriptorsFrom3 } from '../support/passed-descriptors.js'
import { testWith } from '../support/programs.js'
import { fileArguments } from '../support/runtime.js'
import { temporaryDirectory } from '../support/unix.js'

const PAGE = 'docs/guide.md'

testWith(['nc'], 'echo and client: what_is_sent_comes_back', async (t) => {
  const server = await startServing(t, 'guide/echo', ['0'])
  isAsShown(t, PAGE, 'node echo.ts', server.first.replace(String(server.port), '5000'))
  isAsShown(t, PAGE, 'nc -N', await run(t, 'nc -N', 5000, server.port))
  const client = startProgram(t, 'guide/client', [String(server.port)])
  isAsShown(t, PAGE, 'node client.ts', (await client.rest()).join('\n'))
})

test.serial('chat and forward: the_dialogue_of_the_page, and_what_becomes_of_those_that_break_a_rule', async (t) => {
  const server = await startServing(t, 'guide/chat', ['0'])
  isAsShown(t, PAGE, 'node chat.ts', server.first.replace(String(server.port), '5001'))
  const forward = await startServing(t, 'guide/forward', ['0', String(server.port)])
  isAsShown(t, PAGE, 'node forward.ts', forward.first.replace(String(forward.port), '5002'))

  await playDialogue(t, await LineClient.connect(t, server.port), await LineClient.connect(t, forward.port))
  await breakRules(t, server.port)
  t.regex((await server.line())!, /^lazy: /)
  t.is(await server.line(), 'loud: What is read has more than 500 bytes')

  server.child.kill('SIGKILL')
  await once(server.child, 'exit')
  const client = connect(forward.port, '127.0.0.1')
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ECONNRESET')
  t.is(await forward.line(), `connect ECONNREFUSED 127.0.0.1:${server.port}`)
})

/** The lines of the page are those of Ann's terminal; what she types begins with `> `. */
async function playDialogue(t: ExecutionContext, ann: LineClient, bob: LineClient): Promise<void> {
  const others: Record<string, () => Promise<void>> = {
    '* Ann has joined: Ann': async () => {
      t.is(await bob.next(), '* Your name?')
      for (const name of ['', 'Ann']) {
        bob.say(name)
        t.is(await bob.next(), '* Another name, please')
      }
      bob.say('Bob')
      t.is(await bob.next(), '* Bob has joined: Ann, Bob')
    },
    '> hello, Bob': async () => {
      t.is(await bob.next(), 'Ann: hello, Bob')
      bob.say('hello, Ann')
    },
    'Bob: hello, Ann': async () => void bob.socket.end(),
  }
  const [, lines] = /^\$ nc 127.0.0.1 5001\n(.*?)^```/ms.exec(textOf(PAGE))!
  for (const line of lines!.trimEnd().split('\n')) {
    if (line.startsWith('> ')) ann.say(line.slice(2))
    else t.is(await ann.next(), line)
    await others[line]?.()
  }
  ann.socket.end()
  t.is(await ann.next(), undefined)
}

/** One user does not read, and one sends a line that is too long: both are disconnected, and the third one goes on. */
async function breakRules(t: ExecutionContext, port: number): Promise<void> {
  const eve = await enter(t, port, 'Eve')
  const lazy = await enter(t, port, 'lazy')
  lazy.socket.pause()
  const loud = await enter(t, port, 'loud')
  t.deepEqual(await eve.take(2), ['* lazy has joined: Eve, lazy', '* loud has joined: Eve, lazy, loud'])
  const line = 'x'.repeat(400)
  let latest: string | undefined
  while (latest !== '* lazy has left') {
    loud.say(Array.from({ length: 1000 }, () => line).join('\n'))
    for (let count = 0; count < 1000 && latest !== '* lazy has left'; count++) latest = await eve.next()
  }
  loud.say('y'.repeat(501))
  while (latest !== '* loud has left') latest = await eve.next()
  eve.say('still here')
  eve.socket.end()
  t.is(await eve.next(), undefined)
}

for (const program of ['guide/back-pressure', 'guide/layers']) {
  const name = program.slice('guide/'.length)
  test.serial(`${name}: prints_what_the_page_shows`, async (t) => {
    const running = startProgram(t, program)
    isAsShown(t, PAGE, `node ${name}.ts`, (await running.rest()).join('\n'))
    t.is(await running.stderr, '')
  })
}

test.serial('timeouts: prints_what_the_page_shows', async (t) => {
  const program = startProgram(t, 'guide/timeouts')
  // Two timers of one process: a busy machine may be late for both.
  t.deepEqual((await program.rest()).toSorted(), shownOutput(PAGE, 'node timeouts.ts').split('\n').toSorted())
})

testWith(['openssl'], 'secure and secure-client: the_chat_speaks_TLS_with_the_certificate_of_the_page', async (t) => {
  const cwd = temporaryDirectory(t)
  const make = /^openssl req .*$/m.exec(textOf(PAGE))![0]
  t.is(spawnSync('sh', ['-c', make], { cwd }).status, 0)

  const chat = await startServing(t, 'guide/chat', ['0'])
  const secure = await startServing(t, 'guide/secure', ['0', String(chat.port)], { cwd })
  isAsShown(t, PAGE, 'node secure.ts', secure.first.replace(String(secure.port), '5003'))
  const client = startProgram(t, 'guide/secure-client', [String(secure.port)], { cwd })
  client.child.stdin!.end('Ann\nhello\n')
  isAsShown(t, PAGE, 'node secure-client.ts', (await client.rest()).join('\n'))

  const s_client = /^Other clients work as well: `(.*)`\.$/m.exec(textOf(PAGE))![1]!
  const openssl = start(t, 'sh', ['-c', `exec ${s_client.replace('5003', String(secure.port))}`], { cwd })
  const [line] = (await once(openssl.stdout!, 'data')) as [Buffer]
  t.is(String(line), '* Your name?\n')
})

testWith(['nc'], 'cores: each_connection_is_served_by_a_thread', async (t) => {
  const server = await startServing(t, 'guide/cores', ['0'])
  isAsShown(t, PAGE, 'node cores.ts', server.first.replace(String(server.port), '5004'))
  isAsShown(t, PAGE, 'nc -d', await run(t, 'nc -d', 5004, server.port))
  await ends(t, server)
})

test.serial('production: it_counts_and_ends_when_its_connections_have', async (t) => {
  const server = await startServing(t, 'guide/production', ['0'])
  const first = connect(server.port, '127.0.0.1').end('hello\n')
  t.is(await text(first), 'hello\n')
  const shown = shownOutput(PAGE, 'node production.ts').split('\n')[1]!.split('…')
  let counters = ''
  // The close of the server's side follows that of ours.
  while (!counters.includes('"closed":1')) {
    sendSignal(server.child, 'SIGUSR2')
    counters = (await server.line())!
  }
  t.true(counters.startsWith(shown[0]!) && counters.endsWith(shown[1]!), counters)

  const reset = connect(server.port, '127.0.0.1')
  reset.write('hello')
  await once(reset, 'data')
  reset.resetAndDestroy()
  while (!counters.includes('"failures":{"ECONNRESET":1}')) {
    sendSignal(server.child, 'SIGUSR2')
    counters = (await server.line())!
  }

  const last = connect(server.port, '127.0.0.1')
  last.write('hello')
  await once(last, 'data')
  sendSignal(server.child, 'SIGTERM')
  last.end('bye')
  t.is(await text(last), 'bye')
  t.is((await once(server.child, 'exit'))[0], 0)
})

test.serial('production: it_serves_a_listener_of_systemd', async (t) => {
  const listener = testListener(t)
  const args = fileArguments(join(ROOT, 'examples/guide/production.ts'), [])
  const child = startWithDescriptorsFrom3(t, [listener], { LISTEN_FDS: '1' }, args)
  const outcome = outcomeOf(child)
  const { port } = listener.address as { port: number }
  t.is(String(await once(child.stdout!, 'data')), `Listening on port ${port}\n`)
  t.is(await text(connect(port, '127.0.0.1').end('hello')), 'hello')
  sendSignal(child, 'SIGTERM')
  t.is((await outcome).code, 0)
})

/** What a command of the page prints, with the port of this test. */
async function run(t: ExecutionContext, part: string, shown: number, port: number): Promise<string> {
  const { command } = shownCommands(textOf(PAGE)).find((each) => each.command.includes(part))!
  const line = command.replace(String(shown), String(port))
  return (await outcomeOf(start(t, 'sh', ['-c', line]))).stdout
}

async function enter(t: ExecutionContext, port: number, name: string): Promise<LineClient> {
  const client = await LineClient.connect(t, port)
  client.say(name)
  t.is(await client.next(), '* Your name?')
  t.regex((await client.next())!, new RegExp(`^\\* ${name} has joined`))
  return client
}

async function ends(t: ExecutionContext, { child }: RunningProgram): Promise<void> {
  const exited = once(child, 'exit')
  sendSignal(child, 'SIGTERM')
  t.is((await exited)[0], 0)
}
