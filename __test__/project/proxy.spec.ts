import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { buffer } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import { type Server, listen } from 'm-socket'

import { sendSignal } from '../support/child.js'
import { ANYWHERE, type RunningExample, interrupt, runExample, startServer } from '../support/example.js'
import { blackhole } from '../support/blackhole.js'
import { freePort } from '../support/ports.js'
import { until } from '../support/waiting.js'

test.serial('proxy: a_connection_goes_to_the_backend_with_the_fewest', async (t) => {
  const backends = ['a', 'b', 'c'].map((name) => named(t, name))
  const proxy = await balancing(t, backends.map(targetOf))
  const clients: { socket: Socket; name: string }[] = []
  const open = async (count: number): Promise<void> => {
    for (; count > 0; count--) clients.push(await greeted(t, proxy.port))
  }
  await open(6)
  t.is(clients.map(({ name }) => name).join(''), 'abcabc')
  for (const { socket } of clients.filter(({ name }) => name === 'b')) socket.destroy()
  await open(5)
  const names = clients.filter(({ socket }) => !socket.destroyed).map(({ name }) => name)
  t.is(names.toSorted().join(''), 'aaabbbccc')
  await interrupt(t, proxy)
})

test.serial('proxy: one_that_refuses_or_does_not_answer_is_passed_over_and_then_the_last_choice', async (t) => {
  const silent = await blackhole(t, '127.0.0.1')
  const { port } = silent.address as { port: number }
  const good = named(t, 'good')
  const proxy = await balancing(t, [`127.0.0.1:${freePort()}`, `127.0.0.1:${port}`, targetOf(good)])
  for (let count = 0; count < 4; count++) t.is((await greeted(t, proxy.port)).name, 'good')
  t.is(proxy.stderr.match(/ is down\n/g)?.length, 2)
  sendSignal(proxy.child, 'SIGINT')
  t.is((await proxy.outcome).code, 0)
})

test.serial('proxy: checks_find_a_backend_that_goes_and_one_that_comes', async (t) => {
  const [one, other] = [named(t, 'one'), named(t, 'other')]
  const port = one.port!
  const proxy = await balancing(t, [one, other].map(targetOf))
  one.stop(true)
  await until(() => proxy.stderr.includes(`127.0.0.1:${port} is down\n`))
  t.is((await greeted(t, proxy.port)).name, 'other')
  named(t, 'again', port)
  await until(() => proxy.stderr.includes(`127.0.0.1:${port} is up\n`))
  t.is((await greeted(t, proxy.port)).name, 'again')
  sendSignal(proxy.child, 'SIGINT')
  t.is((await proxy.outcome).code, 0)
})

test.serial('proxy: without_a_backend_that_can_be_reached_a_client_is_reset', async (t) => {
  const proxy = await balancing(t, [`127.0.0.1:${freePort()}`])
  const client = connect(proxy.port, '127.0.0.1')
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ECONNRESET')
  sendSignal(proxy.child, 'SIGINT')
  t.is((await proxy.outcome).code, 0)
})

test.serial('proxy: a_client_that_ends_its_half_at_once_gets_the_whole_answer', async (t) => {
  const answer = Buffer.alloc(3_000_000, 'answer')
  const backend = listen({
    host: '127.0.0.1',
    allowHalfOpen: true,
    socket: { end: (connection) => void connection.end(answer) },
  })
  t.teardown(() => backend.stop(true))
  const proxy = await balancing(t, [targetOf(backend)])
  const client = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true })
  client.end()
  t.true((await buffer(client)).equals(answer))
  await interrupt(t, proxy)
})

test.serial('proxy: a_backend_gets_the_address_of_the_client_by_a_header_and_checks_have_none', async (t) => {
  const proxies: (string | undefined)[] = []
  const backend = listen({
    host: '127.0.0.1',
    proxyProtocol: 'require',
    socket: {
      open(connection) {
        proxies.push(connection.proxy!.command)
        if (connection.proxy!.source) connection.end(`${connection.remoteAddress} ${connection.remotePort}`)
      },
      data: () => {},
    },
  })
  t.teardown(() => backend.stop(true))
  const proxy = await balancing(t, [`${targetOf(backend)},send-proxy-v2`])
  const { socket, name } = await greeted(t, proxy.port)
  t.is(name, `127.0.0.1 ${socket.localPort}`)
  await until(() => proxies.includes('LOCAL'))
  t.deepEqual(
    proxies.filter((command) => command !== 'LOCAL'),
    ['PROXY'],
  )
  t.false(proxy.stderr.includes('down'))
  await interrupt(t, proxy)
})

for (const [title, args, message] of [
  ['no_backend', [], /which backends/],
  ['a_backend_without_a_port', ['127.0.0.1'], /a backend is HOST:PORT or HOST:PORT,send-proxy-v2, not 127\.0\.0\.1/],
] as const) {
  test.serial(`proxy: ${title}_is_refused_with_a_clear_message`, async (t) => {
    const { code, stderr } = await runExample(t, 'proxy', [...ANYWHERE, ...args]).outcome
    t.is(code, 1)
    t.regex(stderr, message)
  })
}

interface Balancer extends RunningExample {
  readonly port: number
  /** What it has printed to its standard error so far. */
  readonly stderr: string
}

async function balancing(t: ExecutionContext, targets: readonly string[]): Promise<Balancer> {
  const { child, outcome, port } = await startServer(t, 'proxy', [...ANYWHERE, ...targets])
  const proxy = { child, outcome, port, stderr: '' }
  child.stderr!.on('data', (text: Buffer) => (proxy.stderr += text.toString()))
  return proxy
}

/** A server that sends its name to each connection. */
function named(t: ExecutionContext, name: string, port = 0): Server {
  const server = listen({
    host: '127.0.0.1',
    port,
    socket: { open: (connection) => void connection.write(name), data: () => {} },
  })
  t.teardown(() => server.stop(true))
  return server
}

function targetOf({ port }: Server): string {
  return `127.0.0.1:${port}`
}

/** Connects, and resolves with the first bytes that come. */
async function greeted(t: ExecutionContext, port: number): Promise<{ socket: Socket; name: string }> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const [name] = (await once(socket, 'data')) as [Buffer]
  return { socket, name: name.toString() }
}
