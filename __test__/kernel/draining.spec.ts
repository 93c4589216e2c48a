import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import {
  type InetAddress,
  Listener,
  Multiplexer,
  type ReadyEvent,
  Socket,
  SocketError,
  listen,
  toDuplex,
} from 'm-socket'

import { startModule } from '../support/child.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import { FAMILIES, addressOf, closeAtEnd, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { EPOLL_WAIT, runUnderStrace, timeoutOf } from '../support/strace.js'
import { nextTurn } from '../support/timing.js'
import { unixPairs } from '../support/unix-pairs.js'
import { acceptNext, connectOutcome, until, waitUntil } from '../support/waiting.js'

const PATIENCE = 10_000

const WAITS: Record<string, (multiplexer: Multiplexer, timeout: number) => ReadyEvent[] | Promise<ReadyEvent[]>> = {
  wait: (multiplexer, timeout) => multiplexer.wait(timeout),
  waitSync: (multiplexer, timeout) => multiplexer.waitSync(timeout),
}

/** Receives once into a buffer larger than the data; returns the data, `nothing`, `end` or the error's code. */
function receiveOnce(socket: Socket): string {
  try {
    const into = Buffer.alloc(100)
    const count = socket.receive(into)
    return count === null ? 'nothing' : count === 0 ? 'end' : into.toString('latin1', 0, count)
  } catch (error) {
    if (error instanceof SocketError) return error.code
    throw error
  }
}

/** Receives once per event until no more events are reported. */
async function receiveOncePerEvent(multiplexer: Multiplexer, socket: Socket): Promise<string[]> {
  const received: string[] = []
  let patience = PATIENCE
  for (;;) {
    const [event] = await multiplexer.wait(patience)
    if (!event) return received
    if (event.target !== socket || !event.readable) continue
    received.push(receiveOnce(socket))
    // No event is expected after the end or an error: wait only briefly.
    if (received.at(-1)!.startsWith('E') || received.at(-1) === 'end') patience = 50
    if (received.length > 10) return received
  }
}

for (const family of FAMILIES) {
  for (const [name, wait] of Object.entries(WAITS)) {
    test(`truth 1: unread_data_is_reported_until_it_is_drained (${family}, ${name})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      const multiplexer = closeAtEnd(t, new Multiplexer())
      multiplexer.add(server, 'r')
      client.send('abcdef')
      t.deepEqual(targetsOf(await wait(multiplexer, PATIENCE)), [server])
      t.is(server.receive(new Uint8Array(2)), 2)
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable')
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable', 'also when nothing was read')
      t.is(
        server.receive(new Uint8Array(4)),
        4,
        'the array is full, so the read alone does not show whether more data is unread',
      )
      t.deepEqual(await wait(multiplexer, 30), [])
      client.send('g')
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable')
    })
  }

  const ENDS: [string, string, (client: Socket, server: Socket) => void][] = [
    ['a fin', 'end', (client) => client.shutdown()],
    ['both fins', 'end', (client, server) => (server.shutdown(), client.shutdown())],
    ['a close', 'end', (client) => client.close()],
    // Unix sockets have no RST: the peer reads the end.
    ['a reset', family === 'unix' ? 'end' : 'ECONNRESET', (client) => client.reset()],
  ]

  for (const [name, last, end] of ENDS) {
    test(`truth 2: data_and_${name.replaceAll(' ', '_')}_in_one_edge_are_both_delivered (${family})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      const multiplexer = closeAtEnd(t, new Multiplexer())
      multiplexer.add(server, 'r')
      client.send('abc')
      end(client, server)
      t.deepEqual(await receiveOncePerEvent(multiplexer, server), ['abc', last])
    })

    test(`truth 2: data_and_${name.replaceAll(' ', '_')}_in_one_edge_are_both_delivered_to_a_stream (${family})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      client.send('abc')
      end(client, server)
      const duplex = toDuplex(server)
      const received: string[] = []
      duplex.on('data', (chunk) => received.push(String(chunk)))
      duplex.on('end', () => received.push('end'))
      duplex.on('error', (error: NodeJS.ErrnoException) => received.push(error.code ?? ''))
      duplex.end()
      await new Promise((resolve) => duplex.once('close', resolve))
      t.deepEqual(received, ['abc', last])
    })
  }
}

// Fairness

const PINGERS = 99
const ROUNDS = 10

/** A process that sends as fast as it can, until it is killed. */
function startHose(t: ExecutionContext, listener: Listener): void {
  startModule(
    t,
    `
    import { connect } from 'node:net'
    const chunk = Buffer.alloc(1 << 20)
    const hose = connect(${JSON.stringify({ ...addressOf(listener) })})
    const fill = () => { while (hose.write(chunk)); }
    hose.on('connect', fill).on('drain', fill).on('error', () => {})`,
  )
}

/** The 99th percentile. */
function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99) - 1]!
}

test('truth 3: a_fire_hose_does_not_delay_99_pingers', async (t) => {
  const listener = testListener(t)
  startHose(t, listener)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const hose = await acceptNext(listener)
  resetAtEnd(t, hose)
  await until(() => hose.peek(new Uint8Array(1)) === 1)
  multiplexer.add(hose, 'r')
  const pairs = unixPairs(t, PINGERS)
  for (const { server } of pairs) multiplexer.add(server, 'r')

  const into = Buffer.alloc(65536)
  const waits: number[] = []
  let hoseBytes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const awaited = new Map(pairs.map(({ client, server }) => [server, client]))
    for (const client of awaited.values()) client.send('ping')
    for (let wait = 1; awaited.size > 0 && wait < 100; wait++) {
      for (const { target } of await multiplexer.wait(PATIENCE)) {
        const count = (target as Socket).receive(into)
        if (target === hose) hoseBytes += count ?? 0
        else if (awaited.delete(target as Socket)) waits.push(wait)
      }
    }
  }
  t.is(waits.length, PINGERS * ROUNDS)
  t.is(p99(waits), 1, 'each ping is reported by the very next wait')
  t.true(hoseBytes > 0)
})

test('truth 3: a_fire_hose_stream_does_not_starve_99_others', async (t) => {
  const listener = testListener(t)
  startHose(t, listener)
  const hose = toDuplex(await acceptNext(listener))
  t.teardown(() => hose.destroy())
  let hoseBytes = 0
  hose.on('data', (chunk: Buffer) => (hoseBytes += chunk.length))
  await until(() => hoseBytes > 0)
  const pairs = unixPairs(t, PINGERS).map(({ client, server }) => [toDuplex(client), toDuplex(server)] as const)
  for (const [, server] of pairs) server.pipe(server)
  t.teardown(() => pairs.flat().map((duplex) => duplex.destroy()))

  const costs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = hoseBytes
    await Promise.all(
      pairs.map(async ([client]) => {
        client.write('ping')
        await once(client, 'data')
        costs.push(hoseBytes - before)
      }),
    )
  }
  t.is(costs.length, PINGERS * ROUNDS)
  t.true(hoseBytes > 0)
  // A stream reads up to 16 times 64 KiB per turn; an echo among a hundred takes a few turns each way.
  t.true(p99(costs) <= 16 * 65536 * 8, `${p99(costs)} bytes of the hose before an echo`)
})

const CONNECTIONS = 300

test('truth 3: a_connection_flood_is_accepted_over_several_turns (handlers)', async (t) => {
  let opened = 0
  const server = listen({ host: '127.0.0.1', backlog: CONNECTIONS, socket: { open: () => void opened++ } })
  t.teardown(() => server.stop(true))
  await flood(t, { port: server.port! })
  const steps = await openedPerTurn(() => opened)
  t.is(opened, CONNECTIONS)
  // One poll accepts up to 64 connections; the next one may follow in the same turn of the loop of Node.
  t.true(Math.max(...steps) <= 256, `${steps}`)
})

test('truth 3: a_connection_flood_is_accepted_over_several_turns (iteration)', async (t) => {
  const listener = testListener(t, 'IPv4', { backlog: CONNECTIONS })
  await flood(t, addressOf(listener) as { port: number })
  let opened = 0
  void (async () => {
    for await (const socket of listener) {
      resetAtEnd(t, socket)
      opened++
    }
  })()
  const steps = await openedPerTurn(() => opened)
  t.is(opened, CONNECTIONS)
  t.true(Math.max(...steps) <= 128, `${steps}`)
})

/** Opens connections that wait in the backlog; synchronously, so that none is accepted meanwhile. */
async function flood(t: ExecutionContext, to: { port: number }): Promise<void> {
  for (let count = 0; count < CONNECTIONS; count++) resetAtEnd(t, Socket.connect(to))
}

/** The number of connections opened in each turn of Node's loop, until all are open. */
async function openedPerTurn(opened: () => number): Promise<number[]> {
  const steps: number[] = []
  for (let turns = 0; turns < 10_000 && opened() < CONNECTIONS; turns++) {
    const before = opened()
    await nextTurn()
    if (opened() > before) steps.push(opened() - before)
  }
  return steps
}

// The ready list and the kernel

for (const [name, wait] of Object.entries(WAITS)) {
  test(`truth 4: an_always_ready_socket_does_not_delay_others (${name})`, async (t) => {
    const always = await connectedPair(t)
    const later = await connectedPair(t)
    const multiplexer = closeAtEnd(t, new Multiplexer())
    multiplexer.add(always.server, 'r')
    multiplexer.add(later.server, 'r')
    always.client.send('never read')
    await until(() => always.server.peek(new Uint8Array(1)) === 1)
    for (let round = 0; round < 20; round++) {
      t.is(flagsFor(always.server, await wait(multiplexer, PATIENCE)), 'readable', 'without sleeping')
      later.client.send('x')
      await until(() => later.server.peek(new Uint8Array(1)) === 1)
      const events = await wait(multiplexer, PATIENCE)
      t.is(flagsFor(always.server, events), 'readable')
      t.is(flagsFor(later.server, events), 'readable')
      t.is(later.server.receive(new Uint8Array(10)), 1)
    }
  })
}

testWith(['strace'], 'truth 4: epoll_wait_does_not_sleep_while_the_ready_list_is_not_empty', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(
    t,
    `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ path: '\\0m-socket-truth-4-' + process.pid })
    const multiplexer = new Multiplexer()
    const client = Socket.connect(listener.address)
    const server = listener.accept()
    client.send('never read')
    multiplexer.add(server, 'r')
    for (let wait = 0; wait < 10; wait++) if (multiplexer.waitSync(77_777).length !== 1) throw new Error('not ready')
    server.receive(Buffer.alloc(100))
    if (multiplexer.waitSync(1055).length !== 0) throw new Error('ready')
    for (const each of [listener, multiplexer, client, server]) each.close()
  `,
    EPOLL_WAIT,
  )
  t.is(code, 0, stderr)
  const timeouts = calls.flatMap(timeoutOf)
  // At the first wait the ready list is still empty. The last wait sleeps, because the drained socket is no longer on
  // the list; it sleeps in slices of 250 ms.
  t.deepEqual(
    timeouts.slice(1, 10).filter((timeout) => timeout !== 0),
    [],
    calls.join('\n'),
  )
  t.true(
    timeouts.slice(10).some((timeout) => timeout > 0 && timeout <= 250),
    calls.join('\n'),
  )
  t.true(
    timeouts.slice(10).every((timeout) => timeout <= 250),
    calls.join('\n'),
  )
})

const MORE_THAN_A_BATCH = 2500

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  test.serial(`truth 5: more_ready_sockets_than_a_batch_holds_are_all_reported (${mode})`, async (t) => {
    const pairs = unixPairs(t, MORE_THAN_A_BATCH)
    const multiplexer = closeAtEnd(t, new Multiplexer())
    for (const { client, server } of pairs) {
      client.send('x')
      multiplexer.add(server, 'r', mode)
    }
    const reported = new Map<unknown, number>()
    // Each wait gets a thousand more events from the kernel and reports the first thousand of the ready list, so all
    // are reported within twice as many waits as batches are full.
    for (let wait = 0; wait < 6 && reported.size < MORE_THAN_A_BATCH; wait++) {
      const events = multiplexer.poll()
      t.true(events.length <= 1000)
      for (const event of events) {
        t.is(flagsOf(event), 'readable')
        reported.set(event.target, (reported.get(event.target) ?? 0) + 1)
      }
    }
    t.is(reported.size, MORE_THAN_A_BATCH)
    if (mode === 'oneshot') t.deepEqual(multiplexer.poll(), [])
    else t.is(targetsOf(multiplexer.poll()).length, 1000, 'unread sockets are reported again')
  })
}

test.serial('truth 5: drained_sockets_of_full_batches_are_not_reported_again', async (t) => {
  const pairs = unixPairs(t, MORE_THAN_A_BATCH)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const { client, server } of pairs) {
    client.send('x')
    multiplexer.add(server, 'r')
  }
  const into = new Uint8Array(1)
  let received = 0
  for (let events = await multiplexer.wait(PATIENCE); events.length > 0; events = await multiplexer.wait(30)) {
    for (const { target } of events) received += (target as Socket).receive(into) ?? 1_000_000
  }
  t.is(received, MORE_THAN_A_BATCH)
})

test('truth 5: a_listener_and_1100_connecting_sockets_are_all_reported', async (t) => {
  const listener = testListener(t, 'IPv4', { backlog: 2000 })
  const { port } = listener.address as InetAddress
  const clients = Array.from({ length: 1100 }, () => resetAtEnd(t, Socket.connect({ port })))
  const multiplexer = closeAtEnd(t, new Multiplexer(...clients))
  multiplexer.add(listener, 'r')
  const open = new Set<unknown>()
  const servers: Socket[] = []
  await waitUntil(
    multiplexer,
    () => open.size === clients.length && servers.length === clients.length,
    (events) => {
      for (const { target, writable } of events) {
        if (target !== listener) {
          if (writable) open.add(target)
          continue
        }
        for (let socket = listener.accept(); socket; socket = listener.accept()) servers.push(resetAtEnd(t, socket))
      }
    },
  )
  t.is(await connectOutcome(resetAtEnd(t, Socket.connect({ port }))), 'open')
  t.is(servers.length, clients.length)
})
