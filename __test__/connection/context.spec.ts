import { AsyncLocalStorage, executionAsyncResource } from 'node:async_hooks'

import test from 'ava'
import { type Connection, type Handlers, Multiplexer, connect } from 'm-socket'

import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { freeAddress } from '../support/pair.js'
import { connectedSocket, testServer } from '../support/server.js'
import { nextTurn } from '../support/timing.js'
import { until, waitUntil } from '../support/waiting.js'

const requests = new AsyncLocalStorage<string>()

/** Records each call of a handler with the store that it ran in. */
class StoreLog {
  readonly entries: string[] = []

  note(call: string): void {
    this.entries.push(`${call} in ${requests.getStore()}`)
  }

  has(call: string): boolean {
    return this.entries.some((entry) => entry.startsWith(`${call} in `))
  }

  /** Handlers that note their call, and then call the handler of `acts`. */
  handlers(acts: Handlers = {}): Handlers {
    const noted =
      <A extends unknown[]>(name: string, act?: (connection: Connection, ...rest: A) => unknown) =>
      (connection: Connection, ...rest: A): unknown => {
        this.note(name)
        return act?.(connection, ...rest)
      }
    return {
      open: noted('open', acts.open),
      data: noted('data', acts.data),
      drain: noted('drain', acts.drain),
      end: noted('end', acts.end),
      error: noted('error', acts.error),
      timeout: noted('timeout', acts.timeout),
      connectError: noted('connectError', acts.connectError),
      close: noted('close', acts.close),
    }
  }

  /** What all entries say after `in`. */
  get stores(): string[] {
    return [...new Set(this.entries.map((entry) => entry.slice(entry.indexOf(' in ') + 4)))]
  }
}

// Whose store

test('handlers_of_a_server_run_in_the_store_of_listen_for_all_connections', async (t) => {
  const log = new StoreLog()
  const server = requests.run('server', () => testServer(t, { socket: log.handlers() }))
  for (const name of ['first', 'second']) {
    await requests.run(name, async () => {
      const connection = await connect({ host: '127.0.0.1', port: server.port! })
      connection.end('hello')
    })
  }
  await until(() => server.connections === 0 && log.entries.length === 8)
  t.deepEqual(log.stores, ['server'])
})

test('handlers_of_a_client_run_in_the_store_of_its_connect', async (t) => {
  const server = testServer(t, { socket: { data: (connection, chunk) => void connection.end(chunk) } })
  const logs = await Promise.all(
    ['first', 'second'].map((name) =>
      requests.run(name, async () => {
        const log = new StoreLog()
        await connect({
          host: '127.0.0.1',
          port: server.port!,
          socket: log.handlers({ open: (connection) => connection.write('hello') }),
        })
        return { name, log }
      }),
    ),
  )
  await until(() => logs.every(({ log }) => log.has('close')))
  for (const { name, log } of logs) {
    t.deepEqual(
      log.entries,
      ['open', 'data', 'end', 'close'].map((call) => `${call} in ${name}`),
    )
  }
})

test('connectError_runs_in_the_store_of_connect', async (t) => {
  const log = new StoreLog()
  const { host } = freeAddress(t, 'IPv4') as { host: string }
  await requests.run('client', async () => {
    await t.throwsAsync(connect({ host, port: 1, connectTimeout: 10_000, socket: log.handlers() }))
  })
  t.deepEqual(log.entries, ['connectError in client'])
})

test('timeouts_run_in_the_store_of_their_connection_whatever_armed_the_timer', async (t) => {
  const server = testServer(t, { allowHalfOpen: true, socket: { data() {} } })
  const logs = await Promise.all(
    ['first', undefined, 'third'].map(async (name) => {
      const log = new StoreLog()
      const open = () => connect({ host: '127.0.0.1', port: server.port!, idleTimeout: 50, socket: log.handlers() })
      await (name === undefined ? requests.exit(open) : requests.run(name, open))
      return { name, log }
    }),
  )
  await until(() => logs.every(({ log }) => log.has('close')))
  for (const { name, log } of logs) {
    t.deepEqual(
      log.entries,
      ['open', 'timeout', 'close'].map((call) => `${call} in ${name}`),
    )
  }
})

for (const [act, calls] of [
  ['end', ['end', 'close']],
  ['terminate', ['close']],
  ['shutdown both', ['close']],
] as const) {
  test(`an_end_made_by_another_request_is_reported_in_the_store_of_connect: ${act}`, async (t) => {
    const log = new StoreLog()
    const handlers = log.handlers()
    const { connection } = await requests.run('client', () => connectionPair(t, { client: { socket: handlers } }))
    requests.run('stranger', () => {
      if (act === 'end') connection.end()
      else if (act === 'terminate') connection.terminate()
      else connection.shutdown('both')
    })
    await until(() => log.has('close'))
    t.deepEqual(
      log.entries,
      ['open', ...calls].map((call) => `${call} in client`),
    )
  })
}

test('drain_after_a_write_of_another_request_runs_in_the_store_of_connect', async (t) => {
  const log = new StoreLog()
  const { connection, accepted } = await requests.run('client', () =>
    smallBufferConnectionPair(t, { client: { socket: log.handlers(), sendQueueLimit: 1000 } }),
  )
  requests.run('stranger', () => {
    connection.cork(() => connection.write(Buffer.alloc(1_000_000)))
    for (const end of [connection, accepted]) end.pause().resume()
  })
  accepted.reload({ socket: { data() {} } })
  await until(() => log.has('drain'))
  t.deepEqual(log.stores, ['client'])
})

test('an_error_met_by_a_call_of_another_request_runs_in_the_store_of_connect', async (t) => {
  const log = new StoreLog()
  const { data: _, ...handlers } = log.handlers()
  const { connection, accepted } = await requests.run('client', () =>
    connectionPair(t, { client: { allowHalfOpen: true, socket: handlers } }),
  )
  connection.write('x')
  connection.pause()
  accepted.terminate()
  // A blocked thread: the reset is met by the read, before the loop reports it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  await requests.run('stranger', async () => {
    await t.throwsAsync(connection.resume().read(Buffer.alloc(1)))
  })
  await until(() => log.has('close'))
  t.deepEqual(
    log.entries,
    ['open', 'error', 'close'].map((call) => `${call} in client`),
  )
})

test('handlers_that_another_request_has_set_run_in_the_store_of_listen', async (t) => {
  const log = new StoreLog()
  const server = requests.run('server', () => testServer(t, { socket: { data() {} } }))
  const peer = await connectedSocket(t, server)
  await until(() => server.connections === 1)
  requests.run('stranger', () => server.reload({ socket: log.handlers() }))
  peer.send('hello')
  peer.shutdown()
  await until(() => log.has('close'))
  t.deepEqual(
    log.entries,
    ['data', 'end', 'close'].map((call) => `${call} in server`),
  )
})

for (const how of ['wait', 'waitSync'] as const) {
  test(`the_program_that_waits_for_a_multiplexer_lends_handlers_no_store: ${how}`, async (t) => {
    using multiplexer = new Multiplexer()
    const log = new StoreLog()
    const server = requests.run('server', () => testServer(t, { multiplexer, socket: log.handlers() }))
    const peer = await connectedSocket(t, server)
    peer.send('hello')
    peer.shutdown()
    await requests.run('stranger', async () => {
      if (how === 'wait') await waitUntil(multiplexer, () => log.has('close'))
      else while (!log.has('close')) multiplexer.waitSync(20)
      t.is(requests.getStore(), 'stranger')
    })
    t.deepEqual(
      log.entries,
      ['open', 'data', 'end', 'close'].map((call) => `${call} in server`),
    )
  })
}

// What a handler enters

test('a_store_that_a_handler_enters_ends_with_the_handler', async (t) => {
  const log = new StoreLog()
  const enter = (connection: Connection) => requests.enterWith(`entered by ${connection.remotePort}`)
  const handlers = log.handlers({ open: enter, data: enter, end: enter })
  const server = requests.run('server', () => testServer(t, { socket: handlers }))
  const peers = await Promise.all([1, 2, 3].map(() => connectedSocket(t, server)))
  await until(() => server.connections === 3)
  for (const peer of peers) {
    peer.send('hello')
    peer.shutdown()
  }
  await until(() => server.connections === 0 && log.entries.length === 12)
  t.deepEqual(log.stores, ['server'])
  t.is(requests.getStore(), undefined)
})

test('a_store_that_a_failing_handler_has_entered_does_not_reach_the_error_handler', async (t) => {
  const log = new StoreLog()
  const fail = () => {
    requests.enterWith('entered')
    throw new Error('thrown')
  }
  const reject = async () => {
    requests.enterWith('entered')
    await nextTurn()
    throw new Error('rejected')
  }
  const handlers = log.handlers({ open: fail, data: reject })
  const { accepted } = await requests.run('client', () => connectionPair(t, { client: { socket: handlers } }))
  accepted.write('x')
  await until(() => log.entries.length === 4)
  t.deepEqual(
    log.entries,
    ['open', 'error', 'data', 'error'].map((call) => `${call} in client`),
  )
})

test('an_async_handler_keeps_its_store_to_its_end', async (t) => {
  const stores: unknown[] = []
  const { accepted } = await requests.run('client', () =>
    connectionPair(t, {
      client: {
        socket: {
          async data(connection) {
            stores.push(requests.getStore())
            await nextTurn()
            stores.push(requests.getStore())
            requests.enterWith('entered')
            await nextTurn()
            stores.push(requests.getStore())
            connection.end()
          },
          close: () => stores.push(requests.getStore()),
        },
      },
    }),
  )
  accepted.write('x')
  await until(() => stores.length === 4)
  t.deepEqual(stores, ['client', 'client', 'entered', 'client'])
})

test('a_lazy_thenable_that_a_handler_returns_runs_in_the_store_of_connect', async (t) => {
  const stores: unknown[] = []
  // oxlint-disable-next-line unicorn/no-thenable
  const lazy = { then: () => void stores.push(requests.getStore()) }
  await requests.run('client', () => connectionPair(t, { client: { socket: { open: () => lazy } } }))
  t.deepEqual(stores, ['client'])
})

test('the_asynchronous_resource_of_a_handler_is_never_the_global_object', async (t) => {
  const resources: object[] = []
  const note = () => void resources.push(executionAsyncResource())
  const { connection, accepted } = await connectionPair(t, {
    server: { socket: { open: note, data: note, end: note, close: note } },
    client: { socket: { open: note, data: note, end: note, close: note } },
  })
  accepted.write('x')
  connection.end('x')
  await until(() => resources.length >= 7)
  t.false(resources.includes(globalThis))
})
