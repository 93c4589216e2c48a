import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { type NetConnectOpts, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import { Listener, listenFds } from 'm-socket'

import * as native from '../../lib/native.js'
import { IPPROTO_TCP, TCP_INFO } from '../../lib/options/constants.js'
import { datagramDescriptor } from '../support/descriptors.js'
import { addressOf, closeAtEnd, connectedPair, testListener } from '../support/pair.js'
import { runWithDescriptorsFrom3 } from '../support/passed-descriptors.js'
import { temporaryDirectory } from '../support/unix.js'

/** Runs a module with descriptors; returns the lines that it has printed, parsed. */
async function run(
  t: ExecutionContext,
  passed: readonly (Listener | number)[],
  variables: Readonly<Record<string, string>>,
  source: string,
): Promise<unknown[]> {
  const { code, stdout, stderr } = await runWithDescriptorsFrom3(t, passed, variables, source)
  t.is(code, 0, stderr)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
}

const ADDRESSES = `
const addresses = (found) => Object.fromEntries(
  Object.entries(found).map(([name, listeners]) => [name, listeners.map(({ address, fd }) => ({ address, fd }))]))
`

test('listeners_are_found_by_name_in_the_order_of_their_descriptors', async (t) => {
  const [web, control, more] = [testListener(t), testListener(t, 'unix'), testListener(t, 'IPv6')]
  const [found, variables, again] = await run(
    t,
    [web, control, more],
    { LISTEN_FDS: '3', LISTEN_FDNAMES: 'web:control:web' },
    `${ADDRESSES}
    print(addresses(listenFds()))
    print(Object.keys(process.env).filter((name) => name.startsWith('LISTEN_')))
    print(listenFds())`,
  )
  t.deepEqual(found, {
    web: [
      { address: web.address, fd: 3 },
      { address: more.address, fd: 5 },
    ],
    control: [{ address: control.address, fd: 4 }],
  })
  t.deepEqual([variables, again], [[], {}])
})

test('without_names_all_are_unknown', async (t) => {
  const listeners = [testListener(t), testListener(t)]
  const [found] = await run(t, listeners, { LISTEN_FDS: '2' }, `${ADDRESSES}print(addresses(listenFds()))`)
  t.deepEqual(found, { unknown: listeners.map(({ address }, index) => ({ address, fd: 3 + index })) })
})

test('names_may_be_those_of_properties', async (t) => {
  const variables = { LISTEN_FDS: '3', LISTEN_FDNAMES: '__proto__::constructor' }
  const passed = [testListener(t), testListener(t), testListener(t)]
  const [names] = await run(t, passed, variables, 'print(Object.keys(listenFds()))')
  t.deepEqual(names, ['__proto__', '', 'constructor'])
})

test('listeners_are_close_on_exec_and_non_blocking_and_keep_their_backlog', async (t) => {
  const listener = testListener(t, 'IPv4', { backlog: 3 })
  const [flags, inherited] = await run(
    t,
    [listener],
    { LISTEN_FDS: '1' },
    `
    import { readFileSync, readlinkSync } from 'node:fs'
    import { spawnSync } from 'node:child_process'
    const target = readlinkSync('/proc/self/fd/3')
    listenFds()
    print(Number.parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/3', 'utf8'))[1], 8))
    print(spawnSync('sh', ['-c', 'ls -l /proc/self/fd'], { encoding: 'utf8' }).stdout.includes(target))`,
  )
  t.is((flags as number) & O_NONBLOCK, O_NONBLOCK)
  t.is((flags as number) & O_CLOEXEC, O_CLOEXEC)
  t.false(inherited)
  t.is(backlogOf(listener), 3)
})

/** What fcntl.h of x86-64 and arm64 has in common. */
const [O_NONBLOCK, O_CLOEXEC] = [0o4000, 0o2000000]

/** The backlog of a TCP listener: `tcpi_sacked` of TCP_INFO. */
function backlogOf(listener: Listener): number {
  const { handle } = listener as unknown as { handle: number }
  const info = Buffer.alloc(64)
  native.check(native.getOption(handle, IPPROTO_TCP, TCP_INFO, info), 'getsockopt')
  return info.readUInt32LE(28)
}

test('bind_leaves_the_backlog_of_a_descriptor_that_listens', (t) => {
  const listener = testListener(t, 'IPv4', { backlog: 3 })
  const again = closeAtEnd(t, Listener.bind({ fd: listener.detach() }))
  t.is(backlogOf(again), 3)
  const changed = closeAtEnd(t, Listener.bind({ fd: again.detach(), backlog: 4 }))
  t.is(backlogOf(changed), 4)
})

test('bind_gives_a_descriptor_that_does_not_listen_the_default', (t) => {
  const listener = closeAtEnd(t, Listener.bind({ fd: boundOnly() }))
  t.is(backlogOf(listener), 511)
})

/** A descriptor that is bound and does not listen. */
function boundOnly(): number {
  const handle = native.check(native.open(native.IPV4), 'socket')
  native.check(native.bind(handle, '127.0.0.1', 0), 'bind')
  const fd = native.descriptor(handle)
  native.disown(handle)
  return fd
}

/** By name: source text that echoes two connections over the listeners, and calls `closed` when one has closed. */
const WAYS = {
  listen: 'listen({ listener, socket: { data: (connection, chunk) => connection.write(chunk), close: closed } })',
  'm-socket/net, an option': 'net.createServer(echo).listen({ listener })',
  'm-socket/net, an argument': 'net.createServer(echo).listen(listener)',
  serve: "serve(createServer((request, response) => request.pipe(response).on('close', closed)), { listener })",
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`they_are_served: ${name}`, async (t) => {
    const listeners = [testListener(t), testListener(t, 'unix')]
    const isHttp = name === 'serve'
    const asked = listeners.map((listener) => ask(t, listener, isHttp ? POST : 'asked'))
    await run(
      t,
      listeners,
      { LISTEN_FDS: '2' },
      `
      import { createServer } from 'node:http'
      import net from 'm-socket/net'
      import { serve } from 'm-socket'
      let left = 2
      const closed = () => { if (--left === 0) setImmediate(() => process.exit()) }
      const echo = (socket) => socket.pipe(socket).on('close', closed)
      const servers = listenFds().unknown.map((listener) => ${way})
      print(servers.length)`,
    )
    for (const answer of await Promise.all(asked)) t.regex(answer, isHttp ? /200 OK[^]*asked/ : /^asked$/)
  })
}

const POST = 'POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nasked'

/** Connects, sends, and resolves with all that comes back. */
async function ask(t: ExecutionContext, listener: Listener, question: string): Promise<string> {
  const socket = connect(addressOf(listener) as NetConnectOpts)
  t.teardown(() => socket.destroy())
  socket.end(question)
  return text(socket)
}

test('what_is_no_listener_is_named_and_nothing_is_taken_over', async (t) => {
  const directory = temporaryDirectory(t)
  t.is(spawnSync('mkfifo', [join(directory, 'fifo')]).status, 0)
  const datagram = createSocket('udp4').bind(0, '127.0.0.1')
  t.teardown(() => datagram.close())
  await once(datagram, 'listening')
  const { client } = await connectedPair(t)
  const bound = boundOnly()
  const files = [openSync(join(directory, 'fifo'), 'r+'), openSync(join(directory, 'file'), 'w')]
  t.teardown(() => [bound, ...files].forEach((fd) => closeSync(fd)))
  const udp = datagramDescriptor(datagram.address().port)
  const passed = [testListener(t), files[0]!, udp, client.fd, bound, files[1]!, testListener(t, 'unix')]
  const [thrown, found] = await run(
    t,
    passed,
    { LISTEN_FDS: '7', LISTEN_FDNAMES: 'web:fifo:udp:open:bound:file:control' },
    `
    print(thrown(() => listenFds()))
    pass({ LISTEN_FDS: '1' })
    print(listenFds().unknown.map(({ fd }) => fd))`,
  )
  t.deepEqual(thrown, {
    type: 'SocketError',
    code: 'ERR_LISTEN_FDS',
    message:
      'listenFds: LISTEN_FDS is 7, and descriptor 4 ("fifo") is no socket, descriptor 5 ("udp") is no stream socket, ' +
      'descriptor 6 ("open") does not listen, descriptor 7 ("bound") does not listen, descriptor 8 ("file") is no socket',
    descriptors: [
      { fd: 4, name: 'fifo', reason: 'ENOTSOCK' },
      { fd: 5, name: 'udp', reason: 'EPROTOTYPE' },
      { fd: 6, name: 'open', reason: 'EINVAL' },
      { fd: 7, name: 'bound', reason: 'EINVAL' },
      { fd: 8, name: 'file', reason: 'ENOTSOCK' },
    ],
  })
  t.deepEqual(found, [3])
})

test('a_number_of_descriptors_that_is_too_large_ends_with_one_that_is_not_open', async (t) => {
  const [first, second] = await run(
    t,
    [testListener(t)],
    {},
    `
    for (const LISTEN_FDS of ['1000', '2147483644']) {
      pass({ LISTEN_FDS })
      print(thrown(() => listenFds()))
    }`,
  )
  for (const { code, descriptors } of [first, second] as { code: string; descriptors: { reason: string }[] }[]) {
    t.is(code, 'ERR_LISTEN_FDS')
    t.is(descriptors.at(-1)!.reason, 'EBADF')
    t.true(descriptors.length < 100)
  }
})

test('variables_that_are_no_numbers_or_have_too_many_names_are_errors_and_are_removed', async (t) => {
  const outcomes = await run(
    t,
    [testListener(t)],
    {},
    `
    const ours = String(process.pid)
    for (const [LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES] of [
      ['', '1'], ['x', '1'], ['0', '1'], ['-1', '1'], [ours, ''], [ours, 'x'], [ours, '-1'], [ours, '1.5'], [ours, ' 1'],
      [ours, '2147483648'], [ours, '1', 'a:b'], [ours, '1', 'a:'], [ours, '2', 'a'],
    ]) {
      Object.assign(process.env, { LISTEN_PID, LISTEN_FDS }, LISTEN_FDNAMES && { LISTEN_FDNAMES })
      const { type, code } = thrown(() => listenFds())
      print([type, code, Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'))])
    }
    pass({ LISTEN_FDS: '1' })
    print(listenFds().unknown.length)`,
  )
  t.deepEqual(outcomes, [...Array.from({ length: 13 }, () => ['SocketError', 'ERR_LISTEN_FDS', []]), 1])
})

test('without_variables_of_this_process_there_are_none', async (t) => {
  const outcomes = await run(
    t,
    [testListener(t)],
    {},
    `
    const ours = String(process.pid)
    for (const variables of [
      {}, { LISTEN_PID: '1', LISTEN_FDS: '1' }, { LISTEN_PID: '1', LISTEN_FDS: 'x' }, { LISTEN_PID: ours },
      { LISTEN_FDS: '1' }, { LISTEN_PID: ours, LISTEN_FDS: '0' }, { LISTEN_PID: ours, LISTEN_FDS: '0', LISTEN_FDNAMES: 'a' },
    ]) {
      for (const name of ['LISTEN_PID', 'LISTEN_FDS']) delete process.env[name]
      Object.assign(process.env, variables)
      print([listenFds(), Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'))])
    }`,
  )
  t.deepEqual(
    outcomes,
    Array.from({ length: 7 }, () => [{}, []]),
  )
})

test('a_descriptor_that_a_listener_has_is_not_taken_twice', async (t) => {
  const [thrown, works] = await run(
    t,
    [testListener(t)],
    { LISTEN_FDS: '1' },
    `
    const { unknown: [listener] } = listenFds()
    pass({ LISTEN_FDS: '1' })
    print(thrown(() => listenFds()))
    print(listener.address !== undefined)`,
  )
  t.like(thrown, { code: 'ERR_LISTEN_FDS', descriptors: [{ fd: 3, name: 'unknown', reason: 'EEXIST' }] })
  t.true(works)
})

test('a_worker_has_a_copy_of_the_variables', async (t) => {
  const lines = await run(
    t,
    [testListener(t)],
    { LISTEN_FDS: '1' },
    `
    import { Worker } from 'node:worker_threads'
    import { once } from 'node:events'
    const source = "import('node:worker_threads').then(async ({ parentPort }) => " +
      "parentPort.postMessage((await import('m-socket')).listenFds().unknown[0].detach()))"
    const worker = new Worker(source, { eval: true })
    print((await once(worker, 'message'))[0])
    print(process.env.LISTEN_FDS)
    print(Object.keys(listenFds()))`,
  )
  t.deepEqual(lines, [3, '1', ['unknown']])
})

test('in_this_process_there_are_none', (t) => {
  t.deepEqual(listenFds(), {})
})
