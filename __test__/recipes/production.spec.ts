// The recipes for production, against real programs: curl(1), openssl(1), haproxy(1), nc(1), systemd-socket-activate(1).

import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { find } from '../consumers/servers/support.js'
import { sendSignal, start } from '../support/child.js'
import { codeBlocks, textOf } from '../support/code-blocks.js'
import { fileWith } from '../support/files.js'
import { run } from '../support/fixture.js'
import { LineClient } from '../support/line-client.js'
import { restored, runAsShown, runLine } from '../support/page-commands.js'
import { type RunningProgram, isAsShown, startProgram, startServing } from '../support/pages.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { runPython } from '../support/python.js'
import { curl } from '../support/serving.js'
import { temporaryDirectory } from '../support/unix.js'
import { until } from '../support/waiting.js'

/** Ends a program as a service manager does, and asserts that it exits by itself. */
async function stop(t: ExecutionContext, { child, stderr }: RunningProgram): Promise<void> {
  const exit = once(child, 'exit')
  sendSignal(child, 'SIGTERM')
  t.deepEqual(await exit, [0, null], await stderr)
}

function pageOf(program: string): string {
  return `docs/${program}.md`
}

const FILES = pageOf('recipes/file-server')

/** A folder `public` with the files that the page on the file server asks for, in a folder of its own. */
function publicFolder(t: ExecutionContext): { cwd: string; folder: string } {
  const cwd = temporaryDirectory(t)
  const folder = join(cwd, 'public')
  mkdirSync(folder)
  writeFileSync(join(folder, 'index.html'), '<h1>Hello</h1>\n')
  writeFileSync(join(folder, 'numbers.txt'), Array.from({ length: 1_000_000 }, (_, index) => `${index + 1}\n`).join(''))
  return { cwd, folder }
}

testWith(['curl'], 'file-server: curl_gets_files_parts_and_nothing_outside_of_the_folder', async (t) => {
  const { cwd, folder } = publicFolder(t)
  const server = await startServing(t, 'recipes/file-server', [folder, '0'])
  t.is(restored(server.first, { '/srv': cwd, '8080': server.port }), 'Serving /srv/public/ on port 8080')
  await runAsShown(t, FILES, 'curl', { cwd, replacing: { 'localhost:8080': `127.0.0.1:${server.port}` } })

  mkdirSync(join(folder, '.git'))
  for (const hidden of ['.git/config', '.env', '../secret']) writeFileSync(join(folder, hidden), 'secret')
  writeFileSync(join(folder, 'empty'), '')
  symlinkSync('../secret', join(folder, 'link'))
  symlinkSync('index.html', join(folder, 'inside'))
  await run(t, 'mkfifo', [join(folder, 'fifo')])
  const url = `http://127.0.0.1:${server.port}`
  const status = (...args: string[]) => curl('--path-as-is', '-o', '/dev/null', '-w', '%{http_code}', ...args)
  for (const path of ['.git/config', '.env', 'link', '..%2fsecret', '%2e%2e/secret', '%00', '%zz', 'fifo', '', 'no'])
    t.is(await status(`${url}/${path}${path === '' ? '/../secret' : ''}`), '404', path)
  t.is(await curl(`${url}/inside?query`), '<h1>Hello</h1>\n')
  t.is(await status('-r', '0-', `${url}/empty`), '416')
  t.is(await curl('-w', '%{http_code}', `${url}/empty`), '200')
  t.is(await curl('-w', '%{http_code}', '-r', '6888895-9999999', `${url}/numbers.txt`), '\n206')
  t.is(await curl('-H', 'If-Range: "x"', '-r', '0-1', '-w', '%{http_code}', `${url}/`), '<h1>Hello</h1>\n200')
  // A request whose body is not read ends its connection; others share one.
  const connects = ['-w', '%{num_connects}', '-o', '/dev/null', '-o', '/dev/null', `${url}/`, `${url}/no`]
  t.is(await curl(...connects), '10')
  t.is(await curl('-d', 'body', ...connects), '11')
  t.is(await curl('--http1.0', ...connects), '11')
  await stop(t, server)
})

test.serial('file-server: a_download_is_finished_after_SIGTERM_and_a_long_head_is_refused', async (t) => {
  const { folder } = publicFolder(t)
  const server = await startServing(t, 'recipes/file-server', [folder, '0'])
  const long = net.connect(server.port, '127.0.0.1')
  long.on('error', () => {}).write(`GET / HTTP/1.1\r\nCookie: ${'x'.repeat(9000)}`)
  long.resume()
  await hasClosed(long)

  // More than the buffers of the kernel take.
  const size = 64_000_000
  truncateSync(join(folder, 'numbers.txt'), size)
  const client = net.connect(server.port, '127.0.0.1')
  client.write('GET /numbers.txt HTTP/1.1\r\n\r\n')
  await once(client, 'readable')
  const stopped = stop(t, server)
  await untilRefused(server.port)
  let length = 0
  for await (const chunk of client) length += (chunk as Buffer).length
  t.true(length > size)
  await stopped
})

/** Connects until a server does not listen any more. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
    } catch {
      return
    } finally {
      socket.destroy()
    }
  }
}

const TLS = pageOf('recipes/tls')

testWith(['openssl', 'curl'], 'tls: server_and_client_trust_only_certificates_of_their_authority', async (t) => {
  const cwd = temporaryDirectory(t)
  const made = await runLine(t, `set -e; ${codeBlocks(textOf(TLS), 'sh')[0]!}`, cwd)
  t.is(made.code, 0, made.stdout)
  const server = await startServing(t, 'recipes/tls', ['0'], { cwd })
  const replacing = { '8443': server.port }
  t.is(restored(server.first, replacing), 'Listening on port 8443')
  await runAsShown(t, TLS, 'alice', { cwd, replacing })
  await runAsShown(t, TLS, '/dev/null', { cwd, replacing })

  const client = ['--cert', join(cwd, 'alice.crt'), '--key', join(cwd, 'alice.key')]
  const ask = (...args: string[]) =>
    curl('--cacert', join(cwd, 'ca.crt'), ...args, `gophers://localhost:${server.port}/_quit`)
  t.is(await ask(...client), 'good-bye, alice\n')
  await t.throwsAsync(ask())

  // Certificates of another authority, read on SIGHUP: then nothing fits any more.
  const again = await runLine(t, `set -e; ${codeBlocks(textOf(TLS), 'sh')[0]!}`, cwd)
  t.is(again.code, 0, again.stdout)
  await t.throwsAsync(ask(...client))
  const refusing = startProgram(t, 'recipes/tls-client', ['127.0.0.1', String(server.port), 'alice'], { cwd })
  t.regex(await refusing.stderr, /certificate/)
  sendSignal(server.child, 'SIGHUP')
  while ((await ask(...client).catch(() => '')) !== 'good-bye, alice\n') await delay(20)
  await stop(t, server)
})

testWith(['openssl'], 'tls: lines_come_back_to_a_slow_reader_and_a_long_line_ends_the_connection', async (t) => {
  const cwd = temporaryDirectory(t)
  await runLine(t, codeBlocks(textOf(TLS), 'sh')[0]!, cwd)
  const server = await startServing(t, 'recipes/tls', ['0'], { cwd })
  const options = '-quiet -verify_quiet -CAfile ca.crt -cert alice.crt -key alice.key'
  const talk = `openssl s_client ${options} -connect localhost:${server.port} 2>/dev/null`
  const many = await runLine(t, `(seq 100000; echo quit) | ${talk} | (sleep 1; cat) | sha256sum`, cwd)
  const expected = await runLine(t, '(seq 100000 | sed "s/^/alice: /"; echo good-bye, alice) | sha256sum')
  t.is(many.stdout, expected.stdout)
  const long = await runLine(t, `head -c 2000 /dev/zero | ${talk}`, cwd)
  t.is(long.stdout, '')
  await stop(t, server)
})

const HAPROXY = pageOf('recipes/http-behind-haproxy')

testWith(['haproxy', 'curl'], 'http-behind-haproxy: clients_are_known_and_a_restart_loses_no_request', async (t) => {
  const [first, second] = [
    await startServing(t, 'recipes/http-behind-haproxy', ['0']),
    await startServing(t, 'recipes/http-behind-haproxy', ['0']),
  ]
  const port = freePort()
  const config = codeBlocks(textOf(HAPROXY), 'text')[0]!
    .replace('bind :8000', `bind 127.0.0.1:${port}`)
    .replace('127.0.0.1:8081', `127.0.0.1:${first.port}`)
    .replace('127.0.0.1:8082', `127.0.0.1:${second.port}`)
  start(t, find('haproxy')!, ['-db', '-f', fileWith(t, Buffer.from(config))], { stdio: 'ignore' })
  const url = `http://127.0.0.1:${port}`
  const ask = (path: string) => curl('--max-time', '10', `${url}/${path}`)
  const pids = new Set<number>()
  while (pids.size < 2) {
    const answer = await ask('').catch(() => '')
    const pid = /^GET \/ of 127\.0\.0\.1, by process (\d+)\n$/.exec(answer)?.[1]
    if (pid) pids.add(Number(pid))
  }
  t.deepEqual([...pids].toSorted(), [first.child.pid!, second.child.pid!].toSorted())

  const { stdout } = await runLine(t, `curl --interface 127.0.0.9 ${url}/hello`)
  isAsShown(t, HAPROXY, '127.0.0.9', stdout.replace(/\d+$/m, '4711'))
  await runAsShown(t, HAPROXY, 'curl http://127.0.0.1:8081', { replacing: { '8081': first.port } })

  const stopped = stop(t, first)
  while (first.child.exitCode === null) {
    const answers = (await ask('[1-20]?rate')).trim().split('\n')
    t.is(answers.length, 20)
    for (const [index, answer] of answers.entries()) t.true(answer.startsWith(`GET /${index + 1}?rate of 127.0.0.1`))
    await delay(50)
  }
  await stopped
  t.is(await ask('last'), `GET /last of 127.0.0.1, by process ${second.child.pid}\n`)
  await stop(t, second)
})

const UNIX = pageOf('recipes/unix-daemon')

testWith(
  ['nc', 'python3'],
  'unix-daemon: it_knows_the_user_at_the_other_end_and_replaces_only_a_stale_file',
  async (t) => {
    const folder = temporaryDirectory(t)
    // Other users may enter it.
    chmodSync(folder, 0o755)
    const path = join(folder, 'counter.sock')
    runPython(`import socket; socket.socket(socket.AF_UNIX).bind('${path}')`)
    const daemon = startProgram(t, 'recipes/unix-daemon', [path])
    const replacing = { '/tmp/counter.sock': path }
    t.is(restored((await daemon.line())!, replacing), 'Listening at /tmp/counter.sock')
    const { stdout } = await runLine(t, `printf 'whoami\\nadd 2\\nget\\n' | nc -NU ${path}`)
    const credentials = `user ${process.getuid!()}, group ${process.getgid!()}`
    isAsShown(
      t,
      UNIX,
      'whoami',
      stdout.replace(/process \d+/, 'process 4711').replace(credentials, 'user 1000, group 1000'),
    )
    await runAsShown(t, UNIX, 'stat', { replacing })
    if (process.getuid!() === 0)
      await runAsShown(t, UNIX, 'sudo', {
        replacing: { ...replacing, 'sudo -u www-data': 'setpriv --reuid 65534 --regid 65534 --clear-groups' },
      })

    const bad = await runLine(t, `printf 'toString\\n${'x'.repeat(1025)}\\nget\\n' | nc -NU ${path}`)
    t.regex(bad.stdout, /^error commands are get, whoami, add\nerror .*1024.*\n$/)
    const another = startProgram(t, 'recipes/unix-daemon', [path])
    t.regex(await another.stderr, /EADDRINUSE/)
    t.is((await runLine(t, `echo get | nc -NU ${path}`)).stdout, 'ok 2\n')
    await stop(t, daemon)
    t.false(existsSync(path))
  },
)

const SYSTEMD = pageOf('recipes/systemd')

testWith(
  ['systemd-socket-activate', 'nc'],
  'systemd: it_is_started_on_the_sockets_of_systemd_and_ends_when_idle',
  async (t) => {
    const [port, path] = [freePort(), join(temporaryDirectory(t), 'echo.sock')]
    const replacing = {
      '5000': port,
      '/tmp/echo.sock': path,
      'systemd.ts 2': 'systemd.ts 1',
      '2 seconds': '1 seconds',
    }
    const running = runAsShown(t, SYSTEMD, 'systemd-socket-activate', { replacing })
    await until(() => existsSync(path))
    // It stays open meanwhile, so that the service does not end between the two.
    const client = net.connect(port, '127.0.0.1')
    await once(client, 'connect')
    await runAsShown(t, SYSTEMD, 'nc ', { replacing })
    client.destroy()
    await running
  },
)

testWith(['systemd-socket-activate'], 'systemd: its_units_are_understood', async (t) => {
  const folder = temporaryDirectory(t)
  const units = codeBlocks(textOf(SYSTEMD), 'ini').map((unit) => {
    const path = join(folder, /\/([\w-]+\.(?:socket|service))$/m.exec(unit)![1]!)
    writeFileSync(path, unit.replace('/usr/bin/node', process.execPath))
    return path
  })
  t.is(units.length, 2)
  const { code, stdout, stderr } = await run(t, 'systemd-analyze', ['verify', ...units])
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' })
})

const RESTART = pageOf('recipes/graceful-restart')

test.serial('graceful-restart: the_next_process_serves_while_the_old_one_finishes', async (t) => {
  const path = join(temporaryDirectory(t), 'echo.control')
  const first = await startServing(t, 'recipes/graceful-restart', ['0', path])
  const old = await LineClient.connect(t, first.port)
  old.say('before')
  t.is(await old.next(), 'before')
  const next = await startServing(t, 'recipes/graceful-restart', ['0', path])
  t.is(next.port, first.port)
  for (let count = 0; count < 20; count++) {
    const client = await LineClient.connect(t, next.port)
    client.say('hello')
    t.is(await client.next(), 'hello')
    client.socket.destroy()
  }
  old.say('after')
  t.is(await old.next(), 'after')
  t.is(first.child.exitCode, null)
  old.socket.destroy()
  const replacing = { '5000': first.port, '4711': first.child.pid!, '4712': next.child.pid! }
  isAsShown(t, RESTART, 'echo.control &', restored(first.first, replacing))
  const printed = [next.first, ...(await first.rest())].join('\n')
  isAsShown(t, RESTART, '# the new version', restored(printed, replacing))
  await stop(t, next)
})

const LONG = '100000'

testWith(['nc'], 'hostile-internet: lines_and_connections_of_an_address_are_limited', async (t) => {
  const server = await startServing(t, 'recipes/hostile-internet', ['0', LONG, LONG])
  await runAsShown(t, 'docs/recipes/hostile-internet.md', 'echo hello', {
    replacing: { 'localhost 7000': `127.0.0.1 ${server.port}` },
  })
  await isGone(t, server.port, 'x'.repeat(1025))
  const clients: LineClient[] = []
  while (clients.length < 20) {
    const client = await LineClient.connect(t, server.port)
    client.say(`${clients.push(client)}`)
    t.is(await client.next(), String(clients.length))
  }
  await isGone(t, server.port)
  const other = net.connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.2' })
  other.end('from another address\n')
  t.is(String(await once(other, 'data')), 'from another address\n')
  // A place is free again when a connection has ended.
  clients[0]!.socket.destroy()
  while ((await answerTo(t, server.port, 'again\n')) !== 'again\n') await delay(10)
  for (const client of clients) client.socket.destroy()
  await stop(t, server)
})

test.serial('hostile-internet: silence_and_a_request_that_takes_too_long_end_a_connection', async (t) => {
  const silent = await startServing(t, 'recipes/hostile-internet', ['0', '300', LONG])
  await Promise.all([isGone(t, silent.port), isGone(t, silent.port, 'begun')])
  await stop(t, silent)

  const slow = await startServing(t, 'recipes/hostile-internet', ['0', LONG, '1000'])
  const trickling = net.connect(slow.port, '127.0.0.1')
  const trickle = setInterval(() => trickling.write('x'), 20)
  const notReading = net.connect(slow.port, '127.0.0.1')
  notReading.pause().write('question\n'.repeat(2_000_000))
  await Promise.all([trickling, notReading].map(hasClosed))
  clearInterval(trickle)
  await stop(t, slow)
})

/** Connects, sends something, and asserts that the server ends or resets the connection without an answer. */
async function isGone(t: ExecutionContext, port: number, text = ''): Promise<void> {
  t.is(await answerTo(t, port, text), '')
}

/** All that a server answers until the connection is gone. */
async function answerTo(t: ExecutionContext, port: number, text: string): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk.toString()
    socket.end()
  })
  socket.write(text)
  await hasClosed(socket)
  return answer
}

/** Resolves when a connection has ended or was reset. */
async function hasClosed(socket: net.Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.on('error', () => {}).on('close', () => resolve()))
}
