import { once } from 'node:events'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, type ReadyEvent, Socket } from 'm-socket'
import * as native from 'm-socket/native'

import { outcomeOf, runModule, startModule } from '../support/child.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import { runFixture } from '../support/fixture.js'
import { detach, growable, resizable } from '../support/memory.js'
import { addressOf, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { acceptNext, nextEvent, receiveExactly, receiveToEnd, until, waitUntil } from '../support/waiting.js'

const PATIENCE = 10_000

// Terminated workers

test.serial('truth 37: workers_terminated_during_traffic_neither_crash_nor_leak', async (t) => {
  const { code, signal, stdout, stderr } = await runFixture(t, 'terminate-workers.ts', 20)
  t.is(signal, null, stderr)
  t.is(code, 0, stderr)
  const { before, after, counts } = JSON.parse(stdout) as {
    before: string[]
    after: string[]
    counts: Record<string, number>
  }
  t.true(Object.values(counts).reduce((sum, count) => sum + count) >= 20)
  t.is(after.length, before.length, after.join(' '))
})

// Garbage collection

/** The start of a module for a process with `gc`; `collect` collects garbage and lets finalizers run. */
const COLLECT = `
  import { closeSync, openSync, readlinkSync } from 'node:fs'
  import { Listener, Multiplexer, Socket } from 'm-socket'
  const collect = async () => {
    for (let round = 0; round < 6; round++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const link = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd) } catch { return 'closed' } }
  const warnings = []
  process.on('warning', ({ name, message, detail }) => warnings.push({ name, message, detail }))
`

async function runWithGc(
  t: ExecutionContext,
  source: string,
  env: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const options = { nodeArguments: ['--expose-gc'], env: { ...process.env, ...env } }
  const { code, stdout, stderr } = await runModule(t, COLLECT + source, options)
  t.is(code, 0, stderr)
  return JSON.parse(stdout) as Record<string, unknown>
}

test('truth 38: a_collected_listener_is_closed_exactly_once', async (t) => {
  const found = await runWithGc(
    t,
    `
    const openAndDrop = () => Listener.bind({ host: '127.0.0.1' }).fd
    const fd = openAndDrop()
    const before = link(fd)
    await collect()
    const after = link(fd)
    // Files take the free descriptor numbers: a second close(2) would close one of them.
    const files = Array.from({ length: 20 }, () => openSync('/dev/zero'))
    await collect()
    console.log(JSON.stringify({ before, after, files: files.map(link), warnings }))`,
  )
  t.regex(String(found['before']), /^socket:/)
  t.not(found['after'], found['before'])
  t.deepEqual(new Set(found['files'] as string[]), new Set(['/dev/zero']))
  const [warning, ...others] = found['warnings'] as { name: string; message: string; detail: string }[]
  t.deepEqual(others, [], 'one warning')
  t.is(warning!.name, 'SocketLeakWarning')
  t.regex(warning!.message, /^A Listener was garbage-collected while open/)
  t.regex(warning!.detail, /NODE_DEBUG=m-socket/)
})

test('truth 38: with_NODE_DEBUG_the_leak_warning_shows_where_the_socket_was_opened', async (t) => {
  const { warnings } = await runWithGc(
    t,
    `
    const listener = Listener.bind({ host: '127.0.0.1' })
    function openAndDrop() { Socket.connect({ port: listener.address.port }) }
    openAndDrop()
    await collect()
    listener.close()
    console.log(JSON.stringify({ warnings }))`,
    { NODE_DEBUG: 'm-socket' },
  )
  const [warning, ...others] = warnings as { message: string; detail: string }[]
  t.deepEqual(others, [])
  t.regex(warning!.message, /^A Socket /)
  t.regex(warning!.detail, /^Error: opened here\n[^]* openAndDrop /)
})

test('truth 38: closed_objects_are_collected_without_a_warning', async (t) => {
  const { warnings, left } = await runWithGc(
    t,
    `
    function openAndClose() {
      const listener = Listener.bind({ host: '127.0.0.1' })
      const client = Socket.connect({ port: listener.address.port })
      const multiplexer = new Multiplexer(client, listener)
      const fds = [client.fd, listener.fd]
      const links = fds.map(link)
      multiplexer.close()
      client.reset()
      listener.close()
      return { fds, links }
    }
    const { fds, links } = openAndClose()
    await collect()
    // Deno may have reused the numbers.
    console.log(JSON.stringify({ warnings, left: fds.map(link).filter((it) => links.includes(it)) }))`,
  )
  t.deepEqual(warnings, [])
  t.deepEqual(left, [])
})

test('truth 38: a_finalizer_does_not_wait_for_SO_LINGER', async (t) => {
  const found = await runWithGc(
    t,
    `
    const listener = Listener.bind({ host: '127.0.0.1', receiveBufferSize: 4096 })
    function fillAndDrop() {
      const client = Socket.connect({ port: listener.address.port, linger: 600_000 })
      while (client.state === 'connecting');
      // The kernel accepts more than the peer's window, so close(2) would have to wait.
      const status = client.send(new Uint8Array(100_000))
      return { status, socket: link(client.fd), fd: client.fd }
    }
    const { status, socket, fd } = fillAndDrop()
    const server = listener.accept()
    await collect()
    const closed = link(fd) !== socket
    const into = new Uint8Array(65536)
    let received = 0
    for (let count; (count = server.receive(into)) !== 0; await new Promise((resolve) => setTimeout(resolve, 1))) received += count ?? 0
    console.log(JSON.stringify({ status, closed, received, warnings: warnings.length }))
    server.close()
    listener.close()`,
  )
  t.deepEqual(found, { status: 'sent', closed: true, received: 100_000, warnings: 1 })
})

// Misbehaving handlers

test('truth 39: handlers_that_throw_close_or_add_leave_the_batch_intact', async (t) => {
  const listener = testListener(t)
  const pairs = await Promise.all(Array.from({ length: 6 }, () => connectedPair(t)))
  const servers = pairs.map(({ server }) => server)
  using multiplexer = new Multiplexer()
  for (const { client, server } of pairs) {
    client.send('x')
    await until(() => server.peek(new Uint8Array(1)) === 1)
    multiplexer.add(server, 'r')
  }
  const events = [...(await multiplexer.wait(PATIENCE))]
  t.is(events.length, servers.length)
  const newcomer = Socket.connect(addressOf(listener))
  resetAtEnd(t, newcomer)
  const [, second, third, fourth, fifth] = servers as [Socket, Socket, Socket, Socket, Socket, Socket]
  const handled: string[] = []

  const handlers = new Map<unknown, (event: ReadyEvent) => void>([
    [
      servers[0],
      () => {
        handled.push('closes others and adds one')
        fourth.close()
        fifth.reset()
        multiplexer.add(newcomer, 'w')
      },
    ],
    [
      second,
      () => {
        handled.push('closes itself')
        second.close()
      },
    ],
    [
      third,
      () => {
        handled.push('throws')
        throw new Error('thrown by a handler')
      },
    ],
    [
      servers[5],
      (event) => {
        handled.push(flagsOf(event))
        t.is(servers[5]!.receive(new Uint8Array(2)), 1)
      },
    ],
  ])
  for (const event of events) {
    if (!event.readable) continue
    try {
      handlers.get(event.target)?.(event)
    } catch (error) {
      t.is((error as Error).message, 'thrown by a handler')
    }
  }
  t.deepEqual(handled, ['closes others and adds one', 'closes itself', 'throws', 'readable'])
  t.deepEqual(
    [fourth, fifth].map((target) => flagsFor(target, events)),
    ['', ''],
  )

  const next: ReadyEvent['target'][] = []
  await waitUntil(
    multiplexer,
    () => next.includes(newcomer),
    (batch) => next.push(...targetsOf(batch)),
  )
  const again = [...servers, newcomer].filter((target) => next.includes(target))
  t.deepEqual(
    again.map((target) => servers.indexOf(target)),
    [0, 2, -1],
    'unread sockets are reported again, closed ones are not',
  )
})

test('truth 39: streams_that_throw_or_destroy_each_other_leave_the_batch_intact', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Listener, Socket, toDuplex } from 'm-socket'
    const caught = []
    process.on('uncaughtException', ({ message }) => caught.push(message))
    const listener = Listener.bind({ path: '\\0m-socket-truth-39-' + process.pid })
    const pairs = Array.from({ length: 6 }, () => {
      const client = Socket.connect(listener.address)
      return { client, stream: toDuplex(listener.accept()) }
    })
    const received = []
    const acts = [
      () => { throw new Error('thrown by a reader') },
      () => pairs[1].stream.destroy(),
      () => pairs[3].stream.destroy(),
      () => {},
      () => {
        const client = Socket.connect(listener.address)
        const stream = toDuplex(listener.accept())
        stream.once('data', () => { received.push('the new one'); stream.destroy(); client.close() })
        client.send('x')
      },
      () => {},
    ]
    pairs.forEach(({ stream }, index) => stream.on('data', () => { received.push(index); acts[index]() }))
    // All at once, so that their events come in one batch.
    setTimeout(() => { for (const { client } of pairs) client.send('x') }, 20)
    while (!received.includes('the new one') || !received.includes(5)) await new Promise((resolve) => setTimeout(resolve, 5))
    for (const { client, stream } of pairs) { client.close(); stream.destroy() }
    listener.close()
    console.log(JSON.stringify({ received, caught, destroyed: pairs.map(({ stream }) => stream.destroyed) }))`,
  )
  t.is(code, 0, stderr)
  const { received, caught } = JSON.parse(stdout) as { received: unknown[]; caught: string[] }
  t.deepEqual(received, [0, 1, 2, 4, 5, 'the new one'])
  t.deepEqual(caught, ['thrown by a reader'])
})

// What keeps the process alive

const KEEP_ALIVE: [string, string][] = [
  ['a_pending_wait', 'void watching().wait()'],
  ['a_pending_wait_with_a_timeout', 'void watching().wait(1e9)'],
  ['a_pending_wait_that_is_referenced_again', 'void watching().unref().wait(); setTimeout(() => plex.ref(), 0)'],
  ['an_iteration_of_a_multiplexer', 'void (async () => { for await (const _ of watching()); })()'],
  ['queued_output_of_an_unreferenced_multiplexer', 'void watching().unref().wait(); fill()'],
  ['queued_output_in_a_multiplexer_without_a_wait', 'watching(); fill()'],
  ['queued_output_in_no_multiplexer', 'fill()'],
  ['queued_output_behind_a_close', 'fill(); client.close()'],
  ['queued_output_of_a_removed_socket', 'watching(); fill(); plex.remove(client)'],
  ['queued_output_of_a_closed_multiplexer', 'watching(); fill(); plex.close()'],
]

const LET_EXIT: [string, string][] = [
  ['an_open_socket', ''],
  ['a_multiplexer_without_a_wait', 'watching()'],
  ['an_unreferenced_wait', 'void watching().unref().wait()'],
  ['an_unreferenced_wait_with_a_timeout', 'void watching().unref().wait(1e9)'],
  ['a_pending_wait_that_is_unreferenced_later', 'void watching().wait(1e9); setTimeout(() => plex.unref(), 20)'],
  [
    'an_unreferenced_iteration_with_continuous_events',
    `
    watching().modify(client, 'w', 'level')
    void (async () => { for await (const _ of plex.unref()); })()`,
  ],
  ['a_resolved_wait', `watching().modify(client, 'w'); await plex.wait()`],
  ['a_wait_that_timed_out', 'await watching().wait(20)'],
  ['a_wait_of_a_closed_multiplexer', 'void watching().wait(); setTimeout(() => plex.close(), 20)'],
  ['a_queue_that_was_emptied', 'client.send(Buffer.alloc(1)); if (!client.flush()) throw new Error()'],
]

/**
 * Starts a process that has a client socket, never garbage-collected, and runs `source`; it prints `done` after 50 ms.
 */
function startClient(t: ExecutionContext, to: object, source: string): ReturnType<typeof startModule> {
  return startModule(
    t,
    `
    import { Multiplexer, Socket } from 'm-socket'
    const client = globalThis.client = Socket.connect(${JSON.stringify(to)})
    while (client.state === 'connecting');
    const plex = globalThis.plex = new Multiplexer()
    const watching = () => { plex.add(client, 'r'); return plex }
    const fill = () => { while (client.queued === 0) client.send(new Uint8Array(65536)) }
    setTimeout(() => console.log('done'), 50)
    ${source}`,
  )
}

for (const [what, source] of KEEP_ALIVE) {
  test(`truth 40: ${what}_keeps_the_process_alive`, async (t) => {
    const listener = testListener(t)
    const child = startClient(t, addressOf(listener), source)
    const server = resetAtEnd(t, await acceptNext(listener))
    await once(child.stdout!, 'data')
    await sleep(300)
    t.is(child.exitCode, null)
    if (!source.includes('fill()')) return
    const ended = once(child, 'exit')
    // Once the queue is sent nothing keeps the process alive; the end that the server reads comes from its exit.
    t.true((await receiveToEnd(server)).length >= 65536)
    t.deepEqual(await ended, [0, null])
  })
}

for (const [what, source] of LET_EXIT) {
  test(`truth 40: ${what}_lets_the_process_exit`, async (t) => {
    const listener = testListener(t)
    const child = startClient(t, addressOf(listener), source)
    const ended = outcomeOf(child)
    resetAtEnd(t, await acceptNext(listener))
    const outcome = await Promise.race([ended, sleep(PATIENCE, 'still running', { ref: false })])
    t.like(outcome, { code: 0, signal: null, stderr: '', stdout: 'done\n' })
  })
}

// Memory that changes during use

/** An array that can be changed in the given way. */
function bytes(way: string, size: number): Uint8Array {
  return new Uint8Array(way === 'shrunk' ? resizable(size, size) : new ArrayBuffer(size)).fill(0x61)
}

const TEXT = 'abcdefghijklmnopqrstuvwxyz'

test('truth 41: a_detached_or_out_of_bounds_array_is_neither_read_nor_written', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send(TEXT)
  await nextEvent(server, 'r')
  const gone = detach(new Uint8Array(8))
  const shrunk = resizable(16)
  const beyond = new Uint8Array(shrunk, 8, 8)
  shrunk.resize(8)
  for (const into of [gone, beyond]) {
    t.throws(() => server.receive(into), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
    t.throws(() => server.peek(into), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
    t.is(server.send(into), 'sent')
    t.is(server.send([into, into]), 'sent')
  }
  t.is(server.bytesSent, 0)
  t.is((await receiveExactly(server, TEXT.length)).toString(), TEXT, 'no data was lost')
})

test('truth 41: a_length_tracking_array_is_used_at_its_current_length', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send(TEXT)
  await nextEvent(server, 'r')
  const memory = resizable(8)
  const into = new Uint8Array(memory)
  const text = (count: number | null): string => Buffer.from(into).toString('latin1', 0, count ?? 0)
  memory.resize(4)
  t.is(text(server.receive(into)), 'abcd')
  memory.resize(10)
  t.is(text(server.receive(into)), 'efghijklmn')
  memory.resize(0)
  t.throws(() => server.receive(into), { code: 'ERR_OUT_OF_RANGE' })
  memory.resize(64)
  t.is(text(server.receive(into)), 'opqrstuvwxyz')
  t.deepEqual(into.subarray(12), new Uint8Array(52), 'the bytes after the data are unchanged')
})

test('truth 41: a_growable_shared_array_is_used_at_its_current_length', async (t) => {
  const { client, server } = await connectedPair(t)
  const shared = growable(4)
  const array = new Uint8Array(shared)
  client.send(TEXT)
  await nextEvent(server, 'r')
  t.is(server.receive(array), 4)
  shared.grow(10)
  t.is(server.receive(array), 10)
  t.is(Buffer.from(array).toString(), 'efghijklmn')
  t.is(client.send(array), 'sent')
  t.is((await receiveExactly(server, 22)).toString(), 'opqrstuvwxyzefghijklmn')
})

for (const [way, change] of Object.entries({
  overwritten: (array: Uint8Array) => array.fill(0xee),
  detached: (array: Uint8Array) => detach(array),
  shrunk: (array: Uint8Array) => (array.buffer as ReturnType<typeof resizable>).resize(0),
})) {
  test(`truth 41: queued_data_is_a_copy_of_the_array (${way})`, async (t) => {
    const { client, server } = await connectedPair(t)
    const size = 16 << 20
    const data = bytes(way, size)
    t.is(client.send([data]), 'partially-sent')
    change(data)
    const received = await receiveExactly(server, size)
    t.true(received.every((value) => value === 0x61))
  })

  test(`truth 41: pieces_may_change_while_their_array_is_read (${way})`, async (t) => {
    const { client, server } = await connectedPair(t)
    const size = 1 << 16
    const first = bytes(way, size)
    const pieces = [first, new Uint8Array(0)]
    Object.defineProperty(pieces, 1, {
      get() {
        change(first)
        return Buffer.from('z')
      },
    })
    t.is(client.send(pieces), 'sent')
    const expected = way === 'overwritten' ? size + 1 : 1
    t.is(client.bytesSent, expected, 'lengths are taken after all pieces are read')
    const received = await receiveExactly(server, expected)
    t.is(received.at(-1), 'z'.charCodeAt(0))
    t.true(received.subarray(0, -1).every((value) => value === 0xee))
  })
}

test('truth 41: a_misbehaving_array_of_pieces_throws_and_nothing_is_sent', async (t) => {
  const { client } = await connectedPair(t)
  const piece = Buffer.from('x')
  const throwing = Object.defineProperty([piece, piece], 1, {
    get() {
      throw new Error('thrown by a getter')
    },
  })
  t.throws(() => client.send(throwing), { message: 'thrown by a getter' })
  const shrinking = Object.defineProperty([piece, piece, piece], 0, {
    get() {
      shrinking.length = 1
      return piece
    },
  })
  const endless: Uint8Array[] = []
  endless.length = 2 ** 32 - 1
  for (const pieces of [shrinking, endless, new Proxy([piece], {})]) {
    t.throws(() => client.send(pieces), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
  t.is(client.bytesSent, 0)
})

test('truth 41: native_calls_treat_a_detached_array_as_empty', async (t) => {
  const { client, server } = await connectedPair(t)
  using multiplexer = new Multiplexer(server)
  client.send(TEXT)
  await multiplexer.wait(PATIENCE)
  multiplexer.remove(server)
  const plex = native.openMultiplexer(() => {})
  t.teardown(() => native.closeMultiplexer(plex))
  const { handle } = server as unknown as { handle: number }
  const gone = detach(new Uint8Array(800))
  t.is(native.add(plex, handle, 1, 1), 0)
  t.is(native.wait(plex, 0, gone), -constants.errno.EINVAL, 'no event fits')
  t.is(native.wait(plex, 0, new Uint8Array(15)), -constants.errno.EINVAL)
  const room = new Uint8Array(17).fill(0xee)
  t.is(native.wait(plex, 0, room), 1)
  t.is(room[16], 0xee)
  t.is(native.wait(plex, 0, room, room), -(2 ** 31), 'the two arrays overlap')
  t.is(native.receive(handle, gone), 0)
  t.is(native.send(handle, gone), 0)
  t.true(native.getOption(handle, 1, 3, gone) <= 0)
  t.is(native.remove(plex, handle), 0)
  t.is(server.bytesReceived, 0)
})

// Addresses

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`truth 42: a_reset_socket_still_has_the_address_of_its_peer (${family})`, async (t) => {
    const { client, server } = await connectedPair(t, family)
    const [local, remote] = [server.localAddress, server.remoteAddress]
    client.reset()
    await until(() => server.info().state === 'closed')
    t.deepEqual([server.localAddress, server.remoteAddress], [local, remote])
    t.throws(() => server.receive(new Uint8Array(1)), { code: 'ECONNRESET' })
    t.is(server.state, 'closed')
    t.deepEqual([server.localAddress, server.remoteAddress], [local, remote], 'and when the error has closed it')
  })
}

test('truth 42: a_socket_that_was_never_connected_has_no_peer', async (t) => {
  const refused = resetAtEnd(t, Socket.connect(await refusedAddress(t)))
  t.is(refused.remoteAddress, undefined)
  await until(() => refused.state === 'closed')
  t.is(refused.remoteAddress, undefined)
})

/** An address of the loopback on which no socket listens. */
async function refusedAddress(t: ExecutionContext): Promise<ReturnType<typeof addressOf>> {
  const listener = testListener(t)
  const address = addressOf(listener)
  listener.close()
  return address
}
