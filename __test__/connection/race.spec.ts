import test, { type ExecutionContext } from 'ava'
import {
  type ConnectAttemptError,
  type ConnectOptions,
  type Connection,
  type Handlers,
  SocketError,
  connect,
} from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { runModule } from '../support/child.js'
import { openSockets } from '../support/descriptors.js'
import { mockLookup } from '../support/dns.js'
import { run } from '../support/fixture.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { testServer, withResolvers } from '../support/server.js'
import { abstractName, freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

/** RFC 8305's Connection Attempt Delay, as in lib/connection, in milliseconds. */
const STAGGER = 250

/** Connects, and terminates at the end of the test. */
async function connected(t: ExecutionContext, options: ConnectOptions<undefined>): Promise<Connection> {
  const connection = await connect(options)
  t.teardown(() => connection.terminate())
  return connection
}

/** The errors of a race in which every attempt failed: one is the error itself, several are in an AggregateError. */
async function failures(t: ExecutionContext, options: ConnectOptions<undefined>): Promise<ConnectAttemptError[]> {
  const error = (await t.throwsAsync(connect(options))) as Error
  if (!(error instanceof AggregateError)) return [error as ConnectAttemptError]
  const errors = error.errors as ConnectAttemptError[]
  t.true(errors.length > 1)
  t.like(error, {
    code: errors[0]!.code,
    syscall: errors[0]!.syscall,
    address: errors[0]!.address,
    port: errors[0]!.port,
  })
  return errors
}

test.serial('the_second_address_is_tried_after_the_attempt_delay', async (t) => {
  mockLookup(t, { 'dual.test': ['::1', '127.0.0.1'] })
  const server = testServer(t, { port: freePort() })
  await blackhole(t, '::1', server.port)
  const before = openSockets().length
  const began = performance.now()
  const connection = await connected(t, { host: 'dual.test', port: server.port! })
  t.is(connection.remoteAddress, '127.0.0.1')
  t.true(performance.now() - began >= STAGGER - 10)
  // Only our socket and the server's remain: the losing attempt is closed.
  await until(() => openSockets().length === before + 2)
})

test.serial('a_refused_attempt_starts_the_next_one_at_once', async (t) => {
  const server = testServer(t, { port: freePort() })
  // The delay's timer does nothing there: only the refusal can start the second attempt.
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import timers from 'node:timers'
    const { setTimeout } = timers
    timers.setTimeout = (act, ms) => setTimeout(ms === ${STAGGER} ? () => {} : act, ms)
    const { connect } = await import('m-socket')
    const connection = await connect({ host: 'localhost', port: ${server.port}, connectTimeout: 60_000 })
    console.log(connection.remoteAddress)
    connection.terminate()`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '127.0.0.1\n', stderr: '' })
})

test.serial('a_slow_first_attempt_is_not_aborted_and_may_still_win', async (t) => {
  mockLookup(t, { 'slow.test': ['::1', '127.0.0.1'] })
  const port = freePort()
  await blackhole(t, '127.0.0.1', port)
  const first = await blackhole(t, '::1', port)
  const connecting = connected(t, { host: 'slow.test', port })
  // By then both attempts are under way. TCP resends the SYN after a second, and the backlog has room then: tcp(7).
  await new Promise((resolve) => setTimeout(resolve, STAGGER + 100))
  while (first.accept()?.reset() === undefined && first.accept()) {
    // These are the connections that filled the backlog.
  }
  t.is((await connecting).remoteAddress, '::1')
})

test.serial('families_alternate_and_the_resolvers_first_address_is_tried_first', async (t) => {
  mockLookup(t, { 'many.test': ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1', '::ffff:127.0.0.4'] })
  const errors = await failures(t, { host: 'many.test', port: freePort() })
  t.deepEqual(
    errors.map(({ address }) => address),
    ['127.0.0.1', '::1', '127.0.0.2', '::ffff:127.0.0.4', '127.0.0.3'],
  )
})

test.serial('a_failed_connect_reports_every_attempt_and_calls_connectError_before_it_rejects', async (t) => {
  mockLookup(t, { 'down.test': ['127.0.0.1', '::1'] })
  const port = freePort()
  const calls: unknown[] = []
  const note =
    (name: string) =>
    (_: Connection, ...rest: unknown[]) =>
      void calls.push(name, ...rest)
  const names = ['open', 'data', 'drain', 'end', 'close', 'error', 'connectError', 'timeout'] as const
  const socket: Handlers = Object.fromEntries(names.map((name) => [name, note(name)]))
  const before = openSockets().length
  const error = await connect({ host: 'down.test', port, socket }).then(
    () => t.fail(),
    (reason: unknown) => (calls.push('rejected'), reason),
  )
  t.deepEqual(calls, ['connectError', error, 'rejected'])
  t.like(error, { code: 'ECONNREFUSED', errno: -111, syscall: 'connect', address: '127.0.0.1', port })
  const { errors, message } = error as AggregateError & { errors: ConnectAttemptError[] }
  t.deepEqual(
    errors.map(({ address, code, port }) => [address, code, port]),
    [
      ['127.0.0.1', 'ECONNREFUSED', port],
      ['::1', 'ECONNREFUSED', port],
    ],
  )
  t.true(errors.every(({ elapsed }) => elapsed >= 0))
  t.is(message, `connect ECONNREFUSED 127.0.0.1:${port}; connect ECONNREFUSED ::1:${port}`)
  t.is(openSockets().length, before)
})

test.serial('numeric_hosts_and_localhost_are_not_looked_up', async (t) => {
  const asked = mockLookup(t, {})
  const server = testServer(t, { port: freePort() })
  t.is((await connected(t, { host: '127.0.0.1', port: server.port! })).remoteAddress, '127.0.0.1')
  // ::1 is tried first and refuses.
  t.is((await connected(t, { host: 'localhost', port: server.port! })).remoteAddress, '127.0.0.1')
  const on6 = testServer(t, { host: '::1' })
  t.is((await connected(t, { host: 'localhost', port: on6.port! })).remoteAddress, '::1')
  t.deepEqual(asked, [])
})

test.serial('a_name_that_cannot_be_resolved_rejects_with_the_resolvers_error', async (t) => {
  const reason = Object.assign(new Error('queryA ENOTFOUND missing.test'), { code: 'ENOTFOUND' })
  mockLookup(t, { 'missing.test': reason, 'empty.test': [] })
  t.is(await t.throwsAsync(connect({ host: 'missing.test', port: 1 })), reason)
  await t.throwsAsync(connect({ host: 'empty.test', port: 1 }), {
    instanceOf: SocketError,
    code: 'EADDRNOTAVAIL',
    message: /no address/,
  })
})

// Deadlines and signals

test.serial('connectTimeout_spans_all_attempts_and_reports_each', async (t) => {
  mockLookup(t, { 'silent.test': ['::1', '127.0.0.1'] })
  const port = freePort()
  await blackhole(t, '127.0.0.1', port)
  await blackhole(t, '::1', port)
  const before = openSockets().length
  const began = performance.now()
  const errors = await failures(t, { host: 'silent.test', port, connectTimeout: STAGGER + 2000 })
  t.true(performance.now() - began >= STAGGER + 1990)
  t.deepEqual(
    errors.map(({ address, code }) => [address, code]),
    [
      ['::1', 'ETIMEDOUT'],
      ['127.0.0.1', 'ETIMEDOUT'],
    ],
  )
  t.true(errors[0]!.elapsed > errors[1]!.elapsed)
  t.is(openSockets().length, before)
})

test.serial('a_connect_that_completes_while_the_loop_is_blocked_does_not_time_out', async (t) => {
  const server = testServer(t)
  const connecting = connect({ host: '127.0.0.1', port: server.port!, connectTimeout: 20 })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  const connection = await connecting
  t.is(connection.readyState, 1)
  connection.terminate()
})

test.serial('connectTimeout_spans_the_lookup_too', async (t) => {
  mockLookup(t, { 'late.test': new Promise(() => {}) })
  const errors = await failures(t, { host: 'late.test', port: 1, connectTimeout: 50 })
  t.deepEqual(
    errors.map(({ code }) => code),
    ['ETIMEDOUT'],
  )
})

test.serial('a_signal_aborts_connect_at_any_stage_and_leaves_nothing_open', async (t) => {
  const answer = withResolvers<readonly string[]>()
  mockLookup(t, { 'late.test': answer.promise, 'silent.test': ['127.0.0.1'] })
  const { address } = await blackhole(t, '127.0.0.1')
  const { port } = address as { port: number }
  const before = openSockets().length
  const reason = new RangeError('enough')

  t.is(await t.throwsAsync(connect({ host: '127.0.0.1', port, signal: AbortSignal.abort(reason) })), reason)
  t.is(openSockets().length, before)

  for (const host of ['late.test', 'silent.test', '127.0.0.1']) {
    const controller = new AbortController()
    const calls: unknown[] = []
    const connecting = connect({
      host,
      port,
      signal: controller.signal,
      socket: { connectError: (_, error) => void calls.push(error) },
    })
    setTimeout(() => controller.abort(reason), 30)
    t.is(await t.throwsAsync(connecting), reason, host)
    t.deepEqual(calls, [reason])
    t.is(openSockets().length, before, host)
  }
  // A lookup that completes after the abort starts no attempt.
  answer.resolve(['127.0.0.1'])
  await new Promise((resolve) => setImmediate(resolve))
  t.is(openSockets().length, before)
})

test.serial('a_signal_after_connecting_does_nothing', async (t) => {
  const server = testServer(t)
  const controller = new AbortController()
  const connection = await connected(t, { host: '127.0.0.1', port: server.port!, signal: controller.signal })
  controller.abort()
  t.is(connection.readyState, 1)
})

test('a_pending_connect_keeps_the_process_alive_and_a_failed_one_does_not', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { connect, listen } from 'm-socket'
    await connect({ host: '127.0.0.1', port: 1, connectTimeout: 60_000 }).catch((error) => console.log(error.code))
    const server = listen({ host: '127.0.0.1' }).unref()
    connect({ host: '127.0.0.1', port: server.port, connectTimeout: 60_000 }).then((it) => { console.log('connected'); it.terminate() })
  `,
  )
  t.is(stdout, 'ECONNREFUSED\nconnected\n', stderr)
  t.is(code, 0)
})

// Addresses and options

test('localAddress_and_localPort_are_used_and_determine_the_family', async (t) => {
  const server = testServer(t)
  const port = freePort()
  const connection = await connected(t, {
    host: 'localhost',
    port: server.port!,
    localAddress: '127.0.0.9',
    localPort: port,
  })
  t.deepEqual([connection.localAddress, connection.localPort], ['127.0.0.9', port])
})

test('a_path_is_connected_to_and_a_missing_one_is_an_error', async (t) => {
  const server = testServer(t, { path: freePath(t) })
  t.is((await connected(t, { path: server.path! })).remoteAddress, server.path)
  const path = freePath(t)
  const errors = await failures(t, { path })
  t.deepEqual(
    errors.map(({ code, address, port }) => [code, address, port]),
    [['ENOENT', path, undefined]],
  )
})

test('truth 20: a_path_with_a_full_backlog_is_an_error_and_no_hang', async (t) => {
  const server = testServer(t, { path: abstractName(), backlog: 1, maxConnections: 1 })
  const error = await Promise.all(Array.from({ length: 10 }, () => connected(t, { path: server.path! }))).catch(
    (reason: unknown) => reason,
  )
  t.like(error, { name: 'SocketError', code: 'EAGAIN' })
})

test('truth 21: a_self_connection_is_refused', async (t) => {
  const port = freePort()
  const errors = await failures(t, { host: '127.0.0.1', port, localAddress: '127.0.0.1', localPort: port })
  t.is(errors[0]!.code, 'ECONNREFUSED')
})

test('options_are_set_before_connecting', async (t) => {
  const server = testServer(t)
  const { socket } = await connected(t, {
    host: '127.0.0.1',
    port: server.port!,
    userTimeout: 4321,
    synCount: 3,
    fastOpenConnect: true,
    maxSegment: 1000,
    receiveBufferSize: 20_000,
    keepAlive: { idle: 9000 },
  })
  t.is(socket!.getOption('userTimeout'), 4321)
  t.is(socket!.getOption('synCount'), 3)
  t.true(socket!.getOption('fastOpenConnect'))
  t.true(socket!.getOption('maxSegment') <= 1000)
  // socket(7): the kernel doubles what is set.
  t.is(socket!.getOption('receiveBufferSize'), 40_000)
  t.true(socket!.getOption('noDelay'))
})

/**
 * A connection that makes no progress, since lo goes down or the peer's window is closed. TCP_USER_TIMEOUT limits how
 * long data may stay unacknowledged or unsent: tcp(7).
 */
const CUT = `
  import { execFileSync } from 'node:child_process'
  import { connect, listen } from 'm-socket'
  const zeroWindow = process.argv.includes('zero-window')
  const server = listen({ host: '10.99.0.1', receiveBufferSize: 4096, socket: { open: (it) => void (zeroWindow && it.pause()), data() {} } })
  const names = []
  const began = performance.now()
  const connection = await connect({
    host: '10.99.0.1', port: server.port, userTimeout: 600, sendBufferSize: 4096, allowHalfOpen: true,
    socket: {
      error: (_, error) => void names.push(error.code),
      close(_, error) { console.log(...names, error.code, performance.now() - began >= 550); process.exit() },
    },
  })
  if (!zeroWindow) execFileSync('ip', ['link', 'set', 'lo', 'down'])
  connection.write(Buffer.alloc(zeroWindow ? 60_000 : 10))
  setTimeout(() => { console.log('no close'); process.exit(1) }, 20_000)
`

for (const stage of ['cut-wire', 'zero-window']) {
  testWith(
    ['ip', 'unshare'],
    `truth 29: a_connection_without_progress_for_its_userTimeout_gets_ETIMEDOUT (${stage})`,
    async (t) => {
      const script = 'ip link set lo up && ip addr add 10.99.0.1/24 dev lo && exec "$0" "$@"'
      const { stdout, stderr } = await run(
        t,
        'unshare',
        ['--net', 'sh', '-c', script, process.execPath, ...sourceArguments(CUT), stage],
        {
          cwd: new URL('../..', import.meta.url),
        },
      )
      t.is(stdout, 'ETIMEDOUT ETIMEDOUT true\n', stderr)
    },
  )
}

/** A name with an address that drops packets and one that answers, from a hosts file through the real resolver. */
const DUAL = `
  import { connect, listen } from 'm-socket'
  const server = listen({ host: '10.99.0.1' })
  const began = performance.now()
  const connection = await connect({ host: 'dual.test', port: server.port })
  const elapsed = performance.now() - began
  console.log(connection.remoteAddress, elapsed >= 240, elapsed < 20_000)
  process.exit()
`

testWith(['ip', 'unshare'], 'a_name_with_a_blackholed_ipv6_address_connects_by_ipv4', async (t) => {
  const script = [
    'ip link set lo up',
    'ip link add wire type veth peer name end',
    'ip link set wire up',
    'ip link set end up',
    'ip addr add 10.99.0.1/24 dev wire',
    'ip addr add 2001:db8::1/64 dev wire nodad',
    // No host has this link-layer address, so packets to it are lost.
    'ip -6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev wire',
    'printf "2001:db8::2 dual.test\\n10.99.0.1 dual.test\\n" > /tmp/hosts-$$',
    'mount --bind /tmp/hosts-$$ /etc/hosts',
    'rm /tmp/hosts-$$',
    'exec "$0" "$@"',
  ].join(' && ')
  const { stdout, stderr } = await run(
    t,
    'unshare',
    ['--net', '--mount', 'sh', '-c', script, process.execPath, ...sourceArguments(DUAL)],
    {
      cwd: new URL('../..', import.meta.url),
    },
  )
  t.is(stdout, '10.99.0.1 true true\n', stderr)
})

// Bad input

const REFUSALS: readonly [options: object, code: string, message: RegExp][] = [
  [{ host: '127.0.0.1', port: 1, nodelay: true }, 'ERR_INVALID_ARG_VALUE', /noDelay/],
  [{ host: '127.0.0.1', port: 1, connecttimeout: 5 }, 'ERR_INVALID_ARG_VALUE', /connectTimeout/],
  [{ host: '127.0.0.1', port: 65536 }, 'ERR_SOCKET_BAD_PORT', /65536/],
  [{ host: '127.0.0.1' }, 'ERR_SOCKET_BAD_PORT', /undefined/],
  [{ host: 1, port: 1 }, 'ERR_INVALID_ARG_TYPE', /host/],
  [{ port: 1 }, 'ERR_INVALID_ARG_TYPE', /options\.host/],
  [{ host: '', port: 1 }, 'ERR_INVALID_ARG_VALUE', /options\.host' must not be empty/],
  [{ hostname: '', port: 1 }, 'ERR_INVALID_ARG_VALUE', /options\.hostname' must not be empty/],
  [
    { host: 'x', port: 1, path: 'y' },
    'ERR_INVALID_ARG_TYPE',
    /either path, or host and port\. Received host, port, path/,
  ],
  [
    { hostname: 'x', port: 1, unix: 'y' },
    'ERR_INVALID_ARG_TYPE',
    /either path, or host and port\. Received hostname, port, unix/,
  ],
  [{ path: '' }, 'ERR_INVALID_ARG_VALUE', /empty/],
  [{ host: '127.0.0.1', port: 1, signal: {} }, 'ERR_INVALID_ARG_TYPE', /AbortSignal/],
  [{ host: '127.0.0.1', port: 1, connectTimeout: -1 }, 'ERR_OUT_OF_RANGE', /connectTimeout/],
  [{ host: '127.0.0.1', port: 1, connectTimeout: '1' }, 'ERR_INVALID_ARG_TYPE', /connectTimeout/],
  [{ host: '127.0.0.1', port: 1, socket: { data: 'x' } }, 'ERR_INVALID_ARG_TYPE', /data/],
  [{ host: '127.0.0.1', port: 1, socket: { date() {} } }, 'ERR_INVALID_ARG_VALUE', /did you mean 'data'/],
  [{ host: '127.0.0.1', port: 1, socket: null }, 'ERR_INVALID_ARG_TYPE', /socket/],
  [{ host: '127.0.0.1', port: 1, sendQueueLimit: 1.5 }, 'ERR_OUT_OF_RANGE', /sendQueueLimit/],
  [{ host: '127.0.0.1', port: 1, highWaterMark: 1.5 }, 'ERR_OUT_OF_RANGE', /highWaterMark/],
  [{ host: '127.0.0.1', port: 1, receiveInto: new Uint8Array(0) }, 'ERR_INVALID_ARG_TYPE', /receiveInto/],
  [{ host: '127.0.0.1', port: 1, localAddress: 'name' }, 'ERR_INVALID_ARG_VALUE', /localAddress/],
  [
    { host: '::1', port: 1, localAddress: '127.0.0.1' },
    'ERR_INVALID_ARG_VALUE',
    /options\.localAddress.*family of ::1/,
  ],
  [{ host: '127.0.0.1', port: 1, localPort: 65536 }, 'ERR_SOCKET_BAD_PORT', /options\.localPort/],
  [
    { path: 'x', localAddress: '127.0.0.1' },
    'ERR_INVALID_ARG_TYPE',
    /either path, or host and port\. Received path, local/,
  ],
  [{ path: 'x', localPort: 1 }, 'ERR_INVALID_ARG_TYPE', /either path, or host and port\. Received path, local/],
  [{ host: '127.0.0.1', port: 1, noDelay: 'yes' }, 'ERR_INVALID_ARG_TYPE', /options\.noDelay/],
  [{ host: '127.0.0.1', port: 1, typeOfService: 256 }, 'ERR_OUT_OF_RANGE', /options\.typeOfService/],
  [{ host: '127.0.0.1', port: 1, keepAlive: { idle: -1 } }, 'ERR_OUT_OF_RANGE', /options\.keepAlive\.idle/],
  [{ host: '127.0.0.1', port: 1, keepAlive: 1 }, 'ERR_INVALID_ARG_TYPE', /options\.keepAlive/],
]

for (const [options, code, message] of REFUSALS) {
  test.serial(`refused: ${JSON.stringify(options)} ${message.source}`, async (t) => {
    const before = openSockets().length
    let calls = 0
    await t.throwsAsync(connect({ socket: { connectError: () => void calls++ }, ...options } as never), {
      code,
      message,
    })
    t.is(calls, 0)
    // Sockets of earlier tests may still be closing.
    t.true(openSockets().length <= before)
  })
}

test.serial('options_must_be_an_object', async (t) => {
  for (const wrong of [undefined, null, 3, 'x'])
    await t.throwsAsync(connect(wrong as never), { code: 'ERR_INVALID_ARG_TYPE' })
})

test.serial('errors_of_the_kernel_keep_their_code', async (t) => {
  const server = testServer(t)
  const errors = await failures(t, { host: '127.0.0.1', port: server.port!, congestion: 'none-such' })
  t.deepEqual(
    errors.map(({ code }) => code),
    ['ENOENT'],
  )
  const refused = await failures(t, { host: '127.0.0.1', port: server.port!, localAddress: '192.0.2.1' })
  t.deepEqual(
    refused.map(({ code }) => code),
    ['EADDRNOTAVAIL'],
  )
})
