import { once } from 'node:events'
import { connect } from 'node:net'
import process from 'node:process'
import { text } from 'node:stream/consumers'

import { outcomeOf, sendSignal, start } from '../support/child.js'
import { exampleArguments } from '../support/example.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { freePath } from '../support/unix.js'

/** Resolves when a program has written a text to its standard error. */
async function untilSaid(stderr: NodeJS.ReadableStream, expected: string): Promise<void> {
  let said = ''
  for (;;) {
    const [chunk] = (await once(stderr, 'data')) as [Buffer]
    said += chunk.toString()
    if (said.includes(expected)) return
  }
}

testWith(['systemd-socket-activate'], 'systemd_starts_the_echo_server_on_TCP_and_on_a_Unix_socket', async (t) => {
  const port = freePort()
  const path = freePath(t)
  const command = [process.execPath, ...exampleArguments('echo', [])]
  // It passes on only the variables that are named.
  const child = start(t, 'systemd-socket-activate', ['-l', `127.0.0.1:${port}`, '-l', path, '-E', 'PATH', ...command])
  const outcome = outcomeOf(child)
  await untilSaid(child.stderr!, `Listening on ${path}`)
  for (const to of [{ host: '127.0.0.1', port }, { path }, { host: '127.0.0.1', port }]) {
    t.is(await text(connect(to).end('hello')), 'hello')
  }
  sendSignal(child, 'SIGTERM')
  const { code, stdout } = await outcome
  t.is(code, 0)
  t.true(stdout.startsWith(`Listening on 127.0.0.1 port ${port}.`), stdout)
  t.true(stdout.includes(`Listening on ${path}.`), stdout)
  t.regex(stdout, /\n3 connections, 15 bytes in, 15 bytes out\n$/)
})

testWith(['systemd-socket-activate'], 'names_of_systemd_are_those_of_the_listeners', async (t) => {
  const port = freePort()
  const source = `
    import { listenFds, listen } from 'm-socket'
    const { control: [listener], web } = listenFds()
    listen({ listener, socket: { open: (connection) => (connection.end(String(web.length)), process.exitCode = 7) } }).unref()
    web[0].close()
    setTimeout(() => {}, 1000)`
  const path = freePath(t)
  const args = ['-l', `127.0.0.1:${port}`, '-l', path, '--fdname=web:control', process.execPath]
  const child = start(t, 'systemd-socket-activate', [...args, '--input-type=module', '--eval', source], {
    cwd: new URL('../..', import.meta.url),
  })
  const outcome = outcomeOf(child)
  await untilSaid(child.stderr!, `Listening on ${path}`)
  t.is(await text(connect(path)), '1')
  t.is((await outcome).code, 7)
})
