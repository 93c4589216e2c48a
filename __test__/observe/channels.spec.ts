// What node:diagnostics_channel reports of servers and connections.

import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import test, { type ExecutionContext } from 'ava'
import { type Connection, type Handlers, Multiplexer, SocketError, connect, listen, toDuplex } from 'm-socket'

import { runModule } from '../support/child.js'
import { connectionPair } from '../support/connection-pair.js'
import { addressOf, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { connectSocket, testServer } from '../support/server.js'
import { runUnderStrace } from '../support/strace.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

const NAMES = ['server.listen', 'connection.open', 'connection.close', 'connect.start', 'connect.end', 'connect.error']

interface Entry {
  readonly name: string
  readonly message: Readonly<Record<string, unknown>>
}

/** Subscribes to all channels, and records; the channels are the whole process's, so that these tests are serial. */
function record(t: ExecutionContext, onMessage: (entry: Entry) => void = () => {}): Entry[] {
  const entries: Entry[] = []
  for (const name of NAMES) {
    const listener = (message: unknown): void => {
      const entry = { name, message: message as Entry['message'] }
      entries.push(entry)
      onMessage(entry)
    }
    subscribe(`m-socket.${name}`, listener)
    t.teardown(() => unsubscribe(`m-socket.${name}`, listener))
  }
  return entries
}

const namesOf = (entries: readonly Entry[]): string[] => entries.map(({ name }) => name)

const count = (entries: readonly Entry[], name: string): number => namesOf(entries).filter((it) => it === name).length

/** What has been sent by a handler is on its way: as long as nothing comes. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 20))

for (const family of ['IPv4', 'unix'] as const) {
  test.serial(`a_connection_is_reported_on_both_sides (${family})`, async (t) => {
    const entries = record(t)
    const address = family === 'unix' ? { path: freePath(t) } : {}
    const server = testServer(t, { ...address, socket: { data: (it, chunk) => it.write(chunk) } })
    t.deepEqual(entries, [{ name: 'server.listen', message: { server } }])
    const options = addressOf(server)
    const connection = await connect(options)
    await until(() => count(entries, 'connection.open') === 2)
    const accepted = [...server.clients][0]!
    t.deepEqual(
      entries
        .slice(1)
        .map(({ name }) => name)
        .toSorted(),
      ['connect.end', 'connect.start', 'connection.open', 'connection.open'],
    )
    const opened = entries.filter(({ name }) => name === 'connection.open').map(({ message }) => message['connection'])
    t.deepEqual(new Set(opened), new Set([connection, accepted]))
    t.is(entries.find(({ name }) => name === 'connect.start')!.message['options'], options)
    t.deepEqual(entries.find(({ name }) => name === 'connect.end')!.message, { connection })
    entries.length = 0
    connection.end()
    await until(() => entries.length === 2)
    await pause()
    t.deepEqual(
      new Set(entries.map(({ name, message }) => (t.deepEqual(Object.keys(message), ['connection', 'error']), name))),
      new Set(['connection.close']),
    )
    t.deepEqual(new Set(entries.map(({ message }) => message['connection'])), new Set([connection, accepted]))
    t.true(entries.every(({ message }) => message['error'] === undefined))
  })
}

test.serial('open_comes_before_the_handler_and_close_after_the_last_one', async (t) => {
  const order: string[] = []
  const handlers = (side: string): Handlers => ({
    open: () => void order.push(`${side} open handler`),
    end: () => void order.push(`${side} end handler`),
    close: () => void order.push(`${side} close handler`),
  })
  record(t, ({ name, message }) => {
    const connection = message['connection'] as Connection | undefined
    if (connection) order.push(`${connection.server ? 'server' : 'client'} ${name}`)
  })
  const server = testServer(t, { socket: { ...handlers('server'), data() {} } })
  const connection = await connect({ ...addressOf(server), socket: { ...handlers('client'), data() {} } })
  connection.end('x')
  await until(() => order.filter((it) => it.endsWith('connection.close')).length === 2)
  const of = (side: string) => order.filter((it) => it.startsWith(side)).map((it) => it.slice(side.length + 1))
  t.deepEqual(of('server'), ['connection.open', 'open handler', 'end handler', 'close handler', 'connection.close'])
  t.deepEqual(of('client'), [
    'connection.open',
    'open handler',
    'connect.end',
    'end handler',
    'close handler',
    'connection.close',
  ])
})

test.serial('close_has_the_error_and_the_addresses_although_no_handler_asks_for_them', async (t) => {
  const entries = record(t)
  const server = testServer(t, { socket: { data() {} } })
  const client = connectSocket(t, server)
  const address = client.localAddress as { port: number }
  await until(() => server.connections === 1)
  client.reset()
  await until(() => count(entries, 'connection.close') === 1)
  const { connection, error } = entries.at(-1)!.message as { connection: Connection; error: SocketError }
  t.is(error.code, 'ECONNRESET')
  t.is(connection.state, 'closed')
  t.is(connection.remotePort, address.port)
  t.is(connection.localPort, server.port)
})

for (const [how, act] of [
  ['terminate', (it: Connection) => it.terminate()],
  ['end', (it: Connection) => it.end()],
  ['a socket that is reset', (it: Connection) => it.socket!.reset()],
  ['a stream that is destroyed', (it: Connection) => toDuplex(it).destroy()],
  ['an idle timeout', (it: Connection) => it.timeout(1)],
] as const) {
  test.serial(`close_comes_once: ${how}`, async (t) => {
    const { connection, accepted } = await connectionPair(t, { client: { socket: { data() {} } } })
    const entries = record(t)
    act(connection)
    await until(() => count(entries, 'connection.close') === 2)
    connection.terminate()
    accepted.terminate()
    await pause()
    t.deepEqual(namesOf(entries), ['connection.close', 'connection.close'])
    t.deepEqual(new Set(entries.map(({ message }) => message['connection'])), new Set([connection, accepted]))
  })
}

test.serial('a_connect_that_fails_has_a_start_and_an_error_with_the_same_options', async (t) => {
  const entries = record(t)
  const listener = testListener(t)
  const free = addressOf(listener)
  listener.close()
  const handled: string[] = []
  const options = { ...free, socket: { connectError: () => void handled.push(...namesOf(entries)) } }
  const error = await t.throwsAsync(connect(options), { code: 'ECONNREFUSED' })
  t.deepEqual(handled, ['connect.start'], 'the handler comes first')
  t.deepEqual(entries, [
    { name: 'connect.start', message: { options } },
    { name: 'connect.error', message: { options, error } },
  ])
  t.is(entries[1]!.message['options'], options)
  entries.length = 0
  const reason = new Error('the reason')
  await t.throwsAsync(connect({ ...free, signal: AbortSignal.abort(reason) }), { is: reason })
  await t.throwsAsync(connect({ path: '/nowhere/at/all' }), { code: 'ENOENT' })
  t.deepEqual(namesOf(entries), ['connect.start', 'connect.error', 'connect.start', 'connect.error'])
  entries.length = 0
  await t.throwsAsync(connect({ host: '127.0.0.1', port: 70_000 }), { instanceOf: RangeError })
  t.throws(() => listen({ host: '127.0.0.1', port: 70_000 }), { instanceOf: RangeError })
  t.deepEqual(entries, [], 'nothing begins by bad options')
})

test.serial('what_waits_at_maxConnections_is_reported_when_it_is_accepted', async (t) => {
  const entries = record(t)
  const server = testServer(t, { maxConnections: 1, socket: { data() {} } })
  const clients = [connectSocket(t, server), connectSocket(t, server)]
  await until(() => server.connections === 1 && clients.every(({ state }) => state === 'open'))
  await pause()
  t.deepEqual(namesOf(entries), ['server.listen', 'connection.open'])
  const [first] = server.clients
  first!.terminate()
  await until(() => count(entries, 'connection.open') === 2)
  t.deepEqual(namesOf(entries).slice(2).toSorted(), ['connection.close', 'connection.open'])
})

test.serial('subscribers_run_in_the_context_of_listen_and_of_connect', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const stores: [string, string | undefined][] = []
  record(t, ({ name }) => void stores.push([name, storage.getStore()]))
  const server = storage.run('listen', () => testServer(t, { socket: { data: (it) => it.end() } }))
  const connection = await storage.run('connect', () => connect({ ...addressOf(server), socket: { data() {} } }))
  storage.run('write', () => connection.write('x'))
  await until(() => stores.filter(([name]) => name === 'connection.close').length === 2)
  t.deepEqual(stores.map(([name, store]) => `${name} ${store}`).toSorted(), [
    'connect.end connect',
    'connect.start connect',
    'connection.close connect',
    'connection.close listen',
    'connection.open connect',
    'connection.open listen',
    'server.listen listen',
  ])
})

test.serial('a_subscriber_may_use_the_connection_and_close_it', async (t) => {
  const log: string[] = []
  record(t, ({ name, message }) => {
    const connection = message['connection'] as Connection | undefined
    if (name === 'connection.open' && connection!.server) connection!.timeout(0).unref().terminate()
    if (connection?.server) log.push(name)
  })
  const server = testServer(t, {
    socket: { open: (it) => void log.push(`open ${it.state}`), close: () => void log.push('close'), data() {} },
  })
  connectSocket(t, server)
  await until(() => log.includes('connection.close'))
  t.deepEqual(log, ['connection.open', 'open closed', 'close', 'connection.close'])
  t.is(server.connections, 0)
})

test.serial('connections_of_a_multiplexer_of_the_program_are_reported', async (t) => {
  const entries = record(t)
  const multiplexer = new Multiplexer()
  const server = testServer(t, { multiplexer, socket: { data() {} } })
  connectSocket(t, server)
  while (server.connections === 0) multiplexer.waitSync(1000)
  multiplexer.close()
  await until(() => count(entries, 'connection.close') === 1)
  t.deepEqual(namesOf(entries), ['server.listen', 'connection.open', 'connection.close'])
  t.is((entries[2]!.message['error'] as Error).name, 'SocketClosedError')
})

test('a_subscriber_that_throws_does_no_harm', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { subscribe } from 'node:diagnostics_channel'
    import { connect, listen } from 'm-socket'
    const thrown = []
    process.on('uncaughtException', ({ message }) => thrown.push(message))
    for (const name of ${JSON.stringify(NAMES)})
      subscribe('m-socket.' + name, () => { throw new Error(name) })
    const server = listen({ host: '127.0.0.1', port: 0, socket: { data: (it, chunk) => it.end(chunk) } })
    const connection = await connect({ host: '127.0.0.1', port: server.port })
    connection.write('hello')
    for await (const chunk of connection) console.log(String(chunk))
    await server.close()
    await connect({ path: '/nowhere' }).catch(({ code }) => console.log(code))
    setTimeout(() => console.log(thrown.sort().join()), 50)`,
  )
  t.is(code, 0, stderr)
  const expected = [...NAMES, 'connection.open', 'connection.close', 'connect.start'].toSorted().join()
  t.is(stdout, `hello\nENOENT\n${expected}\n`)
})

testWith(['strace'], 'a_connection_that_cannot_be_watched_is_refused_without_an_event', async (t) => {
  const source = `
    import { subscribe } from 'node:diagnostics_channel'
    import { connect } from 'node:net'
    import { listen } from 'm-socket'
    const names = []
    for (const name of ${JSON.stringify(NAMES)}) subscribe('m-socket.' + name, () => names.push(name))
    const errors = []
    const server = listen({ host: '127.0.0.1', port: 0, socket: { error: (_, { code }) => errors.push(code), data() {} } })
    const client = connect(server.port, '127.0.0.1')
    client.on('error', () => {}).on('close', () => {
      const { accepted, refused, open, closed, failed } = server.stats()
      console.log(JSON.stringify({ names, errors, accepted, refused, open, closed, failed }))
      server.stop(true)
    })`
  const calm = await runUnderStrace(t, `${source}\nsetTimeout(() => client.destroy(), 100)`, 'epoll_ctl,accept4')
  const accepted = calm.calls.findIndex((call) => /^accept4\(.*= \d+$/.test(call))
  const nth = calm.calls.slice(0, accepted).filter((call) => call.startsWith('epoll_ctl')).length + 1
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'epoll_ctl', `epoll_ctl:error=ENOSPC:when=${nth}`)
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), {
    names: ['server.listen'],
    errors: ['ENOSPC'],
    accepted: 0,
    refused: 1,
    open: 0,
    closed: 0,
    failed: 0,
  })
})
