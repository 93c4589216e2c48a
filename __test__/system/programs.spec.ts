import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import tls from 'node:tls'

import test, { type ExecutionContext } from 'ava'
import { type Listener, Socket, toDuplex } from 'm-socket'

import { outcomeOf, start } from '../support/child.js'
import { openSockets } from '../support/descriptors.js'
import { EchoServer } from '../support/echo-server.js'
import { fixturePath, run, runFixture } from '../support/fixture.js'
import { type Family, addressOf, testListener } from '../support/pair.js'
import { type Program, testWith } from '../support/programs.js'
import { acceptNext, receiveExactly, until } from '../support/waiting.js'

const directory = mkdtempSync(join(tmpdir(), 'm-socket-programs-'))
const file = join(directory, '50 MB')

test.before(() => writeFileSync(file, randomBytes(50_000_000)))
test.after.always(() => rmSync(directory, { recursive: true, force: true }))

/**
 * The arguments with which a program copies its stdin to a listener, and the answer to its stdout, until both have
 * ended.
 */
const COPIERS: readonly {
  peer: Program
  family: Family
  args: (address: { path: string } | { port: number }) => string[]
}[] = [
  { peer: 'socat', family: 'IPv4', args: (address) => ['-t', '60', '-', `TCP:127.0.0.1:${portIn(address)}`] },
  { peer: 'socat', family: 'unix', args: (address) => ['-t', '60', '-', `UNIX-CONNECT:${pathIn(address)}`] },
  { peer: 'nc', family: 'IPv4', args: (address) => ['-N', '127.0.0.1', portIn(address)] },
  { peer: 'nc', family: 'unix', args: (address) => ['-N', '-U', pathIn(address)] },
]

for (const { peer, family, args } of COPIERS) {
  testWith([peer], `50_MB_echoed_through_${peer}_are_the_same_bytes (${family})`, async (t) => {
    const { listener, server } = serving(t, family)
    const back = join(directory, `back through ${peer} over ${family}`)
    const [input, output] = [openSync(file, 'r'), openSync(back, 'w')]
    const copier = start(t, peer, args(addressOf(listener)), { stdio: [input, output, 'pipe'] })
    closeSync(input)
    closeSync(output)
    const [stderr, [code]] = await Promise.all([text(copier.stderr!), once(copier, 'close')])
    t.is(code, 0, stderr)
    t.is(await sumOf(back), await sumOf(file))
    t.is(server.received, 50_000_000)
    await until(() => server.connections.size === 0)
    t.deepEqual(server.failures, [])
  })
}

test.serial('1000_connections_at_once_all_get_their_own_echo', async (t) => {
  const { listener, server } = serving(t)
  const { code, stdout, stderr } = await runFixture(t, 'echo-clients.ts', portIn(addressOf(listener)), 1000, 3, 3000)
  t.is(code, 0, stderr)
  t.is(Number(stdout), 9_000_000)
  t.is(server.received, 9_000_000)
  t.is(server.peak, 1000)
  await until(() => server.connections.size === 0)
  t.deepEqual(server.failures, [])
})

/** The first is killed with data in flight both ways; the second does not read and is killed with all buffers full. */
for (const [kind, args] of Object.entries({ 'reads its echo': ['-'], 'reads nothing': ['-u', '-'] })) {
  testWith(['socat'], `a_peer_killed_during_a_transfer_affects_no_other_connection (it ${kind})`, async (t) => {
    const { listener, server } = serving(t)
    const { port } = listener.address as { port: number }
    const bystander = Socket.connect({ port })
    t.teardown(() => bystander.close())
    await echoes(t, bystander)
    const before = openSockets().length

    const [input, output] = [openSync('/dev/zero', 'r'), openSync('/dev/null', 'w')]
    const victim = start(t, 'socat', [...args, `TCP:127.0.0.1:${port}`], { stdio: [input, output, 'ignore'] })
    closeSync(input)
    closeSync(output)
    const received = server.received
    await until(() => server.received > received + 100_000)
    t.is(server.connections.size, 2)
    await echoes(t, bystander)
    victim.kill('SIGKILL')
    await once(victim, 'exit')

    await until(() => server.connections.size === 1)
    t.is(openSockets().length, before)
    t.true(
      server.failures.every((failure) =>
        ['ECONNRESET', 'EPIPE'].includes((failure as NodeJS.ErrnoException).code ?? ''),
      ),
    )
    await echoes(t, bystander)
  })
}

testWith(['python3'], 'a_slow_reader_gets_every_byte_once_and_the_queue_stays_bounded', async (t) => {
  const listener = testListener(t, 'IPv4', { sendBufferSize: 65536 })
  const { port } = listener.address as { port: number }
  const reader = start(t, 'python3', [fixturePath('slow_reader.py'), String(port), 'wait'])
  const reading = outcomeOf(reader)
  const socket = await acceptNext(listener)
  socket.sendQueueLimit = 100_000
  const sum = createHash('sha256')
  const total = 16_000_000
  let [sent, refused, longest] = [0, 0, 0]
  await until(() => {
    while (sent < total) {
      const piece = randomBytes(Math.min(1 + (sent % 50_000), total - sent))
      const status = socket.send(piece)
      longest = Math.max(longest, socket.queued)
      if (status === 'not-sent') {
        if (refused++ === 0) reader.stdin!.end()
        return false
      }
      if (status === 'closed') throw new Error('the reader is gone')
      sum.update(piece)
      sent += piece.length
    }
    return true
  }, socket)
  socket.close()
  const { code, stdout, stderr } = await reading
  t.is(code, 0, stderr)
  t.is(stdout, `${total} ${sum.digest('hex')}\n`)
  t.true(refused > 0)
  t.true(longest >= 100_000 && longest < 150_000, `${longest} bytes were queued`)
})

testWith(['curl'], 'curl_gets_and_posts_over_node_http_on_duplexes_and_reuses_its_connection', async (t) => {
  const { listener, accepted } = httpServing(t, http.createServer(answer))
  const url = `http://127.0.0.1:${portIn(addressOf(listener))}`
  const { code, stdout, stderr } = await curl(t, [
    '--data-binary',
    `@${file}`,
    `${url}/sum`,
    '--next',
    '-sS',
    `${url}/zeros?1000000`,
    '-o',
    join(directory, 'zeros'),
  ])
  t.is(code, 0, stderr)
  t.is(stdout, await sumOf(file))
  t.is(await sumOf(join(directory, 'zeros')), sumOfZeros(1_000_000))
  t.is(accepted(), 1)
})

testWith(['curl', 'openssl'], 'curl_gets_and_posts_over_node_https_on_duplexes', async (t) => {
  const { key, cert } = await certificate(t)
  const { listener, accepted } = httpServing(t, https.createServer({ key, cert }, answer))
  const port = portIn(addressOf(listener))
  const url = `https://localhost:${port}`
  const trusting = ['--cacert', join(directory, 'cert.pem'), '--resolve', `localhost:${port}:127.0.0.1`]
  const { code, stdout, stderr } = await curl(t, [
    ...trusting,
    '--data-binary',
    `@${file}`,
    `${url}/sum`,
    '--next',
    '-sS',
    ...trusting,
    `${url}/zeros?1000000`,
    '-o',
    join(directory, 'zeros'),
  ])
  t.is(code, 0, stderr)
  t.is(stdout, await sumOf(file))
  t.is(await sumOf(join(directory, 'zeros')), sumOfZeros(1_000_000))
  t.is(accepted(), 1)
})

testWith(['openssl'], 'node_tls_on_a_duplex_connects_to_openssl_s_server', async (t) => {
  const { cert } = await certificate(t)
  const where = ['-accept', '127.0.0.1:0', '-key', join(directory, 'key.pem'), '-cert', join(directory, 'cert.pem')]
  const server = start(t, 'openssl', ['s_server', '-rev', ...where], { stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  server.stdout!.setEncoding('utf8').on('data', (some: string) => (output += some))
  await until(() => /ACCEPT 127\.0\.0\.1:\d+\n/.test(output))
  const duplex = toDuplex(Socket.connect({ port: Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(output)![1]) }))
  const secured = tls.connect({ socket: duplex, ca: cert, servername: 'localhost' })
  t.teardown(() => secured.destroy())
  await once(secured, 'secureConnect')
  t.true(secured.authorized)
  secured.write('drawer\n')
  const [reversed] = (await once(secured, 'data')) as [Buffer]
  t.is(reversed.toString(), 'reward\n')
  secured.end()
  await once(duplex, 'close')
  t.is(duplex.socket.state, 'closed')
})

function serving(t: ExecutionContext, family: Family = 'IPv4'): { listener: Listener; server: EchoServer } {
  const listener = testListener(t, family)
  const server = new EchoServer(listener)
  t.teardown(() => server.close())
  return { listener, server }
}

/** Passes each accepted connection to a server of Node's, as a Duplex. */
function httpServing(t: ExecutionContext, server: http.Server): { listener: Listener; accepted: () => number } {
  const listener = testListener(t)
  let count = 0
  const accepting = (async () => {
    for await (const socket of listener) {
      count++
      server.emit('connection', toDuplex(socket))
    }
  })()
  t.teardown(async () => {
    listener.close()
    server.closeAllConnections()
    await accepting
  })
  return { listener, accepted: () => count }
}

/** `/sum` answers with the SHA-256 of the request body, `/zeros?n` with n zero bytes. */
function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  const { pathname, search } = new URL(request.url!, 'http://localhost')
  if (pathname === '/zeros') return void response.end(Buffer.alloc(Number(search.slice(1))))
  const sum = createHash('sha256')
  pipeline(request, sum).then(
    () => response.end(sum.digest('hex')),
    (error: Error) => response.destroy(error),
  )
}

async function curl(t: ExecutionContext, args: readonly string[]): ReturnType<typeof run> {
  // By default curl sends `Expect: 100-continue` before a large body; the empty header turns that off.
  return run(t, 'curl', ['-sS', '--max-time', '60', '--noproxy', '*', '-H', 'Expect:', ...args])
}

/** A key and a self-signed certificate for localhost. */
async function certificate(t: ExecutionContext): Promise<{ key: Buffer; cert: Buffer }> {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const { code, stderr } = await run(t, 'openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ])
  t.is(code, 0, stderr)
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

async function echoes(t: ExecutionContext, socket: Socket): Promise<void> {
  const sent = randomBytes(1000)
  t.is(socket.send(sent), 'sent')
  t.deepEqual(await receiveExactly(socket, sent.length), sent)
}

async function sumOf(path: string): Promise<string> {
  const sum = createHash('sha256')
  await pipeline(createReadStream(path), sum)
  return sum.digest('hex')
}

function sumOfZeros(length: number): string {
  return createHash('sha256').update(Buffer.alloc(length)).digest('hex')
}

function portIn(address: { path: string } | { port: number }): string {
  return String((address as { port: number }).port)
}

function pathIn(address: { path: string } | { port: number }): string {
  return (address as { path: string }).path
}
